//! Deletes: which rows the delete predicates of the manifest hide, and which series have rows left.
//!
//! ```text
//! predicates ──language──► matchers ──series or streams──► ids ─┬► [`Deletes`] ──► rows of a file: hidden, or not
//!                └───────► row test ────────────────────────────┘      └──► [`remaining`]: of these series, those that have a row left
//! ```
//! A predicate names series, or log streams and what their lines are like, in a language that this crate does not know; whoever does
//! implements [`SelectorLanguage`] and [`RowTest`].
//!
//! # Invariants
//! - A predicate hides rows of files that came up to its snapshot, and no others: not those in memory, not those that come later.
//! - The series that a predicate selects are looked up in their dictionary (`series`, `streams`), so their rows there go last: only once no
//!   file of the day holds rows that the predicate hides.
//! - A row test looks only at rows whose id and time are meant.

mod remaining;
mod shown;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType};
use catalog::manifest::DeletePredicate;
use catalog::{FileEntry, SnapshotId, Table, TimeRange, Timestamp};

pub(crate) use remaining::holds_hidden;
pub use remaining::{Remaining, remaining};

use crate::dictionary::Lookup;
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::predicate::ColumnTest;
use crate::series::{Matcher, Scope, Series, id_column};

/// Reads the texts of predicates.
pub trait SelectorLanguage: Send + Sync + fmt::Debug {
    /// What `delete` means.
    ///
    /// # Errors
    /// [`Error::Selector`] when it cannot be read. Its rows must then stay as they are.
    fn read(&self, delete: &DeletePredicate) -> Result<Selection>;
}

/// What a predicate means beside its time.
#[derive(Debug)]
pub struct Selection {
    /// All of them a series, or a stream, has to pass.
    pub matchers: Vec<Matcher>,
    /// What its rows have to pass; `None`: every row is meant.
    pub rows: Option<Box<dyn RowTest>>,
}

/// Tells which rows of selected streams are meant, by more than their time.
pub trait RowTest: Send + Sync + fmt::Debug {
    /// The columns that it looks at, beside id and `ts`. With `resource_id` among them it is given the resources.
    fn columns(&self) -> &[&'static str];

    /// Tests that every row passes which is meant: they say where there is none. They never replace [`RowTest::meant`].
    fn prunes(&self) -> &[ColumnTest];

    /// Learns what rows point to, before any row is tested: the selected streams, and resources by id if it looks at them.
    ///
    /// # Errors
    /// `Internal` when rows of the resources lack a column.
    fn learn(&mut self, streams: Vec<Series>, resources: Option<&Lookup>) -> Result<()>;

    /// For each row of `batch`, whether it is meant. All of them are of selected streams.
    ///
    /// # Errors
    /// `Internal` when a column was not read.
    fn meant(&self, batch: &RecordBatch) -> Result<BooleanBuffer>;
}

/// Where predicates are looked up: the dictionaries of one tenant, as far as the files at hand can point to them.
#[derive(Debug)]
pub struct Dictionaries {
    /// [`Table::Series`] or [`Table::Streams`].
    pub series: Scope,
    /// [`Table::Resources`]; only read for a row test that looks at them.
    pub resources: Scope,
}

/// Predicates whose series are known.
#[derive(Debug, Clone, Default)]
pub struct Deletes(Vec<Delete>);

#[derive(Debug, Clone)]
struct Delete {
    since: SnapshotId,
    time: TimeRange,
    ids: Arc<HashSet<i64>>,
    rows: Option<Arc<dyn RowTest>>,
}

impl Delete {
    /// Whether it can hide rows of `file`, which came with snapshot `added`.
    fn may_hide(&self, file: &FileEntry, added: SnapshotId) -> bool {
        let (low, high) = file.id_range.unwrap_or((i64::MIN, i64::MAX));
        self.since >= added && self.time.overlaps(file.time) && self.ids.iter().any(|id| (low..=high).contains(id))
    }
}

impl Deletes {
    /// Looks the series of `predicates`, all of one signal, up. Predicates that select none of them are left out.
    ///
    /// # Errors
    /// [`Error::Selector`]; `Store`, `Corrupt`.
    pub async fn resolve(
        lake: &Lake,
        known: &Dictionaries,
        predicates: &[DeletePredicate],
        language: &dyn SelectorLanguage,
    ) -> Result<Self> {
        let mut found = Vec::new();
        let mut resources = None;
        for delete in predicates {
            let Selection { matchers, rows } = language.read(delete)?;
            let series = lake.series().resolve(&known.series, &matchers, usize::MAX).await?;
            let ids: HashSet<i64> = series.iter().map(Series::id).collect();
            if ids.is_empty() {
                continue;
            }
            let rows = match rows {
                None => None,
                Some(mut test) => {
                    if resources.is_none() && test.columns().contains(&"resource_id") {
                        resources = Some(lake.dictionaries().lookup(&known.resources).await?);
                    }
                    test.learn(series, resources.as_ref())?;
                    Some(Arc::from(test))
                }
            };
            found.push(Delete { since: delete.since, time: delete.time, ids: Arc::new(ids), rows });
        }
        // Whom ids and times tell needs no row test.
        found.sort_by_key(|delete| delete.rows.is_some());
        Ok(Self(found))
    }

