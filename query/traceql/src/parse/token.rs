//! Tokens, and what they are called in error messages.

use crate::ast::Field;

/// Where a token starts, as Tempo says it: lines from 1, columns in characters from 1.
///
/// Its scanner forgets the line when a token was read character by character (a duration, an operator of two characters, a scope with
/// its point): then the line is 0, and messages say so. An empty text ends at 0, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A token and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: Position,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// The end of the text.
    End,
    /// A mistake of the text below its grammar: what is wrong.
    Fault(String),
    /// A name, or a character that no rule begins with.
    Identifier(String),
    /// A string, unquoted.
    String(String),
    /// A whole number, as Tempo has them: in decimal.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// An attribute, or an intrinsic with its scope.
    Field(Named),
    /// A word that is never a name: one of [`WORDS`].
    Word(&'static str),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
}

/// A field as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// What it begins with, as messages call it.
    pub(super) lead: &'static str,
    /// The field, or what is wrong behind the beginning, and where.
    pub(super) field: Result<Field, (Position, String)>,
    /// Whether it is a bare name with points in it, which Tempo does not have: the part before the first point.
    pub(super) bare: Option<String>,
}

/// Operators and punctuation. Longer ones first, where one begins another.
pub(super) const SYMBOLS: [&str; 36] = [
    "!>>", "!<<", "&>>", "&<<", "!>", "!<", "!~", "!=", "&>", "&<", "&~", "&&", "||", "=~", ">>", "<<", ">=", "<=", "!", "|",
    "=", ">", "<", "~", "{", "}", "(", ")", ",", "+", "-", "*", "/", "%", "^", ".",
];

/// Words that are never names.
pub(super) const WORDS: [&str; 46] = [
    "true",
    "false",
    "nil",
    "minInt",
    "maxInt",
    "unset",
    "ok",
    "error",
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
    "name",
    "duration",
    "kind",
    "status",
    "statusMessage",
    "traceDuration",
    "rootName",
    "rootServiceName",
    "nestedSetLeft",
    "nestedSetRight",
    "nestedSetParent",
    "parent",
    "count",
    "avg",
    "min",
    "max",
    "sum",
    "by",
    "coalesce",
    "select",
    "with",
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "avg_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
    "topk",
    "bottomk",
];

impl Kind {
    /// What messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::End | Kind::Fault(_) => "$end",
            Kind::Identifier(_) => "IDENTIFIER",
            Kind::String(_) => "STRING",
            Kind::Int(_) => "INTEGER",
            Kind::Float(_) => "FLOAT",
            Kind::Duration(_) => "DURATION",
            Kind::Field(named) => named.lead,
            Kind::Word(word) | Kind::Symbol(word) => word,
        }
    }
}
