//! Garbage collection: deletes objects that no snapshot can need.
//!
//! ```text
//! catalog says what expired ─► log entries (in order) ─► checkpoints, leaves ─► dead files ─► commit: forget them
//! list data/ ─► commit: nothing older than this may be added ─► not named by that snapshot ─► orphans of lost races, crashes ─► delete
//! ```
//!
//! # Invariants
//! - Deleting is idempotent: what is gone already counts as deleted, so a pass may be cut off anywhere and begun again.
//! - What is listed is judged by a snapshot that was made after the listing and refuses files as old as the orphans: one that is still
//!   on its way is refused and written again, and never deleted once it is committed.

use std::sync::Arc;
use std::time::Duration;

use catalog::FileId;
use catalog::manifest::{DeadFile, Operation, OrphanRule};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::lake::Lake;

/// Under which all files of rows lie.
const DATA: &str = "data";
/// Deletes at work at once.
const DELETES_PARALLEL: usize = 16;
/// Dead files per commit that forgets them.
const FORGET_BATCH: usize = 1_000;

/// How garbage is collected. What dies when is a setting of the manifest.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcConfig {
    /// Age from which on an object that no snapshot names is an orphan. An upload or compaction that takes longer is refused and begins
    /// anew.
    #[serde(with = "humantime_serde")]
    pub orphan_age: Duration,
    /// Most data objects deleted in a pass.
    pub deletes_max: usize,
}

