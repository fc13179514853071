//! Text to tree.
//!
//! ```text
//! text ─[lex, scan]─► words ─[parser: expr, selector, range, length]─► tree ─[check]─► tree whose types fit
//! ```
//! The grammar is that of Prometheus' `generated_parser.y`, read by descent with one word of lookahead, and the errors are its errors.
//! An LALR parser says what it found where the last rule that knows about errors stands on its stack; here that is `Parser::context`.
//!
//! # Invariants
//! - The first error ends the parse. Words are asked for in the same order as there, so that the same error is the first.
//! - A tree is at most [`NESTING_MAX`] high: whoever walks, clones, compares or drops it may recurse.

mod check;
mod duration;
mod expr;
mod length;
mod lex;
mod literal;
mod parser;
mod range;
mod scan;
mod selector;
#[cfg(test)]
mod tests;
mod token;

use std::fmt;

pub use duration::{duration, duration_or_seconds, format_duration};
pub use gosyntax::quote::{holds_bytes, quote};
pub use gosyntax::re2::{REGEX_BYTES_MAX, compile_regex};

use crate::annotation::position;
use crate::ast::{Expr, MatchOp, Matcher, Span};
use parser::Parser;

/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Highest tree: parentheses in parentheses, arguments of arguments, and terms in a chain (`a + b + c` is three high).
pub const NESTING_MAX: usize = 256;

/// What the language contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParseOptions {
    /// Experimental functions and aggregations, `anchored` and `smoothed`, `fill`: what Prometheus has behind feature flags.
    pub experimental: bool,
}

/// Why a text is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What it is about, without position.
    pub message: String,
    /// Where it is; for mistakes of the lexer up to the end of the text.
    pub span: Span,
    /// Line and column from 1; `None` when there was no text.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for ParseError {
    /// As Prometheus: `1:5: parse error: unexpected end of input`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{line}:{column}: ")?,
            None => f.write_str("unknown position: ")?,
        }
        write!(f, "parse error: {}", self.message)
    }
}

impl std::error::Error for ParseError {}

/// What is passed up through the descent: small, so that its frames are.
type Result<T> = std::result::Result<T, Box<ParseError>>;

/// A failure at `span` of `text`.
fn fail<T>(text: &str, span: Span, message: impl Into<String>) -> Result<T> {
    let position = (!text.is_empty()).then(|| position(text, span.start));
    Err(Box::new(ParseError { message: message.into(), span, position }))
}

/// Reads a query.
///
/// # Errors
/// Texts that are no query, whose types do not fit, that are longer than [`TEXT_BYTES_MAX`] or nested deeper than [`NESTING_MAX`].
pub fn parse(text: &str, options: &ParseOptions) -> std::result::Result<Expr, ParseError> {
    let parsed = bounded(text).and_then(|()| {
        let mut expr = Parser::new(text, *options).query()?;
        check::check(text, &mut expr)?;
        Ok(expr)
    });
    parsed.map(|expr| *expr).map_err(|e| *e)
}

/// Reads a selector of series without modifiers: `up{job="a"}`, for `match[]`. It may match everything; see [`matches_nothing_empty`].
///
/// # Errors
/// Texts that are no selector, or too long.
pub fn parse_selector(text: &str) -> std::result::Result<Vec<Matcher>, ParseError> {
    let parsed = bounded(text).and_then(|()| Parser::new(text, ParseOptions::default()).lone_selector());
    parsed.map_err(|e| *e)
}

/// Whether some matcher refuses series that lack its label, which keeps a selector from taking everything.
pub fn matches_nothing_empty(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|m| match m.op {
        MatchOp::Equal => !m.value.is_empty(),
        MatchOp::NotEqual => m.value.is_empty(),
        MatchOp::Regex => compile_regex(&m.value).is_ok_and(|r| !r.is_match("")),
        MatchOp::NotRegex => compile_regex(&m.value).is_ok_and(|r| r.is_match("")),
    })
}

fn bounded(text: &str) -> Result<()> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("query is {} bytes long, limit is {TEXT_BYTES_MAX}", text.len());
        return fail(text, Span::default(), message);
    }
    Ok(())
}
