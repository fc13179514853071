//! Files of tables that users make: rows as they come, columns of their own.
//!
//! ```text
//! batches ─[UserWriter]─ row group by row group ─► upload, while more come ─► FileEntry (not committed)
//! ```
//! The columns are the file's own: the Arrow schema is in its footer, so that a reader gets back what was sent. Nothing is sorted and nothing
//! is merged later: what a user puts there is read as it was put.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use catalog::schema::SCHEMA_VERSION;
use catalog::{Env, FileEntry, Level, Partition, Table, TenantId, TimeRange, UserTableName};
use object_store::ObjectStore;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::layout::row_group_rows;
use super::paged::{Finished, PagedWriter};
use super::upload::Upload;
use super::{blocking, encode_error, lost};
use crate::error::Result;

/// A row group ends early when it has become that big encoded, so that huge rows do not take the memory.
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// A file is followed by another when it has become that big.
const FILE_BYTES: u64 = 256 << 20;

/// Writes the files of one change of a table.
pub struct UserWriter {
    store: Arc<dyn ObjectStore>,
    env: Env,
    tenant: TenantId,
    name: UserTableName,
    schema: SchemaRef,
    /// The file at work; there is one until the end, so that a table without rows has a file with its columns.
    file: File,
    done: Vec<FileEntry>,
}

struct File {
    entry: FileEntry,
    /// `None` while a step is encoded elsewhere.
    writer: Option<PagedWriter>,
    upload: Upload,
    rows_in_group: usize,
}

impl UserWriter {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        env: Env,
        tenant: TenantId,
        name: UserTableName,
        schema: SchemaRef,
    ) -> Result<Self> {
        let file = File::new(&store, &env, &tenant, &name, &schema)?;
        Ok(Self { store, env, tenant, name, schema, file, done: Vec::new() })
    }

    /// Adds rows, which have the schema of the writer.
    ///
    /// # Errors
    /// `Encode` when they have not; `Store`. Files uploaded before are orphans for gc.
    pub async fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let group = row_group_rows(Table::User);
        let mut start = 0;
        while start < rows.num_rows() {
            let room = group - self.file.rows_in_group;
            let part = rows.slice(start, room.min(rows.num_rows() - start));
            start += part.num_rows();
            self.file.push(part, group).await?;
        }
        if self.file.writer.as_ref().is_some_and(|writer| writer.bytes_written() >= FILE_BYTES) {
            let next = File::new(&self.store, &self.env, &self.tenant, &self.name, &self.schema)?;
            let full = std::mem::replace(&mut self.file, next);
            self.done.push(full.finish().await?);
        }
        Ok(())
    }

    /// The files, on the store and synced; they exist once they are committed.
    ///
    /// # Errors
    /// As [`UserWriter::push`].
    pub async fn finish(mut self) -> Result<Vec<FileEntry>> {
        if self.file.entry.rows > 0 || self.done.is_empty() {
            self.done.push(self.file.finish().await?);
        }
        Ok(self.done)
    }
}

impl std::fmt::Debug for UserWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserWriter({}.{}, {} files done)", self.tenant, self.name, self.done.len())
    }
}

impl File {
    fn new(store: &Arc<dyn ObjectStore>, env: &Env, tenant: &TenantId, name: &UserTableName, schema: &SchemaRef) -> Result<Self> {
        let now = env.now();
        let entry = FileEntry {
            id: env.new_uuid(),
            tenant: tenant.clone(),
            table: Table::User,
            partition: Partition::UNDATED,
            level: Level::L2,
            bytes: 0,
            rows: 0,
            time: TimeRange::new(now, now),
            key_range: Some((name.to_string(), name.to_string())),
            id_range: None,
            index: None,
            footer_bytes: 0,
            crc32: 0,
            raw_bytes: 0,
            schema_version: SCHEMA_VERSION,
        };
        let options = ArrowWriterOptions::new().with_properties(properties());
        let writer = PagedWriter::new(Arc::clone(schema), options, None).map_err(|e| encode_error(Table::User, e))?;
        let upload = Upload::new(Arc::clone(store), entry.path());
        Ok(Self { entry, writer: Some(writer), upload, rows_in_group: 0 })
    }

