//! `with(key=value, ...)` at the end of a query: what the caller allows or wishes beyond the language.
//!
//! A hint can only save work or choose what is shown; an answer that does without is right. Unknown ones are accepted and do nothing, as
//! does a value of the wrong type. Source: Tempo's "TraceQL metrics sampling" and `enum_hints.go`.

use super::parser::{Parser, Result};
use super::token::Kind;
use crate::ast::{Hint, Query};
use crate::value::Value;

/// How far a query may look at a part of the spans only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// As far as the engine sees fit.
    Adaptive,
    /// This fraction, in (0, 1].
    Fraction(f64),
}

/// How many exemplars a metrics query wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemplars {
    /// None.
    Off,
    /// As many as usual.
    On,
    /// At most so many.
    Most(usize),
}

/// The hints that are known. Of two with one key the last counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hints {
    /// `sample`: of spans or of traces, as the query needs it.
    pub sample: Option<Sample>,
    /// `span_sample`
    pub span_sample: Option<Sample>,
    /// `trace_sample`
    pub trace_sample: Option<Sample>,
    /// `exemplars`
    pub exemplars: Option<Exemplars>,
    /// `most_recent`: of a search, the newest traces rather than those found first.
    pub most_recent: bool,
    /// `extrapolate`: counts are scaled up by the sampling that spans tell of themselves.
    pub extrapolate: bool,
}

impl Hints {
    /// Those of a query.
    pub fn of(query: &Query) -> Self {
        let mut hints = Self::default();
        for Hint { key, value } in &query.hints {
            match key.as_str() {
                "sample" => hints.sample = sample(value).unwrap_or(hints.sample),
                "span_sample" => hints.span_sample = sample(value).unwrap_or(hints.span_sample),
                "trace_sample" => hints.trace_sample = sample(value).unwrap_or(hints.trace_sample),
                "exemplars" => hints.exemplars = exemplars(value).or(hints.exemplars),
                "most_recent" => hints.most_recent = flag(value).unwrap_or(hints.most_recent),
                "extrapolate" => hints.extrapolate = flag(value).unwrap_or(hints.extrapolate),
                _ => {}
            }
        }
        hints
    }
}

/// Of a value of the right type what it asks for, which may be nothing.
fn sample(value: &Value<'_>) -> Option<Option<Sample>> {
    match *value {
        Value::Bool(on) => Some(on.then_some(Sample::Adaptive)),
        Value::Float(fraction) if fraction > 0.0 && fraction <= 1.0 => Some(Some(Sample::Fraction(fraction))),
        Value::Int(1) => Some(Some(Sample::Fraction(1.0))),
        _ => None,
    }
}

fn exemplars(value: &Value<'_>) -> Option<Exemplars> {
    match *value {
        Value::Bool(on) => Some(if on { Exemplars::On } else { Exemplars::Off }),
        Value::Int(most) => usize::try_from(most).ok().map(|most| if most == 0 { Exemplars::Off } else { Exemplars::Most(most) }),
        _ => None,
    }
}

fn flag(value: &Value<'_>) -> Option<bool> {
    if let Value::Bool(on) = value { Some(*on) } else { None }
}

impl Parser {
    /// All `with(...)`, one after the other.
    pub(super) fn hints(&mut self) -> Result<Vec<Hint>> {
        let mut hints = Vec::new();
        while self.eat_word("with") {
            self.expect("(", &["("])?;
            loop {
                hints.push(self.hint()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")", &[",", ")"])?;
        }
        Ok(hints)
    }

    fn hint(&mut self) -> Result<Hint> {
        let key = match self.peek() {
            Kind::Identifier(name) => name.clone(),
            Kind::Word(word) => (*word).to_owned(),
            _ => return Err(self.unexpected(&["IDENTIFIER"])),
        };
        self.advance();
        self.expect("=", &["="])?;
        let negative = self.eat("-");
        let value = match (self.peek(), negative) {
            (Kind::Int(value), _) => Value::Int(if negative { -value } else { *value }),
            (Kind::Float(value), _) => Value::Float(if negative { -value } else { *value }),
            (Kind::Duration(ns), _) => Value::Duration(if negative { -ns } else { *ns }),
            (Kind::String(text), false) => Value::Str(text.clone().into()),
            (Kind::Word("true"), false) => Value::Bool(true),
            (Kind::Word("false"), false) => Value::Bool(false),
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        Ok(Hint { key, value })
    }
}
