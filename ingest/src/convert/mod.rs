//! Wire bytes become record batches: the only place where a signal's wire shape meets the schemas of [`catalog::schema`].
//!
//! ```text
//! OTLP protobuf bytes ──wire reader──► walker per signal ──► column builders ──► Converted { rows, counts, pending ids }
//! ```
//!
//! Each converter has one input, protobuf bytes; other encodings are turned into those first. A walker borrows from the bytes and
//! copies text once, into the column.
//!
//! # Invariants
//! - Bytes from the network never panic: they convert, or they are a [`DecodeError`] that refuses the whole request.
//! - A record that breaks a rule of its own (a bad id, too many attributes, text that is not UTF-8) is counted and reported, and
//!   does not take its neighbours with it.
//! - A dictionary row (series, stream, resource) is emitted until an append that carried it was acknowledged.

mod attributes;
mod blocks;
mod columns;
mod day_rows;
pub mod elastic;
pub mod ids;
mod items;
pub(crate) mod json;
mod level;
mod lines;
pub mod logs;
pub mod loki;
pub mod metrics;
pub mod otlp_rules;
pub mod prometheus;
mod report;
pub mod resources;
pub(crate) mod series;
pub mod spans;
pub mod streams;

use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use catalog::{ErrorKind, Table, TenantId};

pub use ids::{OnAppended, Pending, SeenIds};
pub use logs::LogsConverter;
pub use resources::Resources;
pub use spans::SpansConverter;
pub use streams::LogRules;

use crate::wire::WireError;

/// What a request became.
#[derive(Debug, Default)]
pub struct Converted {
    /// Batches in the schema [`catalog::schema::rows`] of their table, none of them empty. A table may occur more than once.
    pub rows: Vec<(Table, RecordBatch)>,
    /// Records (data points, log records, spans) that are in `rows`.
    pub accepted: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Why, for the sender: one English sentence per rule that was broken, with counts. May be set with nothing rejected: a warning.
    pub reason: Option<String>,
    /// Whether a record came without a time and got that of its arrival. The same bytes may then mean another event, so that such a
    /// request is never taken for a repetition.
    pub undated: bool,
    /// Dictionary ids that `rows` introduces. The receiver confirms them once the append succeeded.
    pub pending: Vec<Pending>,
}

impl Converted {
    /// Adds the rows of a dictionary `table` and their marks, if there are any.
    fn dictionary(&mut self, table: Table, (rows, pending): (Option<RecordBatch>, Option<Pending>)) {
        self.rows.extend(rows.map(|rows| (table, rows)));
        self.pending.extend(pending);
    }

    /// Marks every dictionary id of `rows` as stored, so that later requests need not carry its row. Call after the append succeeded.
    pub fn confirm(&mut self) {
        for pending in self.pending.drain(..) {
            pending.confirm();
        }
    }
}

/// Why a request cannot be converted at all. Nothing of it is stored, and sending it again cannot help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are no message of this kind.
    #[error("malformed {message}: {reason}")]
    Malformed {
        /// The message that was being read.
        message: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Messages are nested more deeply than the limit.
    #[error("{message} is nested more than {limit} levels deep")]
    TooDeep {
        /// The message that was being read.
        message: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A count over the whole request exceeds its limit.
    #[error("request has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The columns could not be built: a bug, not the sender's fault.
    #[error("cannot build columns: {reason}")]
    Columns {
        /// What Arrow said.
        reason: String,
    },
}

impl DecodeError {
    /// The bytes of `message` are not protobuf, or not of its shape.
    pub(crate) fn wire(message: &'static str, error: WireError) -> Self {
        match error {
            WireError::TooDeep { limit } => Self::TooDeep { message, limit },
            other => Self::Malformed { message, reason: other.to_string() },
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } | Self::TooDeep { .. } => ErrorKind::Invalid,
            Self::TooMany { .. } => ErrorKind::TooLarge,
            Self::Columns { .. } => ErrorKind::Internal,
        }
    }
}

impl From<arrow::error::ArrowError> for DecodeError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Columns { reason: error.to_string() }
    }
}

/// The field of the column `name`.
fn field_of<'s>(schema: &'s Schema, name: &str) -> Result<&'s Field, DecodeError> {
    schema.field_with_name(name).map_err(DecodeError::from)
}

/// Turns the protobuf body of one signal's export request into rows. Implementations are shared by all requests.
pub trait Convert: Send + Sync + fmt::Debug {
    /// Converts the whole `body` (decompressed protobuf bytes) for `tenant`. CPU work only: call it off the async threads when `body` is big.
    ///
    /// # Errors
    /// [`DecodeError`] when the request as a whole cannot be read; single bad records are counted in [`Converted::rejected`] instead.
    fn convert(&self, tenant: &TenantId, body: &[u8]) -> Result<Converted, DecodeError>;
}

#[cfg(test)]
mod tests;