    /// Hides the rows of `ids`, whatever their time, in files that came up to `since`.
    pub fn of_series(ids: HashSet<i64>, since: SnapshotId) -> Self {
        if ids.is_empty() {
            return Self::default();
        }
        Self(vec![Delete { since, time: TimeRange::ALL, ids: Arc::new(ids), rows: None }])
    }

    /// Those that can hide rows of `file`, which came with snapshot `added`.
    #[must_use]
    pub fn of_file(&self, file: &FileEntry, added: SnapshotId) -> Self {
        Self(self.0.iter().filter(|delete| delete.may_hide(file, added)).cloned().collect())
    }

    /// Those that mean a series which `is_wanted`.
    #[must_use]
    pub fn of_wanted(&self, is_wanted: impl Fn(i64) -> bool) -> Self {
        Self(self.0.iter().filter(|delete| delete.ids.iter().any(|id| is_wanted(*id))).cloned().collect())
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The series that are meant, of whatever time.
    pub fn ids(&self) -> HashSet<i64> {
        self.0.iter().flat_map(|delete| delete.ids.iter().copied()).collect()
    }

    /// The columns of `table` that tell which rows are hidden; none when nothing is.
    pub fn columns(&self, table: Table) -> Vec<&'static str> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut columns = vec![id_column(table), "ts"];
        columns.extend(self.0.iter().filter_map(|delete| delete.rows.as_ref()).flat_map(|rows| rows.columns()));
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The same, of the series `ids` alone, of all times and all their rows.
    #[must_use]
    pub fn only(&self, ids: &HashSet<i64>) -> Self {
        let only = |delete: &Delete| {
            let ids: HashSet<i64> = delete.ids.intersection(ids).copied().collect();
            Delete { since: delete.since, time: TimeRange::ALL, ids: Arc::new(ids), rows: None }
        };
        Self(self.0.iter().map(only).filter(|delete| !delete.ids.is_empty()).collect())
    }

    /// Whether it is known without a look that every row of `id` in `time` is hidden in files that came with snapshot `added`.
    pub fn hides_all(&self, id: i64, time: TimeRange, added: SnapshotId) -> bool {
        let covers = |delete: &Delete| {
            delete.rows.is_none() && delete.time.start <= time.start && time.end <= delete.time.end && delete.ids.contains(&id)
        };
        self.since(added).any(covers)
    }

    fn since(&self, added: SnapshotId) -> impl Iterator<Item = &Delete> {
        self.0.iter().filter(move |delete| delete.since >= added)
    }
}

/// The dictionary whose entries the rows of `table` belong to, itself included, if deletes can mean it.
pub const fn dictionary_of(table: Table) -> Option<Table> {
    match table {
        Table::Samples | Table::Histograms | Table::Exemplars | Table::Series => Some(Table::Series),
        Table::Logs | Table::Streams => Some(Table::Streams),
        Table::Metadata | Table::Spans | Table::Resources | Table::QueryLog | Table::User => None,
    }
}

/// The tables whose rows make an entry of `dictionary` exist on a day: once they have none of it, its row there goes. None of a table that is
/// no such dictionary.
pub const fn facts_of(dictionary: Table) -> &'static [Table] {
    match dictionary {
        Table::Series => &[Table::Samples, Table::Histograms, Table::Exemplars],
        Table::Streams => &[Table::Logs],
        _ => &[],
    }
}

fn ids_of(batch: &RecordBatch) -> Result<&[i64]> {
    let column = batch.column_by_name("sid").or_else(|| batch.column_by_name("stream_id"));
    let ids = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    ids.map(|ids| ids.values().as_ref()).ok_or_else(|| missing("sid or stream_id"))
}

fn missing(name: &str) -> Error {
    Error::Internal(format!("column {name} was not read"))
}

/// The column `ts`.
struct Times<'a> {
    values: &'a [i64],
    unit_ns: i64,
}

impl<'a> Times<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let column = batch.column_by_name("ts").ok_or_else(|| missing("ts"))?;
        match column.data_type() {
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Ok(Self { values: column.as_primitive::<TimestampMillisecondType>().values(), unit_ns: 1_000_000 })
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Ok(Self { values: column.as_primitive::<TimestampNanosecondType>().values(), unit_ns: 1 })
            }
            other => Err(Error::Internal(format!("column ts has the type {other}"))),
        }
    }

    fn at(&self, row: usize) -> Timestamp {
        Timestamp::from_nanos(self.values[row].saturating_mul(self.unit_ns))
    }
}
