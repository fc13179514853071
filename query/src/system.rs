//! `system.files`, `system.snapshots`, `system.tables`: the manifest as the tenant may see it. No I/O.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use catalog::{FileEntry, Table, TimeRange, Timestamp};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::view::View;

/// A table of the schema `system`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemTable {
    /// Every live file of the tenant.
    Files,
    /// The snapshot that this query reads.
    Snapshots,
    /// Rows, bytes and files per stored table.
    Tables,
}

/// What can have files.
fn every_table() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().chain([Table::User])
}

impl SystemTable {
    pub(crate) const ALL: [Self; 3] = [Self::Files, Self::Snapshots, Self::Tables];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Snapshots => "snapshots",
            Self::Tables => "tables",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    fn schema(self) -> SchemaRef {
        let int = |name: &str| Field::new(name, DataType::Int64, false);
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), true);
        Arc::new(Schema::new(match self {
            Self::Files => vec![
                text("table"),
                text("level"),
                Field::new("day", DataType::Int32, false),
                Field::new("slice", DataType::Int32, true),
                int("rows"),
                int("bytes"),
                int("raw_bytes"),
                time("min_ts"),
                time("max_ts"),
                Field::new("min_key", DataType::Utf8, true),
                Field::new("max_key", DataType::Utf8, true),
                text("id"),
                text("path"),
            ],
            Self::Snapshots => vec![int("snapshot"), time("committed_at"), int("files"), int("rows"), int("bytes")],
            Self::Tables => vec![
                text("table"),
                int("files"),
                int("rows"),
                int("bytes"),
                int("raw_bytes"),
                int("fresh_rows"),
                time("min_ts"),
                time("max_ts"),
            ],
        }))
    }

    fn columns(self, view: &View) -> Vec<ArrayRef> {
        match self {
            Self::Files => files(view),
            Self::Snapshots => snapshots(view),
            Self::Tables => tables(view),
        }
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn ints(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.map(int)))
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn times(values: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    Arc::new(values.map(|at| at.map(Timestamp::as_nanos)).collect::<TimestampNanosecondArray>().with_timezone("UTC"))
}

fn files(view: &View) -> Vec<ArrayRef> {
    let files: Vec<Arc<FileEntry>> = every_table().flat_map(|table| view.files(table, TimeRange::ALL)).collect();
    let files = || files.iter();
    let key = |file: &Arc<FileEntry>, upper: bool| file.key_range.as_ref().map(|k| if upper { k.1.clone() } else { k.0.clone() });
    vec![
        texts(files().map(|f| f.table.name().to_owned())),
        texts(files().map(|f| format!("{:?}", f.level))),
        Arc::new(Int32Array::from_iter_values(files().map(|f| f.partition.day))),
        Arc::new(files().map(|f| f.partition.slice.map(i32::from)).collect::<Int32Array>()),
        ints(files().map(|f| f.rows)),
        ints(files().map(|f| f.bytes)),
        ints(files().map(|f| f.raw_bytes)),
        times(files().map(|f| Some(f.time.start))),
        times(files().map(|f| Some(f.time.end))),
        Arc::new(files().map(|f| key(f, false)).collect::<StringArray>()),
        Arc::new(files().map(|f| key(f, true)).collect::<StringArray>()),
        texts(files().map(|f| f.id.to_string())),
        texts(files().map(|f| f.path().to_string())),
    ]
}

/// What one table, or all, hold.
#[derive(Default)]
struct Total {
    files: u64,
    rows: u64,
    bytes: u64,
    raw_bytes: u64,
    time: Option<TimeRange>,
}

impl Total {
    fn of(view: &View, table: Table) -> Self {
        let mut total = Self::default();
        for file in view.files(table, TimeRange::ALL) {
            total.files += 1;
            total.rows += file.rows;
            total.bytes += file.bytes;
            total.raw_bytes += file.raw_bytes;
            let range = total.time.unwrap_or(file.time);
            total.time = Some(TimeRange::new(range.start.min(file.time.start), range.end.max(file.time.end)));
        }
        total
    }
}

fn snapshots(view: &View) -> Vec<ArrayRef> {
    let totals: Vec<Total> = every_table().map(|table| Total::of(view, table)).collect();
    let sum = |what: fn(&Total) -> u64| ints(std::iter::once(totals.iter().map(what).sum()));
    let snapshot = view.snapshot();
    vec![
        ints(std::iter::once(snapshot.id())),
        times(std::iter::once((snapshot.id() > 0).then(|| snapshot.committed_at()))),
        sum(|t| t.files),
        sum(|t| t.rows),
        sum(|t| t.bytes),
    ]
}

fn tables(view: &View) -> Vec<ArrayRef> {
    let totals: Vec<(Table, Total)> = every_table().map(|table| (table, Total::of(view, table))).collect();
    let totals = || totals.iter();
    let fresh = |table: Table| view.fresh(table).iter().map(|batch| batch.num_rows() as u64).sum();
    vec![
        texts(totals().map(|(table, _)| table.name().to_owned())),
        ints(totals().map(|(_, t)| t.files)),
        ints(totals().map(|(_, t)| t.rows)),
        ints(totals().map(|(_, t)| t.bytes)),
        ints(totals().map(|(_, t)| t.raw_bytes)),
        ints(totals().map(|(table, _)| fresh(*table))),
        times(totals().map(|(_, t)| t.time.map(|time| time.start))),
        times(totals().map(|(_, t)| t.time.map(|time| time.end))),
    ]
}

/// A system table of one view.
#[derive(Debug)]
pub(crate) struct SystemProvider {
    table: SystemTable,
    view: Arc<View>,
}

impl SystemProvider {
    pub(crate) fn new(table: SystemTable, view: Arc<View>) -> Self {
        Self { table, view }
    }
}

#[async_trait]
impl TableProvider for SystemProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = RecordBatch::try_new(self.table.schema(), self.table.columns(&self.view))?;
        MemTable::try_new(self.table.schema(), vec![vec![batch]])?.scan(state, projection, filters, limit).await
    }
}
