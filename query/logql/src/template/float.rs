//! Floats as Go's `%g`, `%e` and `%f` write them. Source: Go `strconv/ftoa.go`.

/// A float as `%g`: shortest, or with so many digits; an exponent below -4 and from 6 on, or from the precision.
pub(super) fn general(f: f64, precision: Option<usize>, plus: bool) -> String {
    let mut text = match not_finite(f) {
        Some(text) => text.to_owned(),
        None if f == 0.0 => if f.is_sign_negative() { "-0" } else { "0" }.to_owned(),
        None => {
            let digits = match precision {
                None => format!("{f:e}"),
                Some(precision) => format!("{f:.*e}", precision.clamp(1, 400) - 1),
            };
            let (mantissa, power) = digits.split_once('e').expect("the format has an exponent");
            let power: i32 = power.parse().expect("an exponent is a number");
            let from = match precision {
                None => 6,
                Some(precision) => precision.max(1) as i32,
            };
            let mantissa = if precision.is_some() && mantissa.contains('.') {
                mantissa.trim_end_matches('0').trim_end_matches('.')
            } else {
                mantissa
            };
            if power < -4 || power >= from { with_exponent(mantissa, power) } else { positional(mantissa, power) }
        }
    };
    if plus && !text.starts_with(['-', '+']) {
        text.insert(0, '+');
    }
    text
}

fn not_finite(f: f64) -> Option<&'static str> {
    match f {
        _ if f.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

fn with_exponent(mantissa: &str, power: i32) -> String {
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
}

/// `d.ddd` times a power of ten without an exponent.
fn positional(mantissa: &str, power: i32) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    if power < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(power.unsigned_abs() as usize - 1));
    }
    let whole = power as usize + 1;
    if digits.len() <= whole {
        return format!("{sign}{digits:0<whole$}");
    }
    format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
}

/// `1.500000e+00`, six digits behind the point unless it is said.
pub(super) fn exponent(f: f64, precision: Option<usize>) -> String {
    if let Some(text) = not_finite(f) {
        return text.to_owned();
    }
    let digits = format!("{f:.*e}", precision.unwrap_or(6).min(1000));
    let (mantissa, power) = digits.split_once('e').expect("the format has an exponent");
    with_exponent(mantissa, power.parse().expect("an exponent is a number"))
}

/// `1.50`
pub(super) fn fixed(f: f64, precision: usize) -> String {
    match not_finite(f) {
        Some(text) => text.to_owned(),
        None => format!("{f:.*}", precision.min(1000)),
    }
}
