//! Checkpoints: a snapshot on the store, so that a start need not replay the log.
//!
//! ```text
//! checkpoint/{seq}  root ──► leaf/{uuid}.parquet   one per tenant, table and day; rewritten only when its files changed
//!                        └─► leaf/{uuid}.dead      dead files, one object per 256 snapshots
//! ```
//!
//! # Invariants
//! - The root is created last and only if absent, so a root that exists is whole; a crash leaves parts that nobody names.
//! - A part is shared with the newest root on the store only, by fingerprint of its content. That root is kept for the
//!   time-travel window at least, so gc cannot take the part away while the new root is being written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::Access;
use super::codec::{self, Kind};
use super::dead::{DeadBucket, DeadFile};
use super::deletes::DeletePredicate;
use super::entry::{LogMark, WriterId};
use super::history::History;
use super::layout;
use super::leaf::Leaf;
use super::leaf_file::{self, LeafKey};
use super::snapshot::{Snapshot, SnapshotId};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::Timestamp;

/// Parts read or written at the same time.
const PARTS_IN_FLIGHT: usize = 32;
/// Files of a leaf from which on it is coded off the async threads.
const INLINE_FILES_MAX: usize = 64;

/// The root object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Root {
    pub(super) seq: SnapshotId,
    pub(super) commit: Uuid,
    pub(super) committed_at: Timestamp,
    /// Since version 2.
    #[serde(default = "no_floor")]
    floor: Timestamp,
    schema_version: u32,
    marks: BTreeMap<WriterId, LogMark>,
    deletes: Vec<DeletePredicate>,
    leaves: Vec<LeafRef>,
    dead: Vec<DeadRef>,
}

fn no_floor() -> Timestamp {
    Timestamp::MIN
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LeafRef {
    tenant: TenantId,
    table: Table,
    day: i32,
    part: Part,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct DeadRef {
    bucket: u64,
    part: Part,
}

/// An immutable object that a root names.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Part {
    object: Uuid,
    /// Of the content; as a UUID because JSON numbers end at 64 bits.
    fingerprint: Uuid,
    files: u64,
    crc32: u32,
}

impl Part {
    fn holds(&self, fingerprint: u128, files: usize) -> bool {
        self.fingerprint.as_u128() == fingerprint && self.files == files as u64
    }
}

impl Root {
    /// The objects it names.
    pub(super) fn parts(&self) -> impl Iterator<Item = Path> {
        let leaves = self.leaves.iter().map(|leaf| layout::leaf(leaf.part.object));
        leaves.chain(self.dead.iter().map(|dead| layout::dead(dead.part.object)))
    }
}

/// Reads the root of checkpoint `seq`.
///
/// # Errors
/// [`Error::NoSuchSnapshot`] when there is none.
pub(super) async fn read_root(access: &Access, seq: SnapshotId) -> Result<Root> {
    let path = layout::checkpoint(seq);
    let bytes = access.get(&path).await?.ok_or(Error::NoSuchSnapshot(seq))?;
    let root: Root = codec::decode(Kind::Checkpoint, &path, &bytes)?;
    if root.seq != seq {
        return Err(Error::Corrupt { path, reason: format!("it is checkpoint {}", root.seq) });
    }
    Ok(root)
}

/// The numbers of the checkpoints on the store, ascending. A hint.
pub(super) async fn list(access: &Access) -> Result<Vec<SnapshotId>> {
    let objects = access.list(layout::CHECKPOINTS).await?;
    Ok(objects.iter().filter_map(|object| layout::sequence_of(&object.location)).collect())
}

/// The snapshot that `root` describes.
pub(super) async fn load(access: &Access, root: &Root) -> Result<Snapshot> {
    let mut snapshot = Snapshot {
        id: root.seq,
        commit: root.commit,
        committed_at: root.committed_at,
        marks: root.marks.clone(),
        deletes: Arc::new(root.deletes.clone()),
        floor: root.floor,
        schema_version: root.schema_version,
        history: History::since(root.seq),
        ..Snapshot::default()
    };
    let loads: Vec<_> = root.leaves.iter().map(|leaf| load_leaf(access, leaf).boxed()).collect();
    let mut leaves = stream::iter(loads).buffered(PARTS_IN_FLIGHT);
    while let Some((key, leaf)) = leaves.try_next().await? {
        snapshot.file_count = snapshot.file_count.saturating_add(leaf.file_count() as u64);
        snapshot.bytes = snapshot.bytes.saturating_add(leaf.bytes());
        let tables = Arc::make_mut(snapshot.tenants.entry(key.tenant).or_default());
        Arc::make_mut(tables.entry(key.table).or_default()).insert(key.day, Arc::new(leaf));
    }
    drop(leaves);
    let loads: Vec<_> = root.dead.iter().map(|dead| load_dead(access, dead).boxed()).collect();
    let mut buckets = stream::iter(loads).buffered(PARTS_IN_FLIGHT);
    while let Some((key, bucket)) = buckets.try_next().await? {
        snapshot.dead.insert(key, Arc::new(bucket));
    }
    drop(buckets);
    Ok(snapshot)
}

async fn load_leaf(access: &Access, leaf: &LeafRef) -> Result<(LeafKey, Leaf)> {
    let path = layout::leaf(leaf.part.object);
    let bytes = read_part(access, &path, leaf.part).await?;
    let key = LeafKey { tenant: leaf.tenant.clone(), table: leaf.table, day: leaf.day };
    let part = leaf.part;
    let decoded = off_thread(part.files as usize, move || {
        let leaf = leaf_file::decode(&key, &path, bytes)?;
        if !part.holds(leaf.fingerprint(), leaf.file_count()) {
            return Err(Error::Corrupt { path, reason: "its content is not what the root says".to_owned() });
        }
        Ok((key, leaf))
    });
    decoded.await
}

async fn load_dead(access: &Access, dead: &DeadRef) -> Result<(u64, DeadBucket)> {
    let path = layout::dead(dead.part.object);
    let bytes = read_part(access, &path, dead.part).await?;
    let files: Vec<DeadFile> = codec::decode(Kind::Dead, &path, &bytes)?;
    let mut bucket = DeadBucket::default();
    files.into_iter().for_each(|file| bucket.insert(file));
    Ok((dead.bucket, bucket))
}

async fn read_part(access: &Access, path: &Path, part: Part) -> Result<Bytes> {
    let corrupt = |reason: &str| Error::Corrupt { path: path.clone(), reason: reason.to_owned() };
    let mut reads = 0;
    loop {
        let bytes = access.get(path).await?.ok_or_else(|| corrupt("the root names it, but it is missing"))?;
        if crc32fast::hash(&bytes) == part.crc32 {
            return Ok(bytes);
        }
        reads += 1;
        if reads == 3 {
            return Err(corrupt("checksum does not match"));
        }
        access.pause(reads).await;
    }
}

/// Runs `work` where it does not hold up an async thread, unless it is small.
async fn off_thread<T: Send + 'static>(files: usize, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    if files <= INLINE_FILES_MAX {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::InvalidEdit { reason: format!("the process is stopping: {error}") }),
        },
    }
}

