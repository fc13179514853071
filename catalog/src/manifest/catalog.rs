//! The handle on the manifest that a process holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use super::access::Access;
use super::checkpoint::{self, Root};
use super::committer::Waiter;
use super::config::CatalogConfig;
use super::gc::KnownRoots;
use super::log::{Log, Tail};
use super::pin::{PinnedSnapshot, Pins};
use super::probe;
use super::snapshot::{Snapshot, SnapshotId};
use crate::env::Env;
use crate::error::{Error, Result};

/// An idle reader proves this often that nothing new really means nothing new, and not that the log was cleaned under it.
const VERIFY_EVERY: Duration = Duration::from_secs(30);
/// Starts over that often when the log is cleaned while it is being loaded.
const LOADS_MAX: u32 = 5;

/// The manifest of one store: the newest snapshot that this process knows, and the only way to make the next one.
///
/// Needs a tokio runtime. Share it in an `Arc`; there is one per process and store.
#[derive(Debug)]
pub struct Catalog {
    pub(super) log: Log,
    head: RwLock<Arc<Snapshot>>,
    /// Held by whoever moves `head`. Lock order: `checkpoints`, `writing`, then the short locks.
    pub(super) writing: tokio::sync::Mutex<Writing>,
    pub(super) queue: Mutex<VecDeque<Waiter>>,
    pub(super) checkpoints: tokio::sync::Mutex<Checkpoints>,
    pub(super) pins: Arc<Pins>,
    newest: watch::Sender<SnapshotId>,
}

/// What whoever moves the head knows.
#[derive(Debug)]
pub(super) struct Writing {
    /// When the head was last seen to lie in the part of the log that is kept.
    verified: Instant,
}

/// What whoever writes checkpoints or plans gc knows.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// The newest root on the store that could be loaded or was written here.
    newest: Option<Arc<Root>>,
    /// When that was.
    since: Instant,
    /// Checkpoints that could not be loaded: their parts are not shared.
    unreadable: Vec<SnapshotId>,
    pub(super) known: KnownRoots,
}

/// What catching up with the log did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaughtUp {
    /// The head follows from the one before, or is the same.
    Followed,
    /// The log was cleaned past our head: the state was loaded anew.
    Reloaded,
}

/// A snapshot loaded from the store, and how.
struct Loaded {
    snapshot: Snapshot,
    root: Option<Root>,
    unreadable: Vec<SnapshotId>,
}

impl Catalog {
    /// Opens the manifest on `store`: checks that the store can create-if-absent, loads the newest checkpoint and replays the log
    /// from there. An empty store is an empty lake.
    ///
    /// # Errors
    /// [`Error::NoCreateIfAbsent`], [`Error::Unsupported`] (a newer build wrote here; nothing is touched), [`Error::Corrupt`],
    /// [`Error::Store`] (unreachable, or access denied: see [`Error::kind`]).
    pub async fn open(store: Arc<dyn ObjectStore>, env: Env, config: CatalogConfig) -> Result<Arc<Self>> {
        let access = Access { store, env, config };
        probe::probe(&access).await?;
        let log = Log { access };
        let loaded = load(&log).await?;
        let now = Instant::now();
        let (newest, _) = watch::channel(loaded.snapshot.id);
        let checkpoints = Checkpoints {
            newest: loaded.root.map(Arc::new),
            since: now,
            unreadable: loaded.unreadable,
            known: KnownRoots::default(),
        };
        tracing::info!(snapshot = loaded.snapshot.id, files = loaded.snapshot.file_count, "manifest opened");
        Ok(Arc::new(Self {
            log,
            head: RwLock::new(Arc::new(loaded.snapshot)),
            writing: tokio::sync::Mutex::new(Writing { verified: now }),
            queue: Mutex::default(),
            checkpoints: tokio::sync::Mutex::new(checkpoints),
            pins: Arc::default(),
            newest,
        }))
    }

