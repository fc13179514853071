//! Writing files: rows in any order become sorted Parquet, one file per partition.
//!
//! ```text
//! rows ─split by partition─► sort ─► [FileEncoder] row group by row group ─► upload ─► FileEntry (not committed)
//!                                      decimal values, index section, statistics, crc32
//! ```
//!
//! # Invariants
//! - A file's rows are in the order of [`catalog::schema::sort_columns`]; equal rows as they came.
//! - A [`FileEntry`] is handed out only after the store has the whole object.
//! - Memory: the rows of [`write_rows`], or one row group of [`write_stream`], plus encoded bytes not yet sent.

mod encode;
mod layout;
mod packing;
mod paged;
mod sort;
mod time;
mod upload;
mod user;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use catalog::schema::SCHEMA_VERSION;
use catalog::{Env, FileEntry, Level, Partition, Table, TenantId};
use futures::{Stream, StreamExt};
use object_store::ObjectStore;

pub(crate) use encode::trace_id_prefix;
pub(crate) use packing::Packer;
pub use user::UserWriter;

use crate::error::{Error, Result};
use encode::{Encoded, FileEncoder};
use sort::Sorted;
use upload::Upload;

/// Rows that a stream's small batches are gathered to before they are encoded: runs of a series stay whole.
const GATHER_ROWS: usize = 32 << 10;

/// Whose file, and where it falls.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) tenant: TenantId,
    pub(crate) table: Table,
    pub(crate) level: Level,
    pub(crate) partition: Partition,
}

pub(crate) async fn write_rows(
    store: &Arc<dyn ObjectStore>,
    env: &Env,
    tenant: &TenantId,
    table: Table,
    level: Level,
    batches: Vec<RecordBatch>,
) -> Result<Vec<FileEntry>> {
    let batches = batches.iter().map(|b| encode::conform(table, b)).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|e| Error::Schema { table, reason: e.to_string() })?;
    let parts = time::split(table, level, batches).map_err(|e| encode_error(table, e))?;
    let mut entries = Vec::with_capacity(parts.len());
    for (partition, batches) in parts {
        let target = Target { tenant: tenant.clone(), table, level, partition };
        let first = blocking(move || {
            let mut sorted = Sorted::of(table, batches).map_err(|e| encode_error(table, e))?;
            let Some(first) = sorted.next_piece().map_err(|e| encode_error(table, e))? else { return Ok(None) };
            Ok(Some((FileEncoder::new(table, level, &first).map_err(|e| encode_error(table, e))?, first, sorted)))
        });
        let Some((encoder, mut piece, mut sorted)) = first.await? else { continue };
        let mut file = File::new(store, env, &target, encoder);
        loop {
            file.push(piece).await?;
            let (next, rest) = blocking(move || Ok((sorted.next_piece().map_err(|e| encode_error(table, e))?, sorted))).await?;
            (piece, sorted) = match next {
                Some(next) => (next, rest),
                None => break,
            };
        }
        entries.push(file.finish().await?);
    }
    Ok(entries)
}

pub(crate) async fn write_stream<S>(
    store: &Arc<dyn ObjectStore>,
    env: &Env,
    target: &Target,
    batches: S,
    target_bytes: u64,
) -> Result<Vec<FileEntry>>
where
    S: Stream<Item = Result<RecordBatch>> + Send,
{
    let table = target.table;
    let mut batches = std::pin::pin!(batches);
    let mut entries = Vec::new();
    let mut file: Option<File<'_>> = None;
    let mut gathered: Vec<RecordBatch> = Vec::new();
    loop {
        let next = batches.next().await.transpose()?;
        let done = next.is_none();
        if let Some(batch) = next.filter(|b| b.num_rows() > 0) {
            let batch = encode::conform(table, &batch).map_err(|e| Error::Schema { table, reason: e.to_string() })?;
            if let Some(last) = gathered.last() {
                debug_assert!(sort::follows(table, last, &batch).unwrap_or(false), "batches must come in order");
            }
            gathered.push(batch);
        }
        let rows: usize = gathered.iter().map(RecordBatch::num_rows).sum();
        if rows >= GATHER_ROWS || (done && rows > 0) {
            let whole = concat_batches(&catalog::schema::rows(table), &gathered).map_err(|e| encode_error(table, e))?;
            gathered.clear();
            let file = match &mut file {
                Some(file) => file,
                none => {
                    let encoder = FileEncoder::new(table, target.level, &whole).map_err(|e| encode_error(table, e))?;
                    none.insert(File::new(store, env, target, encoder))
                }
            };
            file.push(whole).await?;
        }
        if let Some(full) = file.take_if(|file| done || file.bytes_written() >= target_bytes) {
            entries.push(full.finish().await?);
        }
        if done {
            return Ok(entries);
        }
    }
}

/// A file between its encoder and its upload.
struct File<'a> {
    target: &'a Target,
    id: catalog::FileId,
    /// `None` while a step is encoded elsewhere.
    encoder: Option<FileEncoder>,
    upload: Upload,
}