impl Default for GcConfig {
    fn default() -> Self {
        Self { orphan_age: Duration::from_secs(86_400), deletes_max: 100_000 }
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Log entries that were deleted.
    pub log_entries: usize,
    /// Checkpoint objects that were deleted.
    pub checkpoints: usize,
    /// Objects of dead files that were deleted.
    pub dead_files: usize,
    /// Their bytes.
    pub dead_bytes: u64,
    /// Orphans that were deleted.
    pub orphans: usize,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Objects among the data whose names are none of ours. They are left alone.
    pub strangers: usize,
    /// Deletes that failed. They are tried again by the next pass.
    pub failures: usize,
}

/// Deletes what the manifest says has expired: cheap, for it lists no data.
///
/// # Errors
/// When the manifest cannot be read or written. Deletes that fail are counted, not fatal.
pub async fn run_once(lake: &Arc<Lake>, config: &GcConfig) -> Result<GcReport> {
    let expired = lake.catalog().expired_objects().await?;
    let mut report = GcReport::default();
    lake.catalog().delete_expired_log(&expired).await?;
    report.log_entries = expired.log.len();
    report.checkpoints = expired.checkpoints.len();
    let dead: Vec<DeadFile> = expired.data.into_iter().take(config.deletes_max).collect();
    for batch in dead.chunks(FORGET_BATCH) {
        delete_dead(lake, batch, &mut report).await?;
    }
    metrics::counter!("telelake_gc_deleted_total", "kind" => "log").increment(report.log_entries as u64);
    metrics::counter!("telelake_gc_deleted_total", "kind" => "checkpoint").increment(report.checkpoints as u64);
    metrics::counter!("telelake_gc_deleted_total", "kind" => "dead_file").increment(report.dead_files as u64);
    metrics::counter!("telelake_gc_deleted_bytes_total", "kind" => "dead_file").increment(report.dead_bytes);
    metrics::counter!("telelake_gc_failures_total").increment(report.failures as u64);
    Ok(report)
}

async fn delete_dead(lake: &Arc<Lake>, batch: &[DeadFile], report: &mut GcReport) -> Result<()> {
    let gone: Vec<(FileId, u64)> = stream::iter(batch.to_vec())
        .map(|file| async move { delete_logged(lake, &file.path()).await.then_some((file.id, file.bytes)) }.boxed())
        .buffer_unordered(DELETES_PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    fail::fail_point!("gc::after_delete");
    report.dead_files += gone.len();
    report.dead_bytes += gone.iter().map(|(_, bytes)| bytes).sum::<u64>();
    report.failures += batch.len() - gone.len();
    if !gone.is_empty() {
        let ids = gone.into_iter().map(|(id, _)| id).collect();
        lake.catalog().commit(vec![Operation::ForgetFiles { ids }]).await?;
    }
    Ok(())
}

/// Deletes old objects that no snapshot names. Lists all data: run it rarely, say daily.
///
/// # Errors
/// When the store cannot be listed or the manifest not be refreshed or written.
pub async fn delete_orphans(lake: &Arc<Lake>, config: &GcConfig) -> Result<GcReport> {
    let mut report = GcReport::default();
    // The order matters: list, then raise the floor, then judge.
    let (listed, strangers) = list_data(lake).await?;
    report.strangers = strangers;
    lake.catalog().refresh().await?;
    let rule = OrphanRule::new(&lake.catalog().snapshot()).raised(lake.env().now(), config.orphan_age);
    if !listed.iter().any(|object| rule.is_orphan(object.id)) {
        return Ok(report);
    }
    lake.catalog().commit(vec![Operation::RaiseFloor { minted_before: rule.floor() }]).await?;
    let rule = OrphanRule::new(&lake.catalog().snapshot());
    let orphans: Vec<Object> = listed.into_iter().filter(|object| rule.is_orphan(object.id)).take(config.deletes_max).collect();
    let count = orphans.len();
    let deleted: Vec<u64> = stream::iter(orphans)
        .map(|object| async move { delete_logged(lake, &object.path).await.then_some(object.bytes) }.boxed())
        .buffer_unordered(DELETES_PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    report.orphans = deleted.len();
    report.orphan_bytes = deleted.iter().sum();
    report.failures = count - deleted.len();
    metrics::counter!("telelake_gc_deleted_total", "kind" => "orphan").increment(report.orphans as u64);
    metrics::counter!("telelake_gc_deleted_bytes_total", "kind" => "orphan").increment(report.orphan_bytes);
    metrics::counter!("telelake_gc_failures_total").increment(report.failures as u64);
    Ok(report)
}

/// An object under `data/`.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) id: FileId,
    pub(crate) path: Path,
    pub(crate) bytes: u64,
}

/// All objects of files, and how many others there are.
pub(crate) async fn list_data(lake: &Lake) -> Result<(Vec<Object>, usize)> {
    let root = Path::from(DATA);
    let failed = |source| Error::Store { path: Path::from(DATA), source };
    let metas: Vec<_> = lake.store().list(Some(&root)).try_collect().await.map_err(failed)?;
    let (mut objects, mut strangers) = (Vec::new(), 0);
    for meta in metas {
        match file_id(&meta.location) {
            Some(id) => objects.push(Object { id, path: meta.location, bytes: meta.size }),
            None => strangers += 1,
        }
    }
    Ok((objects, strangers))
}

/// The id in `data/.../L0-{id}.parquet`.
fn file_id(path: &Path) -> Option<FileId> {
    let (level, id) = path.filename()?.strip_suffix(".parquet")?.split_once('-')?;
    matches!(level, "L0" | "L1" | "L2").then(|| id.parse().ok())?
}

async fn delete(lake: &Lake, path: &Path) -> Result<()> {
    match lake.store().delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(Error::Store { path: path.clone(), source }),
    }
}

async fn delete_logged(lake: &Lake, path: &Path) -> bool {
    let deleted = delete(lake, path).await;
    if let Err(error) = &deleted {
        tracing::warn!(%error, "gc could not delete an object, the next pass tries again");
    }
    deleted.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_have_ids() {
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        assert!(file_id(&Path::from(format!("data/t/logs/20000/03/L0-{id}.parquet"))).is_some());
        for name in ["data/x", "data/README.parquet", "data/L9-x.parquet", "data/L0-nope.parquet"] {
            assert!(file_id(&Path::from(name)).is_none(), "{name}");
        }
    }
}
