//! The signals and the stored tables.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a sender sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Samples, histograms, exemplars.
    Metrics,
    /// Log records.
    Logs,
    /// Spans.
    Traces,
}

/// A stored table. The schema of each is in [`crate::schema`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Float samples.
    Samples,
    /// Label sets of series, per day.
    Series,
    /// Native histogram samples.
    Histograms,
    /// Exemplars.
    Exemplars,
    /// Type, unit and help of metrics.
    Metadata,
    /// Log records.
    Logs,
    /// Label sets of log streams, per day.
    Streams,
    /// Spans.
    Spans,
    /// Resource attributes of logs and spans, per day.
    Resources,
    /// Who asked what, and what it cost.
    #[serde(rename = "query_log")]
    QueryLog,
    /// Tables that users make, each with columns of its own; see [`crate::manifest::TableChange`].
    User,
}

impl Table {
    /// Every table whose columns [`crate::schema`] knows: all but [`Self::User`].
    pub const ALL: [Self; 10] = [
        Self::Samples,
        Self::Series,
        Self::Histograms,
        Self::Exemplars,
        Self::Metadata,
        Self::Logs,
        Self::Streams,
        Self::Spans,
        Self::Resources,
        Self::QueryLog,
    ];

    /// The name in paths, SQL and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Series => "series",
            Self::Histograms => "histograms",
            Self::Exemplars => "exemplars",
            Self::Metadata => "metadata",
            Self::Logs => "logs",
            Self::Streams => "streams",
            Self::Spans => "spans",
            Self::Resources => "resources",
            Self::QueryLog => "query_log",
            Self::User => "user",
        }
    }

    /// The table of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::User]).find(|t| t.name() == name)
    }

    /// A small stable number for binary formats. Never reused.
    pub const fn code(self) -> u8 {
        match self {
            Self::Samples => 1,
            Self::Series => 2,
            Self::Histograms => 3,
            Self::Exemplars => 4,
            Self::Metadata => 5,
            Self::Logs => 6,
            Self::Streams => 7,
            Self::Spans => 8,
            Self::Resources => 9,
            Self::QueryLog => 10,
            Self::User => 11,
        }
    }

    /// The table of that [`Table::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::User]).find(|t| t.code() == code)
    }

    /// Which signal's retention and deletes govern the table. Resources belong to logs and traces alike and follow the longer one. `None`:
    /// no sender's: the node notes it itself, or users do.
    pub const fn signal(self) -> Option<Signal> {
        match self {
            Self::Samples | Self::Series | Self::Histograms | Self::Exemplars | Self::Metadata => Some(Signal::Metrics),
            Self::Logs | Self::Streams => Some(Signal::Logs),
            Self::Spans | Self::Resources => Some(Signal::Traces),
            Self::QueryLog | Self::User => None,
        }
    }

    /// Whether the table is a small dictionary that facts point into (partitioned by day, deduplicated by id at compaction).
    pub const fn is_dictionary(self) -> bool {
        matches!(self, Self::Series | Self::Metadata | Self::Streams | Self::Resources)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
