//! Arithmetic. Whole numbers are `int64` and texts are read as such; the `f` family computes in decimals, as sprig does, so that
//! `addf 0.1 0.2` is 0.3. Source: sprig `numeric.go`, package `cast`, package `decimal`.

use super::super::value::Value;
use super::Call;
use crate::units::{parse_bytes, parse_float, parse_go_duration};

type Result<'a> = std::result::Result<Value<'a>, String>;

pub(super) fn bytes<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    parse_bytes(&call.str(0)).map(|size| Value::Float(size as f64))
}

pub(super) fn duration<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    parse_go_duration(&call.str(0)).map(|ns| Value::Float(seconds(ns)))
}

/// As Go divides: whole seconds and the rest apart.
fn seconds(ns: i64) -> f64 {
    (ns / 1_000_000_000) as f64 + (ns % 1_000_000_000) as f64 / 1e9
}

/// Any value as a whole number; what is none is 0. A text may have a base (`0x1f`, `017`) and zeros behind a point; any other fraction
/// makes it none.
fn to_int(value: &Value<'_>) -> i64 {
    match value {
        Value::Int(n) | Value::Int64(n) => *n,
        Value::Float(f) => *f as i64,
        Value::Bool(b) => i64::from(*b),
        Value::Text(text) => std::str::from_utf8(text).ok().and_then(int_of).unwrap_or(0),
        _ => 0,
    }
}

fn int_of(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let whole = digits.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|c| c == b'0'));
    let lower = whole.map_or(digits, |(whole, _)| whole).to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0b") => (&lower[2..], 2),
        Some("0o") => (&lower[2..], 8),
        Some(octal) if octal.starts_with('0') && !octal.ends_with('_') => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    i64::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix).ok()
}

/// Any value as a float; what is none is 0.
fn to_float(value: &Value<'_>) -> f64 {
    match value {
        Value::Int(n) | Value::Int64(n) => *n as f64,
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Text(text) => std::str::from_utf8(text).ok().and_then(|text| parse_float(text).ok()).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn ints(call: &Call<'_, '_>) -> impl Iterator<Item = i64> {
    call.arguments.iter().map(to_int)
}

fn floats(call: &Call<'_, '_>) -> impl Iterator<Item = f64> {
    call.arguments.iter().map(to_float)
}

pub(super) fn int<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int(to_int(&call.arguments[0])))
}

pub(super) fn float64<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Float(to_float(&call.arguments[0])))
}

pub(super) fn add<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int64(ints(call).fold(0, i64::wrapping_add)))
}

pub(super) fn sub<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int64(to_int(&call.arguments[0]).wrapping_sub(to_int(&call.arguments[1]))))
}

pub(super) fn mul<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int64(ints(call).fold(1, i64::wrapping_mul)))
}

pub(super) fn div<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    divided(call, i64::wrapping_div)
}

pub(super) fn modulo<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    divided(call, i64::wrapping_rem)
}

fn divided<'a>(call: &Call<'a, '_>, divide: fn(i64, i64) -> i64) -> Result<'a> {
    match to_int(&call.arguments[1]) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        by => Ok(Value::Int64(divide(to_int(&call.arguments[0]), by))),
    }
}

pub(super) fn max<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int64(ints(call).max().unwrap_or(0)))
}

pub(super) fn min<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Int64(ints(call).min().unwrap_or(0)))
}

pub(super) fn maxf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Float(floats(call).reduce(f64::max).unwrap_or(0.0)))
}

pub(super) fn minf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Float(floats(call).reduce(f64::min).unwrap_or(0.0)))
}

pub(super) fn ceil<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Float(to_float(&call.arguments[0]).ceil()))
}

pub(super) fn floor<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Float(to_float(&call.arguments[0]).floor()))
}

/// `round value places [from]`: up from a fraction of `from`, one half if it is not said.
pub(super) fn round<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let from = call.arguments.get(2).map_or(0.5, to_float);
    let power = 10_f64.powf(call.int(1) as f64);
    let digit = power * to_float(&call.arguments[0]);
    let rounded = if digit.fract() >= from { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / power))
}

/// `default fallback value`: the fallback if the value is empty.
pub(super) fn default<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let given = call.take(1);
    Ok(if given.is_true() { given } else { call.take(0) })
}

pub(super) fn addf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let sum = |left: Decimal, right: Decimal| left.add(right);
    folded(std::iter::once(0.0).chain(floats(call)), sum, |left, right| left + right)
}

pub(super) fn subf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let difference = |left: Decimal, right: Decimal| left.add(Decimal { mantissa: -right.mantissa, ..right });
    folded(floats(call), difference, |left, right| left - right)
}

pub(super) fn mulf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    folded(floats(call), Decimal::mul, |left, right| left * right)
}

pub(super) fn divf<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    if floats(call).skip(1).any(|by| by == 0.0) {
        return Err("decimal division by 0".to_owned());
    }
    folded(floats(call), Decimal::div, |left, right| left / right)
}

/// Folds in decimals; where those have too many digits for us, in floats.
fn folded<'a>(
    values: impl Iterator<Item = f64>,
    decimal: impl Fn(Decimal, Decimal) -> Option<Decimal>,
    float: impl Fn(f64, f64) -> f64,
) -> Result<'a> {
    let step = |left: f64, right: f64| {
        let exact = Decimal::of(left).zip(Decimal::of(right)).and_then(|(left, right)| decimal(left, right));
        exact.and_then(Decimal::float).unwrap_or_else(|| float(left, right))
    };
    Ok(Value::Float(values.reduce(step).unwrap_or(0.0)))
}

/// mantissa / 10^scale
#[derive(Debug, Clone, Copy)]
struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Digits behind the point that a division keeps.
const DIVISION_SCALE: u32 = 16;

impl Decimal {
    /// The shortest decimal that is this float.
    fn of(value: f64) -> Option<Decimal> {
        let text = format!("{value}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mantissa = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { mantissa, scale: u32::try_from(fraction.len()).ok().filter(|scale| *scale < 30)? })
    }

    fn float(self) -> Option<f64> {
        let digits = self.mantissa.unsigned_abs().to_string();
        let sign = if self.mantissa < 0 { "-" } else { "" };
        format!("{sign}{digits}e-{}", self.scale).parse().ok()
    }

    fn scaled(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    fn add(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        Some(Decimal { mantissa: self.scaled(scale)?.checked_add(other.scaled(scale)?)?, scale })
    }

    fn mul(self, other: Decimal) -> Option<Decimal> {
        Some(Decimal { mantissa: self.mantissa.checked_mul(other.mantissa)?, scale: self.scale + other.scale })
    }

    /// Rounded half away from zero.
    fn div(self, other: Decimal) -> Option<Decimal> {
        let left = self.scaled((DIVISION_SCALE + other.scale).max(self.scale))?;
        let scale = (DIVISION_SCALE + other.scale).max(self.scale) - other.scale;
        let (quotient, rest) = (left.checked_div(other.mantissa)?, left.checked_rem(other.mantissa)?);
        let up = rest.unsigned_abs().checked_mul(2)? >= other.mantissa.unsigned_abs();
        let sign = if (left < 0) == (other.mantissa < 0) { 1 } else { -1 };
        Some(Decimal { mantissa: quotient + if up { sign } else { 0 }, scale })
    }
}
