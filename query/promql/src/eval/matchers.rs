//! Matchers, compiled.

use regex::Regex;

use super::EvalError;
use crate::ast::{MatchOp, Matcher};
use crate::labels::Labels;
use crate::parse::compile_regex;

/// Matchers that must all hold.
#[derive(Debug, Clone)]
pub struct Matchers(Vec<(Matcher, Option<Regex>)>);

impl PartialEq for Matchers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Matchers {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// When one is none; the parser has let none through.
    pub fn new(matchers: &[Matcher]) -> Result<Self, EvalError> {
        let compile = |m: &Matcher| match m.op {
            MatchOp::Equal | MatchOp::NotEqual => Ok((m.clone(), None)),
            MatchOp::Regex | MatchOp::NotRegex => Ok((m.clone(), Some(compile_regex(&m.value).map_err(EvalError::Invalid)?))),
        };
        Ok(Self(matchers.iter().map(compile).collect::<Result<_, _>>()?))
    }

    /// Whether all hold for a series. A label it lacks is empty.
    pub fn match_series(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(m, regex)| holds(m, regex.as_ref(), labels.get(&m.name)))
    }

    /// Whether all hold for one value, whatever label they are of.
    pub fn match_value(&self, value: &str) -> bool {
        self.0.iter().all(|(m, regex)| holds(m, regex.as_ref(), value))
    }

    /// The matchers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Matcher> {
        self.0.iter().map(|(m, _)| m)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn holds(matcher: &Matcher, regex: Option<&Regex>, value: &str) -> bool {
    let found = regex.map_or_else(|| matcher.value == value, |r| r.is_match(value));
    found == matches!(matcher.op, MatchOp::Equal | MatchOp::Regex)
}
