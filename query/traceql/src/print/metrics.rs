//! Metrics queries.

use std::fmt::{self, Display, Formatter};

use super::separated;
use crate::ast::{Field, Metrics, MetricsFunction, SecondStage};
use crate::words;

impl Display for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Metrics::Of { pipeline, function } => write!(f, "{pipeline} | {function}"),
            Metrics::Then { of, stage } => write!(f, "{of}{stage}"),
            Metrics::Number(number) => Number(*number).fmt(f),
            Metrics::Binary { op, left, right } => {
                operand(f, left)?;
                write!(f, " {op} ")?;
                operand(f, right)
            }
        }
    }
}

fn operand(f: &mut Formatter<'_>, metrics: &Metrics) -> fmt::Result {
    match metrics {
        Metrics::Number(_) => metrics.fmt(f),
        other => write!(f, "({other})"),
    }
}

/// A number beside an operator. What no literal says is written as the quotient that gives it.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number.is_finite() => write!(f, "{number:?}"),
            number if number.is_nan() => f.write_str("(0.0 / 0)"),
            number => f.write_str(if number > 0.0 { "(1.0 / 0)" } else { "(-1.0 / 0)" }),
        }
    }
}

impl Display for SecondStage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SecondStage::TopK(most) => write!(f, " | topk({most})"),
            SecondStage::BottomK(most) => write!(f, " | bottomk({most})"),
            SecondStage::Compare(op, number) => write!(f, " {op} {}", Number(*number)),
        }
    }
}

impl Display for MetricsFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MetricsFunction::Rate { by } => write!(f, "rate(){}", Groups(by)),
            MetricsFunction::Count { by } => write!(f, "count_over_time(){}", Groups(by)),
            MetricsFunction::OverTime { function, of, by } => {
                write!(f, "{}({of}){}", words::text_of(&words::OVER_TIME, *function), Groups(by))
            }
            MetricsFunction::Quantile { of, quantiles, by } => {
                write!(f, "quantile_over_time({of}")?;
                quantiles.iter().try_for_each(|quantile| write!(f, ", {quantile:?}"))?;
                write!(f, "){}", Groups(by))
            }
            MetricsFunction::Histogram { of, by } => write!(f, "histogram_over_time({of}){}", Groups(by)),
            MetricsFunction::Compare { filter, top, window } => {
                write!(f, "compare({{ {filter} }}, {top}")?;
                if let Some((start_ns, end_ns)) = window {
                    write!(f, ", {start_ns}, {end_ns}")?;
                }
                f.write_str(")")
            }
        }
    }
}

/// ` by(a, b)`, or nothing.
struct Groups<'a>(&'a [Field]);

impl Display for Groups<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str(" by(")?;
        separated(f, self.0, ", ")?;
        f.write_str(")")
    }
}
