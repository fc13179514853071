//! What one query sees: one snapshot over all tables, and the fresh rows that are not in it.
//!
//! ```text
//! capture fresh rows ──► pin snapshot ──► View { snapshot 7, fresh generations 8, 9 }        (in this order: see `lake::fresh`)
//! ```
//!
//! # Invariants
//! - All tables of a query read the same [`View`]; a commit between two scans changes nothing.
//! - A view belongs to one tenant and can name no other's files.
//! - The snapshot stays pinned as long as any stream of the query lives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use catalog::manifest::{PinnedSnapshot, Snapshot, SnapshotId};
use catalog::{FileEntry, Table, TenantId, TimeRange};
use lake::{FreshCapture, FreshRows, Lake};

use crate::config::QueryLimits;
use crate::error::{Error, Result};
use crate::scan::lookup::DictionaryCache;
use crate::usage::{self, Meter};

/// The consistent input of one query.
pub struct View {
    tenant: TenantId,
    lake: Arc<Lake>,
    snapshot: PinnedSnapshot,
    fresh: FreshCapture,
    limits: QueryLimits,
    dictionaries: Arc<DictionaryCache>,
    files: AtomicU64,
    bytes: AtomicU64,
    /// Counts for the query log, over all views of the query.
    meter: Option<Arc<Meter>>,
}

impl View {
    /// The newest state: everything acknowledged before this call.
    pub(crate) fn newest(
        tenant: TenantId,
        lake: Arc<Lake>,
        fresh: &dyn FreshRows,
        limits: QueryLimits,
        dictionaries: Arc<DictionaryCache>,
    ) -> Arc<Self> {
        let fresh = fresh.capture(&tenant);
        let snapshot = lake.catalog().pin();
        Self::new(tenant, lake, snapshot, fresh, limits, dictionaries)
    }

    /// The state of the files at snapshot `id`. Rows that were not in files then are not seen.
    ///
    /// # Errors
    /// `NotFound` when the snapshot is no longer kept or not there yet.
    pub(crate) async fn at(
        tenant: TenantId,
        lake: Arc<Lake>,
        id: SnapshotId,
        limits: QueryLimits,
        dictionaries: Arc<DictionaryCache>,
    ) -> Result<Arc<Self>> {
        let snapshot = lake.catalog().snapshot_at(id).await?;
        Ok(Self::new(tenant, lake, snapshot, FreshCapture::default(), limits, dictionaries))
    }

    fn new(
        tenant: TenantId,
        lake: Arc<Lake>,
        snapshot: PinnedSnapshot,
        fresh: FreshCapture,
        limits: QueryLimits,
        dictionaries: Arc<DictionaryCache>,
    ) -> Arc<Self> {
        let (files, bytes, meter) = (AtomicU64::new(0), AtomicU64::new(0), usage::meter());
        Arc::new(Self { tenant, lake, snapshot, fresh, limits, dictionaries, files, bytes, meter })
    }

    /// The same rows for another query: what that one opens is its own.
    pub(crate) fn again(&self) -> Arc<Self> {
        let (lake, dictionaries) = (Arc::clone(&self.lake), Arc::clone(&self.dictionaries));
        Self::new(self.tenant.clone(), lake, self.snapshot.clone(), self.fresh.clone(), self.limits.clone(), dictionaries)
    }

    /// Whose data it shows.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The lake, for readers that do more than scan rows.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// What the query may use.
    pub fn limits(&self) -> &QueryLimits {
        &self.limits
    }

    /// The live files of `table` that can hold rows of `range`.
    pub fn files(&self, table: Table, range: TimeRange) -> Vec<Arc<FileEntry>> {
        self.snapshot.files(&self.tenant, table, range)
    }

    /// The snapshot that brought the rows of `file`.
    pub(crate) fn added(&self, file: &FileEntry) -> SnapshotId {
        let leaf = self.snapshot.leaf(&self.tenant, file.table, file.partition.day);
        leaf.and_then(|leaf| leaf.added_of(file.id)).unwrap_or_default()
    }

    /// The batches of `table` that are not in files, oldest first.
    pub fn fresh(&self, table: Table) -> Vec<RecordBatch> {
        self.fresh.batches(&self.snapshot, table).filter(|b| b.num_rows() > 0).cloned().collect()
    }

    /// Counts files that the query is going to open.
    ///
    /// # Errors
    /// `Limit` when they are more, or larger, than the query may open.
    pub(crate) fn open(&self, files: &[Arc<FileEntry>]) -> Result<()> {
        let bytes: u64 = files.iter().map(|f| f.bytes).sum();
        if let Some(meter) = &self.meter {
            meter.opened(files.len() as u64, bytes);
        }
        let found = self.files.fetch_add(files.len() as u64, Ordering::Relaxed) + files.len() as u64;
        if found > self.limits.files_max {
            return Err(Error::Limit { name: "query.limits.files_max", what: "files", found, limit: self.limits.files_max });
        }
        let found = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if found > self.limits.scan_bytes_max {
            let limit = self.limits.scan_bytes_max;
            return Err(Error::Limit { name: "query.limits.scan_bytes_max", what: "bytes of files", found, limit });
        }
        Ok(())
    }

    /// Files and bytes that the query's scans chose after pruning.
    pub fn opened(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn dictionaries(&self) -> &Arc<DictionaryCache> {
        &self.dictionaries
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({}, snapshot {})", self.tenant, self.snapshot.id())
    }
}
