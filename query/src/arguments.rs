//! Constants as arguments of table functions: texts, times and steps, in the forms that people write them in.
//!
//! The planner has evaluated them: `now() - INTERVAL '1 hour'` is a constant.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Expr;

/// Times are nanoseconds in DataFusion: what does not fit there is refused before it overflows here.
const SECONDS_MAX: f64 = 9.2e9;
const MS_NS: i64 = 1_000_000;

/// The function that reads its arguments.
#[derive(Debug)]
pub(crate) struct Caller {
    /// In SQL.
    pub(crate) name: &'static str,
    /// What it takes, as a sentence.
    pub(crate) usage: &'static str,
    /// What seconds since 1970 are rounded to, in nanoseconds: no finer than a float is in our days, which is a microsecond.
    pub(crate) number_unit_ns: i64,
}

impl Caller {
    /// The values of all arguments.
    ///
    /// # Errors
    /// One of them is no constant, or null.
    pub(crate) fn constants<'e>(&self, args: &'e [Expr]) -> Result<Vec<&'e ScalarValue>> {
        args.iter().map(|arg| self.constant(arg)).collect()
    }

    fn constant<'e>(&self, expr: &'e Expr) -> Result<&'e ScalarValue> {
        match expr {
            Expr::Literal(value, _) if !value.is_null() => Ok(value),
            Expr::Alias(alias) => self.constant(&alias.expr),
            other => Err(invalid(format!("{}, all of them constants; {other} is none", self.usage))),
        }
    }

    /// That the number of arguments is another.
    pub(crate) fn misused(&self) -> DataFusionError {
        invalid(self.usage)
    }

    /// That the arguments make no sense together.
    pub(crate) fn refuses(&self, why: &str) -> DataFusionError {
        invalid(format!("{}: {why}", self.name))
    }

    /// The expression.
    ///
    /// # Errors
    /// It is no text.
    pub(crate) fn expression(&self, value: &ScalarValue) -> Result<String> {
        let text = value.try_as_str().flatten().map(str::to_owned);
        text.ok_or_else(|| invalid(format!("{}; the expression is a text, not {value}", self.usage)))
    }

    /// A timestamp or date, RFC 3339 text (without zone: UTC), or seconds since the epoch, in nanoseconds.
    ///
    /// # Errors
    /// It is none of these, or outside of the years that nanoseconds can tell. `name` is the argument's.
    pub(crate) fn time_ns(&self, value: &ScalarValue, name: &str) -> Result<i64> {
        let function = self.name;
        let wrong = || invalid(format!("{function}: {name} is a timestamp, RFC 3339 text or seconds since 1970, not {value}"));
        if let Some(text) = value.try_as_str().flatten() {
            if let Ok(seconds) = text.parse::<f64>() {
                return self.seconds_ns(seconds).ok_or_else(wrong);
            }
            let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
            let at = ScalarValue::Utf8(Some(text.to_owned())).cast_to(&utc).map_err(|_| wrong())?;
            return instant_ns(&at).ok_or_else(wrong);
        }
        match value.data_type() {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => instant_ns(value).ok_or_else(wrong),
            kind if kind.is_numeric() => number(value).and_then(|seconds| self.seconds_ns(seconds)).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// An interval without months, a number of seconds, or a duration as in PromQL and LogQL (`1m30s`), in nanoseconds.
    ///
    /// # Errors
    /// It is none of these.
    pub(crate) fn step_ns(&self, value: &ScalarValue) -> Result<i64> {
        const DAY_NS: i64 = 86_400_000 * MS_NS;
        let function = self.name;
        let wrong = || {
            invalid(format!("{function}: step is an interval of days or less, seconds, or a duration like '30s', not {value}"))
        };
        let of_ms = |ms: i64| ms.checked_mul(MS_NS);
        if let Some(text) = value.try_as_str().flatten() {
            return promql::parse::duration_or_seconds(text).ok().and_then(of_ms).ok_or_else(wrong);
        }
        let ns = match value {
            ScalarValue::IntervalMonthDayNano(Some(v)) if v.months == 0 => {
                i64::from(v.days).checked_mul(DAY_NS).and_then(|days| days.checked_add(v.nanoseconds))
            }
            ScalarValue::IntervalDayTime(Some(v)) => {
                let days = i64::from(v.days).checked_mul(DAY_NS);
                days.and_then(|days| days.checked_add(i64::from(v.milliseconds) * MS_NS))
            }
            other => match other.data_type() {
                DataType::Duration(_) => match other.cast_to(&DataType::Duration(TimeUnit::Nanosecond)) {
                    Ok(ScalarValue::DurationNanosecond(ns)) => ns,
                    _ => None,
                },
                kind if kind.is_numeric() => number(other).and_then(|seconds| self.seconds_ns(seconds)),
                _ => None,
            },
        };
        ns.ok_or_else(wrong)
    }

    fn seconds_ns(&self, seconds: f64) -> Option<i64> {
        let per_second = 1_000_000_000 / self.number_unit_ns;
        (seconds.abs() <= SECONDS_MAX).then(|| (seconds * per_second as f64).round() as i64 * self.number_unit_ns)
    }
}

fn invalid(message: impl Into<String>) -> DataFusionError {
    crate::Error::Invalid { message: message.into() }.into()
}

fn instant_ns(value: &ScalarValue) -> Option<i64> {
    let zone = match value.data_type() {
        DataType::Timestamp(_, zone) => zone,
        _ => None,
    };
    match value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, zone)).ok()? {
        ScalarValue::TimestampNanosecond(ns, _) => ns,
        _ => None,
    }
}

