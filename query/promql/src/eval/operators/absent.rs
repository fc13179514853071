//! `absent` and `absent_over_time`: 1 where a vector has nothing. Steps ► at most one series, with the labels the selector asked for.

use std::collections::HashSet;

use crate::ast::{MatchOp, Matcher};
use crate::eval::{EvalContext, EvalError};
use crate::labels::{Labels, NAME};
use crate::value::{Grid, StepSeries};

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Absent {
    /// Labels of the result.
    pub labels: Labels,
    /// Whether type and unit go at the end of the query (the name is never there).
    pub drop_name: bool,
}

impl Absent {
    /// For a selector of these matchers: labels that one matcher asks for with `=` and no other one speaks of.
    pub fn new(matchers: &[Matcher], drop_name: bool) -> Self {
        let mut seen = HashSet::new();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for matcher in matchers.iter().filter(|m| m.name != NAME) {
            if matcher.op == MatchOp::Equal && seen.insert(matcher.name.as_str()) {
                pairs.push((&matcher.name, &matcher.value));
            } else {
                pairs.retain(|(name, _)| *name != matcher.name);
            }
        }
        Self { labels: Labels::new(pairs), drop_name }
    }

    /// 1 at each step of `grid` at which no series has anything.
    ///
    /// # Errors
    /// When time is up or the budget is used up.
    pub fn apply(&self, grid: Grid, vector: &[StepSeries], cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let mut out = StepSeries::full(self.labels.clone(), vec![1.0; grid.len()]);
        out.drop_name = self.drop_name;
        for series in vector {
            cx.tick()?;
            for at in 0..grid.len() {
                if series.sample(at).is_some() {
                    out.present[at] = false;
                    out.floats[at] = 0.0;
                }
            }
        }
        if out.is_empty() {
            return Ok(Vec::new());
        }
        cx.budget.take(grid.len())?;
        Ok(vec![out])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_one_matcher_asks_for() {
        let matcher = |name: &str, op, value: &str| Matcher { name: name.into(), op, value: value.into() };
        let absent = Absent::new(
            &[
                matcher("a", MatchOp::Equal, "1"),
                matcher("b", MatchOp::Equal, "1"),
                matcher("b", MatchOp::Equal, "2"),
                matcher("c", MatchOp::NotEqual, "1"),
                matcher("d", MatchOp::Regex, "1"),
                matcher("e", MatchOp::Equal, "1"),
                matcher("e", MatchOp::NotEqual, "2"),
                matcher(NAME, MatchOp::Equal, "x"),
            ],
            false,
        );
        assert_eq!(absent.labels.to_string(), r#"{a="1"}"#);
    }
}
