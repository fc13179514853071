//! Label matchers with Prometheus' semantics: regexes are anchored, an absent label is the empty string.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Most bytes that a compiled pattern and its lazy DFA may take each.
const PATTERN_BYTES_MAX: usize = 10 << 20;

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One matcher: label name, operator, value. The name `__name__` is the metric.
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
    /// The finite set of values that the pattern stands for, when it is a plain alternation such as `a|b|c`.
    literals: Option<Vec<String>>,
}

impl Matcher {
    /// A matcher; `value` is a pattern for the regex operators, anchored at both ends, with `.` matching newlines.
    ///
    /// # Errors
    /// `Pattern` when it is no regular expression or compiles to more than 10 MiB.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self> {
        let value = value.into();
        let literals = matches!(op, MatchOp::Regex | MatchOp::NotRegex).then(|| alternation(&value)).flatten();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex if literals.is_none() => Some(anchored(&value)?),
            _ => None,
        };
        Ok(Self { name: name.into(), op, value, regex, literals })
    }

    /// A matcher whose pattern the caller compiled, anchored, in whatever dialect `value` is written.
    pub fn compiled(name: impl Into<String>, op: MatchOp, value: impl Into<String>, regex: Regex) -> Self {
        let value = value.into();
        let literals = alternation(&value);
        let regex = literals.is_none().then_some(regex);
        Self { name: name.into(), op, value, regex, literals }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value passes; `""` stands for an absent label.
    pub fn matches(&self, value: &str) -> bool {
        match self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex => self.positive(value),
            MatchOp::NotRegex => !self.positive(value),
        }
    }

    /// The only values that can pass, when they are few and known: postings are then looked up instead of scanned.
    pub fn exact_values(&self) -> Option<Vec<&str>> {
        match self.op {
            MatchOp::Equal => Some(vec![&self.value]),
            MatchOp::Regex => self.literals.as_ref().map(|values| values.iter().map(String::as_str).collect()),
            MatchOp::NotEqual | MatchOp::NotRegex => None,
        }
    }

    fn positive(&self, value: &str) -> bool {
        match (&self.literals, &self.regex) {
            (Some(literals), _) => literals.iter().any(|l| l == value),
            (None, Some(regex)) => regex.is_match(value),
            (None, None) => false,
        }
    }
}

/// The literals of `a|b|c`; `None` when there is anything else in the pattern.
fn alternation(pattern: &str) -> Option<Vec<String>> {
    let special = |c: char| r"\.+*?()[]{}^$".contains(c);
    (!pattern.contains(special)).then(|| pattern.split('|').map(str::to_owned).collect())
}

fn anchored(pattern: &str) -> Result<Regex> {
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|e| Error::Pattern { pattern: pattern.to_owned(), reason: e.to_string() })
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_as_in_prometheus() {
        #[track_caller]
        fn check(op: MatchOp, pattern: &str, value: &str, expected: bool) {
            let matcher = Matcher::new("l", op, pattern).expect("valid");
            assert_eq!(matcher.matches(value), expected, "{matcher} on {value:?}");
        }
        check(MatchOp::Equal, "a", "a", true);
        check(MatchOp::Equal, "", "", true); // absent label
        check(MatchOp::NotEqual, "a", "", true);
        check(MatchOp::Regex, "a|b", "b", true);
        check(MatchOp::Regex, "a|b", "ab", false); // anchored
        check(MatchOp::Regex, "a.*|", "", true);
        check(MatchOp::Regex, "a.b", "a\nb", true); // the dot takes newlines
        check(MatchOp::Regex, "b.*", "ab", false);
        check(MatchOp::NotRegex, "4..", "404", false);
        check(MatchOp::NotRegex, "4..", "", true);
        assert!(Matcher::new("l", MatchOp::Regex, "(").is_err());
        assert!(Matcher::new("l", MatchOp::Regex, "a{1000}{1000}").is_err());
    }
}