fn number(value: &ScalarValue) -> Option<f64> {
    match value.cast_to(&DataType::Float64).ok()? {
        ScalarValue::Float64(number) => number,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Caller = Caller { name: "f", usage: "f takes things", number_unit_ns: MS_NS };

    #[test]
    fn times_come_in_many_forms() {
        #[track_caller]
        fn check(value: ScalarValue, expected_ms: Option<i64>) {
            assert_eq!(MS.time_ns(&value, "start").ok(), expected_ms.map(|ms| ms * MS_NS), "{value:?}");
        }
        let text = |text: &str| ScalarValue::Utf8(Some(text.to_owned()));
        check(text("1767225600"), Some(1_767_225_600_000));
        check(text("1767225600.25"), Some(1_767_225_600_250));
        check(text("1767225600.123"), Some(1_767_225_600_123));
        check(text("2026-01-01T00:00:00Z"), Some(1_767_225_600_000));
        check(text("2026-01-01T01:00:00.5+01:00"), Some(1_767_225_600_500));
        check(text("2026-01-01 00:00:00"), Some(1_767_225_600_000));
        check(text("yesterday"), None);
        check(text("1e300"), None);
        check(text("NaN"), None);
        check(ScalarValue::Int64(Some(-1)), Some(-1_000));
        check(ScalarValue::Int64(Some(i64::MAX)), None);
        check(ScalarValue::Float64(Some(1.5)), Some(1_500));
        check(ScalarValue::TimestampNanosecond(Some(1_500_000_000), None), Some(1_500));
        check(ScalarValue::TimestampSecond(Some(7), Some("+02:00".into())), Some(7_000));
        check(ScalarValue::TimestampSecond(Some(i64::MAX), None), None);
        check(ScalarValue::Date32(Some(1)), Some(86_400_000));
        check(ScalarValue::Boolean(Some(true)), None);
        let micros = Caller { number_unit_ns: 1_000, ..MS };
        assert_eq!(micros.time_ns(&text("1767225600.123456"), "start").ok(), Some(1_767_225_600_123_456_000));
        let exact = text("2026-01-01T00:00:00.123456789Z");
        assert_eq!(micros.time_ns(&exact, "start").ok(), Some(1_767_225_600_123_456_789));
    }

    #[test]
    fn steps_come_in_many_forms() {
        #[track_caller]
        fn check(value: ScalarValue, expected_ms: Option<i64>) {
            assert_eq!(MS.step_ns(&value).ok(), expected_ms.map(|ms| ms * MS_NS), "{value:?}");
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
}
