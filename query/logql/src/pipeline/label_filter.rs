//! Label filters: predicates on labels, combined by `and` and `or`.
//!
//! A text filter takes an absent label as the empty text, and is the only one that sees errors. Any other filter drops a line without
//! the label, and keeps a line whose value is no quantity, with `__error__` set unless an earlier error is. A filter of addresses keeps
//! whatever has an error already.
//! Source: Loki `pkg/logql/log/label_filter.go`, `ip.go`.

use regex::Regex;

use super::StageFault;
use super::ip::IpMatcher;
use crate::ast::{CompareOp, LabelFilter, MatchOp, Matcher};
use crate::labels::{ERROR_DETAILS_LABEL, Labels, NameId, Names, PipelineError};
use crate::units::{parse_bytes, parse_float, parse_go_duration};

/// A compiled label filter.
#[derive(Debug, Clone)]
pub struct LabelPredicate(Node);

#[derive(Debug, Clone)]
enum Node {
    Leaf(Leaf),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

#[derive(Debug, Clone)]
struct Leaf {
    name: Box<str>,
    id: Option<NameId>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Text(TextMatcher),
    Number(CompareOp, f64),
    Duration(CompareOp, i64),
    Bytes(CompareOp, u64),
    Ip { negated: bool, matcher: IpMatcher },
}

/// A compiled matcher of a text.
#[derive(Debug, Clone)]
pub(super) struct TextMatcher {
    negated: bool,
    test: TextTest,
}

#[derive(Debug, Clone)]
enum TextTest {
    Equal(Box<str>),
    Regex(Regex),
}

impl TextMatcher {
    pub(super) fn new(matcher: &Matcher) -> Result<Self, StageFault> {
        let test = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => TextTest::Equal(matcher.value.as_str().into()),
            MatchOp::Regex | MatchOp::NotRegex => {
                TextTest::Regex(gosyntax::re2::compile_regex(&matcher.value).map_err(|reason| StageFault::Regex { reason })?)
            }
        };
        Ok(TextMatcher { negated: matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex), test })
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        let equal = match &self.test {
            // Nothing is compared with nothing for each line of `__error__=""`: libc's comparison of no bytes reads, under a mask, from
            // where an empty text points, and a page that is not there costs it as much as some hundred bytes.
            TextTest::Equal(text) => text.len() == value.len() && (text.is_empty() || **text == *value),
            TextTest::Regex(regex) => regex.is_match(value),
        };
        equal != self.negated
    }
}

impl LabelPredicate {
    /// Compiles a filter.
    ///
    /// # Errors
    /// A pattern of `ip`; expressions are checked by the parser.
    pub fn new(filter: &LabelFilter) -> Result<Self, StageFault> {
        build(filter).map(LabelPredicate)
    }

    /// Whether a line with these labels passes; may set its error.
    pub fn matches(&self, labels: &mut Labels) -> bool {
        self.0.matches(labels)
    }

    /// Appends the names of the labels that the filter looks at.
    pub fn names(&self, out: &mut Vec<String>) {
        self.0.each_leaf(&mut |leaf| out.push(leaf.name.to_string()));
    }

    /// The same, with its names by number.
    pub(super) fn resolved(mut self, names: &mut Names) -> Self {
        self.0.resolve(names);
        self
    }
}

fn build(filter: &LabelFilter) -> Result<Node, StageFault> {
    let (name, test) = match filter {
        LabelFilter::And(left, right) => return Ok(Node::And(Box::new(build(left)?), Box::new(build(right)?))),
        LabelFilter::Or(left, right) => return Ok(Node::Or(Box::new(build(left)?), Box::new(build(right)?))),
        LabelFilter::String(matcher) => (&matcher.name, Test::Text(TextMatcher::new(matcher)?)),
        LabelFilter::Number { name, op, value } => (name, Test::Number(*op, *value)),
        LabelFilter::Duration { name, op, value_ns } => (name, Test::Duration(*op, *value_ns)),
        LabelFilter::Bytes { name, op, value_bytes } => (name, Test::Bytes(*op, *value_bytes)),
        LabelFilter::Ip { name, negated, pattern } => (name, Test::Ip { negated: *negated, matcher: IpMatcher::new(pattern)? }),
    };
    Ok(Node::Leaf(Leaf { name: name.as_str().into(), id: None, test }))
}

impl Node {
    // Both sides always run, as in Loki: either may set the error, which the other sees.
    fn matches(&self, labels: &mut Labels) -> bool {
        match self {
            Node::Leaf(leaf) => leaf.matches(labels),
            Node::And(left, right) => {
                let left = left.matches(labels);
                right.matches(labels) && left
            }
            Node::Or(left, right) => left.matches(labels) || right.matches(labels),
        }
    }

    fn each_leaf(&self, visit: &mut impl FnMut(&Leaf)) {
        match self {
            Node::Leaf(leaf) => visit(leaf),
            Node::And(left, right) | Node::Or(left, right) => {
                left.each_leaf(visit);
                right.each_leaf(visit);
            }
        }
    }

    fn resolve(&mut self, names: &mut Names) {
        match self {
            Node::Leaf(leaf) => leaf.id = Some(names.intern(&leaf.name)),
            Node::And(left, right) | Node::Or(left, right) => {
                left.resolve(names);
                right.resolve(names);
            }
        }
    }
}

impl Leaf {
    fn matches(&self, labels: &mut Labels) -> bool {
        let value = match self.id {
            Some(id) => labels.value(id),
            None => labels.get(&self.name),
        };
        if let Test::Text(matcher) = &self.test {
            // Loki asks for `__error__` by itself, and does not find the details among the labels
            let value = value.filter(|_| *self.name != *ERROR_DETAILS_LABEL);
            return matcher.matches(value.unwrap_or_default());
        }
        let is_error = labels.error().is_some();
        if is_error && matches!(self.test, Test::Ip { .. }) {
            return true;
        }
        // only a text filter sees what is called an error
        let named_error = matches!(self.id, Some(NameId::ERROR | NameId::ERROR_DETAILS));
        let Some(value) = value.filter(|_| !named_error) else { return false };
        let passes = match &self.test {
            Test::Number(op, right) => parse_float(value).map(|left| compare(*op, left, *right)),
            Test::Duration(op, right) => parse_go_duration(value).map(|left| compare(*op, left, *right)),
            Test::Bytes(op, right) => parse_bytes(value).map(|left| compare(*op, left, *right)),
            Test::Ip { negated, matcher } => Ok(matcher.is_in(value.as_bytes()) != *negated),
            Test::Text(_) => Ok(true),
        };
        passes.unwrap_or_else(|details| {
            // the first error is the one to tell
            if !is_error {
                labels.set_error(PipelineError::LabelFilter, &details);
            }
            true
        })
    }
}

fn compare<T: PartialOrd>(op: CompareOp, left: T, right: T) -> bool {
    match op {
        CompareOp::Equal => left == right,
        CompareOp::NotEqual => left != right,
        CompareOp::Greater => left > right,
        CompareOp::GreaterEqual => left >= right,
        CompareOp::Less => left < right,
        CompareOp::LessEqual => left <= right,
    }
}
