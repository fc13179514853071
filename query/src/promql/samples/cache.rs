//! Decoded blocks that queries share.
//!
//! ```text
//! row group of a file ──► narrow read of few series, once │ decoded whole and kept      (a byte-bounded cache)
//! batch in memory     ──► sorted by series once, kept as long as the batch is in memory
//! ```
//! Files never change and their ids are never used again, so nothing is ever invalidated.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, FileId, Table, TenantId};
use futures::TryStreamExt;
use hashbrown::HashMap;
use lake::scan::RowGroup;
use lake::{ColumnTest, Predicate, Scalar, ScanSpec, Test};
use moka::future::Cache;
use moka::sync::Cache as SyncCache;
use parking_lot::Mutex;

use super::block::{self, Block};
use super::histograms::HistogramBlock;
use crate::error::{Error, Result};
use crate::view::View;

/// Footers' outlines that are kept, in row groups.
const OUTLINES_MAX: u64 = 1 << 20;
/// Row groups whose first, narrow read is remembered.
const TOUCHED_MAX: u64 = 1 << 16;
/// Series up to which a read is narrow.
const NARROW_SERIES_MAX: usize = 32;
/// Rows below which a row group is decoded whole in any case.
const NARROW_ROWS_MIN: u64 = 16 << 10;
/// Tenants whose fresh blocks are kept.
const FRESH_TENANTS_MAX: usize = 1_024;

/// Decoded rows of either kind.
#[derive(Debug, Clone)]
pub(super) enum Decoded {
    Floats(Arc<Block>),
    Histograms(Arc<HistogramBlock>),
}

impl Decoded {
    pub(super) fn sids(&self) -> &[i64] {
        match self {
            Self::Floats(block) => block.sids(),
            Self::Histograms(block) => block.sids(),
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Self::Floats(block) => block.memory_bytes(),
            Self::Histograms(block) => block.memory_bytes(),
        }
    }
}

/// A row group of a file, with or without start timestamps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    file: FileId,
    row_group: u32,
    starts: bool,
}

/// One row group to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) file: &'a Arc<FileEntry>,
    pub(super) row_group: usize,
    /// Its rows.
    pub(super) rows: u64,
    /// Whether start timestamps are needed.
    pub(super) starts: bool,
    /// The series that are looked for in it, ascending.
    pub(super) sids: &'a [i64],
    /// Whether it must not be decoded whole: the reader has no room.
    pub(super) is_tight: bool,
}

/// A batch in memory, by the address and length of its ids. The entry keeps the batch, so that the address stays taken.
#[derive(Debug)]
struct FreshBlock {
    address: (usize, usize),
    starts: bool,
    decoded: Decoded,
    _batch: RecordBatch,
}

/// Of each tenant and table, in the order in which batches came.
type FreshBlocks = HashMap<(TenantId, Table), Vec<Arc<FreshBlock>>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct SampleCache {
    blocks: Cache<Key, Decoded>,
    touched: SyncCache<Key, ()>,
    outlines: Cache<(TenantId, FileId), Arc<[RowGroup]>>,
    fresh: Mutex<FreshBlocks>,
}

