//! Line filters: a text, an expression, a pattern or an address in a line.
//! Source: Loki `pkg/logql/log/filter.go`, `pkg/logql/log/pattern/pattern.go`.

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::StageFault;
use super::ip::IpMatcher;
use super::pattern::LinePattern;
use crate::ast::{LineFilter, LineFilterOp, LineMatch};

/// Shorter texts are in so many lines that a search for them spares nothing.
const SEARCHED_BYTES_MIN: usize = 3;

/// A compiled line filter.
#[derive(Debug, Clone)]
pub struct LinePredicate {
    /// The filter as it is printed.
    text: Box<str>,
    negated: bool,
    alternatives: Vec<Needle>,
}

/// One of the alternatives of a filter.
#[derive(Debug, Clone)]
pub(super) enum Needle {
    Text(Box<Finder<'static>>),
    /// Any of several texts, none of them empty
    Texts(AhoCorasick),
    /// An expression, and texts one of which is in whatever it matches
    Regex(Regex, Option<AhoCorasick>),
    Pattern(LinePattern),
    Ip(IpMatcher),
}

impl LinePredicate {
    /// Compiles a filter.
    ///
    /// # Errors
    /// A pattern of `ip`, `|>` or `!>`; `ip` with a filter other than `|=` and `!=`.
    pub fn new(filter: &LineFilter) -> Result<Self, StageFault> {
        let needle = |alternative: &LineMatch| match (alternative, filter.op) {
            (LineMatch::Ip(pattern), LineFilterOp::Contains | LineFilterOp::NotContains) => {
                IpMatcher::new(pattern).map(Needle::Ip)
            }
            (LineMatch::Ip(pattern), _) => Err(StageFault::IpOperation { pattern: pattern.clone() }),
            (LineMatch::Text(text), LineFilterOp::Contains | LineFilterOp::NotContains) => Ok(Needle::text(text)),
            (LineMatch::Text(text), LineFilterOp::Pattern | LineFilterOp::NotPattern) => {
                LinePattern::new(text).map(Needle::Pattern)
            }
            (LineMatch::Text(text), LineFilterOp::Matches | LineFilterOp::NotMatches) => Needle::regex(text),
        };
        let mut alternatives = filter.alternatives.iter().map(needle).collect::<Result<Vec<_>, _>>()?;
        merge_texts(&mut alternatives);
        Ok(LinePredicate { text: filter.to_string().into(), negated: filter.op.is_negative(), alternatives })
    }

    /// The filter as it is printed: filters of one text pass the same lines.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a line passes.
    pub fn matches(&self, line: &[u8]) -> bool {
        self.alternatives.iter().any(|needle| needle.is_in(line)) != self.negated
    }

    /// Whether every line passes: the filter wants the empty text.
    pub(super) fn is_always(&self) -> bool {
        !self.negated && self.alternatives.iter().any(|needle| matches!(needle, Needle::Text(text) if text.needle().is_empty()))
    }

    pub(super) fn is_negated(&self) -> bool {
        self.negated
    }

    pub(super) fn alternatives(&self) -> &[Needle] {
        &self.alternatives
    }
}

/// Makes one needle of several texts, so that a line is read once for all of them.
fn merge_texts(alternatives: &mut Vec<Needle>) {
    let text = |needle: &Needle| match needle {
        Needle::Text(text) if !text.needle().is_empty() => Some(text.needle().to_vec()),
        _ => None,
    };
    let texts: Vec<_> = alternatives.iter().filter_map(text).collect();
    // too many texts for one machine stay apart
    if let (2.., Ok(machine)) = (texts.len(), AhoCorasick::new(&texts)) {
        alternatives.retain(|needle| text(needle).is_none());
        alternatives.push(Needle::Texts(machine));
    }
}

/// A machine for texts one of which is in whatever the expression matches; none if they would be found everywhere.
fn texts_of(pattern: &str) -> Option<AhoCorasick> {
    let texts = gosyntax::re2::best(gosyntax::re2::required_literals(pattern))?;
    if texts.iter().any(|literal| literal.text.len() < SEARCHED_BYTES_MIN) {
        return None;
    }
    let ignores_case = texts.iter().any(|literal| literal.case_insensitive);
    AhoCorasick::builder().ascii_case_insensitive(ignores_case).build(texts.iter().map(|literal| &literal.text)).ok()
}

impl Needle {
    fn text(text: &str) -> Self {
        Needle::Text(Box::new(Finder::new(text.as_bytes()).into_owned()))
    }

    /// An expression without any operator is a text.
    fn regex(pattern: &str) -> Result<Self, StageFault> {
        if !pattern.contains(|c: char| r"\.+*?()|[]{}^$".contains(c)) {
            return Ok(Needle::text(pattern));
        }
        let regex = gosyntax::re2::compile_search(pattern).map_err(|reason| StageFault::Regex { reason })?;
        Ok(Needle::Regex(regex, texts_of(pattern)))
    }

    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        match self {
            Needle::Text(text) => text.find(line).is_some(),
            Needle::Texts(texts) => texts.is_match(line),
            Needle::Regex(regex, _) => regex.is_match(line),
            Needle::Pattern(pattern) => pattern.matches(line),
            Needle::Ip(matcher) => matcher.is_in(line),
        }
    }
}
