//! One query in the log.

use std::time::Duration;

use catalog::{TenantId, Timestamp};
use uuid::Uuid;

use super::caller::Origin;

/// Bytes of a query's text that are kept.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Bytes of an error's text that are kept.
const ERROR_BYTES_MAX: usize = 1 << 10;

/// In which language a query is. What Jaeger and Zipkin are asked is TraceQL by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// PromQL.
    Promql,
    /// LogQL.
    Logql,
    /// TraceQL, or ids of traces.
    Traceql,
    /// SQL.
    Sql,
}

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With its whole answer.
    Ok,
    /// With an error.
    Error,
    /// It was not run: too much at once, or not allowed.
    Refused,
    /// Its time was over.
    Timeout,
    /// Nobody waited for its end, or somebody ended it.
    Cancelled,
}

/// How much of an answer others had worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// All of it, earlier.
    Hit,
    /// Some of it, earlier.
    Partial,
    /// All of it, at the same time, for somebody who asked the same.
    Shared,
}

/// One query. Times in it are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub tenant: TenantId,
    /// When it came.
    pub at: Timestamp,
    /// In which language.
    pub language: Language,
    /// How it came, and from whom.
    pub origin: Origin,
    /// Its text, or the beginning of it. Set it with [`Row::set_text`].
    pub text: String,
    /// Bytes of the whole text.
    pub text_bytes: u64,
    /// The first time that it asks for.
    pub start_ns: Option<i64>,
    /// The last one.
    pub end_ns: Option<i64>,
    /// From step to step.
    pub step_ns: Option<i64>,
    /// How it ended, if that is known better than from the answer's status.
    pub outcome: Option<Outcome>,
    /// Why. Set it with [`Row::set_error`].
    pub error: Option<String>,
    /// From its coming to the end of its answer.
    pub duration: Duration,
    /// Rows, series, entries or traces of the answer.
    pub rows: Option<u64>,
    /// Bytes of the answer: of the body before compression, of SQL as Arrow columns.
    pub result_bytes: Option<u64>,
    /// Files that it chose to read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether others had worked it out.
    pub cache: Option<Cache>,
}

impl Row {
    /// A query that has just come.
    pub(super) fn new(id: Uuid, tenant: TenantId, at: Timestamp, language: Language, origin: Origin) -> Self {
        Self {
            id,
            tenant,
            at,
            language,
            origin,
            text: String::new(),
            text_bytes: 0,
            start_ns: None,
            end_ns: None,
            step_ns: None,
            outcome: None,
            error: None,
            duration: Duration::ZERO,
            rows: None,
            result_bytes: None,
            files: 0,
            bytes: 0,
            cache: None,
        }
    }

    /// Sets the text, unless somebody closer to who asks has.
    pub fn set_text(&mut self, text: &str) {
        if self.text_bytes == 0 {
            text[..text.floor_char_boundary(TEXT_BYTES_MAX)].clone_into(&mut self.text);
            self.text_bytes = text.len() as u64;
        }
    }

    /// Sets what time is asked for.
    pub fn set_time(&mut self, start_ns: i64, end_ns: i64) {
        (self.start_ns, self.end_ns) = (Some(start_ns), Some(end_ns));
    }

    /// Sets why there is no answer.
    pub fn set_error(&mut self, message: &str) {
        self.error = Some(message[..message.floor_char_boundary(ERROR_BYTES_MAX)].to_owned());
    }
}

impl Language {
    /// The word in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promql => "promql",
            Self::Logql => "logql",
            Self::Traceql => "traceql",
            Self::Sql => "sql",
        }
    }
}

impl Outcome {
    /// The word in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Cache {
    /// The word in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Partial => "partial",
            Self::Shared => "shared",
        }
    }
}
