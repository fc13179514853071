//! The lake: one store, one catalog, and the ways to write and read files of rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use catalog::manifest::Catalog;
use catalog::{Env, FileEntry, Level, Partition, Table, TenantId, TimeRange, UserTableName};
use futures::Stream;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use roaring::RoaringBitmap;

use crate::cache::{Caches, Reuse};
use crate::config::LakeConfig;
use crate::dictionary::Dictionaries;
use crate::error::Result;
use crate::index::IndexReader;
use crate::predicate::Predicate;
use crate::promoted::AttributeNames;
use crate::scan::{self, RowGroup, ScanSpec, UserScan};
use crate::series::SeriesIndex;
use crate::write::{self, UserWriter};

/// Most rows of a batch with the texts of log lines: some 400 kB, which stay near the processor, and in the allocator's hands, while they pass. What a larger one
/// takes, 8 Ki of them have 1.5 MB, the kernel clears each time anew.
pub const TEXT_BATCH_ROWS: usize = 2 << 10;

/// A stream of batches in the schema [`catalog::schema::rows`] or a projection of it.
pub type BatchStream = BoxStream<'static, Result<RecordBatch>>;

/// Bytes on the store, under the truth of a catalog. Cheap to share, lives as long as the process.
#[derive(Debug)]
pub struct Lake {
    store: Arc<dyn ObjectStore>,
    catalog: Arc<Catalog>,
    env: Env,
    config: LakeConfig,
    caches: Arc<Caches>,
    series: SeriesIndex,
    dictionaries: Dictionaries,
}

impl Lake {
    /// A lake over `store`, whose files `catalog` knows. Does no I/O.
    pub fn open(store: Arc<dyn ObjectStore>, catalog: Arc<Catalog>, env: Env, config: LakeConfig) -> Arc<Self> {
        let caches = Arc::new(Caches::new(&config));
        let series = SeriesIndex::new(Arc::clone(&store), Arc::clone(&caches), &config);
        let dictionaries = Dictionaries::new(Arc::clone(&store), Arc::clone(&caches), &config);
        Arc::new(Self { store, catalog, env, config, caches, series, dictionaries })
    }

