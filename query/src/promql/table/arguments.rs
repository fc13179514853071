//! The arguments of `promql(...)`: constants, in the forms that people write times in.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Expr;

use super::super::evaluate::Question;
use super::super::request::{InstantQuery, RangeQuery};

const USAGE: &str = "promql takes ('expression', time) or ('expression', start, end, step)";

/// Times are nanoseconds in DataFusion: what does not fit there is refused before it overflows here.
const SECONDS_MAX: f64 = 9.2e9;

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
        let constants = args.iter().map(constant).collect::<Result<Vec<_>>>()?;
        match constants.as_slice() {
            [text, time] => {
                let (text, time_ms) = (expression(text)?, time_ms(time, "time")?);
                let question = InstantQuery { text: text.clone(), time_ms, ..InstantQuery::default() }.into();
                Ok(Self { text, question })
            }
            [text, start, end, step] => {
                let text = expression(text)?;
                let (start_ms, end_ms, step_ms) = (time_ms(start, "start")?, time_ms(end, "end")?, step_ms(step)?);
                let question = RangeQuery { text: text.clone(), start_ms, end_ms, step_ms, ..RangeQuery::default() }.into();
                Ok(Self { text, question })
            }
            _ => Err(invalid(USAGE)),
        }
    }
}

fn invalid(message: impl Into<String>) -> DataFusionError {
    crate::Error::Invalid { message: message.into() }.into()
}

fn constant(expr: &Expr) -> Result<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Ok(value),
        Expr::Alias(alias) => constant(&alias.expr),
        other => Err(invalid(format!("{USAGE}, all of them constants; {other} is none"))),
    }
}

fn expression(value: &ScalarValue) -> Result<String> {
    let text = value.try_as_str().flatten().map(str::to_owned);
    text.ok_or_else(|| invalid(format!("{USAGE}; the expression is a text, not {value}")))
}

/// A timestamp or date, RFC 3339 text (without zone: UTC), or seconds since the epoch, in milliseconds.
fn time_ms(value: &ScalarValue, name: &str) -> Result<i64> {
    let wrong = || invalid(format!("promql: {name} is a timestamp, RFC 3339 text or seconds since 1970, not {value}"));
    if let Some(text) = value.try_as_str().flatten() {
        if let Ok(seconds) = text.parse::<f64>() {
            return seconds_ms(seconds).ok_or_else(wrong);
        }
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
        let at = ScalarValue::Utf8(Some(text.to_owned())).cast_to(&utc).map_err(|_| wrong())?;
        return instant_ms(&at).ok_or_else(wrong);
    }
    match value.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => instant_ms(value).ok_or_else(wrong),
        kind if kind.is_numeric() => number(value).and_then(seconds_ms).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn instant_ms(value: &ScalarValue) -> Option<i64> {
    let zone = match value.data_type() {
        DataType::Timestamp(_, zone) => zone,
        _ => None,
    };
    match value.cast_to(&DataType::Timestamp(TimeUnit::Millisecond, zone)).ok()? {
        ScalarValue::TimestampMillisecond(ms, _) => ms,
        _ => None,
    }
}

/// An interval without months, a number of seconds, or a duration as in PromQL, in milliseconds.
fn step_ms(value: &ScalarValue) -> Result<i64> {
    const DAY_MS: i64 = 86_400_000;
    let wrong =
        || invalid(format!("promql: step is an interval of days or less, seconds, or a duration like '30s', not {value}"));
    if let Some(text) = value.try_as_str().flatten() {
        return promql::parse::duration_or_seconds(text).map_err(|_| wrong());
    }
    let ms = match value {
        ScalarValue::IntervalMonthDayNano(Some(v)) if v.months == 0 => {
            i64::from(v.days).checked_mul(DAY_MS).and_then(|days| days.checked_add(v.nanoseconds / 1_000_000))
        }
        ScalarValue::IntervalDayTime(Some(v)) => {
            i64::from(v.days).checked_mul(DAY_MS).and_then(|d| d.checked_add(v.milliseconds.into()))
        }
        other => match other.data_type() {
            DataType::Duration(_) => match other.cast_to(&DataType::Duration(TimeUnit::Millisecond)) {
                Ok(ScalarValue::DurationMillisecond(ms)) => ms,
                _ => None,
            },
            kind if kind.is_numeric() => number(other).and_then(seconds_ms),
            _ => None,
        },
    };
    ms.ok_or_else(wrong)
}

fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}

fn seconds_ms(seconds: f64) -> Option<i64> {
    (seconds.abs() <= SECONDS_MAX).then(|| (seconds * 1_000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::lit;

    use super::*;

    #[test]
    fn times_come_in_many_forms() {
        #[track_caller]
        fn check(value: ScalarValue, expected: Option<i64>) {
            assert_eq!(time_ms(&value, "start").ok(), expected, "{value:?}");
        }
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        check(text("1767225600"), Some(1_767_225_600_000));
        check(text("1767225600.25"), Some(1_767_225_600_250));
        check(text("2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        check(text("2026-01-01T01:00:00.5+01:00"), Some(1_767_225_600_500));
        check(text("2026-01-01 00:00:00"), Some(1_767_225_600_000));
        check(text("yesterday"), None);
        check(text("1e300"), None);
        check(text("NaN"), None);
        check(ScalarValue::Int64(Some(-1)), Some(-1_000));
        check(ScalarValue::Float64(Some(1.5)), Some(1_500));
        check(ScalarValue::TimestampNanosecond(Some(1_500_000_000), None), Some(1_500));
        check(ScalarValue::TimestampSecond(Some(7), Some("+02:00".into())), Some(7_000));
        check(ScalarValue::Date32(Some(1)), Some(86_400_000));
        check(ScalarValue::Boolean(Some(true)), None);
    }

    #[test]
    fn steps_come_in_many_forms() {
        #[track_caller]
        fn check(value: ScalarValue, expected: Option<i64>) {
            assert_eq!(step_ms(&value).ok(), expected, "{value:?}");
        }
        let interval = |months, days, seconds: i64| ScalarValue::new_interval_mdn(months, days, seconds * 1_000_000_000);
        check(interval(0, 0, 30), Some(30_000));
        check(interval(0, 1, 0), Some(86_400_000));
        check(interval(1, 0, 0), None);
        check(ScalarValue::Utf8(Some("1m30s".to_owned())), Some(90_000));
        check(ScalarValue::Utf8(Some("15".to_owned())), Some(15_000));
        check(ScalarValue::Utf8(Some("often".to_owned())), None);
        check(ScalarValue::Int64(Some(15)), Some(15_000));
        check(ScalarValue::Float64(Some(0.5)), Some(500));
    }

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
