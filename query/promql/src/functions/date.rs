//! Parts of a date, in UTC: the proleptic Gregorian calendar.

use crate::ast::Function;

const DAY_S: i64 = 86_400;

/// The function of a time in seconds since the epoch; fractions of a second do not count. `None` for functions that are none of dates.
pub fn part(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Minute => |at| (seconds(at).rem_euclid(3_600) / 60) as f64,
        Function::Hour => |at| (seconds(at).rem_euclid(DAY_S) / 3_600) as f64,
        // 1 January 1970 was a Thursday; Sunday is 0.
        Function::DayOfWeek => |at| (days(at) + 4).rem_euclid(7) as f64,
        Function::DayOfMonth => |at| f64::from(civil(days(at)).2),
        Function::DayOfYear => |at| {
            let (year, ..) = civil(days(at));
            (days(at) - days_before_year(year) + 1) as f64
        },
        Function::DaysInMonth => |at| {
            let (year, month, _) = civil(days(at));
            f64::from(days_in_month(year, month))
        },
        Function::Month => |at| f64::from(civil(days(at)).1),
        Function::Year => |at| civil(days(at)).0 as f64,
        _ => return None,
    })
}

/// Whole seconds, towards zero, within what a date can be.
fn seconds(at: f64) -> i64 {
    at as i64
}

fn days(at: f64) -> i64 {
    seconds(at).div_euclid(DAY_S)
}

/// Year, month (1 to 12) and day (1 to 31) of a day since the epoch. Eras of 400 years begin on 1 March.
fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as u8, day as u8)
}

/// Days since the epoch on 1 January.
fn days_before_year(year: i64) -> i64 {
    let before = year - 1;
    before * 365 + before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - 719_162
}

fn days_in_month(year: i64, month: u8) -> u8 {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        2 => 28 + u8::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
