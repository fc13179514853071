//! Times: a moment and the zone in which it is shown.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

use super::layout;
use super::value::Value;

/// How a time is printed when nothing is said.
const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Time {
    utc: NaiveDateTime,
    zone: Zone,
}

/// Where a time is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Zone {
    Named(Tz),
    /// Seconds east of Greenwich, and a name, which may be empty.
    Fixed(i32, String),
}

impl Default for Time {
    /// The first moment of year 1.
    fn default() -> Self {
        let date = NaiveDate::from_ymd_opt(1, 1, 1).expect("the day exists");
        Time { utc: date.and_time(NaiveTime::MIN), zone: Zone::Named(Tz::UTC) }
    }
}

impl Time {
    pub(super) fn of_unix_ns(ns: i64) -> Self {
        Time { utc: DateTime::from_timestamp_nanos(ns).naive_utc(), zone: Zone::Named(Tz::UTC) }
    }

    /// Beyond what a calendar here holds, the zero time.
    pub(super) fn of_unix_s(seconds: i64) -> Self {
        DateTime::from_timestamp(seconds, 0).map_or_else(Time::default, |t| Time { utc: t.naive_utc(), ..Time::default() })
    }

    /// A time of a clock in a zone.
    pub(super) fn of_local(local: NaiveDateTime, zone: Zone) -> Option<Self> {
        let offset = match &zone {
            Zone::Fixed(seconds, _) => i64::from(*seconds),
            // when clocks went back, the first of both; what they skipped counts on from before
            Zone::Named(tz) => match tz.from_local_datetime(&local).earliest() {
                Some(time) => i64::from(time.offset().fix().local_minus_utc()),
                None => {
                    let before = tz.from_local_datetime(&(local - TimeDelta::hours(3))).earliest()?;
                    i64::from(before.offset().fix().local_minus_utc())
                }
            },
        };
        Some(Time { utc: local.checked_sub_signed(TimeDelta::seconds(offset))?, zone })
    }

    /// Parses by one of Go's layouts, in a zone by name (UTC if there is none of that name).
    pub(super) fn parse(layout: &str, text: &str, zone: &str) -> Option<Self> {
        layout::parse(layout, text, zone.parse().unwrap_or(Tz::UTC))
    }

    pub(super) fn format(&self, layout: &str) -> String {
        layout::format(self, layout)
    }

    /// The clock in its zone, seconds east, and the zone's name.
    pub(super) fn local(&self) -> (NaiveDateTime, i32, String) {
        match &self.zone {
            Zone::Fixed(offset, name) => (self.utc + TimeDelta::seconds(i64::from(*offset)), *offset, name.clone()),
            Zone::Named(tz) => {
                let time = tz.from_utc_datetime(&self.utc);
                let offset = time.offset().fix().local_minus_utc();
                (time.naive_local(), offset, time.format("%Z").to_string())
            }
        }
    }

    pub(super) fn unix_s(&self) -> i64 {
        self.utc.and_utc().timestamp()
    }

    pub(super) fn unix_ms(&self) -> i64 {
        self.utc.and_utc().timestamp_millis()
    }

    /// Wraps beyond what 64 bits hold, as in Go.
    pub(super) fn unix_ns(&self) -> i64 {
        let time = self.utc.and_utc();
        time.timestamp().wrapping_mul(1_000_000_000).wrapping_add(i64::from(time.timestamp_subsec_nanos()))
    }

    /// Methods that templates call on a time: `(now).Format "15:04"`.
    ///
    /// # Errors
    /// A name that is no method here, and arguments that it does not take.
    pub(super) fn method<'a>(&self, name: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        let (local, _, _) = self.local();
        let int = |n: u32| Value::Int(i64::from(n));
        let value = match (name, arguments) {
            ("Format", [Value::Text(layout)]) => return Ok(Value::text(self.format(&String::from_utf8_lossy(layout)))),
            ("Format", _) => return Err("wrong number of args for Format: want 1 of type string".to_owned()),
            ("Unix", []) => Value::Int64(self.unix_s()),
            ("UnixMilli", []) => Value::Int64(self.unix_ms()),
            ("UnixMicro", []) => Value::Int64(self.utc.and_utc().timestamp_micros()),
            ("UnixNano", []) => Value::Int64(self.unix_ns()),
            ("UTC" | "Local", []) => Value::Time(Time { utc: self.utc, zone: Zone::Named(Tz::UTC) }),
            ("String", []) => Value::text(self.format(DEFAULT_LAYOUT)),
            ("IsZero", []) => Value::Bool(self.utc == Time::default().utc),
            ("Year", []) => Value::Int(i64::from(local.year())),
            ("Month", []) => Value::text(self.format("January")),
            ("Weekday", []) => Value::text(self.format("Monday")),
            ("Day", []) => int(local.day()),
            ("YearDay", []) => int(local.ordinal()),
            ("Hour", []) => int(local.hour()),
            ("Minute", []) => int(local.minute()),
            ("Second", []) => int(local.second()),
            ("Nanosecond", []) => int(local.nanosecond()),
            _ => return Err(format!("can't evaluate field {name} in type time.Time")),
        };
        Ok(value)
    }

    /// As it is printed.
    pub(super) fn shown(&self) -> String {
        self.format(DEFAULT_LAYOUT)
    }
}
