//! Durations in both forms: Prometheus' `1y2w3d4h5m6s7ms`, which is whole and ordered, and Go's `1h15m30.918s`, which has a sign and
//! fractions but no days. Sources: `github.com/prometheus/common/model/time.go`, Go `time/format.go` and `time/time.go`.

use std::fmt::Write;

use crate::quote::quote;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration in either form, in nanoseconds; Prometheus' is tried first.
///
/// # Errors
/// A text that is neither, in the words of Go's form.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    parse_prometheus_duration(text).or_else(|_| parse_go_duration(text))
}

/// A duration in Prometheus' form, in nanoseconds, from 0: whole numbers with units from `y` to `ms`, each at most once and in falling
/// order.
///
/// # Errors
/// Any other text, and more than 292 years, in the words of Prometheus.
pub fn parse_prometheus_duration(text: &str) -> Result<i64, String> {
    match text {
        "0" => return Ok(0),
        "" => return Err("empty duration string".to_owned()),
        _ => {}
    }
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let out_of_range = || "duration out of range".to_owned();
    let (mut rest, mut sum, mut place) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        if end == 0 {
            return Err(invalid());
        }
        let (unit, behind) = rest.split_at(end);
        rest = behind;
        let (unit_place, unit_ns) = match unit {
            "y" => (1, 365 * DAY),
            "w" => (2, 7 * DAY),
            "d" => (3, DAY),
            "h" => (4, HOUR),
            "m" => (5, MINUTE),
            "s" => (6, SECOND),
            "ms" => (7, MILLI),
            _ => return Err(format!("unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        if unit_place <= place {
            return Err(invalid());
        }
        place = unit_place;
        sum = value.checked_mul(unit_ns).and_then(|v| sum.checked_add(v)).ok_or_else(out_of_range)?;
    }
    i64::try_from(sum).map_err(|_| out_of_range())
}

/// A duration in Go's form, in nanoseconds: an optional sign and decimal numbers with units from `h` to `ns`.
///
/// # Errors
/// Any other text, and more than 292 years, in the words of Go.
pub fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (whole, behind) = rest.split_at(number);
        rest = behind;
        let mut fraction = "";
        if let Some(behind) = rest.strip_prefix('.') {
            let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (fraction, rest) = behind.split_at(digits);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (unit, behind) = rest.split_at(end);
        rest = behind;
        let unit_ns = match unit {
            "" => return Err(format!("time: missing unit in duration {}", quote(text))),
            "ns" => 1,
            "us" | "µs" | "μs" => MICRO,
            "ms" => MILLI,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let part = fraction_ns(fraction, unit_ns);
        sum = whole.checked_mul(unit_ns).and_then(|v| v.checked_add(part)?.checked_add(sum)).ok_or_else(invalid)?;
    }
    if negative && sum == 1 << 63 {
        return Ok(i64::MIN);
    }
    let sum = i64::try_from(sum).map_err(|_| invalid())?;
    Ok(if negative { -sum } else { sum })
}

/// `0.digits` of a unit in whole nanoseconds, cut; digits beyond the eighteenth are too small to count.
fn fraction_ns(digits: &str, unit_ns: u64) -> u64 {
    let digits = &digits[..digits.len().min(18)];
    let value: u64 = digits.parse().unwrap_or(0);
    (value as f64 * (unit_ns as f64 / 10_f64.powi(digits.len() as i32))) as u64
}

/// As Go writes a duration: `1h30m0s`, `1.5s`, `20ms`, `0s`.
pub fn duration_text(duration_ns: i64) -> String {
    let sign = if duration_ns < 0 { "-" } else { "" };
    let ns = duration_ns.unsigned_abs();
    if ns == 0 {
        return "0s".to_owned();
    }
    let mut out = sign.to_owned();
    if ns < SECOND {
        let (unit, size) = match ns {
            0..MICRO => ("ns", 1),
            MICRO..MILLI => ("µs", MICRO),
            _ => ("ms", MILLI),
        };
        push_decimal(&mut out, ns, size);
        out.push_str(unit);
        return out;
    }
    let (hours, minutes) = (ns / HOUR, ns / MINUTE % 60);
    // Writing to memory cannot fail.
    let _ = match (hours, minutes) {
        (0, 0) => Ok(()),
        (0, _) => write!(out, "{minutes}m"),
        _ => write!(out, "{hours}h{minutes}m"),
    };
    push_decimal(&mut out, ns % MINUTE, SECOND);
    out.push('s');
    out
}

/// `ns / unit_ns` with the decimals it has. Units are powers of ten.
fn push_decimal(out: &mut String, ns: u64, unit_ns: u64) {
    let _ = write!(out, "{}", ns / unit_ns);
    let fraction = ns % unit_ns;
    if fraction != 0 {
        let width = unit_ns.ilog10() as usize;
        let _ = write!(out, ".{}", format!("{fraction:0width$}").trim_end_matches('0'));
    }
}

/// As Prometheus writes a duration: `1w`, `1d12h`, `5m`; years and weeks only when nothing is left over. Below a millisecond, which it
/// cannot write, the duration is cut; 0 is `0s`.
pub fn prometheus_duration_text(duration_ns: i64) -> String {
    let mut ms = duration_ns.unsigned_abs() / MILLI;
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = if duration_ns < 0 { "-".to_owned() } else { String::new() };
    let units = [("y", 365 * DAY, true), ("w", 7 * DAY, true), ("d", DAY, false), ("h", HOUR, false), ("m", MINUTE, false)];
    for (unit, unit_ns, whole) in units.into_iter().chain([("s", SECOND, false), ("ms", MILLI, false)]) {
        let unit_ms = unit_ns / MILLI;
        if ms >= unit_ms && (!whole || ms.is_multiple_of(unit_ms)) {
            let _ = write!(out, "{}{unit}", ms / unit_ms);
            ms %= unit_ms;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        #[track_caller]
        fn check(text: &str, expected: Result<i64, &str>) {
            assert_eq!(parse_duration(text), expected.map_err(str::to_owned), "{text}");
        }
        check("0", Ok(0));
        check("1y2w3d4h5m6s7ms", Ok(33_019_506_007_000_000));
        check("1h15m30.918s", Ok(4_530_918_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check("-1s", Ok(-1_000_000_000));
        check("1us", Ok(1_000));
        check(".5µs", Ok(500));
        check("1s1s", Ok(2_000_000_000)); // Go's form allows that
        check("5", Err("time: missing unit in duration \"5\""));
        check("5x", Err("time: unknown unit \"x\" in duration \"5x\""));
        check("x", Err("time: invalid duration \"x\""));
        check("", Err("time: invalid duration \"\""));
        check("1d1d", Err("time: unknown unit \"d\" in duration \"1d1d\""));
        check("293y", Err("time: unknown unit \"y\" in duration \"293y\""));
        assert_eq!(parse_prometheus_duration("293y").unwrap_err(), "duration out of range");
        assert_eq!(parse_prometheus_duration("1m1h").unwrap_err(), "not a valid duration string: \"1m1h\"");
        assert_eq!(parse_prometheus_duration("5minutes").unwrap_err(), "unknown unit \"minutes\" in duration \"5minutes\"");
    }

    #[test]
    fn printed() {
        for (ns, go, prometheus) in [
            (0, "0s", "0s"),
            (1, "1ns", "0s"),
            (1_500, "1.5µs", "0s"),
            (20_000_000, "20ms", "20ms"),
            (1_500_000_000, "1.5s", "1s500ms"),
            (300_000_000_000, "5m0s", "5m"),
            (432_000_000_000_000, "120h0m0s", "5d"),
            (604_800_000_000_000, "168h0m0s", "1w"),
            (691_200_000_000_000, "192h0m0s", "8d"),
            (-5_400_000_000_000, "-1h30m0s", "-1h30m"),
        ] {
            assert_eq!(duration_text(ns), go);
            assert_eq!(prometheus_duration_text(ns), prometheus);
        }
        assert_eq!(duration_text(i64::MIN), "-2562047h47m16.854775808s");
    }
}
