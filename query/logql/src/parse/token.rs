//! Tokens, and what they are called in error messages.

/// Where a token starts, as Loki says it: lines from 1, columns in characters from 1.
///
/// Its scanner forgets the line when a token was read character by character (a range, a duration, a size, a flag): then the line is 0,
/// and messages say so. An empty text ends at 0, 0.
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
    /// A name, or a word that would be a function if a parenthesis followed.
    Identifier(String),
    /// A character that no rule begins with.
    Stray(char),
    /// A string, unquoted.
    String(String),
    /// A number, as written.
    Number(String),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A size.
    Bytes(u64),
    /// `[5m]` in nanoseconds.
    Range(i64),
    /// `--strict`, `--keep-empty`
    Flag(&'static str),
    /// A word before a parenthesis, in lower case: one of [`FUNCTIONS`].
    Function(&'static str),
    /// A word that is never a name, in lower case: one of [`KEYWORDS`].
    Keyword(&'static str),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
}

/// Operators and punctuation. Longer ones first, where one begins another.
pub(super) const SYMBOLS: [&str; 29] = [
    "|=", "|~", "|>", "|", "!=", "!~", "!>", "==", "=~", "=", ">=", ">", "<=", "<", "{", "}", "(", ")", ",", ".", "+", "-", "*",
    "/", "%", "^", "[", "]", "!",
];

/// Words that are never names.
pub(super) const KEYWORDS: [&str; 22] = [
    "by",
    "without",
    "bool",
    "offset",
    "unwrap",
    "or",
    "and",
    "unless",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unpack",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
];

/// Words that are names unless a parenthesis or a grouping follows, and what Loki's messages call them.
pub(super) const FUNCTIONS: [(&str, &str); 34] = [
    ("rate", "RATE"),
    ("rate_counter", "RATE_COUNTER"),
    ("count_over_time", "COUNT_OVER_TIME"),
    ("bytes_rate", "BYTES_RATE"),
    ("bytes_over_time", "BYTES_OVER_TIME"),
    ("avg_over_time", "AVG_OVER_TIME"),
    ("sum_over_time", "SUM_OVER_TIME"),
    ("min_over_time", "MIN_OVER_TIME"),
    ("max_over_time", "MAX_OVER_TIME"),
    ("stdvar_over_time", "STDVAR_OVER_TIME"),
    ("stddev_over_time", "STDDEV_OVER_TIME"),
    ("quantile_over_time", "QUANTILE_OVER_TIME"),
    ("first_over_time", "FIRST_OVER_TIME"),
    ("last_over_time", "LAST_OVER_TIME"),
    ("absent_over_time", "ABSENT_OVER_TIME"),
    ("vector", "VECTOR"),
    ("sum", "SUM"),
    ("avg", "AVG"),
    ("max", "MAX"),
    ("min", "MIN"),
    ("count", "COUNT"),
    ("stddev", "STDDEV"),
    ("stdvar", "STDVAR"),
    ("bottomk", "BOTTOMK"),
    ("topk", "TOPK"),
    ("approx_topk", "APPROX_TOPK"),
    ("sort", "SORT"),
    ("sort_desc", "SORT_DESC"),
    ("label_replace", "LABEL_REPLACE"),
    ("histogram_quantile", "HISTOGRAM_QUANTILE"),
    ("bytes", "BYTES_CONV"),
    ("duration", "DURATION_CONV"),
    ("duration_seconds", "DURATION_SECONDS_CONV"),
    ("ip", "ip"),
];

/// The flags of `logfmt`.
pub(super) const FLAGS: [&str; 2] = ["--strict", "--keep-empty"];

impl Kind {
    /// What messages call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::End | Kind::Fault(_) => "$end",
            Kind::Identifier(_) | Kind::Stray(_) => "IDENTIFIER",
            Kind::String(_) => "STRING",
            Kind::Number(_) => "NUMBER",
            Kind::Duration(_) => "DURATION",
            Kind::Bytes(_) => "BYTES",
            Kind::Range(_) => "RANGE",
            Kind::Flag(_) => "PARSER_FLAG",
            Kind::Function(word) => FUNCTIONS.iter().find(|(w, _)| w == word).map_or("IDENTIFIER", |(_, name)| name),
            Kind::Keyword(word) | Kind::Symbol(word) => word,
        }
    }
}
