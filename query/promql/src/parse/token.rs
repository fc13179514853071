//! The words of the language.

use std::fmt;

use crate::ast::{AggregateOp, BinaryOp};
use gosyntax::quote::quote;

/// A word and where it stands. `start..end` are bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The kinds of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`, the matcher.
    Assign,
    RegexMatch,
    RegexNotMatch,
    At,
    Op(BinaryOp),
    Aggregate(AggregateOp),
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    /// The fill modifiers are keywords only before a parenthesis.
    Fill,
    FillLeft,
    FillRight,
    Offset,
    Anchored,
    Smoothed,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
    /// A name without colons that is no keyword.
    Identifier,
    /// A name with colons.
    MetricIdentifier,
    String,
    Number,
    Duration,
    Eof,
}

/// The keywords, in lower case; the text may write them in any case.
const KEYWORDS: &[(&str, Kind)] = &[
    ("and", Kind::Op(BinaryOp::And)),
    ("or", Kind::Op(BinaryOp::Or)),
    ("unless", Kind::Op(BinaryOp::Unless)),
    ("atan2", Kind::Op(BinaryOp::Atan2)),
    ("bool", Kind::Bool),
    ("by", Kind::By),
    ("without", Kind::Without),
    ("on", Kind::On),
    ("ignoring", Kind::Ignoring),
    ("group_left", Kind::GroupLeft),
    ("group_right", Kind::GroupRight),
    ("fill", Kind::Fill),
    ("fill_left", Kind::FillLeft),
    ("fill_right", Kind::FillRight),
    ("offset", Kind::Offset),
    ("anchored", Kind::Anchored),
    ("smoothed", Kind::Smoothed),
    ("start", Kind::Start),
    ("end", Kind::End),
    ("step", Kind::Step),
    ("range", Kind::Range),
    ("min_of", Kind::MinOf),
    ("max_of", Kind::MaxOf),
    ("inf", Kind::Number),
    ("nan", Kind::Number),
];

impl Kind {
    /// The keyword that `word` is, in any case.
    pub(super) fn keyword(word: &str) -> Option<Self> {
        let aggregate = AggregateOp::ALL.iter().find(|op| op.as_str().eq_ignore_ascii_case(word));
        aggregate
            .map(|op| Self::Aggregate(*op))
            .or_else(|| KEYWORDS.iter().find(|(k, _)| k.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind))
    }

    /// Whether a word of this kind can be the name of a metric.
    pub(super) const fn is_metric_name(self) -> bool {
        matches!(
            self,
            Self::Identifier
                | Self::MetricIdentifier
                | Self::Aggregate(_)
                | Self::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
                | Self::By
                | Self::Without
                | Self::Offset
                | Self::Anchored
                | Self::Smoothed
        ) || self.is_keyword_call()
            || self.is_fill()
    }

    /// Whether a word of this kind can be the name of a label in a list of labels.
    pub(super) const fn is_label_name(self) -> bool {
        (self.is_metric_name() && !matches!(self, Self::Without))
            || matches!(
                self,
                Self::Bool | Self::On | Self::Ignoring | Self::GroupLeft | Self::GroupRight | Self::Op(BinaryOp::Atan2)
            )
    }

    pub(super) const fn is_fill(self) -> bool {
        matches!(self, Self::Fill | Self::FillLeft | Self::FillRight)
    }

    /// Keywords that are functions when a parenthesis follows.
    pub(super) const fn is_keyword_call(self) -> bool {
        matches!(self, Self::Start | Self::End | Self::Step | Self::Range | Self::MinOf | Self::MaxOf)
    }

    /// Whether an expression can begin with a word of this kind.
    pub(super) const fn begins_expr(self) -> bool {
        self.is_metric_name()
            || matches!(
                self,
                Self::LeftParen
                    | Self::LeftBrace
                    | Self::String
                    | Self::Number
                    | Self::Duration
                    | Self::Op(BinaryOp::Add | BinaryOp::Sub)
            )
    }
}

/// A word as errors name it.
pub(super) struct Described<'a>(pub(super) Kind, pub(super) &'a str);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, text) = *self;
        match kind {
            Kind::Eof => f.write_str("end of input"),
            Kind::Identifier => write!(f, "identifier {}", quote(text)),
            Kind::MetricIdentifier => write!(f, "metric identifier {}", quote(text)),
            Kind::String => write!(f, "string {}", shortened(text)),
            Kind::Number => write!(f, "number {}", shortened(text)),
            Kind::Duration => write!(f, "duration {}", shortened(text)),
            Kind::Op(_) | Kind::RegexMatch | Kind::RegexNotMatch | Kind::At => write!(f, "<op:{text}>"),
            Kind::Aggregate(_) => write!(f, "<aggr:{text}>"),
            Kind::Bool
            | Kind::By
            | Kind::Without
            | Kind::On
            | Kind::Ignoring
            | Kind::GroupLeft
            | Kind::GroupRight
            | Kind::Fill
            | Kind::FillLeft
            | Kind::FillRight
            | Kind::Offset
            | Kind::Anchored
            | Kind::Smoothed => write!(f, "<{text}>"),
            _ => f.write_str(&shortened(text)),
        }
    }
}

/// Quoted, and cut after ten characters.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    let cut: String = text.chars().take(10).collect();
    format!("{}...", quote(&cut))
}
