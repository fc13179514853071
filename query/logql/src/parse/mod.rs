//! Text to tree: a lexer and a parser by recursive descent, with the texts of Loki's errors.
//!
//! ```text
//! text ─[lex]─► tokens ─[log, filter, metric]─► tree ─[check]─► at least one matcher that wants something of every selector
//! ```
//! Loki's parser is generated from a grammar; where that grammar is ambiguous, the generator's choice is the rule here, and stands where
//! it is made. Sources: `pkg/logql/syntax/{lex.go, syntax.y, parser.go, ast.go}`.
//!
//! # Invariants
//! - Any text gives a tree or an error; nothing panics.
//! - Work is linear in the text, at most [`QUERY_BYTES_MAX`]; recursion goes no deeper than [`NESTING_MAX`], trees grow no higher than
//!   [`HEIGHT_MAX`] and [`FILTER_HEIGHT_MAX`].

mod check;
mod filter;
mod lex;
mod log;
mod metric;
mod parser;
#[cfg(test)]
mod tests;
mod token;

use crate::ast::{Expr, LogExpr, Matcher, MetricExpr};
pub use check::require_non_empty;
use parser::Parser;
use token::Position;

/// Longest query, in bytes. Loki: `parser.go`, `maxInputSize`.
pub const QUERY_BYTES_MAX: usize = 131_072;

/// Most parentheses and functions in each other. Loki has no limit.
pub const NESTING_MAX: usize = 128;

/// Height of the highest tree of expressions: code that walks trees may recurse. Loki has no limit.
pub const HEIGHT_MAX: usize = 250;

/// Height of the highest tree of a label filter, whose chains of `or` can be long. Loki has no limit.
pub const FILTER_HEIGHT_MAX: usize = 500;

/// Why a text is no query, in Loki's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse error {}: {reason}", place(.position))]
pub struct ParseError {
    /// Line and column, both from 1, of what is wrong; `None` when it is not one place. Loki does not know the line of ranges and
    /// durations: it is 0.
    pub position: Option<(usize, usize)>,
    /// What is wrong, without the position.
    pub reason: String,
}

fn place(position: &Option<(usize, usize)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!("at line {line}, col {column}"))
}

impl ParseError {
    /// About the query as a whole.
    pub(crate) fn of_query(reason: impl Into<String>) -> Self {
        ParseError { position: None, reason: reason.into() }
    }

    fn at(position: Position, reason: impl Into<String>) -> Self {
        let known = position.line != 0 || position.column != 0;
        ParseError { position: known.then_some((position.line, position.column)), reason: reason.into() }
    }
}

/// Parses any query.
///
/// # Errors
/// What Loki refuses before it builds a pipeline, and trees beyond our limits.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let expr = Parser::new(text)?.query()?;
    check::selectors(&expr)?;
    Ok(expr)
}

/// Parses a query that must be numbers over time.
///
/// # Errors
/// As [`parse`], and a log query.
pub fn parse_sample(text: &str) -> Result<MetricExpr, ParseError> {
    match parse(text)? {
        Expr::Metric(expr) => Ok(expr),
        Expr::Log(_) => Err(ParseError::of_query("only sample expression supported")),
    }
}

/// Parses a query that must be lines.
///
/// # Errors
/// As [`parse`], and a metric query.
pub fn parse_log_selector(text: &str) -> Result<LogExpr, ParseError> {
    match parse(text)? {
        Expr::Log(expr) => Ok(expr),
        Expr::Metric(_) => Err(ParseError::of_query("only log selector is supported")),
    }
}

/// Parses a selector alone. It may be one that matches everything; [`require_non_empty`] says whether it does.
///
/// # Errors
/// As [`parse`], and stages or a metric query.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, ParseError> {
    match Parser::new(text)?.query()? {
        Expr::Log(LogExpr { selector, stages }) if stages.is_empty() => Ok(selector.matchers),
        _ => Err(ParseError::of_query("only label matchers is supported")),
    }
}

/// Parses the text of a stream's labels, as a push request has it: `{a="b", c="d"}`. The result is sorted by name; labels without a value
/// are left out, since to Loki they are absent.
///
/// # Errors
/// Any other text, and a name that is there twice.
pub fn parse_labels(text: &str) -> Result<Vec<(String, String)>, ParseError> {
    let mut labels = Vec::new();
    for matcher in parse_matchers(text)? {
        if matcher.op != crate::ast::MatchOp::Equal {
            return Err(ParseError::of_query(format!("label {} of a stream must be set with =", matcher.name)));
        }
        labels.push((matcher.name, matcher.value));
    }
    labels.sort();
    if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(ParseError::of_query(format!("stream has the label {} twice", twice[0].0)));
    }
    labels.retain(|(_, value)| !value.is_empty());
    Ok(labels)
}
