//! Times, by Go's layouts. What does not parse is the zero time, in year 1.

use super::super::time::Time;
use super::super::value::Value;
use super::Call;

type Result<'a> = std::result::Result<Value<'a>, String>;

pub(super) fn timestamp<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Time(Time::of_unix_ns(call.data.ts_ns)))
}

pub(super) fn now<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Time(Time::of_unix_ns(call.data.now_ns)))
}

fn time<'c>(call: &'c Call<'_, '_>, at: usize) -> std::result::Result<&'c Time, String> {
    match call.arguments.get(at) {
        Some(Value::Time(time)) => Ok(time),
        _ => Err("expected time.Time".to_owned()),
    }
}

pub(super) fn unix_epoch<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(time(call, 0)?.unix_s().to_string()))
}

pub(super) fn unix_epoch_millis<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(time(call, 0)?.unix_ms().to_string()))
}

pub(super) fn unix_epoch_nanos<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(time(call, 0)?.unix_ns().to_string()))
}

pub(super) fn to_date<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Time(Time::parse(&call.str(0), &call.str(1), "UTC").unwrap_or_default()))
}

pub(super) fn to_date_in_zone<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Time(Time::parse(&call.str(0), &call.str(2), &call.str(1)).unwrap_or_default()))
}

/// `date layout time`: a time, or whole seconds since the epoch; anything else is now.
pub(super) fn date<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let time = match &call.arguments[1] {
        Value::Time(time) => time.clone(),
        Value::Int(seconds) | Value::Int64(seconds) => Time::of_unix_s(*seconds),
        _ => Time::of_unix_ns(call.data.now_ns),
    };
    Ok(Value::text(time.format(&call.str(0))))
}

/// By the number of digits: 5 days, 10 seconds, 13 milliseconds, 16 microseconds, 19 nanoseconds.
pub(super) fn unix_to_time<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text = call.str(0);
    let quoted = gosyntax::quote::quote(&text);
    let value: i64 =
        text.parse().map_err(|_| format!("unable to parse time '{text}': strconv.ParseInt: parsing {quoted}: invalid syntax"))?;
    let time = match text.len() {
        5 => Time::of_unix_s(value * 86_400),
        10 => Time::of_unix_s(value),
        13 => Time::of_unix_ns(value.saturating_mul(1_000_000)),
        16 => Time::of_unix_ns(value.saturating_mul(1000)),
        19 => Time::of_unix_ns(value),
        _ => return Err(format!("unable to parse time '{text}': %!w(<nil>)")),
    };
    Ok(Value::Time(time))
}