/// Writes `snapshot` and returns its root. Parts that `newest`, the newest root on the store, has as well are shared with it.
pub(super) async fn write(access: &Access, snapshot: &Snapshot, newest: Option<&Root>) -> Result<Root> {
    let leaves: HashMap<(&TenantId, Table, i32), Part> = newest
        .into_iter()
        .flat_map(|root| root.leaves.iter().map(|leaf| ((&leaf.tenant, leaf.table, leaf.day), leaf.part)))
        .collect();
    let dead: HashMap<u64, Part> =
        newest.into_iter().flat_map(|root| root.dead.iter().map(|dead| (dead.bucket, dead.part))).collect();
    let leaves: Vec<_> = snapshot
        .shared_leaves()
        .map(|(tenant, table, day, leaf)| {
            let known = leaves.get(&(tenant, table, day)).copied();
            let known = known.filter(|part| part.holds(leaf.fingerprint(), leaf.file_count()));
            async move {
                let part = match known {
                    Some(part) => part,
                    None => write_leaf(access, Arc::clone(leaf)).await?,
                };
                Ok::<_, Error>(LeafRef { tenant: tenant.clone(), table, day, part })
            }
            .boxed()
        })
        .collect();
    let leaves = stream::iter(leaves).buffered(PARTS_IN_FLIGHT).try_collect().await?;
    let dead: Vec<_> = snapshot
        .dead
        .iter()
        .map(|(key, bucket)| {
            let known = dead.get(key).copied().filter(|part| part.holds(bucket.fingerprint(), bucket.len()));
            async move {
                let part = match known {
                    Some(part) => part,
                    None => write_dead(access, bucket).await?,
                };
                Ok::<_, Error>(DeadRef { bucket: *key, part })
            }
            .boxed()
        })
        .collect();
    let dead = stream::iter(dead).buffered(PARTS_IN_FLIGHT).try_collect().await?;
    let root = Root {
        seq: snapshot.id,
        commit: snapshot.commit,
        committed_at: snapshot.committed_at,
        floor: snapshot.floor,
        schema_version: snapshot.schema_version,
        marks: snapshot.marks.clone(),
        deletes: snapshot.deletes.as_ref().clone(),
        leaves,
        dead,
    };
    access.ensure(&layout::checkpoint(root.seq), codec::encode(Kind::Checkpoint, &root)?.into()).await?;
    Ok(root)
}

async fn write_leaf(access: &Access, leaf: Arc<Leaf>) -> Result<Part> {
    let files = leaf.file_count();
    let fingerprint = leaf.fingerprint();
    let bytes = off_thread(files, move || leaf_file::encode(&leaf)).await?;
    let part = part(access, fingerprint, files, &bytes);
    access.put(&layout::leaf(part.object), bytes.into()).await?;
    fail::fail_point!("checkpoint::after_leaf");
    Ok(part)
}

async fn write_dead(access: &Access, bucket: &DeadBucket) -> Result<Part> {
    let files: Vec<&DeadFile> = bucket.files().collect();
    let bytes = codec::encode(Kind::Dead, &files)?;
    let part = part(access, bucket.fingerprint(), bucket.len(), &bytes);
    access.put(&layout::dead(part.object), bytes.into()).await?;
    Ok(part)
}

fn part(access: &Access, fingerprint: u128, files: usize, bytes: &[u8]) -> Part {
    Part {
        object: access.env.new_uuid(),
        fingerprint: Uuid::from_u128(fingerprint),
        files: files as u64,
        crc32: crc32fast::hash(bytes),
    }
}
