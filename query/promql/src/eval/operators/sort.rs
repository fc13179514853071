//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: the order of an instant vector. Steps ► steps, everything at once. Over
//! more than one step there is no order, and that is said.

use std::cmp::Ordering;

use crate::annotation::texts;
use crate::ast::{Function, Span};
use crate::eval::{EvalContext, EvalError};
use crate::value::{Grid, StepSeries};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Sort {
    by: By,
    descending: bool,
    span: Span,
}

#[derive(Debug, Clone, PartialEq)]
enum By {
    Value,
    Labels(Vec<String>),
}

impl Sort {
    /// Of `function`; `labels` are what it sorts by.
    ///
    /// # Errors
    /// When it is none of the four.
    pub fn new(function: Function, labels: &[&str], span: Span) -> Result<Self, EvalError> {
        let names = || By::Labels(labels.iter().map(|l| (*l).to_owned()).collect());
        let (by, descending) = match function {
            Function::Sort => (By::Value, false),
            Function::SortDesc => (By::Value, true),
            Function::SortByLabel => (names(), false),
            Function::SortByLabelDesc => (names(), true),
            _ => return Err(EvalError::Invalid("not a function that sorts".into())),
        };
        Ok(Self { by, descending, span })
    }

    /// The series in order. Sorting by value leaves histograms out.
    ///
    /// # Errors
    /// When time is up.
    pub fn apply(&self, grid: Grid, mut series: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        cx.tick()?;
        if self.by == By::Value {
            series.iter_mut().for_each(|s| s.histograms = None);
            series.retain(|s| s.present.contains(&true));
        }
        if grid.start_ms != grid.end_ms {
            cx.annotations.put(texts::sort_in_range_query(self.span));
            return Ok(series);
        }
        match &self.by {
            By::Value => series.sort_by(|a, b| self.by_value(a.floats[0], b.floats[0])),
            By::Labels(names) => series.sort_by(|a, b| {
                let by_names = names.iter().map(|n| natural(a.labels.get(n), b.labels.get(n))).find(|o| o.is_ne());
                let ascending = by_names.unwrap_or_else(|| a.labels.cmp(&b.labels));
                if self.descending { ascending.reverse() } else { ascending }
            }),
        }
        Ok(series)
    }

    /// NaN is last in both directions.
    fn by_value(&self, a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (false, false) if self.descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
            (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (a_nan, b_nan) => a_nan.cmp(&b_nan),
        }
    }
}

/// The natural order of texts: runs of digits as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (run(&mut a), run(&mut b)) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => {
                let order = if is_number(x) && is_number(y) {
                    let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
                    x.len().cmp(&y.len()).then_with(|| x.cmp(y))
                } else {
                    x.cmp(y)
                };
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

/// Takes the run of digits, or of other characters, that `text` begins with.
fn run<'a>(text: &mut &'a str) -> Option<&'a str> {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    (!run.is_empty()).then_some(run)
}

fn is_number(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_sort_as_numbers() {
        let sorted = ["", "4", "004a", "10", "cpu1", "cpu2", "cpu10", "cpu10a", "cpua"];
        for pair in sorted.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(natural(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(natural("a01", "a1"), Ordering::Equal);
    }
}
