//! Checks a lake: that everything the manifest names is there, whole, and says what the manifest says.
//!
//! ```text
//! every log entry and checkpoint ─► each live file: there, size, crc32, footer, rows ─► deep: order and statistics of every row
//!                                └► objects that nothing names: orphans
//! ```
//! It reads only. One bad file never hides the others: whatever is wrong with it becomes a [`Finding`].

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use catalog::{FileEntry, FileId, Table, TimeRange, Timestamp, schema};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use crate::compact::Keys;
use crate::error::Result;
use crate::gc;
use crate::lake::Lake;
use crate::scan::{BATCH_ROWS, UserScan};

/// What to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Decode every row and compare order and statistics. Without it every byte is read, but no row.
    pub deep: bool,
    /// Files checked at once; 0 means 4. Each is held in memory as a whole.
    pub parallel: usize,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Costs space only.
    Note,
    /// Rows are lost or wrong.
    Error,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The object.
    pub path: Path,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "note" };
        write!(f, "{severity}: {}: {}", self.path, self.what)
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that were checked.
    pub files: u64,
    /// Files that will be checked.
    pub files_total: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The snapshot that was checked.
    pub snapshot: u64,
    /// Log entries that were read.
    pub log_entries: u64,
    /// Checkpoints that were read with all their parts.
    pub checkpoints: u64,
    /// Live files that were checked.
    pub files: u64,
    /// Their rows, by the manifest.
    pub rows: u64,
    /// Their bytes, by the manifest.
    pub bytes: u64,
    /// Objects under `data/` that the manifest does not name, dead files not counted.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// In no particular order.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether no row is lost or wrong.
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }
}

/// Checks the newest snapshot of `lake`. `progress` is called after every file.
///
/// # Errors
/// When the manifest cannot be opened or the store not be listed. Everything else is a finding.
pub async fn check(lake: &Arc<Lake>, options: CheckOptions, progress: impl Fn(Progress) + Send + Sync) -> Result<CheckReport> {
    let (objects, strangers) = gc::list_data(lake).await?;
    lake.catalog().refresh().await?;
    let snapshot = lake.catalog().pin();
    let files: Vec<Arc<FileEntry>> = snapshot.leaves().flat_map(|(_, _, _, leaf)| leaf.files().cloned()).collect();
    let mut report = CheckReport { snapshot: snapshot.id(), ..CheckReport::default() };
    let audit = lake.catalog().audit().await?;
    (report.log_entries, report.checkpoints) = (audit.log_entries, audit.checkpoints);
    let broken = audit.broken.into_iter().map(|(path, what)| Finding { severity: Severity::Error, path, what });
    report.findings.extend(broken);

    let known: HashSet<FileId> = files.iter().map(|file| file.id).chain(snapshot.dead_files().map(|file| file.id)).collect();
    for object in objects.iter().filter(|object| !known.contains(&object.id)) {
        report.orphans += 1;
        report.orphan_bytes += object.bytes;
        let what = format!("no snapshot names these {} bytes; gc deletes them when they are old enough", object.bytes);
        report.findings.push(Finding { severity: Severity::Note, path: object.path.clone(), what });
    }
    if strangers > 0 {
        let what = format!("{strangers} objects here are not telelake's; gc leaves them alone");
        report.findings.push(Finding { severity: Severity::Note, path: Path::from("data"), what });
    }

    let parallel = if options.parallel == 0 { 4 } else { options.parallel };
    let mut done = Progress { files_total: files.len() as u64, ..Progress::default() };
    let mut checks = stream::iter(files)
        .map(|file| async move {
            let wrong = check_file(lake, &file, options.deep).await;
            (file, wrong)
        })
        .buffer_unordered(parallel);
    while let Some((file, wrong)) = checks.next().await {
        report.files += 1;
        report.rows += file.rows;
        report.bytes += file.bytes;
        let finding = |what| Finding { severity: Severity::Error, path: file.path(), what };
        report.findings.extend(wrong.into_iter().map(finding));
        done.files += 1;
        done.bytes += file.bytes;
        progress(done);
    }
    Ok(report)
}

/// Everything that is wrong with one file.
async fn check_file(lake: &Lake, file: &Arc<FileEntry>, deep: bool) -> Vec<String> {
    let path = file.path();
    let body = match lake.store().get(&path).await {
        Ok(got) => got.bytes().await,
        Err(e) => Err(e),
    };
    let body = match body {
        Ok(body) => body,
        Err(object_store::Error::NotFound { .. }) => return vec!["is missing".to_owned()],
        Err(e) => return vec![format!("cannot be read: {e}")],
    };
    let mut wrong = Vec::new();
    if body.len() as u64 != file.bytes {
        wrong.push(format!("has {} bytes, the manifest says {}", body.len(), file.bytes));
    }
    let crc32 = crc32fast::hash(&body);
    if crc32 != file.crc32 {
        wrong.push(format!("has crc32 {crc32:08x}, the manifest says {:08x}", file.crc32));
    }
    if !wrong.is_empty() {
        // What is in broken bytes proves nothing.
        return wrong;
    }
    match ArrowReaderMetadata::load(&body, Default::default()) {
        Ok(footer) => {
            let rows = footer.metadata().file_metadata().num_rows();
            if u64::try_from(rows) != Ok(file.rows) {
                wrong.push(format!("has {rows} rows, the manifest says {}", file.rows));
            }
        }
        Err(e) => wrong.push(format!("has no readable footer: {e}")),
    }
    if deep && wrong.is_empty() {
        match check_rows(lake, file).await {
            Ok(more) => wrong.extend(more),
            Err(e) => wrong.push(format!("cannot be decoded: {e}")),
        }
    }
    wrong
}

