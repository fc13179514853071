//! What a query wants to say besides its result: warnings (something is probably wrong) and infos.
//! Source of the rules: Prometheus `util/annotations/annotations.go`.

pub mod texts;

use crate::ast::Span;
use crate::functions::date::rfc3339;
use crate::print::float;

/// How loud it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `PromQL warning: ...`
    Warning,
    /// `PromQL info: ...`
    Info,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// How loud.
    pub severity: Severity,
    /// The text without prefix, without figures and without position: what makes it another one.
    pub message: String,
    /// What it speaks of.
    pub span: Span,
    /// Figures that add up over everything that says the same.
    pub detail: Detail,
}

/// Figures of an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Detail {
    /// None.
    #[default]
    None,
    /// How often it was said.
    Occurrences(u64),
    /// What was fixed.
    Fixed(Fixed),
}

/// Where counts of classic histograms fell although bounds rose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fixed {
    /// First time, milliseconds.
    pub first_ms: i64,
    /// Last time, milliseconds.
    pub last_ms: i64,
    /// Lowest bound at which a count fell.
    pub least_bound: f64,
    /// Highest bound at which a count fell.
    pub greatest_bound: f64,
    /// By how much at most.
    pub greatest_fall: f64,
    /// Of how many samples.
    pub samples: u64,
}

impl Fixed {
    /// Of one sample, nothing known of it yet.
    pub const ONCE: Self = Self {
        first_ms: 0,
        last_ms: 0,
        least_bound: f64::INFINITY,
        greatest_bound: f64::NEG_INFINITY,
        greatest_fall: 0.0,
        samples: 1,
    };

    /// Takes in what another one knows.
    pub fn merge(&mut self, other: &Self) {
        *self = self.and(*other);
    }

    /// What both know.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
            least_bound: self.least_bound.min(other.least_bound),
            greatest_bound: self.greatest_bound.max(other.greatest_bound),
            greatest_fall: self.greatest_fall.max(other.greatest_fall),
            samples: self.samples.saturating_add(other.samples),
        }
    }
}

impl Default for Fixed {
    fn default() -> Self {
        Self::ONCE
    }
}

/// The annotations of one query; what says the same is kept once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Adds one. If its message is there already, it now speaks of this place: the later one, as in Prometheus.
    pub fn add(&mut self, severity: Severity, span: Span, message: impl Into<String>) {
        self.put(Annotation { severity, message: message.into(), span, detail: Detail::None });
    }

    /// Adds a warning.
    pub fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Warning, span, message);
    }

    /// Adds an info.
    pub fn info(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Info, span, message);
    }

    /// Adds one with figures. If its message is there already, the figures add up and the place stays.
    pub fn put(&mut self, new: Annotation) {
        let Some(old) = self.0.iter_mut().find(|a| a.severity == new.severity && a.message == new.message) else {
            return self.0.push(new);
        };
        match (&mut old.detail, new.detail) {
            (Detail::Occurrences(before), Detail::Occurrences(more)) => *before = before.saturating_add(more),
            (Detail::Fixed(before), Detail::Fixed(more)) => before.merge(&more),
            _ => old.span = new.span,
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|a| self.put(a));
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
                format!("PromQL {word}: {}{} ({line}:{column})", a.message, figures(&a.detail))
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

/// What stands behind the message.
fn figures(detail: &Detail) -> String {
    match detail {
        Detail::None | Detail::Occurrences(..=1) => String::new(),
        Detail::Occurrences(count) => format!(" ({count} occurrences)"),
        Detail::Fixed(fixed) => format!(
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            float(fixed.least_bound),
            float(fixed.greatest_bound),
            two_digits(fixed.greatest_fall),
            fixed.samples,
            rfc3339(fixed.first_ms),
            rfc3339(fixed.last_ms),
        ),
    }
}

/// As Go's `%.2g`.
fn two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return float(value);
    }
    let scientific = format!("{value:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..2).contains(&exponent) {
        // Read back, it has no more than these digits.
        return scientific.parse().map_or(scientific, float);
    }
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Line and column, counted from 1, of byte `at`. Columns count bytes, as Prometheus' do.
pub fn position(query: &str, at: usize) -> (usize, usize) {
    let before = &query.as_bytes()[..at.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.len() - before.iter().rposition(|b| *b == b'\n').map_or(0, |nl| nl + 1) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "a +\n b";

    fn at(start: usize) -> Span {
        Span { start, end: start + 1 }
    }

    #[test]
    fn the_same_is_said_once_of_the_later_place() {
        let mut annotations = Annotations::default();
        annotations.warn(at(0), "x");
        annotations.info(at(0), "x");
        annotations.warn(at(5), "x");
        assert_eq!(annotations.texts(Severity::Warning, QUERY, 0), ["PromQL warning: x (2:2)"]);
        assert_eq!(annotations.texts(Severity::Info, QUERY, 0), ["PromQL info: x (1:1)"]);
    }

    #[test]
    fn figures_add_up() {
        let mut annotations = Annotations::default();
        for (start, fall, time) in [(0, 3.0, 60_000), (5, 0.012_345, 0)] {
            let fixed = Fixed {
                least_bound: 0.5 + fall,
                greatest_bound: 2.5e7,
                greatest_fall: fall,
                first_ms: time,
                last_ms: time,
                ..Fixed::ONCE
            };
            annotations.put(texts::forced_monotonicity(at(start), "m", fixed));
            annotations.put(texts::start_overlap(at(start), "m"));
        }
        let text = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
            https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"m\", from buckets \
            0.512345 to 2.5e+07, with a max diff of 3, over 2 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z (1:1)";
        assert_eq!(annotations.texts(Severity::Info, QUERY, 0), [text]);
        let text = "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric \"m\" (2 occurrences) (1:1)";
        assert_eq!(annotations.texts(Severity::Warning, QUERY, 0), [text]);
    }

    #[test]
    fn no_more_than_asked_for() {
        let mut annotations = Annotations::default();
        ["a", "b", "c"].into_iter().for_each(|text| annotations.info(at(0), text));
        let texts = annotations.texts(Severity::Info, QUERY, 2);
        assert_eq!(texts, ["PromQL info: a (1:1)", "PromQL info: b (1:1)", "1 more info annotations omitted"]);
    }

    #[test]
    fn two_digits_are_those_of_go() {
        for (value, text) in [
            (0.5, "0.5"),
            (-1.5, "-1.5"),
            (100_000.0, "1e+05"),
            (123.5, "1.2e+02"),
            (9.96, "10"),
            (0.012_345, "0.012"),
            (1e-7, "1e-07"),
            (12.0, "12"),
            (99.6, "1e+02"),
            (0.0, "0"),
        ] {
            assert_eq!(two_digits(value), text);
        }
    }
}
