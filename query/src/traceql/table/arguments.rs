//! The arguments of `traceql(...)`.

use datafusion::common::Result;
use datafusion::logical_expr::Expr;

use crate::arguments::Caller;

const CALLER: Caller = Caller {
    name: super::NAME,
    usage: "traceql takes ('expression', start, end) or ('expression', start, end, step)",
    number_unit_ns: 1_000,
};

/// What is asked. Times are nanoseconds.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) text: String,
    pub(super) start_ns: i64,
    pub(super) end_ns: i64,
    /// `None`: series have one value. Searches do not look at it.
    pub(super) step_ns: Option<i64>,
}

impl Arguments {
    /// Reads constants, which the planner has evaluated.
    ///
    /// # Errors
    /// Another number of arguments, or of other types; a step that leads nowhere, an end before the start.
    pub(super) fn read(args: &[Expr]) -> Result<Self> {
        let constants = CALLER.constants(args)?;
        let (range, step) = match constants.as_slice() {
            [text, start, end] => ([text, start, end], None),
            [text, start, end, step] => ([text, start, end], Some(CALLER.step_ns(step)?)),
            _ => return Err(CALLER.misused()),
        };
        let text = CALLER.expression(range[0])?;
        let (start_ns, end_ns) = (CALLER.time_ns(range[1], "start")?, CALLER.time_ns(range[2], "end")?);
        match step {
            _ if end_ns < start_ns => Err(CALLER.refuses("end is before start")),
            Some(step_ns) if step_ns < 1 => Err(CALLER.refuses("step is not longer than nothing")),
            step_ns => Ok(Self { text, start_ns, end_ns, step_ns }),
        }
    }
}
