//! Rows of the dictionary tables by id, for those who join facts with them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{concat_batches, interleave};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use catalog::{FileId, Partition, Table, TimeRange};
use futures::TryStreamExt;
use moka::future::Cache;
use object_store::ObjectStore;

use crate::cache::{Caches, Reuse, shared};
use crate::config::LakeConfig;
use crate::error::{Error, Result};
use crate::scan::{self, ScanSpec};
use crate::series::Scope;

/// The closed range of the whole days that `time` touches.
pub fn whole_days(time: TimeRange) -> TimeRange {
    let day = |at| Partition::of(Table::Series, at).range();
    TimeRange::new(day(time.start).start, day(time.end).end)
}

/// Series, streams and resources by id.
#[derive(Debug)]
pub struct Dictionaries {
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    files: Cache<FileId, RecordBatch>,
}

impl Dictionaries {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, caches: Arc<Caches>, config: &LakeConfig) -> Self {
        let files = Cache::builder()
            .name("dictionary rows")
            .max_capacity(config.dictionary_cache_bytes / 2)
            .weigher(|_, rows: &RecordBatch| u32::try_from(rows.get_array_memory_size()).unwrap_or(u32::MAX))
            .build();
        Self { store, caches, files }
    }

    /// The rows of `scope`, ready to be looked up.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn lookup(&self, scope: &Scope) -> Result<Lookup> {
        let schema = catalog::schema::rows(scope.table);
        let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
        let mut batches = Vec::with_capacity(scope.files.len() + scope.fresh.len());
        for file in &scope.files {
            let load = async {
                let stream = scan::scan(
                    Arc::clone(&self.store),
                    Arc::clone(&self.caches),
                    Arc::clone(file),
                    ScanSpec::all(columns.clone()),
                    Reuse::Never,
                )?;
                let rows: Vec<RecordBatch> = stream.try_collect().await?;
                concat_batches(&schema, &rows).map_err(internal)
            };
            batches.push(self.files.try_get_with(file.id, load).await.map_err(shared)?);
        }
        batches.extend(scope.fresh.iter().cloned());
        Lookup::new(scope.table, batches)
    }
}

/// Dictionary rows of one table by id.
#[derive(Debug, Clone)]
pub struct Lookup {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    rows: Arc<HashMap<i64, (usize, usize)>>,
}

impl Lookup {
    fn new(table: Table, batches: Vec<RecordBatch>) -> Result<Self> {
        let rows_schema = catalog::schema::rows(table);
        let id = match table {
            Table::Streams => "stream_id",
            Table::Resources => "resource_id",
            _ => "sid",
        };
        let mut rows = HashMap::new();
        for (at, batch) in batches.iter().enumerate() {
            let wrong = || Error::Schema { table, reason: format!("it has no column {id}") };
            let ids = batch.column_by_name(id).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(wrong)?;
            for (row, id) in ids.values().iter().enumerate() {
                rows.entry(*id).or_insert((at, row));
            }
        }
        let fields: Vec<Field> = rows_schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
        Ok(Self { schema: Arc::new(Schema::new(fields)), batches, rows: Arc::new(rows) })
    }

    /// The columns of [`Lookup::gather`]: those of [`catalog::schema::rows`], all nullable.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row of `id`: a batch in the rows schema and a position in it.
    pub fn get(&self, id: i64) -> Option<(&RecordBatch, usize)> {
        self.rows.get(&id).map(|(batch, row)| (&self.batches[*batch], *row))
    }

    /// Every known id with its row, in no promised order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &RecordBatch, usize)> + '_ {
        self.rows.iter().map(|(id, (batch, row))| (*id, &self.batches[*batch], *row))
    }

    /// One row per entry of `ids`, in that order, in the columns of [`Lookup::schema`]; a null or unknown id gives a row of nulls.
    ///
    /// # Errors
    /// `Internal` when Arrow refuses.
    pub fn gather(&self, ids: &Int64Array) -> Result<RecordBatch> {
        let unknown = (self.batches.len(), 0);
        let places: Vec<(usize, usize)> =
            ids.iter().map(|id| id.and_then(|id| self.rows.get(&id).copied()).unwrap_or(unknown)).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (i, field) in self.schema.fields().iter().enumerate() {
            let nulls = new_null_array(field.data_type(), 1);
            let mut sources: Vec<&dyn Array> = self.batches.iter().map(|b| b.column(i).as_ref()).collect();
            sources.push(nulls.as_ref());
            columns.push(interleave(&sources, &places).map_err(internal)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(ids.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(internal)
    }
}

fn internal(e: arrow::error::ArrowError) -> Error {
    Error::Internal(e.to_string())
}