impl<'a> File<'a> {
    fn new(store: &Arc<dyn ObjectStore>, env: &Env, target: &'a Target, encoder: FileEncoder) -> Self {
        let id = env.new_uuid();
        let path = Encoded::default().entry(target, id).path();
        Self { target, id, encoder: Some(encoder), upload: Upload::new(Arc::clone(store), path) }
    }

    fn bytes_written(&self) -> u64 {
        self.encoder.as_ref().map_or(0, FileEncoder::bytes_written)
    }

    async fn push(&mut self, rows: RecordBatch) -> Result<()> {
        let table = self.target.table;
        let step = layout::row_group_rows(table);
        let mut start = 0;
        while start < rows.num_rows() {
            let part = rows.slice(start, step.min(rows.num_rows() - start));
            start += part.num_rows();
            let mut encoder = self.encoder.take().ok_or_else(lost)?;
            let (encoder, bytes) = blocking(move || {
                let pushed = encoder.push(&part).and_then(|()| encoder.take());
                pushed.map(|bytes| (encoder, bytes)).map_err(|e| encode_error(table, e))
            })
            .await?;
            self.encoder = Some(encoder);
            self.upload.put(bytes).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<FileEntry> {
        let table = self.target.table;
        let encoder = self.encoder.take().ok_or_else(lost)?;
        let mut encoded = blocking(move || encoder.finish().map_err(|e| encode_error(table, e))).await?;
        if self.target.level == Level::L0 {
            fail::fail_point!("flush::after_encode");
        }
        self.upload.put(std::mem::take(&mut encoded.tail)).await?;
        self.upload.finish().await?;
        if self.target.level == Level::L0 {
            fail::fail_point!("flush::after_upload");
        }
        let level = match self.target.level {
            Level::L0 => "0",
            Level::L1 => "1",
            Level::L2 => "2",
        };
        metrics::counter!("telelake_lake_files_written_total", "table" => table.name(), "level" => level).increment(1);
        metrics::counter!("telelake_lake_write_rows_total", "table" => table.name(), "level" => level).increment(encoded.rows);
        metrics::counter!("telelake_lake_write_bytes_total", "table" => table.name(), "level" => level).increment(encoded.bytes);
        Ok(encoded.entry(self.target, self.id))
    }
}

impl Encoded {
    fn entry(self, target: &Target, id: catalog::FileId) -> FileEntry {
        FileEntry {
            id,
            tenant: target.tenant.clone(),
            table: target.table,
            partition: target.partition,
            level: target.level,
            bytes: self.bytes,
            rows: self.rows,
            time: self.time,
            key_range: self.key_range,
            id_range: self.id_range,
            index: self.index,
            footer_bytes: self.footer_bytes,
            crc32: self.crc32,
            raw_bytes: self.raw_bytes,
            schema_version: SCHEMA_VERSION,
        }
    }
}

/// Runs work of more than half a millisecond where it does not hold up the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(Error::Internal(format!("an encoding task died: {e}"))),
    }
}

fn lost() -> Error {
    Error::Internal("a file's encoder was lost with a step that failed".to_owned())
}

fn encode_error(table: Table, e: impl std::fmt::Display) -> Error {
    Error::Encode { table, reason: e.to_string() }
}

/// The event times of rows.
#[cfg(test)]
pub(crate) fn times_of(table: Table, rows: &RecordBatch) -> Vec<catalog::Timestamp> {
    time::of(table, rows).expect("has times").into_iter().map(|t| time::instant(table, t)).collect()
}

/// The Arrow type of the leaf at `path`.
#[cfg(test)]
pub(crate) fn leaf_type(table: Table, path: &[String]) -> arrow::datatypes::DataType {
    use arrow::datatypes::DataType;
    let schema = catalog::schema::stored(table);
    let mut data_type = schema.field_with_name(&path[0]).expect("known").data_type().clone();
    for part in &path[1..] {
        data_type = match &data_type {
            DataType::List(_) if part == "list" => continue,
            DataType::List(child) | DataType::Map(child, _) => child.data_type().clone(),
            DataType::Struct(fields) => fields.find(part).expect("known").1.data_type().clone(),
            other => panic!("{path:?} leads into {other}"),
        };
    }
    data_type
}

/// Panics unless the encodings of a column chunk are those of the layout.
#[cfg(test)]
pub(crate) fn check_encodings(
    table: Table,
    path: &[String],
    data_type: &arrow::datatypes::DataType,
    found: &[parquet::basic::Encoding],
) {
    use parquet::basic::Encoding;
    // Levels are always run lengths; a dictionary's own page is PLAIN.
    let levels_or_dictionary = |e: &&Encoding| !matches!(**e, Encoding::RLE | Encoding::PLAIN);
    let data: Vec<_> = found.iter().filter(levels_or_dictionary).collect();
    match layout::coding(table, path, data_type) {
        layout::Coding::Dictionary(_) => assert_eq!(data, [&Encoding::RLE_DICTIONARY], "{table}.{path:?}: {found:?}"),
        layout::Coding::Plainly(Encoding::PLAIN | Encoding::RLE) => assert!(data.is_empty(), "{table}.{path:?}: {found:?}"),
        layout::Coding::Plainly(encoding) => assert_eq!(data, [&encoding], "{table}.{path:?}: {found:?}"),
    }
}
