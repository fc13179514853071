//! Where the manifest's own objects lie.

use object_store::path::Path;
use uuid::Uuid;

use super::snapshot::SnapshotId;

pub(super) const LOG: &str = "catalog/0/log";
pub(super) const CHECKPOINTS: &str = "catalog/0/checkpoint";
pub(super) const PARTS: &str = "catalog/0/leaf";

/// The object of log entry `seq`.
pub(super) fn log_entry(seq: SnapshotId) -> Path {
    Path::from(format!("{LOG}/{seq:020}"))
}

/// The root of the checkpoint of snapshot `seq`.
pub(super) fn checkpoint(seq: SnapshotId) -> Path {
    Path::from(format!("{CHECKPOINTS}/{seq:020}"))
}

/// The files of one tenant, table and day.
pub(super) fn leaf(object: Uuid) -> Path {
    Path::from(format!("{PARTS}/{object}.parquet"))
}

/// A bucket of dead files.
pub(super) fn dead(object: Uuid) -> Path {
    Path::from(format!("{PARTS}/{object}.dead"))
}

/// The hint where the log begins.
pub(super) fn boundary() -> Path {
    Path::from("catalog/0/boundary")
}

/// An object that only tests the store.
pub(super) fn probe(id: Uuid) -> Path {
    Path::from(format!("catalog/0/probe/{id}"))
}

/// The number in the last segment of a log entry's or checkpoint's path.
pub(super) fn sequence_of(path: &Path) -> Option<SnapshotId> {
    let name = path.filename()?;
    (name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok())?
}

/// The id in the name of a leaf or dead list.
pub(super) fn part_of(path: &Path) -> Option<Uuid> {
    path.filename()?.split('.').next()?.parse().ok()
}
