//! What a query wants to say besides its result: warnings (something is probably wrong) and infos.
//! Source of the rules: Prometheus `util/annotations/annotations.go`.

use crate::ast::Span;

/// How loud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `PromQL warning: ...`
    Warning,
    /// `PromQL info: ...`
    Info,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// How loud.
    pub severity: Severity,
    /// The text without prefix and without position.
    pub message: String,
    /// What it speaks of.
    pub span: Span,
}

/// The annotations of one query; equal raw messages are kept once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Adds one, unless an equal message of that severity is there.
    pub fn add(&mut self, severity: Severity, span: Span, message: impl Into<String>) {
        let message = message.into();
        if !self.0.iter().any(|a| a.severity == severity && a.message == message) {
            self.0.push(Annotation { severity, message, span });
        }
    }

    /// Adds a warning.
    pub fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Warning, span, message);
    }

    /// Adds an info.
    pub fn info(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Info, span, message);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        for a in other.0 {
            self.add(a.severity, a.span, a.message);
        }
    }

    /// All, in the order in which they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Annotation> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts of one severity as the HTTP API writes them, with ` (line:col)` of `query`; at most `max` (0: all), then one that says
    /// how many more there are.
    pub fn texts(&self, severity: Severity, query: &str, max: usize) -> Vec<String> {
        let word = match severity {
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let of = self.0.iter().filter(|a| a.severity == severity);
        let mut texts: Vec<String> = of
            .map(|a| {
                let (line, column) = position(query, a.span.start);
                format!("PromQL {word}: {} ({line}:{column})", a.message)
            })
            .collect();
        if max > 0 && texts.len() > max {
            let more = texts.len() - max;
            texts.truncate(max);
            texts.push(format!("{more} more {word} annotations omitted"));
        }
        texts
    }
}

/// Line and column, counted from 1, of byte `at`. Columns count bytes, as Prometheus' do.
pub fn position(query: &str, at: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..at.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|b| *b == b'\n').map_or(0, |nl| nl + 1) + 1;
    (line, column)
}