    /// The newest snapshot that this process knows. Not protected from gc: see [`Catalog::pin`].
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.head.read())
    }

    /// The newest snapshot that this process knows, protected from this process's gc while it is held. Other processes' gc
    /// leaves its files alone for [`CatalogConfig::delete_grace`].
    pub fn pin(&self) -> PinnedSnapshot {
        self.pins.pin(|| self.snapshot())
    }

    /// The snapshot `id` as it was, if it lies within the time that is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`] when it was cleaned or never existed.
    pub async fn snapshot_at(&self, id: SnapshotId) -> Result<PinnedSnapshot> {
        let head = self.pin();
        if head.id() == id {
            return Ok(head);
        }
        let mut before = checkpoint::list(&self.log.access).await?;
        before.retain(|seq| *seq <= id);
        let mut base = None;
        while let (None, Some(seq)) = (&base, before.pop()) {
            base = load_checkpoint(&self.log, seq).await?.map(|(_, snapshot)| snapshot);
        }
        let base = base.unwrap_or_default();
        match self.log.follow(&base, id).await? {
            // With nothing to replay the checkpoint itself must be proven to belong to the log.
            Tail::At(snapshot) if snapshot.id == id && (base.id < id || self.log.verify(id, base.commit).await?) => {
                Ok(self.pins.pin(|| Arc::new(snapshot)))
            }
            _ => Err(Error::NoSuchSnapshot(id)),
        }
    }

    /// Learns what other processes have committed. Returns the newest snapshot.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Corrupt`], [`Error::Unsupported`]. The known snapshot stays usable.
    pub async fn refresh(&self) -> Result<SnapshotId> {
        let mut writing = self.writing.lock().await;
        self.catch_up(&mut writing).await?;
        Ok(self.snapshot().id)
    }

    /// Tells the number of every new snapshot that this process learns of; in a burst only the newest.
    pub fn subscribe(&self) -> watch::Receiver<SnapshotId> {
        self.newest.subscribe()
    }

    /// Writes a checkpoint if enough was committed, or enough time has passed, since the last one. Returns its snapshot.
    ///
    /// # Errors
    /// [`Error::Store`]. Nothing needs to be undone.
    pub async fn checkpoint_if_due(&self) -> Result<Option<SnapshotId>> {
        let mut checkpoints = self.checkpoints.lock().await;
        let config = &self.log.access.config;
        let entries = self.snapshot().id.saturating_sub(checkpoints.newest.as_ref().map_or(0, |root| root.seq));
        if entries == 0 || entries < config.checkpoint_entries && checkpoints.since.elapsed() < config.checkpoint_age {
            return Ok(None);
        }
        self.write_checkpoint(&mut checkpoints).await
    }

    /// Writes a checkpoint of the newest snapshot now, unless the store has one. Returns its snapshot.
    ///
    /// # Errors
    /// [`Error::Store`]. Nothing needs to be undone.
    pub async fn checkpoint(&self) -> Result<Option<SnapshotId>> {
        let mut checkpoints = self.checkpoints.lock().await;
        self.write_checkpoint(&mut checkpoints).await
    }

    async fn write_checkpoint(&self, checkpoints: &mut Checkpoints) -> Result<Option<SnapshotId>> {
        let access = &self.log.access;
        let snapshot = self.snapshot();
        let listed = checkpoint::list(access).await?;
        let newest = listed.into_iter().rfind(|seq| !checkpoints.unreadable.contains(seq)).unwrap_or(0);
        let known = checkpoints.newest.as_ref().map_or(0, |root| root.seq);
        if newest > known {
            match checkpoint::read_root(access, newest).await {
                Ok(root) => (checkpoints.newest, checkpoints.since) = (Some(Arc::new(root)), Instant::now()),
                Err(Error::NoSuchSnapshot(_)) => {}
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::warn!(checkpoint = newest, %error, "checkpoint is left aside");
                    checkpoints.unreadable.push(newest);
                }
                Err(error) => return Err(error),
            }
        }
        if snapshot.id <= newest.max(known) {
            return Ok(None);
        }
        let root = checkpoint::write(access, &snapshot, checkpoints.newest.as_deref()).await?;
        metrics::counter!("telelake_catalog_checkpoints_total").increment(1);
        (checkpoints.newest, checkpoints.since) = (Some(Arc::new(root)), Instant::now());
        Ok(Some(snapshot.id))
    }

    /// Follows the log to its end; loads the state anew when the log was cleaned past our head.
    pub(super) async fn catch_up(&self, writing: &mut Writing) -> Result<CaughtUp> {
        let head = self.snapshot();
        let cleaned = match self.log.follow(&head, SnapshotId::MAX).await? {
            Tail::At(snapshot) if snapshot.id > head.id => {
                self.publish(writing, snapshot);
                false
            }
            Tail::At(_) if writing.verified.elapsed() < VERIFY_EVERY => false,
            Tail::At(_) => !self.log.verify(head.id, head.commit).await?,
            Tail::Cleaned => true,
        };
        if cleaned {
            self.reload(writing).await?;
            return Ok(CaughtUp::Reloaded);
        }
        if writing.verified.elapsed() >= VERIFY_EVERY {
            writing.verified = Instant::now();
        }
        Ok(CaughtUp::Followed)
    }

    /// Loads the state from the newest checkpoint.
    pub(super) async fn reload(&self, writing: &mut Writing) -> Result<()> {
        let loaded = load(&self.log).await?;
        tracing::warn!(from = self.snapshot().id, to = loaded.snapshot.id, "manifest reloaded");
        self.publish(writing, loaded.snapshot);
        Ok(())
    }

    /// Makes `snapshot`, which was just proven to be of this log, the newest.
    pub(super) fn publish(&self, writing: &mut Writing, snapshot: Snapshot) {
        writing.verified = Instant::now();
        let id = snapshot.id;
        metrics::gauge!("telelake_catalog_snapshot_id").set(id as f64);
        metrics::gauge!("telelake_catalog_live_files").set(snapshot.file_count as f64);
        metrics::gauge!("telelake_catalog_live_bytes").set(snapshot.bytes as f64);
        *self.head.write() = Arc::new(snapshot);
        self.newest.send_replace(id);
    }
}

