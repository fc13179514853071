//! Times as text: RFC 3339 and what ISO 8601 leaves out of it.

/// Nanoseconds of one second.
const SECOND_NS: i64 = 1_000_000_000;

/// Nanoseconds since the epoch of `2024-05-06T07:08:09.123456789+02:00`. The time may be missing from any part on, a blank may stand for
/// the `T`, a comma for the point, and the zone may be missing (UTC), `Z`, `+02`, `+0200` or `+02:00`. `None` for anything else, and for
/// what 64 bits do not hold.
pub fn parse_iso8601(text: &str) -> Option<i64> {
    let mut cursor = Cursor { rest: text.trim().as_bytes() };
    let year = cursor.digits(4)?;
    let (mut month, mut day) = (1, 1);
    if cursor.take(b'-') {
        month = cursor.digits(2)?;
        if cursor.take(b'-') {
            day = cursor.digits(2)?;
        }
    }
    let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0);
    if cursor.take(b'T') || cursor.take(b't') || cursor.take(b' ') {
        hour = cursor.digits(2)?;
        if cursor.take(b':') {
            minute = cursor.digits(2)?;
            if cursor.take(b':') {
                second = cursor.digits(2)?;
                if cursor.take(b'.') || cursor.take(b',') {
                    nanos = cursor.fraction()?;
                }
            }
        }
    }
    let offset_s = cursor.zone()?;
    let in_range = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60
        && cursor.rest.is_empty();
    if !in_range {
        return None;
    }
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
    i64::try_from(i128::from(seconds) * i128::from(SECOND_NS) + i128::from(nanos)).ok()
}

/// `2024-05-06T07:08:09Z`: RFC 3339 in UTC, to the second, rounded down.
pub fn rfc3339_seconds(ns: i64) -> String {
    let seconds = ns.div_euclid(SECOND_NS);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from March on, so that the leap day is last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date that is `days` after 1970-01-01: the way back.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn take(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(found)..];
        found
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        let number = head.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))?;
        self.rest = rest;
        Some(number)
    }

    /// Digits behind the point, as nanoseconds; those beyond the ninth are cut.
    fn fraction(&mut self) -> Option<i64> {
        let length = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let at = |at: usize| digits.get(at).map_or(0, |b| i64::from(b - b'0'));
        (length > 0).then(|| (0..9).fold(0, |sum, n| sum * 10 + at(n)))
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.rest.is_empty() || self.take(b'Z') || self.take(b'z') {
            return Some(0);
        }
        let west = self.take(b'-');
        if !west && !self.take(b'+') {
            return None;
        }
        let hours = self.digits(2)?;
        self.take(b':');
        let minutes = if self.rest.is_empty() { 0 } else { self.digits(2)? };
        let seconds = hours * 3_600 + minutes * 60;
        (hours <= 23 && minutes <= 59).then_some(if west { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096_789_000_000)),
            ("2024-02-29T12:34:56,7891234567", Some(1_709_210_096_789_123_456)),
            ("2024-02-29 14:34:56+0200", Some(1_709_210_096_000_000_000)),
            ("2024-02-29T07:04:56-05:30", Some(1_709_210_096_000_000_000)),
            ("2024-02-29T14+02", Some(1_709_208_000_000_000_000)),
            ("2024-02-29", Some(1_709_164_800_000_000_000)),
            ("2024", Some(1_704_067_200_000_000_000)),
            ("1969-12-31T23:59:59.5Z", Some(-500_000_000)),
            ("2023-02-29", None),
            ("2024-13-01", None),
            ("2024-01-01T24:00:00", None),
            ("2024-01-01T00:00:00x", None),
            ("2024-01-01T00:00:00.", None),
            ("9999-01-01", None),
            ("", None),
            ("12", None),
        ] {
            assert_eq!(parse_iso8601(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in -9_000_000_000i64..9_000_000_000, any in ".{0,30}") {
            let ns = seconds * SECOND_NS;
            prop_assert_eq!(parse_iso8601(&rfc3339_seconds(ns)), Some(ns));
            let _ = parse_iso8601(&any);
        }
    }
}