    async fn push(&mut self, rows: RecordBatch, group: usize) -> Result<()> {
        let mut writer = self.writer.take().ok_or_else(lost)?;
        let count = rows.num_rows();
        self.entry.rows += count as u64;
        self.entry.raw_bytes +=
            rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0) as u64).sum::<u64>();
        self.rows_in_group += count;
        let full = self.rows_in_group >= group;
        let (writer, bytes, ended) = blocking(move || {
            let step = || -> Result<(PagedWriter, Vec<u8>, bool), ParquetError> {
                writer.write(&rows)?;
                let ended = full || writer.in_progress_size() >= ROW_GROUP_BYTES_MAX;
                if ended {
                    writer.end_row_group()?;
                }
                let bytes = writer.take()?;
                Ok((writer, bytes, ended))
            };
            step().map_err(|e| encode_error(Table::User, e))
        })
        .await?;
        self.writer = Some(writer);
        if ended {
            self.rows_in_group = 0;
        }
        self.upload.put(bytes).await
    }

    async fn finish(mut self) -> Result<FileEntry> {
        let writer = self.writer.take().ok_or_else(lost)?;
        let finished = blocking(move || writer.finish(&[]).map_err(|e| encode_error(Table::User, e))).await?;
        let Finished { tail, bytes, footer_bytes, crc32, .. } = finished;
        self.upload.put(tail).await?;
        self.upload.finish().await?;
        fail::fail_point!("ingest::after_upload");
        (self.entry.bytes, self.entry.footer_bytes, self.entry.crc32) = (bytes, footer_bytes, crc32);
        let labels = [("table", Table::User.name()), ("level", "2")];
        metrics::counter!("telelake_lake_files_written_total", &labels).increment(1);
        metrics::counter!("telelake_lake_write_rows_total", &labels).increment(self.entry.rows);
        metrics::counter!("telelake_lake_write_bytes_total", &labels).increment(bytes);
        Ok(self.entry)
    }
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(concat!("telelake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("levels 1 to 22 exist")))
        .set_max_row_group_row_count(Some(row_group_rows(Table::User)))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use catalog::Timestamp;
    use catalog::env::fixed;
    use catalog::manifest::{Catalog, CatalogConfig, Operation, TableChange};
    use futures::TryStreamExt;
    use object_store::memory::InMemory;

    use super::*;
    use crate::check::{CheckOptions, check};
    use crate::scan::UserScan;
    use crate::{Lake, LakeConfig};

    async fn lake() -> Arc<Lake> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (env, _clock) = fixed::env(Timestamp::from_secs(1_700_000_000), 7);
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.expect("opens");
        Lake::open(store, catalog, env, LakeConfig::default())
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)]))
    }

    fn rows(count: i64) -> RecordBatch {
        let texts = (0..count).map(|n| (n % 3 > 0).then(|| format!("text {n}")));
        let columns: [ArrayRef; 2] = [Arc::new(Int64Array::from_iter_values(0..count)), Arc::new(texts.collect::<StringArray>())];
        RecordBatch::try_new(schema(), columns.to_vec()).expect("fits")
    }

    async fn write(lake: &Lake, batches: &[RecordBatch]) -> Vec<FileEntry> {
        let name = UserTableName::parse("mine").expect("a name");
        let mut writer = lake.user_writer(&TenantId::anonymous(), &name, schema()).expect("columns that Parquet knows");
        for batch in batches {
            writer.push(batch).await.expect("memory takes it");
        }
        writer.finish().await.expect("memory takes it")
    }

    async fn read(lake: &Lake, file: &FileEntry, columns: &[usize]) -> Vec<RecordBatch> {
        let what = UserScan { columns: columns.to_vec(), batch_rows: 1_000 };
        lake.scan_user(Arc::new(file.clone()), what).try_collect().await.expect("what was written")
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let lake = lake().await;
        // Over the end of a row group.
        let (large, small) = (rows(200_000), rows(10));
        let files = write(&lake, &[large.clone(), small]).await;
        let [file] = files.as_slice() else { panic!("{} files", files.len()) };
        assert_eq!(
            (file.rows, file.table, file.key_range.as_ref().map(|(key, _)| key.as_str())),
            (200_010, Table::User, Some("mine"))
        );
        assert_eq!(lake.user_schema(file).await.expect("there is a footer"), schema());
        let found = read(&lake, file, &[0, 1]).await;
        let whole = arrow::compute::concat_batches(&found[0].schema(), &found).expect("one schema");
        assert_eq!(whole.num_rows(), 200_010);
        assert_eq!(whole.slice(0, 200_000).columns(), large.columns());
        assert_eq!(whole.column(0).as_primitive::<Int64Type>().value(200_009), 9);
        let texts = read(&lake, file, &[1]).await;
        assert_eq!((texts[0].num_columns(), texts.iter().map(RecordBatch::num_rows).sum::<usize>()), (1, 200_010));
        let counted = read(&lake, file, &[]).await;
        assert_eq!(counted.iter().map(RecordBatch::num_rows).sum::<usize>(), 200_010);
    }

    #[tokio::test]
    async fn a_table_without_rows_has_a_file() {
        let lake = lake().await;
        let files = write(&lake, &[]).await;
        assert_eq!((files.len(), files[0].rows), (1, 0));
        assert_eq!(lake.user_schema(&files[0]).await.expect("there is a footer"), schema());
        assert!(read(&lake, &files[0], &[0, 1]).await.iter().all(|batch| batch.num_rows() == 0));
    }

    #[tokio::test]
    async fn the_check_knows_them() {
        let lake = lake().await;
        let files = write(&lake, &[rows(1_000)]).await;
        let (tenant, name) = (TenantId::anonymous(), UserTableName::parse("mine").expect("a name"));
        let operation =
            Operation::ChangeUserTable { tenant, name, first: None, change: TableChange::Append, files: files.clone() };
        lake.catalog().commit(vec![operation]).await.expect("nothing is there yet");
        let options = CheckOptions { deep: true, parallel: 1 };
        let report = check(&lake, options, |_| {}).await.expect("memory answers");
        assert!(report.findings.is_empty() && report.rows == 1_000, "{:?}", report.findings);
        // A flipped bit is noticed.
        use object_store::ObjectStoreExt;
        let path = files[0].path();
        let mut bytes = lake.store().get(&path).await.expect("there").bytes().await.expect("there").to_vec();
        bytes[100] ^= 1;
        lake.store().put(&path, bytes.into()).await.expect("memory takes it");
        assert!(!check(&lake, options, |_| {}).await.expect("memory answers").is_healthy());
    }
}