/// The state on the store: the newest checkpoint that can be read, and the log after it.
async fn load(log: &Log) -> Result<Loaded> {
    for attempt in 0..LOADS_MAX {
        log.access.pause(attempt).await;
        let boundary = log.boundary().await?;
        let mut checkpoints = checkpoint::list(&log.access).await?;
        checkpoints.extend(boundary.map(|boundary| boundary.checkpoint));
        checkpoints.sort_unstable();
        checkpoints.dedup();
        let mut unreadable = Vec::new();
        let mut base = None;
        while let (None, Some(seq)) = (&base, checkpoints.pop()) {
            base = load_checkpoint(log, seq).await?;
            if base.is_none() {
                unreadable.push(seq);
            }
        }
        let (root, snapshot) = base.map_or_else(|| (None, Snapshot::default()), |(root, snapshot)| (Some(root), snapshot));
        match log.follow(&snapshot, SnapshotId::MAX).await? {
            Tail::At(head) if head.id > snapshot.id => return Ok(Loaded { snapshot: head, root, unreadable }),
            Tail::At(head) if log.verify(head.id, head.commit).await? => {
                return Ok(Loaded { snapshot: head, root, unreadable });
            }
            // Cleaned while we loaded it, or the listing was late: there is a newer checkpoint.
            _ => tracing::info!(checkpoint = snapshot.id, "checkpoint is outdated, looking for a newer one"),
        }
    }
    let reason = format!("no checkpoint with the log after it can be read, {LOADS_MAX} times tried");
    Err(Error::Corrupt { path: object_store::path::Path::from(super::layout::CHECKPOINTS), reason })
}

/// The checkpoint `seq`; `None` when it is gone or broken, which an older one and the log make up for.
async fn load_checkpoint(log: &Log, seq: SnapshotId) -> Result<Option<(Root, Snapshot)>> {
    let loaded = async {
        let root = checkpoint::read_root(&log.access, seq).await?;
        let snapshot = checkpoint::load(&log.access, &root).await?;
        Ok((root, snapshot))
    };
    match loaded.await {
        Ok(loaded) => Ok(Some(loaded)),
        Err(error @ (Error::NoSuchSnapshot(_) | Error::Corrupt { .. })) => {
            metrics::counter!("telelake_catalog_checkpoints_unreadable_total").increment(1);
            tracing::warn!(checkpoint = seq, %error, "checkpoint cannot be read, trying an older one");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
