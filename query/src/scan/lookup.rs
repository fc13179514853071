//! Label sets and resources by id: which ids a filter wants, and the map of each row.
//!
//! ```text
//! labels['job'] = 'api'  ──tested on the dictionary's rows──►  {sid ...}  ──► predicate of the scan, and exact test of its rows
//! SELECT labels          ──► id of each row ──► (chunk, row) ──► interleave ──► map column
//! ```
//! A dictionary file is small, immutable and read whole: its decoded form, a [`Chunk`], is cached by file id.
//!
//! # Invariants
//! - An id without a dictionary row has the empty map, both in filters and in results.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, interleave};
use arrow::datatypes::{Field, Int64Type, Schema};
use catalog::{FileEntry, FileId, TenantId, TimeRange};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use futures::{StreamExt, TryStreamExt};
use hashbrown::HashSet;
use lake::ScanSpec;
use moka::future::Cache;

use super::present::{merge_attributes, plain_array};
use crate::error::Error;
use crate::tables::{ATTRIBUTES, Lookup, text_map, text_map_entries};
use crate::view::View;

/// Dictionary files read at the same time.
const READS_AT_ONCE: usize = 8;

/// The decoded rows of one dictionary file.
#[derive(Debug)]
pub(crate) struct Chunk {
    ids: Int64Array,
    maps: MapArray,
    /// The metric of each row; only of `series`.
    metrics: Option<ArrayRef>,
}

/// Decoded dictionary files, shared by all queries. Bounded by bytes.
#[derive(Debug)]
pub(crate) struct DictionaryCache {
    chunks: Cache<(TenantId, FileId, Lookup), Arc<Chunk>>,
}

impl DictionaryCache {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        let weigh = |_: &(TenantId, FileId, Lookup), chunk: &Arc<Chunk>| u32::try_from(chunk.memory_bytes()).unwrap_or(u32::MAX);
        Arc::new(Self { chunks: Cache::builder().name("query_dictionaries").max_capacity(bytes).weigher(weigh).build() })
    }

    async fn chunk(&self, view: &View, lookup: Lookup, file: Arc<FileEntry>) -> Result<Arc<Chunk>> {
        let key = (view.tenant().clone(), file.id, lookup);
        if let Some(chunk) = self.chunks.get(&key).await {
            return Ok(chunk);
        }
        let columns = lookup.columns();
        let spec = ScanSpec::all(columns.iter().copied());
        let batches: Vec<RecordBatch> =
            view.lake().scan(file, spec).map_err(Error::from)?.map_err(Error::from).try_collect().await?;
        let chunk = Arc::new(Chunk::new(lookup, &batches)?);
        self.chunks.insert(key, Arc::clone(&chunk)).await;
        Ok(chunk)
    }
}

impl Lookup {
    /// The dictionary's columns that are read.
    fn columns(&self) -> Vec<&'static str> {
        let mut columns = vec![self.id];
        match self.map {
            Some(map) if self.table == catalog::Table::Series => columns.extend([map, "metric"]),
            Some(map) => columns.push(map),
            None => columns.extend(ATTRIBUTES),
        }
        columns
    }
}

impl Chunk {
    fn new(lookup: Lookup, batches: &[RecordBatch]) -> Result<Self> {
        let mut ids: Vec<ArrayRef> = Vec::with_capacity(batches.len());
        let mut maps: Vec<ArrayRef> = Vec::with_capacity(batches.len());
        let mut metrics: Vec<ArrayRef> = Vec::new();
        let column = |batch: &RecordBatch, name: &str| {
            batch.column_by_name(name).cloned().ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
        };
        for batch in batches {
            ids.push(column(batch, lookup.id)?);
            maps.push(match lookup.map {
                Some(map) => plain_array(&column(batch, map)?, &text_map())?,
                None => Arc::new(merge_attributes(batch)?),
            });
            if lookup.table == catalog::Table::Series {
                metrics.push(arrow::compute::cast(&column(batch, "metric")?, &arrow::datatypes::DataType::Utf8View)?);
            }
        }
        if batches.is_empty() {
            let maps = new_empty_array(&text_map()).as_map().clone();
            return Ok(Self { ids: Int64Array::from(Vec::<i64>::new()), maps, metrics: None });
        }
        let joined = |arrays: &[ArrayRef]| concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        let ids = joined(&ids)?.as_primitive::<Int64Type>().clone();
        let maps = joined(&maps)?.as_map().clone();
        let metrics = if metrics.is_empty() { None } else { Some(joined(&metrics)?) };
        Ok(Self { ids, maps, metrics })
    }

    /// One row without an id: the empty map.
    fn empty_map() -> Self {
        let entries = text_map_entries();
        let none = new_empty_array(entries.data_type()).as_struct().clone();
        let maps = MapArray::new(entries, OffsetBuffer::from_lengths([0]), none, None, false);
        Self { ids: Int64Array::from(vec![None::<i64>]), maps, metrics: None }
    }

    fn memory_bytes(&self) -> usize {
        let metrics = self.metrics.as_ref().map_or(0, |m| m.get_array_memory_size());
        self.ids.get_array_memory_size() + self.maps.get_array_memory_size() + metrics
    }
}

/// The dictionary rows that may serve a time range.
#[derive(Debug)]
pub(crate) struct Dictionary {
    lookup: Lookup,
    /// The first is [`Chunk::empty_map`].
    chunks: Vec<Arc<Chunk>>,
    reservation: MemoryReservation,
}

