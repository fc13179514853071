//! The arguments of `logql(...)`.

use datafusion::common::Result;
use datafusion::logical_expr::Expr;

use crate::arguments::Caller;

const CALLER: Caller = Caller {
    name: super::NAME,
    usage: "logql takes ('expression', start, end) or ('expression', start, end, step)",
    number_unit_ns: 1_000,
};

/// What is asked. Times are nanoseconds.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) text: String,
    pub(super) start_ns: i64,
    pub(super) end_ns: i64,
    /// `None`: a metric query is evaluated at the end. Log queries do not look at it.
    pub(super) step_ns: Option<i64>,
}

impl Arguments {
    /// Reads constants, which the planner has evaluated: `now() - INTERVAL '1 hour'` is one.
    ///
    /// # Errors
    /// Another number of arguments, or of other types; a step that leads nowhere, an end before the start.
    pub(super) fn read(args: &[Expr]) -> Result<Self> {
        let constants = CALLER.constants(args)?;
        let (text, start, end, step) = match constants.as_slice() {
            [text, start, end] => (text, start, end, None),
            [text, start, end, step] => (text, start, end, Some(step)),
            _ => return Err(CALLER.misused()),
        };
        let text = CALLER.expression(text)?;
        let (start_ns, end_ns) = (CALLER.time_ns(start, "start")?, CALLER.time_ns(end, "end")?);
        let step_ns = step.map(|step| CALLER.step_ns(step)).transpose()?;
        if end_ns < start_ns {
            return Err(CALLER.refuses("end is before start"));
        }
        if step_ns.is_some_and(|step_ns| step_ns < 1) {
            return Err(CALLER.refuses("step is not longer than nothing"));
        }
        Ok(Self { text, start_ns, end_ns, step_ns })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn other_arguments_are_refused() {
        #[track_caller]
        fn check(args: &[Expr], expected: &str) {
            let error = Arguments::read(args).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        check(&[lit("{}")], "('expression', start, end) or ('expression', start, end, step)");
        check(&[lit("{}"), lit(1)], "('expression', start, end) or ('expression', start, end, step)");
        check(&[lit(1), lit(1), lit(2)], "the expression is a text");
        check(&[lit("{}"), col("ts"), lit(2)], "ts is none");
        check(&[lit("{}"), lit("noon"), lit(2)], "start is a timestamp");
        check(&[lit("{}"), lit(1), lit(2), lit("often")], "step is an interval");
        check(&[lit("{}"), lit(2), lit(1)], "logql: end is before start");
        check(&[lit("{}"), lit(1), lit(2), lit(0)], "logql: step is not longer than nothing");
        let read = Arguments::read(&[lit("{}"), lit(1.5), lit("2"), lit("1m")]).expect("well-formed");
        assert_eq!((read.start_ns, read.end_ns, read.step_ns), (1_500_000_000, 2_000_000_000, Some(60_000_000_000)));
    }
}
