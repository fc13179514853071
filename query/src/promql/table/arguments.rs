//! The arguments of `promql(...)`.

use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::super::evaluate::Question;
use super::super::request::{InstantQuery, RangeQuery};
use crate::arguments::Caller;

/// PromQL's times are milliseconds.
const MS_NS: i64 = 1_000_000;

const CALLER: Caller = Caller {
    name: super::NAME,
    usage: "promql takes ('expression', time) or ('expression', start, end, step)",
    number_unit_ns: MS_NS,
};

/// What is asked.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) text: String,
    pub(super) question: Question,
}

impl Arguments {
    /// Reads constants, which the planner has evaluated: `now() - INTERVAL '1 hour'` is one.
    ///
    /// # Errors
    /// Another number of arguments, or of other types.
    pub(super) fn read(args: &[Expr]) -> Result<Self> {
        let time_ms = |value, name| Ok::<_, DataFusionError>(CALLER.time_ns(value, name)?.div_euclid(MS_NS));
        let constants = CALLER.constants(args)?;
        match constants.as_slice() {
            [text, time] => {
                let (text, time_ms) = (CALLER.expression(text)?, time_ms(time, "time")?);
                let question = InstantQuery { text: text.clone(), time_ms, ..InstantQuery::default() }.into();
                Ok(Self { text, question })
            }
            [text, start, end, step] => {
                let text = CALLER.expression(text)?;
                let (start_ms, end_ms, step_ms) = (time_ms(start, "start")?, time_ms(end, "end")?, CALLER.step_ns(step)? / MS_NS);
                let question = RangeQuery { text: text.clone(), start_ms, end_ms, step_ms, ..RangeQuery::default() }.into();
                Ok(Self { text, question })
            }
            _ => Err(CALLER.misused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::prelude::lit;

    use super::*;

    #[test]
    fn other_arguments_are_refused() {
        #[track_caller]
        fn check(args: &[Expr], expected: &str) {
            let error = Arguments::read(args).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        check(&[lit("up")], "('expression', time) or ('expression', start, end, step)");
        check(&[lit("up"), lit(1), lit(2)], "('expression', time) or ('expression', start, end, step)");
        check(&[lit(1), lit(1)], "the expression is a text");
        check(&[lit("up"), datafusion::prelude::col("ts")], "ts is none");
        check(&[lit("up"), lit(ScalarValue::Null)], "is none");
        check(&[lit("up"), lit(1), lit(2), lit("often")], "step is an interval");
        check(&[lit("up"), lit(true)], "time is a timestamp");
    }
}