impl Dictionary {
    /// Reads what `view` has for facts in `time`.
    ///
    /// # Errors
    /// Out of memory; the lake's.
    pub(crate) async fn load(view: &View, lookup: Lookup, time: TimeRange, pool: &Arc<dyn MemoryPool>) -> Result<Self> {
        let reservation = MemoryConsumer::new("dictionary").register(pool);
        let mut chunks = vec![Arc::new(Chunk::empty_map())];
        let files = view.files(lookup.table, super::layout::whole_days(time));
        view.open(&files)?;
        let cache = Arc::clone(view.dictionaries());
        let mut loads =
            futures::stream::iter(files.into_iter().map(|file| cache.chunk(view, lookup, file))).buffered(READS_AT_ONCE);
        while let Some(chunk) = loads.try_next().await? {
            reservation.try_grow(chunk.memory_bytes())?;
            chunks.push(chunk);
        }
        let fresh = view.fresh(lookup.table);
        if !fresh.is_empty() {
            chunks.push(Arc::new(Chunk::new(lookup, &fresh)?));
        }
        drop(loads);
        Ok(Self { lookup, chunks, reservation })
    }

    /// The ids for whose map `filter` is true; its only column is the map, called `name`.
    pub(crate) fn matching(&self, filter: &dyn PhysicalExpr, name: &str) -> Result<KeySet> {
        let schema = Arc::new(Schema::new(vec![Field::new(name, text_map(), false)]));
        let mut empty_passes = false;
        let (mut passing, mut failing) = (HashSet::new(), HashSet::new());
        let mut metrics = HashSet::new();
        for (at, chunk) in self.chunks.iter().enumerate() {
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(chunk.maps.clone())])?;
            let passes = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
            let passes: &BooleanArray = passes
                .as_boolean_opt()
                .ok_or_else(|| DataFusionError::Internal("a filter on a dictionary gave no booleans".to_owned()))?;
            let passes = |row: usize| passes.is_valid(row) && passes.value(row);
            if at == 0 {
                empty_passes = passes(0);
                continue;
            }
            for (row, id) in chunk.ids.values().iter().enumerate() {
                if !passes(row) {
                    failing.insert(*id);
                    continue;
                }
                if passing.insert(*id)
                    && let Some(names) = &chunk.metrics
                    && metrics.len() <= METRICS_MAX
                {
                    metrics.insert(names.as_string_view().value(row).to_owned());
                }
            }
        }
        let known = self.lookup.table == catalog::Table::Series && !empty_passes && metrics.len() <= METRICS_MAX;
        let metrics = known.then(|| metrics.into_iter().collect());
        Ok(match empty_passes {
            true => KeySet { key: self.lookup.key, ids: failing, negated: true, metrics },
            false => KeySet { key: self.lookup.key, ids: passing, negated: false, metrics },
        })
    }

    /// An index for [`Labels::of`].
    ///
    /// # Errors
    /// `Limit` when there are more ids than `series_max`; out of memory.
    pub(crate) fn into_labels(self, series_max: u64) -> Result<Labels> {
        let mut rows: hashbrown::HashMap<i64, (u32, u32)> = hashbrown::HashMap::new();
        let before = self.reservation.size();
        for (at, chunk) in self.chunks.iter().enumerate().skip(1) {
            for (row, id) in chunk.ids.values().iter().enumerate() {
                rows.entry(*id).or_insert((at as u32, row as u32));
            }
            self.reservation.try_resize(before + rows.capacity() * 24)?;
            if rows.len() as u64 > series_max {
                let found = rows.len() as u64;
                return Err(Error::Limit { name: "query.limits.series_max", what: "series", found, limit: series_max }.into());
            }
        }
        Ok(Labels { chunks: self.chunks, rows, _reservation: self.reservation })
    }
}

/// Most metrics that narrow a scan by name.
const METRICS_MAX: usize = 256;

/// The ids that a row may have.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeySet {
    /// The fact's column.
    pub(crate) key: &'static str,
    /// The ids.
    pub(crate) ids: HashSet<i64>,
    /// Whether these are the ids that a row may not have.
    pub(crate) negated: bool,
    /// The metrics of the ids, if they are few.
    pub(crate) metrics: Option<Vec<String>>,
}

impl KeySet {
    /// Which rows of `batch` may stay. A row without an id has the empty map.
    pub(crate) fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let ids = batch
            .column_by_name(self.key)
            .and_then(|ids| ids.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| DataFusionError::Internal(format!("column {} was not read", self.key)))?;
        // Rows are sorted by id or near it: the last answer often serves again.
        let mut last = None;
        Ok(ids
            .iter()
            .map(|id| {
                let Some(id) = id else { return Some(self.negated) };
                let pass = match last {
                    Some((of, pass)) if of == id => pass,
                    _ => self.ids.contains(&id) != self.negated,
                };
                last = Some((id, pass));
                Some(pass)
            })
            .collect())
    }
}

/// Maps by id.
#[derive(Debug)]
pub(crate) struct Labels {
    chunks: Vec<Arc<Chunk>>,
    rows: hashbrown::HashMap<i64, (u32, u32)>,
    _reservation: MemoryReservation,
}

impl Labels {
    /// The map of each of `ids`.
    pub(crate) fn of(&self, ids: &ArrayRef) -> Result<ArrayRef> {
        let ids = ids
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| DataFusionError::Internal("a dictionary id is no 64-bit number".to_owned()))?;
        let mut last = (None, (0usize, 0usize));
        let rows: Vec<(usize, usize)> = ids
            .iter()
            .map(|id| {
                if last.0 != Some(id) {
                    let found =
                        id.and_then(|id| self.rows.get(&id)).map_or((0, 0), |(chunk, row)| (*chunk as usize, *row as usize));
                    last = (Some(id), found);
                }
                last.1
            })
            .collect();
        let chunks: Vec<&dyn Array> = self.chunks.iter().map(|chunk| &chunk.maps as &dyn Array).collect();
        Ok(interleave(&chunks, &rows)?)
    }
}
