//! What comes back, in the terms of the language; how it looks as JSON is the API's business.

use std::sync::Arc;
use std::time::Duration;

/// Labels, ascending by name, each name once.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its value.
    pub value: Value,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What it cost.
    pub stats: Stats,
}

impl Answer {
    /// How many entries it has, or series; a number is one.
    pub fn rows(&self) -> u64 {
        match &self.value {
            Value::Streams(streams) => streams.iter().map(|stream| stream.entries.len() as u64).sum(),
            Value::Matrix(series) => series.len() as u64,
            Value::Vector(elements) => elements.len() as u64,
            Value::Scalar { .. } => 1,
        }
    }
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a log query: streams with entries, in the order of each one's first entry.
    Streams(Vec<Stream>),
    /// Of a metric query over a range, ascending by labels.
    Matrix(Vec<Series>),
    /// Of a metric query at one time; ascending by labels, or as `sort` has them.
    Vector(Vec<Element>),
    /// A number.
    Scalar {
        /// When.
        time_ns: i64,
        /// The number.
        value: f64,
    },
}

/// Entries of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// The labels it was pushed with, as the stages left them.
    pub labels: Labels,
    /// In the order of the request.
    pub entries: Vec<Entry>,
}

/// A line. A label is in one of the stream's, the entry's metadata and the entry's parsed labels, never in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub ts_ns: i64,
    /// The text.
    pub line: String,
    /// Structured metadata.
    pub metadata: Labels,
    /// What stages made, `__error__` among them.
    pub parsed: Labels,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Times in nanoseconds, ascending, and values.
    pub points: Vec<(i64, f64)>,
}

/// One series of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// When.
    pub time_ns: i64,
    /// Its value.
    pub value: f64,
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// In the queue.
    pub queued: Duration,
    /// From the request to the answer.
    pub total: Duration,
    /// Bytes of lines and metadata that were looked at.
    pub bytes: u64,
    /// Of these, metadata.
    pub metadata_bytes: u64,
    /// Lines that were looked at.
    pub lines: u64,
    /// Of these, lines that passed the filters.
    pub lines_kept: u64,
    /// Entries of the answer.
    pub entries: u64,
    /// Files that were opened.
    pub files: u64,
    /// Bytes that were read of files.
    pub bytes_read: u64,
}

/// What `index/stats` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexStats {
    /// Streams.
    pub streams: u64,
    /// Units of storage that hold their lines.
    pub chunks: u64,
    /// Lines.
    pub entries: u64,
    /// Bytes of lines.
    pub bytes: u64,
}

/// A label and how many values it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedLabel {
    /// Its name.
    pub label: String,
    /// Values.
    pub cardinality: u64,
}

/// A field of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectedField {
    /// Its label.
    pub label: String,
    /// `string`, `int`, `float`, `boolean`, `duration` or `bytes`.
    pub kind: &'static str,
    /// Distinct values.
    pub cardinality: u64,
    /// The parsers that find it (`json`, `logfmt`); none for structured metadata.
    pub parsers: Vec<&'static str>,
    /// Where it is in a JSON line.
    pub json_path: Vec<String>,
}

/// A pattern of lines and when they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The text, `<_>` where lines differ.
    pub pattern: String,
    /// The level of its lines.
    pub level: String,
    /// Seconds since the epoch, ascending, and counts.
    pub samples: Vec<(i64, u64)>,
}

/// What a tail gives at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tailed {
    /// New entries, oldest first.
    pub streams: Vec<Stream>,
    /// Entries that were left out because the reader was slow: labels and time, as many as are remembered.
    pub dropped: Vec<(Labels, i64)>,
}

/// A delete request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteState {
    /// Its name.
    pub id: String,
    /// When from, seconds.
    pub start_s: i64,
    /// When to, seconds.
    pub end_s: i64,
    /// What.
    pub text: String,
    /// Whether the rows are gone from files, too; they are gone from answers in any case.
    pub is_processed: bool,
    /// When it was made, seconds.
    pub created_s: i64,
}
