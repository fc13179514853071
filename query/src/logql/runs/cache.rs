//! What is known of row groups, kept as long as there is room.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, FileId, Table, TenantId, TimeRange};
use datafusion::execution::memory_pool::MemoryPool;
use futures::TryStreamExt;
use lake::{ScanMetrics, ScanSpec};
use moka::future::Cache;
use roaring::RoaringBitmap;

use super::super::error::{Error, Result};
use super::super::lines::{TEXT, has_ties, repeated_rows};
use super::hits::{FoundRows, Hits};
use super::marks::Marks;
use super::times::{Lengths, Times};
use crate::view::View;

/// Rows that were found are kept up to this size, with what their columns hold beside them.
const FOUND_BYTES_MAX: usize = 256 << 10;

/// A row group of a file, or a small file.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowGroupId<'a> {
    pub(super) view: &'a View,
    pub(super) file: &'a Arc<FileEntry>,
    pub(super) row_group: Option<usize>,
}

/// What is kept, of which row group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    file: FileId,
    row_group: Option<usize>,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Times,
    Lengths,
    /// Of these columns.
    Marks(Arc<[&'static str]>),
    /// Of line filters with this text.
    Hits(Arc<str>),
    /// These columns of the rows that pass line filters with this text.
    Rows(Arc<str>, Arc<[String]>),
}

#[derive(Debug, Clone)]
enum Kept {
    Times(Arc<Times>),
    Lengths(Arc<Lengths>),
    Marks(Arc<Marks>),
    Hits(Arc<Hits>),
    Rows(Arc<FoundRows>),
}

/// See the module. Bounded by bytes.
#[derive(Debug)]
pub(in super::super) struct RunCache(Cache<Key, Kept>);

impl RunCache {
    /// An empty cache that keeps up to `bytes`.
    pub(in super::super) fn new(bytes: u64) -> Arc<Self> {
        let weigh = |_: &Key, kept: &Kept| {
            let bytes = match kept {
                Kept::Times(times) => times.memory_bytes(),
                Kept::Lengths(lengths) => lengths.memory_bytes(),
                Kept::Marks(marks) => marks.memory_bytes(),
                Kept::Hits(hits) => hits.memory_bytes(),
                Kept::Rows(rows) => rows.memory_bytes(),
            };
            u32::try_from(bytes + 128).unwrap_or(u32::MAX)
        };
        Arc::new(Self(Cache::builder().name("logql_runs").max_capacity(bytes).weigher(weigh).build()))
    }

    /// As [`RunCache::is_untied`], if that is known; else `false`.
    pub(in super::super) async fn is_known_untied(&self, view: &View, file: &Arc<FileEntry>, row_group: Option<usize>) -> bool {
        let key = Key { tenant: view.tenant().clone(), file: file.id, row_group, what: What::Times };
        matches!(self.0.get(&key).await, Some(Kept::Times(times)) if times.repeated().is_empty())
    }

    /// Whether no line is there twice among the rows of a row group, or of a whole file.
    pub(in super::super) async fn is_untied(
        &self,
        view: &View,
        file: &Arc<FileEntry>,
        row_group: Option<usize>,
        memory: &Arc<dyn MemoryPool>,
    ) -> Result<bool> {
        Ok(self.times(&RowGroupId { view, file, row_group }, memory).await?.repeated().is_empty())
    }

    /// The times of the lines, each line once.
    pub(super) async fn times(&self, group: &RowGroupId<'_>, memory: &Arc<dyn MemoryPool>) -> Result<Arc<Times>> {
        let load = async {
            let batches = group.read(&["stream_id", "ts"]).await?;
            let repeated = match has_ties(&batches) {
                false => Vec::new(),
                true => repeated_rows(group.view, group.file, group.row_group, memory).await?,
            };
            Ok(Kept::Times(Arc::new(Times::of_rows(&batches, repeated).ok_or_else(unlike)?)))
        };
        match self.get(group, What::Times, load).await? {
            Kept::Times(times) => Ok(times),
            _ => Err(unlike()),
        }
    }

    /// The rows of a row group, or of a file, at times in `time`; `None` when the order of its rows does not tell.
    pub(in super::super) async fn rows_in(
        &self,
        view: &View,
        file: &Arc<FileEntry>,
        row_group: Option<usize>,
        time: TimeRange,
        memory: &Arc<dyn MemoryPool>,
    ) -> Result<Option<RoaringBitmap>> {
        let times = self.times(&RowGroupId { view, file, row_group }, memory).await?;
        // Without lines that are there already, lines have the numbers of their rows.
        if !times.is_sorted() || !times.repeated().is_empty() {
            return Ok(None);
        }
        let mut rows = RoaringBitmap::new();
        for within in times.runs().iter().map(|run| times.within(run, time)) {
            rows.insert_range(within.start as u32..within.end as u32);
        }
        Ok(Some(rows))
    }

    /// The lengths of the lines, each line once.
    pub(super) async fn lengths(&self, group: &RowGroupId<'_>, memory: &Arc<dyn MemoryPool>) -> Result<Arc<Lengths>> {
        let load = async {
            let times = self.times(group, memory).await?;
            let lengths = Lengths::of_rows(&group.read(&[TEXT]).await?, times.repeated());
            Ok(Kept::Lengths(Arc::new(lengths.ok_or_else(unlike)?)))
        };
        match self.get(group, What::Lengths, load).await? {
            Kept::Lengths(lengths) => Ok(lengths),
            _ => Err(unlike()),
        }
    }

    /// What the lines have in `columns` of metadata, each line once.
    pub(super) async fn marks(
        &self,
        group: &RowGroupId<'_>,
        columns: &Arc<[&'static str]>,
        memory: &Arc<dyn MemoryPool>,
    ) -> Result<Arc<Marks>> {
        if columns.is_empty() {
            return Ok(Arc::new(Marks::none()));
        }
        let load = async {
            let times = self.times(group, memory).await?;
            Ok(Kept::Marks(Arc::new(Marks::of_rows(&group.read(columns).await?, times.repeated()))))
        };
        match self.get(group, What::Marks(Arc::clone(columns)), load).await? {
            Kept::Marks(marks) => Ok(marks),
            _ => Err(unlike()),
        }
    }

    /// What is known of the rows that pass line filters with this text; nothing if nothing is.
    pub(in super::super) async fn hits(
        &self,
        view: &View,
        file: &Arc<FileEntry>,
        row_group: Option<usize>,
        filters: &Arc<str>,
    ) -> Arc<Hits> {
        let what = What::Hits(Arc::clone(filters));
        let key = Key { tenant: view.tenant().clone(), file: file.id, row_group, what };
        match self.0.get(&key).await {
            Some(Kept::Hits(hits)) => hits,
            _ => Arc::default(),
        }
    }

    /// Keeps what is known. Of two that learn something at the same time one is kept.
    pub(in super::super) async fn keep_hits(
        &self,
        view: &View,
        file: &Arc<FileEntry>,
        row_group: Option<usize>,
        filters: &Arc<str>,
        hits: Arc<Hits>,
    ) {
        let what = What::Hits(Arc::clone(filters));
        let key = Key { tenant: view.tenant().clone(), file: file.id, row_group, what };
        self.0.insert(key, Kept::Hits(hits)).await;
    }

    /// The `columns` of the rows `wanted`, which are few and pass line filters with the text `filters`: a page is unpacked for each row, and whoever looks
    /// for a needle in another window of time, or once more, finds the same ones. Whatever else is wanted of rows, their streams and times, is not looked at.
    ///
    /// # Errors
    /// The lake's.
    pub(in super::super) async fn rows(
        &self,
        (view, file, row_group): (&View, &Arc<FileEntry>, Option<usize>),
        filters: &Arc<str>,
        columns: &Arc<[String]>,
        (wanted, metrics): (&Arc<RoaringBitmap>, &Arc<ScanMetrics>),
    ) -> Result<Arc<FoundRows>> {
        let what = What::Rows(Arc::clone(filters), Arc::clone(columns));
        let key = Key { tenant: view.tenant().clone(), file: file.id, row_group, what };
        if let Some(Kept::Rows(rows)) = self.0.get(&key).await
            && rows.rows == **wanted
        {
            return Ok(rows);
        }
        let mut spec = ScanSpec::all(columns.iter().cloned());
        (spec.row_group, spec.rows, spec.metrics) = (row_group, Some(Arc::clone(wanted)), Arc::clone(metrics));
        // Room is taken for a whole batch.
        spec.batch_rows = usize::try_from(wanted.len()).unwrap_or(usize::MAX).clamp(1, spec.batch_rows);
        let batches = view.lake().scan(Arc::clone(file), spec)?.try_collect().await?;
        let rows = Arc::new(FoundRows { rows: RoaringBitmap::clone(wanted), batches });
        if rows.memory_bytes() <= FOUND_BYTES_MAX {
            self.0.insert(key, Kept::Rows(Arc::clone(&rows))).await;
        }
        Ok(rows)
    }

    async fn get(&self, group: &RowGroupId<'_>, what: What, load: impl Future<Output = Result<Kept>>) -> Result<Kept> {
        let key = Key { tenant: group.view.tenant().clone(), file: group.file.id, row_group: group.row_group, what };
        if let Some(kept) = self.0.get(&key).await {
            return Ok(kept);
        }
        // Whoever wants the same meanwhile waits for this one.
        let kept = self.0.try_get_with(key, load).await;
        kept.map_err(|error| {
            Arc::try_unwrap(error).unwrap_or_else(|shared| Error::Query(crate::Error::Internal { message: shared.to_string() }))
        })
    }
}

impl RowGroupId<'_> {
    /// These columns of all rows.
    async fn read(&self, columns: &[&'static str]) -> Result<Vec<RecordBatch>> {
        debug_assert_eq!(self.file.table, Table::Logs);
        let mut spec = ScanSpec::all(columns.iter().copied());
        spec.row_group = self.row_group;
        Ok(self.view.lake().scan(Arc::clone(self.file), spec)?.try_collect().await?)
    }
}

fn unlike() -> Error {
    Error::Query(crate::Error::Internal { message: "lines have another shape than their schema".to_owned() })
}