    /// The manifest.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Time and chance.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &LakeConfig {
        &self.config
    }

    /// The caches of footers, index sections and ranges.
    pub fn caches(&self) -> &Arc<Caches> {
        &self.caches
    }

    /// Labels to series and back.
    pub fn series(&self) -> &SeriesIndex {
        &self.series
    }

    /// Streams and resources by id.
    pub fn dictionaries(&self) -> &Dictionaries {
        &self.dictionaries
    }

    /// Writes `batches` (schema [`catalog::schema::rows`], any order) as one file per partition, sorted. The files are on the
    /// store and synced when this returns; they exist once the caller commits them.
    ///
    /// Level 2 is partitioned by the whole day. Memory: the input, once sorted, and one encoded file. Rows that are equal in
    /// the sort columns keep their order.
    ///
    /// # Errors
    /// `Schema` when a batch has other columns, `Store` when the upload failed; files uploaded before are orphans for gc.
    pub async fn write(
        &self,
        tenant: &TenantId,
        table: Table,
        level: Level,
        batches: Vec<RecordBatch>,
    ) -> Result<Vec<FileEntry>> {
        write::write_rows(&self.store, &self.env, tenant, table, level, batches).await
    }

    /// Writes batches that arrive in the order of [`catalog::schema::sort_columns`] and all belong to `partition`; a new file
    /// starts when one has reached `target_bytes`. Memory: one row group.
    ///
    /// # Errors
    /// As [`Lake::write`]; an error of `batches` is passed on.
    pub async fn write_sorted<S>(
        &self,
        tenant: &TenantId,
        table: Table,
        level: Level,
        partition: Partition,
        batches: S,
        target_bytes: u64,
    ) -> Result<Vec<FileEntry>>
    where
        S: Stream<Item = Result<RecordBatch>> + Send,
    {
        let target = write::Target { tenant: tenant.clone(), table, level, partition };
        write::write_stream(&self.store, &self.env, &target, batches, target_bytes).await
    }

    /// The rows of `file` that `spec` may want, in file order, as batches of `spec.columns`.
    ///
    /// Row groups, pages and blocks that cannot match are skipped; rows inside the time range and the predicate are never
    /// dropped, others may come along, so the caller filters again. Lazy: nothing is read before the first poll.
    ///
    /// # Errors
    /// `NoColumn` at once; `Store`, `Corrupt` and `Decode` in the stream.
    pub fn scan(&self, file: Arc<FileEntry>, spec: ScanSpec) -> Result<BatchStream> {
        scan::scan(Arc::clone(&self.store), Arc::clone(&self.caches), file, spec, Reuse::Likely)
    }

    /// The rows of `file` that statistics and index do not rule out by `spec`'s time and predicate, counted as in [`ScanSpec::rows`]. Reads no column.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn candidates(&self, file: &FileEntry, spec: &ScanSpec) -> Result<RoaringBitmap> {
        scan::candidates(self.store.as_ref(), &self.caches, file, spec).await
    }

    /// Those of `spec.rows`, or of all rows, whose texts pass `spec.texts`, whatever else `spec` says of rows; counted as in [`ScanSpec::rows`]. `None`
    /// when only a scan can tell: there is no such test, or the file has its texts in another encoding. Only the column of texts is read, and
    /// of it the pages that have rows.
    ///
    /// # Errors
    /// `Store`, `Corrupt` and `Decode`.
    pub async fn passing(&self, file: &FileEntry, spec: &ScanSpec) -> Result<Option<RoaringBitmap>> {
        scan::passing(self.store.as_ref(), &self.caches, file, spec).await
    }

    /// All rows of `file` with all columns of its table, in file order. What is read is not kept in the caches.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub(crate) fn read_through(&self, file: Arc<FileEntry>) -> Result<BatchStream> {
        let mut all = ScanSpec::all(catalog::schema::rows(file.table).fields().iter().map(|field| field.name().clone()));
        if file.table == Table::Logs {
            all.batch_rows = TEXT_BATCH_ROWS;
        }
        scan::scan(Arc::clone(&self.store), Arc::clone(&self.caches), file, all, Reuse::Never)
    }

    /// Begins to write files of the user's table `name`, with the columns of `schema`.
    ///
    /// # Errors
    /// `Encode` when Parquet has no such columns.
    pub fn user_writer(&self, tenant: &TenantId, name: &UserTableName, schema: SchemaRef) -> Result<UserWriter> {
        UserWriter::new(Arc::clone(&self.store), self.env.clone(), tenant.clone(), name.clone(), schema)
    }

    /// The columns of `file`, one of a user's table, as they were sent.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn user_schema(&self, file: &FileEntry) -> Result<SchemaRef> {
        let footer = self.caches.footer(self.store.as_ref(), file).await?;
        // Without what Parquet has added to them.
        let fields = footer.reader.schema().fields().iter();
        Ok(Arc::new(Schema::new(fields.map(|f| Field::new(f.name(), f.data_type().clone(), true)).collect::<Vec<_>>())))
    }

    /// The rows of `file`, one of a user's table, in the order in which they came.
    ///
    /// # Errors
    /// `Store`, `Corrupt` and `Decode`, in the stream.
    pub fn scan_user(&self, file: Arc<FileEntry>, what: UserScan) -> BatchStream {
        scan::scan_user(Arc::clone(&self.store), Arc::clone(&self.caches), file, what)
    }

    /// What the footer of `file` says of its row groups, in file order.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn row_groups(&self, file: &FileEntry) -> Result<Vec<RowGroup>> {
        let footer = self.caches.footer(self.store.as_ref(), file).await?;
        Ok(scan::outline(file, &footer))
    }

    /// The names of all attributes that spans of `file` have, as far as its footer tells.
    ///
    /// # Errors
    /// `Store`, `Corrupt`.
    pub async fn attribute_names(&self, file: &FileEntry) -> Result<AttributeNames> {
        let footer = self.caches.footer(self.store.as_ref(), file).await?;
        Ok(AttributeNames::told(footer.attributes.as_ref(), &footer.other_attributes))
    }

    /// The index section of `file`, if it has one.
    ///
    /// # Errors
    /// `Store`.
    pub async fn index(&self, file: &FileEntry) -> Result<Option<Arc<IndexReader>>> {
        self.caches.index(self.store.as_ref(), file).await
    }

    /// The `files` that may hold rows in `time` that match `predicate`, by manifest statistics alone. No I/O.
    pub fn prune(&self, files: &[Arc<FileEntry>], predicate: &Predicate, time: TimeRange) -> Vec<Arc<FileEntry>> {
        files.iter().filter(|file| scan::file_may_match(file, predicate, time)).map(Arc::clone).collect()
    }
}
