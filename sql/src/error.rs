//! What can go wrong with a SQL request, and what the client can do about it.

use catalog::ErrorKind;
use query::usage::Outcome;
use uuid::Uuid;

/// `Result` of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a SQL request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// The text does not parse.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// The statement is not one of those allowed.
    #[error(
        "{statement} is not allowed: this is read-only SQL; allowed are SELECT, EXPLAIN, SHOW TABLES, SHOW COLUMNS and DESCRIBE"
    )]
    Statement {
        /// Its first words.
        statement: String,
    },
    /// More or fewer than one statement.
    #[error("one statement is expected, the text has {found}")]
    OneStatement {
        /// How many there are.
        found: usize,
    },
    /// The text is too long.
    #[error("statement has {bytes} bytes, limit is {limit}")]
    TextTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The text has too many operators and keywords in a row, so that its tree would be too deep.
    #[error("statement has {found} operators and keywords in a row, limit is {limit}")]
    TooComplex {
        /// How many.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The deadline passed.
    #[error("query took longer than {seconds} s, its timeout")]
    Timeout {
        /// The timeout.
        seconds: f64,
    },
    /// The answer is too large.
    #[error("answer has more than {limit} {what}, limit {name}")]
    Answer {
        /// Rows or bytes.
        what: &'static str,
        /// The configuration's key.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Too many queries of this tenant.
    #[error(
        "{running} queries of this tenant are running and {waiting} are waiting, limits are sql.queries_max and sql.queue_max; try again"
    )]
    Busy {
        /// Running.
        running: usize,
        /// Waiting.
        waiting: usize,
    },
    /// There is no such table to change.
    #[error("there is no table user.{name}")]
    NoTable {
        /// Its name.
        name: String,
    },
    /// There is a table of that name already.
    #[error("table user.{name} exists already")]
    TableExists {
        /// Its name.
        name: String,
    },
    /// A table, or the schema of such tables, is full.
    #[error("{reason}")]
    TableFull {
        /// Of what, and the limit.
        reason: String,
    },
    /// An ingestion is too large.
    #[error("ingestion has more than {limit} {what}, limit {name}")]
    Ingest {
        /// Rows or bytes.
        what: &'static str,
        /// The configuration's key.
        name: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Somebody cancelled it.
    #[error("query was cancelled")]
    Cancelled,
    /// There is no such query.
    #[error("there is no running query {id}")]
    NoSuchQuery {
        /// The id.
        id: String,
    },
    /// A parameter of the request is wrong.
    #[error("{name}: {reason}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The request's body is too large.
    #[error("request body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// What the protocol knows and this server does not do.
    #[error("{what}")]
    Unsupported {
        /// What, and what to do instead.
        what: &'static str,
    },
    /// Too many flights of several endpoints that nobody reads.
    #[error("{limit} flights of several endpoints wait to be read, the limit; read or cancel one")]
    UnreadFlights {
        /// The limit.
        limit: usize,
    },
    /// Another reader of the same flight got the error first.
    #[error("{message}")]
    Shared {
        /// Its kind.
        kind: ErrorKind,
        /// What it said to a client.
        message: String,
    },
    /// Encoding the answer failed.
    #[error("cannot encode the answer: {reason}")]
    Encode {
        /// Why.
        reason: String,
    },
    /// A setting is out of bounds.
    #[error("setting sql.{key} = {value} is not usable: {reason}")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The bound it breaks.
        reason: &'static str,
    },
    /// A bug.
    #[error("internal error in query {id}: {message}")]
    Internal {
        /// The query.
        id: Uuid,
        /// For the log, not for the client.
        message: String,
    },
}

impl From<query::admission::Busy> for Error {
    fn from(query::admission::Busy { running, waiting }: query::admission::Busy) -> Self {
        metrics::counter!("telelake_sql_refused_total").increment(1);
        Self::Busy { running, waiting }
    }
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Query(source) => source.kind(),
            Self::Syntax { .. }
            | Self::Statement { .. }
            | Self::OneStatement { .. }
            | Self::Parameter { .. }
            | Self::Config { .. } => ErrorKind::Invalid,
            Self::TextTooLong { .. } | Self::TooComplex { .. } | Self::Answer { .. } | Self::BodyTooLarge { .. } => {
                ErrorKind::TooLarge
            }
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Busy { .. } | Self::UnreadFlights { .. } => ErrorKind::Overloaded,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Shared { kind, .. } => *kind,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::NoSuchQuery { .. } | Self::NoTable { .. } => ErrorKind::NotFound,
            Self::TableExists { .. } => ErrorKind::Invalid,
            Self::TableFull { .. } | Self::Ingest { .. } => ErrorKind::TooLarge,
            Self::Encode { .. } | Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// What the query log calls it. What was refused was not run.
    pub(crate) fn outcome(&self) -> Outcome {
        match (self, self.kind()) {
            (Self::Statement { .. } | Self::OneStatement { .. } | Self::TextTooLong { .. } | Self::TooComplex { .. }, _) => {
                Outcome::Refused
            }
            (_, ErrorKind::Overloaded | ErrorKind::Denied) => Outcome::Refused,
            (_, ErrorKind::Timeout) => Outcome::Timeout,
            (_, ErrorKind::Cancelled) => Outcome::Cancelled,
            _ => Outcome::Error,
        }
    }

    /// The message for a client: no object paths, no insides of a bug.
    pub fn public_message(&self) -> String {
        match self {
            Self::Query(source) => source.public_message(),
            Self::Internal { id, .. } => format!("internal error; the operator's log says more about query {id}"),
            other => other.to_string(),
        }
    }
}