/// Reads all rows: are they in order, and does the manifest know their bounds?
async fn check_rows(lake: &Lake, file: &Arc<FileEntry>) -> Result<Vec<String>> {
    if file.table == Table::User {
        return check_user_rows(lake, file).await;
    }
    let mut batches = lake.read_through(Arc::clone(file))?;
    let mut seen = Seen::default();
    let mut last: Option<Arc<Keys>> = None;
    while let Some(batch) = batches.try_next().await? {
        if batch.num_rows() == 0 {
            continue;
        }
        let keys = Arc::new(Keys::of(file.table, &batch)?);
        seen.in_order &= keys.is_sorted(last.as_ref().map(|keys| (&**keys, keys.rows() - 1)));
        seen.note(file, &batch);
        last = Some(keys);
    }
    Ok(seen.judge(file))
}

/// Reads all rows of a user's table: they have no order and no bounds.
async fn check_user_rows(lake: &Lake, file: &Arc<FileEntry>) -> Result<Vec<String>> {
    let columns = (0..lake.user_schema(file).await?.fields().len()).collect();
    let mut batches = lake.scan_user(Arc::clone(file), UserScan { columns, batch_rows: BATCH_ROWS });
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
    }
    let wrong = (rows != file.rows).then(|| format!("decodes to {rows} rows, the manifest says {}", file.rows));
    Ok(wrong.into_iter().collect())
}

/// The bounds of the rows of a file.
struct Seen {
    rows: u64,
    in_order: bool,
    time: TimeRange,
    key: Option<(String, String)>,
    id: Option<(i64, i64)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { rows: 0, in_order: true, time: TimeRange::new(Timestamp::MAX, Timestamp::MIN), key: None, id: None }
    }
}

impl Seen {
    fn note(&mut self, file: &FileEntry, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        let sort = schema::sort_columns(file.table);
        if let Some(times) = batch.column_by_name(schema::time_column(file.table)) {
            let to_timestamp = match times.data_type() {
                DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, _) => Timestamp::from_millis,
                _ => Timestamp::from_nanos,
            };
            if let Ok(numbers) = cast(times, &DataType::Int64) {
                for at in numbers.as_primitive::<Int64Type>().values() {
                    let at = to_timestamp(*at);
                    self.time = TimeRange::new(self.time.start.min(at), self.time.end.max(at));
                }
            }
        }
        for column in sort.iter().filter_map(|name| batch.column_by_name(name)) {
            match column.data_type() {
                // Sorted by it first, so that its bounds are at the ends.
                DataType::Dictionary(..) => {
                    if let Ok(texts) = cast(column, &DataType::Utf8) {
                        let texts = texts.as_string::<i32>();
                        let (low, high) = (texts.value(0), texts.value(texts.len() - 1));
                        let start = self.key.take().map_or_else(|| low.to_owned(), |key| key.0);
                        self.key = Some((start, high.to_owned()));
                    }
                }
                DataType::Int64 => column.as_primitive::<Int64Type>().values().iter().for_each(|id| self.note_id(*id)),
                DataType::FixedSizeBinary(16) => {
                    for trace in column.as_fixed_size_binary().iter().flatten() {
                        let head = trace[..8].try_into().map_or(0, i64::from_be_bytes);
                        self.note_id(head ^ i64::MIN);
                    }
                }
                _ => {}
            }
        }
    }

    fn note_id(&mut self, id: i64) {
        let (low, high) = self.id.unwrap_or((id, id));
        self.id = Some((low.min(id), high.max(id)));
    }

    fn judge(&self, file: &FileEntry) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.rows != file.rows {
            wrong.push(format!("{} rows can be read, the manifest says {}", self.rows, file.rows));
        }
        if !self.in_order {
            wrong.push("its rows are not in order".to_owned());
        }
        if self.rows > 0 && self.time != file.time {
            wrong.push(format!("its rows have times {:?}, the manifest says {:?}", self.time, file.time));
        }
        let slot = file.partition.range();
        if self.rows > 0 && !(slot.contains(self.time.start) && slot.contains(self.time.end)) {
            wrong.push(format!("has rows outside of its partition {}", file.partition.path()));
        }
        if let (Some((low, high)), Some((start, end))) = (&self.key, &file.key_range)
            && (low < start || (high > end && !high.starts_with(end.as_str())))
        {
            wrong.push(format!("its keys are {low:?} to {high:?}, the manifest says {start:?} to {end:?}"));
        }
        if let (Some((low, high)), Some((start, end))) = (self.id, file.id_range)
            && (low < start || high > end)
        {
            wrong.push(format!("its ids are {low} to {high}, the manifest says {start} to {end}"));
        }
        wrong
    }
}
