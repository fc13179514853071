//! Times: RFC 3339 or seconds since the epoch in Prometheus' parameters, RFC 3339 in Loki's too and in answers.
//! Source: `parseTime` of Prometheus `web/api/v1/api.go`, Go's `time.Parse` and `time.RFC3339Nano`.

use catalog::Timestamp;
use promql::parse::quote;

/// Where an optional range of time starts when nothing is said: `-292273086-05-16T16:47:06Z`.
pub(crate) const MIN_MS: i64 = -9_223_309_901_257_974_000;
/// Where it ends: `292277025-08-18T07:12:54.999999999Z`.
pub(crate) const MAX_MS: i64 = 9_223_309_901_257_974_999;
/// What clients send that fill in the bounds: Go prints them so, and parses years of four digits only.
const MIN_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// Milliseconds since the epoch; finer digits of seconds are rounded, those of RFC 3339 cut off.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite());
    let ms = match seconds {
        Some(s) if s.abs() < 9.2e15 => Some(s.trunc() as i64 * 1000 + (s.fract() * 1000.0).round() as i64),
        Some(_) => None,
        None if text == MIN_TEXT => Some(MIN_MS),
        None if text == MAX_TEXT => Some(MAX_MS),
        None => parse_rfc3339(text).map(|(seconds, nanos)| seconds * 1000 + i64::from(nanos) / 1_000_000),
    };
    ms.ok_or_else(|| format!("cannot parse {} to a valid timestamp", quote(text)))
}

/// `2026-11-01T00:00:00.5+02:00` as seconds since the epoch and nanoseconds beyond them. Years of four digits, hours to 23, seconds
/// to 59, days as the month has them; what is finer than nanoseconds is cut off.
pub(crate) fn parse_rfc3339(text: &str) -> Option<(i64, u32)> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let is = |at: usize, what: u8| bytes.get(at) == Some(&what);
    let shaped = is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':');
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range =
        (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month) && hour < 24 && minute < 60 && second < 60;
    if !shaped || !in_range {
        return None;
    }
    let (nanos, zone) = fraction(bytes, 19)?;
    let offset_s = match bytes.get(zone..)? {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (h, m) = (number(zone + 1, zone + 3)?, number(zone + 4, zone + 6)?);
            let offset = (h < 24 && m < 60).then_some(h * 3600 + m * 60)?;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let seconds = days_before(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_s;
    Some((seconds, nanos))
}

/// Nanoseconds of `.123456` at `from`, and where it ends. No point, no fraction.
fn fraction(bytes: &[u8], from: usize) -> Option<(u32, usize)> {
    if !matches!(bytes.get(from), Some(b'.' | b',')) {
        return Some((0, from));
    }
    let digits = bytes[from + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let nanos = (0..9).fold(0, |n, i| n * 10 + if i < digits { u32::from(bytes[from + 1 + i] - b'0') } else { 0 });
    (digits > 0).then_some((nanos, from + 1 + digits))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the date: years begin in March, so that the leap day is the last one; 146,097 days are 400 years.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2015-07-01T20:10:51.781Z`; as many digits of the second as are needed, none when it is whole.
pub(crate) fn format_rfc3339(at: Timestamp) -> String {
    let (seconds, nanos) = (at.as_nanos().div_euclid(1_000_000_000), at.as_nanos().rem_euclid(1_000_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z", fraction.trim_end_matches('0'))
}

/// The date that is `days` after 1970-01-01: [`days_before`] backwards.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (next_year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        #[track_caller]
        fn check(text: &str, expected: Option<i64>) {
            assert_eq!(parse_time(text).ok(), expected, "{text}");
        }
        check("0", Some(0));
        check("1435781451.781", Some(1_435_781_451_781));
        check("1435781451.7814", Some(1_435_781_451_781));
        check("0.0005", Some(1));
        check("-1.5", Some(-1500));
        check("1e9", Some(1_000_000_000_000));
        check("1970-01-01T00:00:00Z", Some(0));
        check("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781));
        check("2015-07-01T20:10:51.7819999Z", Some(1_435_781_451_781));
        check("2015-07-01T22:10:51.781+02:00", Some(1_435_781_451_781));
        check("2015-07-01T18:40:51.781-01:30", Some(1_435_781_451_781));
        check("2000-02-29T00:00:00Z", Some(951_782_400_000));
        check("0000-01-01T00:00:00Z", Some(-62_167_219_200_000));
        check(MIN_TEXT, Some(MIN_MS));
        check(MAX_TEXT, Some(MAX_MS));
        for bad in [
            "",
            "x",
            "NaN",
            "+Inf",
            "1e300",
            "2015-07-01",
            "2015-13-01T00:00:00Z",
            "2015-02-29T00:00:00Z",
            "2015-07-01T24:00:00Z",
            "2015-07-01T20:10:51",
            "2015-07-01T20:10:51.Z",
            "2015-07-01T20:10:51+0200",
            "2015-07-01 20:10:51Z",
            "ü015-07-01T20:10:51Z",
        ] {
            check(bad, None);
        }
        assert_eq!(parse_time("x").unwrap_err(), "cannot parse \"x\" to a valid timestamp");
    }

    #[test]
    fn fractions_are_cut_at_nanoseconds() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01.5Z"), Some((1, 500_000_000)));
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00.1234567899Z"), Some((0, 123_456_789)));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59.9Z"), Some((-1, 900_000_000)));
    }

    #[test]
    fn times_are_written() {
        let check = |ns: i64, expected: &str| assert_eq!(format_rfc3339(Timestamp::from_nanos(ns)), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(1_435_781_451_781_000_000, "2015-07-01T20:10:51.781Z");
        check(951_782_399_000_000_001, "2000-02-28T23:59:59.000000001Z");
        check(-1, "1969-12-31T23:59:59.999999999Z");
    }

    proptest::proptest! {
        #[test]
        fn times_come_back(ms in -62_167_219_200_000i64..253_402_300_800_000) {
            let text = format_rfc3339(Timestamp::from_millis(ms.clamp(-9_223_372_036_854, 9_223_372_036_854)));
            proptest::prop_assert_eq!(parse_time(&text).unwrap(), ms.clamp(-9_223_372_036_854, 9_223_372_036_854));
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = parse_time(&text);
        }
    }
}
