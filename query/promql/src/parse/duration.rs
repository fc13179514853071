//! Lengths of time: `1h30m` to milliseconds and back, as Prometheus' `model.Duration` has them.

use gosyntax::quote::quote;

/// Units from large to small, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Prometheus counts nanoseconds in 63 bits: about 292 years.
const MAX_MS: u64 = (1 << 63) / 1_000_000;

/// Milliseconds of `1h30m`, `500ms`, `0`: numbers with units, large units first, each at most once. Never negative.
///
/// # Errors
/// The text of Prometheus' `model.ParseDuration`.
pub fn duration(text: &str) -> Result<i64, String> {
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let (mut total, mut units, mut rest) = (0_u64, &UNITS[..], text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        if unit.is_empty() {
            return Err(invalid());
        }
        let Some(at) = units.iter().position(|(u, _)| *u == unit) else {
            let known = UNITS.iter().any(|(u, _)| *u == unit);
            return Err(if known { invalid() } else { format!("unknown unit {} in duration {}", quote(unit), quote(text)) });
        };
        let more = count.checked_mul(units[at].1).filter(|ms| *ms <= MAX_MS);
        total = more.and_then(|ms| total.checked_add(ms)).filter(|t| *t <= MAX_MS).ok_or("duration out of range")?;
        units = &units[at + 1..];
    }
    Ok(total as i64)
}

/// Milliseconds of an API parameter: seconds as a number (`1.5`), or a duration (`5m`).
///
/// # Errors
/// The text of Prometheus' API.
pub fn duration_or_seconds(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ns = seconds * 1e9;
        if ns.is_nan() || ns > i64::MAX as f64 || ns < i64::MIN as f64 {
            return Err(format!("cannot parse {} to a valid duration. It overflows int64", quote(text)));
        }
        return Ok(ns as i64 / 1_000_000);
    }
    duration(text).map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

/// `ms` as Prometheus writes it: `1h30m`, `-5m`, `0s`. Years and weeks only when nothing is left over.
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::from(if ms < 0 { "-" } else { "" });
    let mut left = ms.unsigned_abs();
    for (unit, size) in UNITS {
        let exact = matches!(unit, "y" | "w");
        let count = left / size;
        if count > 0 && (!exact || left.is_multiple_of(size)) {
            out.push_str(&format!("{count}{unit}"));
            left -= count * size;
        }
    }
    out
}