impl SampleCache {
    /// An empty cache that keeps up to `bytes` of decoded files.
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        let weigh = |_: &Key, decoded: &Decoded| u32::try_from(decoded.memory_bytes()).unwrap_or(u32::MAX);
        let groups = |_: &(TenantId, FileId), groups: &Arc<[RowGroup]>| u32::try_from(groups.len() + 1).unwrap_or(u32::MAX);
        Arc::new(Self {
            blocks: Cache::builder().name("promql_samples").max_capacity(bytes).weigher(weigh).build(),
            touched: SyncCache::builder().name("promql_touched").max_capacity(TOUCHED_MAX).build(),
            outlines: Cache::builder().name("promql_outlines").max_capacity(OUTLINES_MAX).weigher(groups).build(),
            fresh: Mutex::default(),
        })
    }

    /// What the row groups of `file` hold.
    pub(super) async fn outline(&self, view: &View, file: &Arc<FileEntry>) -> Result<Arc<[RowGroup]>> {
        let key = (view.tenant().clone(), file.id);
        if let Some(outline) = self.outlines.get(&key).await {
            return Ok(outline);
        }
        let outline: Arc<[RowGroup]> = view.lake().row_groups(file).await?.into();
        self.outlines.insert(key, Arc::clone(&outline)).await;
        Ok(outline)
    }

    /// The rows of a row group: all of them, or at least those of the series that are looked for.
    pub(super) async fn load(&self, view: &View, wanted: Wanted<'_>) -> Result<Decoded> {
        let Wanted { file, row_group, starts, .. } = wanted;
        let row_group_key = u32::try_from(row_group).unwrap_or(u32::MAX);
        let key = Key { tenant: view.tenant().clone(), file: file.id, row_group: row_group_key, starts };
        if let Some(block) = self.blocks.get(&key).await {
            count("telelake_promql_sample_cache_hits_total");
            return Ok(block);
        }
        count("telelake_promql_sample_cache_misses_total");
        let few = wanted.sids.len() <= NARROW_SERIES_MAX && wanted.rows >= NARROW_ROWS_MIN;
        if wanted.is_tight || (few && !self.touched.contains_key(&key)) {
            self.touched.insert(key, ());
            return read(view, file, row_group, starts, Some(wanted.sids)).await;
        }
        // Whoever wants the same block meanwhile waits for this one.
        let load = read(view, file, row_group, starts, None);
        self.blocks.try_get_with(key, load).await.map_err(|shared| match Arc::try_unwrap(shared) {
            Ok(own) => own,
            Err(shared) => shared.copy(),
        })
    }

    /// The fresh rows of `table`, newest batch first.
    pub(super) fn fresh(&self, view: &View, table: Table, starts: bool) -> Result<Vec<Decoded>> {
        let batches = view.fresh(table);
        let key = (view.tenant().clone(), table);
        let known: Vec<Arc<FreshBlock>> = match self.fresh.lock().get(&key) {
            Some(known) => known.clone(),
            None => Vec::new(),
        };
        let mut kept = Vec::with_capacity(batches.len());
        let mut grown = false;
        for batch in &batches {
            let address = address_of(batch).ok_or_else(|| wrong(table))?;
            // One with start timestamps serves both.
            let usable = |block: &&Arc<FreshBlock>| block.address == address && (block.starts || !starts);
            match known.iter().find(usable) {
                Some(block) => kept.push(Arc::clone(block)),
                None => {
                    let decoded = decode(table, std::slice::from_ref(batch), starts, Order::Written)?;
                    kept.push(Arc::new(FreshBlock { address, starts, decoded, _batch: batch.clone() }));
                    grown = true;
                }
            }
        }
        let decoded = kept.iter().rev().map(|block| block.decoded.clone()).collect();
        if grown || kept.len() != known.len() {
            let mut fresh = self.fresh.lock();
            if fresh.len() >= FRESH_TENANTS_MAX && !fresh.contains_key(&key) {
                fresh.clear();
            }
            match kept.is_empty() {
                true => drop(fresh.remove(&key)),
                false => drop(fresh.insert(key, kept)),
            }
        }
        Ok(decoded)
    }
}

/// How the rows of a batch are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By metric, series and time.
    Sorted,
    /// As they came in.
    Written,
}

fn decode(table: Table, batches: &[RecordBatch], starts: bool, order: Order) -> Result<Decoded> {
    let decoded = match (table, order) {
        (Table::Histograms, _) => HistogramBlock::new(batches).map(|block| Decoded::Histograms(Arc::new(block))),
        (_, Order::Sorted) => Block::of_sorted(batches, starts).map(|block| Decoded::Floats(Arc::new(block))),
        (_, Order::Written) => match batches {
            [batch] => Block::of_unsorted(batch, starts).map(|block| Decoded::Floats(Arc::new(block))),
            _ => None,
        },
    };
    decoded.ok_or_else(|| wrong(table))
}

async fn read(view: &View, file: &Arc<FileEntry>, row_group: usize, starts: bool, only: Option<&[i64]>) -> Result<Decoded> {
    let columns = match (file.table, starts) {
        (Table::Histograms, _) => HistogramBlock::COLUMNS,
        (_, true) => &block::COLUMNS[..],
        (_, false) => &block::COLUMNS[..3],
    };
    let mut spec = ScanSpec::all(columns.iter().copied());
    spec.row_group = Some(row_group);
    if let Some(sids) = only {
        let test = Test::In(sids.iter().map(|sid| Scalar::Int(*sid)).collect());
        spec.predicate = Predicate { all: vec![ColumnTest { column: "sid".to_owned(), test }] };
    }
    let batches: Vec<RecordBatch> = view.lake().scan(Arc::clone(file), spec)?.try_collect().await?;
    decode(file.table, &batches, starts, Order::Sorted)
}

fn address_of(batch: &RecordBatch) -> Option<(usize, usize)> {
    use arrow::array::AsArray;
    let sids = batch.column_by_name("sid")?.as_primitive_opt::<arrow::datatypes::Int64Type>()?.values();
    Some((sids.as_ptr().addr(), sids.len()))
}

fn wrong(table: Table) -> Error {
    Error::Internal { message: format!("rows of {table} have another shape than their schema") }
}

fn count(name: &'static str) {
    metrics::counter!(name).increment(1);
}
