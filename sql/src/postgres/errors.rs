//! Errors as Postgres tells them: severity, SQLSTATE, message.
//!
//! Codes are those of Postgres' appendix A. A client acts on the class: 42 is the statement's fault, 53 and 57 are worth another try.

use catalog::ErrorKind;
use pgwire::error::{ErrorInfo, PgWireError};

use crate::error::Error;

/// The SQLSTATE of an error.
pub(super) fn state(error: &Error) -> &'static str {
    match error {
        Error::Syntax { .. } | Error::OneStatement { .. } => "42601",
        Error::Statement { .. } => "25006", // read_only_sql_transaction
        Error::TextTooLong { .. } | Error::TooComplex { .. } => "54001", // statement_too_complex
        Error::Cancelled | Error::Timeout { .. } => "57014", // query_canceled
        Error::Busy { .. } => "53300",      // too_many_connections
        Error::Answer { .. } => "53400",    // configuration_limit_exceeded
        Error::Parameter { .. } => "22023",
        Error::Query(query::Error::Invalid { message }) if is_syntax(message) => "42601",
        Error::Query(query::Error::NotFound { message }) if message.contains("olumn") || message.contains("field") => "42703",
        Error::Query(query::Error::NotFound { .. }) => "42P01", // undefined_table
        Error::Query(query::Error::Memory { .. } | query::Error::NodeMemory { .. } | query::Error::Spills) => "53200",
        other => match other.kind() {
            ErrorKind::Invalid => "42000",
            ErrorKind::NotFound => "42704",
            ErrorKind::TooLarge => "53400",
            ErrorKind::Overloaded | ErrorKind::Unavailable => "57P03", // cannot_connect_now
            ErrorKind::Denied => "42501",
            ErrorKind::Timeout | ErrorKind::Cancelled => "57014",
            ErrorKind::Corrupt => "XX001",
            ErrorKind::Unsupported => "0A000",
            ErrorKind::Conflict | ErrorKind::Fenced => "40001",
            _ => "XX000", // internal_error
        },
    }
}

/// The planner has one kind for all that is wrong with a text; what the parser says begins like this.
fn is_syntax(message: &str) -> bool {
    ["SQL error: ParserError", "ParserError", "SQL error: TokenizerError", "sql parser error"]
        .iter()
        .any(|s| message.starts_with(s))
}

/// An error of the engine.
pub(super) fn failed(error: &Error) -> PgWireError {
    let message = match error {
        // Drivers and people know these words.
        Error::Cancelled => "canceling statement due to user request".to_owned(),
        Error::Timeout { seconds } => format!("canceling statement due to statement timeout ({seconds} s)"),
        other => other.public_message(),
    };
    told(state(error), message)
}

/// An error of this protocol.
pub(super) fn told(state: &'static str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), state.to_owned(), message.into())))
}

/// An error that ends the session.
pub(super) fn fatal(state: &'static str, message: impl Into<String>) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), state.to_owned(), message.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_states() {
        #[track_caller]
        fn check(error: Error, expected: &str) {
            assert_eq!(state(&error), expected, "{error}");
        }
        check(Error::Cancelled, "57014");
        check(Error::Timeout { seconds: 1.0 }, "57014");
        check(Error::Syntax { message: "x".to_owned() }, "42601");
        check(Error::Statement { statement: "INSERT".to_owned() }, "25006");
        check(Error::Busy { running: 1, waiting: 1 }, "53300");
        check(query::Error::NotFound { message: "table 'telelake.public.x' not found".to_owned() }.into(), "42P01");
        check(query::Error::Memory { limit: 1 }.into(), "53200");
        check(query::Error::Invalid { message: "types".to_owned() }.into(), "42000");
    }
}
