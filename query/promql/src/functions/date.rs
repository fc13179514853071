//! Parts of a date in UTC, of times in seconds since the epoch.

use crate::ast::Function;

const DAY_S: i64 = 86_400;

/// What `function` makes of a time; `None` when it makes nothing of dates. A time that is no whole number of seconds is cut towards
/// zero.
pub fn part(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Minute => |time| (of_day(time) % 3600 / 60) as f64,
        Function::Hour => |time| (of_day(time) / 3600) as f64,
        // The epoch was a Thursday.
        Function::DayOfWeek => |time| (day(time) + 4).rem_euclid(7) as f64,
        Function::DayOfMonth => |time| Date::of(day(time)).day as f64,
        Function::DayOfYear => |time| Date::of(day(time)).day_of_year() as f64,
        Function::DaysInMonth => |time| Date::of(day(time)).days_in_month() as f64,
        Function::Month => |time| Date::of(day(time)).month as f64,
        Function::Year => |time| Date::of(day(time)).year as f64,
        _ => return None,
    })
}

/// What is no number of seconds at all is the least one there is, as the hardware has it that Prometheus mostly runs on.
fn seconds(time: f64) -> i64 {
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&time);
    if in_range { time as i64 } else { i64::MIN }
}

/// Where Go begins to count seconds, March of the year -292,277,022,400, in seconds since the epoch. It has no number for earlier times:
/// they come out at the other end.
const GO_BEGINS_S: i64 = -9_223_372_028_741_760_000;

/// Seconds since Go begins.
fn since_beginning(time: f64) -> u64 {
    seconds(time).wrapping_sub(GO_BEGINS_S).cast_unsigned()
}

/// Days since the epoch.
fn day(time: f64) -> i64 {
    (since_beginning(time) / DAY_S.cast_unsigned()).cast_signed() + GO_BEGINS_S / DAY_S
}

/// Seconds since midnight.
fn of_day(time: f64) -> i64 {
    (since_beginning(time) % DAY_S.cast_unsigned()).cast_signed()
}

/// A day of the Gregorian calendar, also before it was invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
}

impl Date {
    /// The date of a day counted from the epoch.
    fn of(day: i64) -> Self {
        // Years are taken to begin in March: then a leap day is the last of its year, and months before it have a fixed rhythm.
        let day = day + 719_468;
        let era = day.div_euclid(146_097);
        let of_era = day.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day: of_year - (153 * month_from_march + 2) / 5 + 1 }
    }

    const fn is_leap(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    const fn days_in_month(self) -> i64 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.is_leap() => 29,
            2 => 28,
            _ => 31,
        }
    }

    /// From 1.
    fn day_of_year(self) -> i64 {
        let before = (1..self.month).map(|month| Self { month, ..self }.days_in_month());
        before.sum::<i64>() + self.day
    }
}

/// A time in milliseconds as RFC 3339 writes it, to the second: `1970-01-01T00:00:00Z`.
pub(crate) fn rfc3339(time_ms: i64) -> String {
    let seconds = time_ms / 1000;
    let (Date { year, month, day }, of_day) = (Date::of(seconds.div_euclid(DAY_S)), seconds.rem_euclid(DAY_S));
    let (hour, minute, second) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_days() {
        #[track_caller]
        fn check(time: f64, expected: [f64; 8]) {
            let functions = [
                Function::Year,
                Function::Month,
                Function::DayOfMonth,
                Function::Hour,
                Function::Minute,
                Function::DayOfWeek,
                Function::DayOfYear,
                Function::DaysInMonth,
            ];
            assert_eq!(functions.map(|f| part(f).map_or(f64::NAN, |of| of(time))), expected);
        }
        check(0.0, [1970.0, 1.0, 1.0, 0.0, 0.0, 4.0, 1.0, 31.0]);
        check(1_511_820_306.0, [2017.0, 11.0, 27.0, 22.0, 5.0, 1.0, 331.0, 30.0]);
        check(1_456_790_399.0, [2016.0, 2.0, 29.0, 23.0, 59.0, 1.0, 60.0, 29.0]);
        check(1_456_790_400.9, [2016.0, 3.0, 1.0, 0.0, 0.0, 2.0, 61.0, 31.0]);
        check(951_782_400.0, [2000.0, 2.0, 29.0, 0.0, 0.0, 2.0, 60.0, 29.0]);
        check(-1.0, [1969.0, 12.0, 31.0, 23.0, 59.0, 3.0, 365.0, 31.0]);
        check(-2_208_988_800.0, [1900.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 31.0]);
        check(-1e17, [-3_168_871_881.0, 4.0, 27.0, 14.0, 13.0, 4.0, 117.0, 30.0]);
        check(9e18, [285_198_648_531.0, 4.0, 21.0, 16.0, 0.0, 6.0, 111.0, 30.0]);
        for time in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e19] {
            check(time, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0]);
        }
    }

    #[test]
    fn times_as_text() {
        assert_eq!(rfc3339(1_511_820_306_999), "2017-11-27T22:05:06Z");
        assert_eq!(rfc3339(-1000), "1969-12-31T23:59:59Z");
    }
}
