//! Text to tree: a lexer and a parser by recursive descent, with the texts of Tempo's errors; then validation.
//!
//! ```text
//! text ─[lex]─► tokens ─[pipeline, term, field, metrics, hints]─► tree, constants folded ─[crate::check]─► query
//!                  └───[lenient]─► the conditions of an unfinished query that can be used
//! ```
//! Tempo's parser is generated from a grammar. What it refuses is refused here, and named in its words where the vectors show them, but
//! for these extensions:
//! - `parent.x` is a field of the span's parent, and numbers of spansets may be compared with one another;
//! - a bare name with a point in it is an attribute: `{ service.name = "api" }`;
//! - an aggregate may be grouped: `| avg(duration) by (http.method) > 500ms` is `| by(.http.method) | avg(duration) > 500ms`.
//!
//! # Invariants
//! - Any text gives a tree or an error; nothing panics.
//! - Work is linear in the text, at most [`QUERY_BYTES_MAX`]; recursion goes no deeper than [`PIPELINE_NESTING_MAX`] and [`NESTING_MAX`]
//!   together, trees grow no higher than [`PIPELINE_HEIGHT_MAX`] and [`HEIGHT_MAX`].

mod field;
pub mod hints;
mod lenient;
mod lex;
mod metrics;
mod parser;
mod pipeline;
mod term;
#[cfg(test)]
mod tests;
mod token;

use crate::ast::{Field, Query};
use crate::check;
pub use lenient::lenient;
use parser::Parser;
use token::{Kind, Position};

/// Longest query, in bytes. Tempo: `max_query_expression_size_bytes`, by default.
pub const QUERY_BYTES_MAX: usize = 131_072;

/// Height of the highest expression over fields: code that walks trees may recurse. Long chains of `&&` or of `||` are trees of their
/// logarithm. Tempo has no limit.
pub const HEIGHT_MAX: usize = 100;

/// Most parentheses and signs in each other in such an expression: as many as it takes to print the highest one, in which a sign and the
/// two pairs of parentheses around it and behind it are of two levels.
pub const NESTING_MAX: usize = HEIGHT_MAX / 2 * 3 + 8;

/// Height of the highest tree of spansets, of numbers of spansets or of series, without the expressions in it. Tempo has no limit.
pub const PIPELINE_HEIGHT_MAX: usize = 48;

/// Most parentheses and signs in each other outside of filters and arguments.
pub const PIPELINE_NESTING_MAX: usize = PIPELINE_HEIGHT_MAX / 2 * 3 + 8;

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// At which stage it was refused.
    pub kind: ErrorKind,
    /// What is wrong, without the place.
    pub message: String,
    /// Where, from 1; 0 when it is not one place. Of tokens that Tempo reads character by character (durations, operators of two
    /// characters) it does not know the line, and neither do we.
    pub line: usize,
    /// Column in characters, from 1; 0 when it is not one place.
    pub col: usize,
}

/// The stage that refuses a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It is not of the grammar.
    Parse,
    /// It is, but makes no sense: types, ranges of arguments.
    Validate,
    /// It makes sense, but is not there.
    Unsupported,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.kind, self.line, self.col) {
            (ErrorKind::Parse, 0, 0) => write!(f, "parse error : {}", self.message),
            (ErrorKind::Parse, line, col) => write!(f, "parse error at line {line}, col {col}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    fn at(position: Position, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Parse, message: message.into(), line: position.line, col: position.column }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Validate, message: message.into(), line: 0, col: 0 }
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unsupported, message: message.into(), line: 0, col: 0 }
    }
}

/// Parses a query and validates it.
///
/// # Errors
/// What Tempo refuses, and trees beyond our limits.
pub fn parse(text: &str) -> Result<Query, Error> {
    let query = tree(text)?;
    check::query(&query)?;
    Ok(query)
}

/// Parses a query, whether it makes sense or not.
pub(crate) fn tree(text: &str) -> Result<Query, Error> {
    Parser::new(text)?.query()
}

/// Parses one field, as the tag of a request for its values. Bare names with points are refused as Tempo does.
///
/// # Errors
/// Any other text.
pub fn field(text: &str) -> Result<Field, Error> {
    // as Tempo does, which shows in the columns of its messages
    let mut parser = Parser::new(&format!("{{{text}}}"))?;
    parser.expect("{", &["{"])?;
    let first = match parser.peek() {
        Kind::Field(named) => named.bare.clone(),
        Kind::Identifier(name) => Some(name.clone()),
        _ => None,
    };
    if let Some(first) = first {
        return Err(Error::at(parser.position(), format!("unknown identifier: {first}")));
    }
    let field = parser.field(&[])?;
    parser.expect("}", &["}"])?;
    if *parser.peek() == Kind::End { Ok(field) } else { Err(parser.unexpected(&[])) }
}
