//! Deletes: which rows the delete predicates of the manifest hide, and which series have rows left.
//!
//! ```text
//! predicates ──language──► matchers ──series table──► ids ──► [`Deletes`] ──► rows of a file: hidden, or not
//!                                                                └──► [`remaining`]: of these series, those that have a row left
//! ```
//! A predicate names series in a language that this crate does not know; whoever does implements [`SelectorLanguage`].
//!
//! # Invariants
//! - A predicate hides rows of files that came up to its snapshot, and no others: not those in memory, not those that come later.
//! - The series that a predicate selects are looked up in the series table, so their rows there go last: only once no file of the day
//!   holds rows that the predicate hides.

mod remaining;

use std::collections::HashSet;
use std::fmt;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType};
use catalog::manifest::DeletePredicate;
use catalog::{SnapshotId, Table, TimeRange, Timestamp};

pub(crate) use remaining::holds_hidden;
pub use remaining::{Remaining, remaining};

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::series::{Matcher, Scope, Series};

/// Reads the selectors of predicates.
pub trait SelectorLanguage: Send + Sync + fmt::Debug {
    /// The matchers of `delete`, all of which a series has to pass.
    ///
    /// # Errors
    /// [`Error::Selector`] when it cannot be read. Its rows must then stay as they are.
    fn matchers(&self, delete: &DeletePredicate) -> Result<Vec<Matcher>>;
}

/// Predicates whose series are known.
#[derive(Debug, Clone, Default)]
pub struct Deletes(Vec<Delete>);

#[derive(Debug, Clone)]
struct Delete {
    since: SnapshotId,
    time: TimeRange,
    ids: HashSet<i64>,
}

impl Deletes {
    /// Looks the series of `predicates` up in `scope`. Predicates that select none of them are left out.
    ///
    /// # Errors
    /// [`Error::Selector`]; `Store`, `Corrupt`.
    pub async fn resolve(
        lake: &Lake,
        scope: &Scope,
        predicates: &[DeletePredicate],
        language: &dyn SelectorLanguage,
    ) -> Result<Self> {
        let mut found = Vec::new();
        for delete in predicates {
            let matchers = language.matchers(delete)?;
            let series = lake.series().resolve(scope, &matchers, usize::MAX).await?;
            let ids: HashSet<i64> = series.iter().map(Series::id).collect();
            if !ids.is_empty() {
                found.push(Delete { since: delete.since, time: delete.time, ids });
            }
        }
        Ok(Self(found))
    }

    /// Hides the rows of `ids`, whatever their time, in files that came up to `since`.
    pub fn of_series(ids: HashSet<i64>, since: SnapshotId) -> Self {
        if ids.is_empty() { Self::default() } else { Self(vec![Delete { since, time: TimeRange::ALL, ids }]) }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The series that are meant, of whatever time.
    pub fn ids(&self) -> HashSet<i64> {
        self.0.iter().flat_map(|delete| delete.ids.iter().copied()).collect()
    }

    /// The same, of the series `ids` alone and of all times.
    #[must_use]
    pub fn only(&self, ids: &HashSet<i64>) -> Self {
        let only =
            |delete: &Delete| Delete { time: TimeRange::ALL, ids: delete.ids.intersection(ids).copied().collect(), ..*delete };
        Self(self.0.iter().map(only).filter(|delete| !delete.ids.is_empty()).collect())
    }

    /// Whether every row of `id` in `time` is hidden in files that came with snapshot `added`.
    pub fn hides_all(&self, id: i64, time: TimeRange, added: SnapshotId) -> bool {
        let covers = |delete: &Delete| delete.time.start <= time.start && time.end <= delete.time.end;
        self.since(added).any(|delete| covers(delete) && delete.ids.contains(&id))
    }

    /// Which rows of `batch`, of a file that came with snapshot `added`, are not hidden; `None`: all of them. Needs the columns `sid` and `ts`.
    ///
    /// # Errors
    /// `Internal` when a column was not read.
    pub fn shown(&self, batch: &RecordBatch, added: SnapshotId) -> Result<Option<BooleanArray>> {
        let hiding: Vec<&Delete> = self.since(added).collect();
        if hiding.is_empty() {
            return Ok(None);
        }
        let (ids, times) = (ids_of(batch)?, Times::of(batch)?);
        let shows = |(row, id): (usize, &i64)| {
            !hiding.iter().any(|delete| delete.ids.contains(id) && delete.time.contains(times.at(row)))
        };
        let shown: Vec<bool> = ids.iter().enumerate().map(shows).collect();
        Ok((!shown.iter().all(|shown| *shown)).then(|| BooleanArray::from(shown)))
    }

    fn since(&self, added: SnapshotId) -> impl Iterator<Item = &Delete> {
        self.0.iter().filter(move |delete| delete.since >= added)
    }
}

/// The tables whose rows make a series exist on a day: once they have none of it, its row in the series table goes.
pub const FACTS: [Table; 3] = [Table::Samples, Table::Histograms, Table::Exemplars];

fn ids_of(batch: &RecordBatch) -> Result<&[i64]> {
    let ids = batch.column_by_name("sid").and_then(|column| column.as_primitive_opt::<Int64Type>());
    ids.map(|ids| ids.values().as_ref()).ok_or_else(|| missing("sid"))
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
