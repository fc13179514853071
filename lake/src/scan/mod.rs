//! Reading one file: prune, fetch, decode.
//!
//! ```text
//! FileEntry ─manifest─► footer (cache) ─statistics─► row groups ─page index─► pages ─index section─► blocks
//!                                                                                    │ RowSelection
//!                    rows schema ◄─decode─ stored columns ◄─Parquet push decoder◄─ ranges (cache)
//! ```
//!
//! # Invariants
//! - Pruning only ever keeps too much: a row inside the time range that matches the predicate is always delivered.
//! - Rows come in file order.

mod ahead;
mod decode;
mod filter;
mod keys;
mod metrics;
mod outline;
mod page;
mod parts;
mod passing;
mod prune;
mod stream;
pub mod texts;
mod user;

use std::sync::Arc;

use catalog::{FileEntry, TimeRange};
use object_store::ObjectStore;
use roaring::RoaringBitmap;

pub use metrics::{ScanMetrics, ScanTotals};
pub use outline::RowGroup;
pub(crate) use outline::outline;
pub(crate) use passing::{candidates, passing};
pub use prune::file_may_match;
pub use user::UserScan;
pub(crate) use user::scan_user;

use crate::cache::{Caches, Reuse};
use crate::error::Result;
use crate::lake::BatchStream;
use crate::predicate::{Predicate, TextTest};

/// Rows per batch when the caller has no wish.
pub const BATCH_ROWS: usize = 8_192;

/// What to read of a file.
#[derive(Debug, Clone)]
pub struct ScanSpec {
    /// Columns of the schema [`catalog::schema::rows`], in the order wanted. May be empty: batches then only have a row count.
    pub columns: Vec<String>,
    /// Closed range of event times wanted.
    pub time: TimeRange,
    /// What else may be skipped.
    pub predicate: Predicate,
    /// Which rows are wanted by their texts; `None`: whatever the texts are.
    pub texts: Option<Arc<dyn TextTest>>,
    /// The keys of maps of attributes that matter; `None`: all. Entries under other keys may be left out, and a map without any comes empty.
    pub keys: Option<Arc<[String]>>,
    /// Only this row group; `None`: all that may match.
    pub row_group: Option<usize>,
    /// Of the row groups that statistics leave, only this part.
    pub part: Part,
    /// Only these rows, counted from the first of the row group, or of the file if there is none; `None`: all that may match.
    pub rows: Option<Arc<RoaringBitmap>>,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Counts what was read and what was skipped; share one over the files of a query.
    pub metrics: Arc<ScanMetrics>,
}

/// Every `of`-th row group from the `at`-th on. The parts `0..of` of a file together are the file, and no two have a row in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which part; below `of`.
    pub at: usize,
    /// How many there are; at least 1.
    pub of: usize,
}

impl Part {
    /// All of a file.
    pub const WHOLE: Self = Self { at: 0, of: 1 };
}

impl ScanSpec {
    /// All rows, those columns.
    pub fn all<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            time: TimeRange::ALL,
            predicate: Predicate::default(),
            texts: None,
            keys: None,
            row_group: None,
            part: Part::WHOLE,
            rows: None,
            batch_rows: BATCH_ROWS,
            metrics: Arc::default(),
        }
    }
}

pub(crate) fn scan(
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    file: Arc<FileEntry>,
    spec: ScanSpec,
    reuse: Reuse,
) -> Result<BatchStream> {
    let plan = decode::Projection::new(file.table, &spec.columns)?;
    Ok(stream::stream(store, caches, file, spec, plan, reuse))
}
