//! Go's layouts of times: what `Mon Jan 2 15:04:05 MST 2006` looks like. Source: Go `time/format.go`.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use chrono_tz::Tz;

use super::time::{Time, Zone};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A piece of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    LongMonth,
    Month,
    /// Month as a number, of two digits or as many as it has
    NumMonth {
        zero: bool,
    },
    LongWeekday,
    Weekday,
    Day(Fill),
    DayOfYear(Fill),
    Hour24,
    Hour12 {
        zero: bool,
    },
    Minute {
        zero: bool,
    },
    Second {
        zero: bool,
    },
    Year,
    ShortYear,
    Pm {
        upper: bool,
    },
    ZoneName,
    Offset {
        z: bool,
        colon: bool,
        parts: u8,
    },
    /// Digits behind a point or comma; `trim`: without zeros at the end, and the point with them
    Fraction {
        digits: usize,
        trim: bool,
        separator: char,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    None,
    Zero,
    Space,
}

/// Pieces by their text; of two that begin alike the longer one stands first.
const PIECES: [(&str, Piece); 33] = [
    ("January", Piece::LongMonth),
    ("Jan", Piece::Month),
    ("Monday", Piece::LongWeekday),
    ("Mon", Piece::Weekday),
    ("MST", Piece::ZoneName),
    ("2006", Piece::Year),
    ("002", Piece::DayOfYear(Fill::Zero)),
    ("__2", Piece::DayOfYear(Fill::Space)),
    ("_2", Piece::Day(Fill::Space)),
    ("01", Piece::NumMonth { zero: true }),
    ("02", Piece::Day(Fill::Zero)),
    ("03", Piece::Hour12 { zero: true }),
    ("04", Piece::Minute { zero: true }),
    ("05", Piece::Second { zero: true }),
    ("06", Piece::ShortYear),
    ("15", Piece::Hour24),
    ("PM", Piece::Pm { upper: true }),
    ("pm", Piece::Pm { upper: false }),
    ("-07:00:00", Piece::Offset { z: false, colon: true, parts: 3 }),
    ("-070000", Piece::Offset { z: false, colon: false, parts: 3 }),
    ("-07:00", Piece::Offset { z: false, colon: true, parts: 2 }),
    ("-0700", Piece::Offset { z: false, colon: false, parts: 2 }),
    ("-07", Piece::Offset { z: false, colon: false, parts: 1 }),
    ("Z07:00:00", Piece::Offset { z: true, colon: true, parts: 3 }),
    ("Z070000", Piece::Offset { z: true, colon: false, parts: 3 }),
    ("Z07:00", Piece::Offset { z: true, colon: true, parts: 2 }),
    ("Z0700", Piece::Offset { z: true, colon: false, parts: 2 }),
    ("Z07", Piece::Offset { z: true, colon: false, parts: 1 }),
    ("1", Piece::NumMonth { zero: false }),
    ("2", Piece::Day(Fill::None)),
    ("3", Piece::Hour12 { zero: false }),
    ("4", Piece::Minute { zero: false }),
    ("5", Piece::Second { zero: false }),
];

/// The text in front of the first piece of a layout, that piece, and what follows it.
fn next_piece(layout: &str) -> (&str, Option<(Piece, &str)>) {
    for (at, c) in layout.char_indices() {
        let rest = &layout[at..];
        if (c == '.' || c == ',') && rest[1..].starts_with(['0', '9']) {
            let digit = rest.as_bytes()[1];
            let digits = rest.bytes().skip(1).take_while(|d| *d == digit).count();
            // a digit behind makes it a part of something else
            if !rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
                let piece = Piece::Fraction { digits, trim: digit == b'9', separator: c };
                return (&layout[..at], Some((piece, &rest[1 + digits..])));
            }
        }
        if let Some(behind) = rest.strip_prefix("_2006") {
            return (&layout[..=at], Some((Piece::Year, behind)));
        }
        let found = PIECES.iter().find(|(text, _)| rest.starts_with(text));
        // `Janet` and `Month` have no month and no weekday
        let is_word = |text: &str| rest[text.len()..].starts_with(|c: char| c.is_ascii_lowercase());
        if let Some((text, piece)) = found.filter(|(text, _)| !matches!(*text, "Jan" | "Mon") || !is_word(text)) {
            return (&layout[..at], Some((*piece, &rest[text.len()..])));
        }
    }
    (layout, None)
}

pub(super) fn format(time: &Time, mut layout: &str) -> String {
    let (local, offset, zone) = time.local();
    let mut out = String::new();
    loop {
        let (text, piece) = next_piece(layout);
        out.push_str(text);
        let Some((piece, rest)) = piece else { return out };
        layout = rest;
        push_piece(&mut out, piece, &local, offset, &zone);
    }
}

fn push_piece(out: &mut String, piece: Piece, local: &NaiveDateTime, offset: i32, zone: &str) {
    let number = |n: u32, zero: bool| if zero { format!("{n:02}") } else { n.to_string() };
    let hour12 = (local.hour() + 11) % 12 + 1;
    let text = match piece {
        Piece::LongMonth => MONTHS[local.month0() as usize].to_owned(),
        Piece::Month => MONTHS[local.month0() as usize][..3].to_owned(),
        Piece::NumMonth { zero } => number(local.month(), zero),
        Piece::LongWeekday => DAYS[local.weekday().num_days_from_sunday() as usize].to_owned(),
        Piece::Weekday => DAYS[local.weekday().num_days_from_sunday() as usize][..3].to_owned(),
        Piece::Day(Fill::Space) => format!("{:2}", local.day()),
        Piece::Day(fill) => number(local.day(), fill == Fill::Zero),
        Piece::DayOfYear(Fill::Space) => format!("{:3}", local.ordinal()),
        Piece::DayOfYear(_) => format!("{:03}", local.ordinal()),
        Piece::Hour24 => number(local.hour(), true),
        Piece::Hour12 { zero } => number(hour12, zero),
        Piece::Minute { zero } => number(local.minute(), zero),
        Piece::Second { zero } => number(local.second(), zero),
        Piece::Year => format!("{:04}", local.year()),
        Piece::ShortYear => format!("{:02}", local.year().rem_euclid(100)),
        Piece::Pm { upper } => match (local.hour() >= 12, upper) {
            (true, true) => "PM".to_owned(),
            (true, false) => "pm".to_owned(),
            (false, true) => "AM".to_owned(),
            (false, false) => "am".to_owned(),
        },
        Piece::ZoneName if zone.is_empty() => offset_text(offset, false, if offset % 3600 == 0 { 1 } else { 2 }),
        // zones without a name of their own are called by their offset
        Piece::ZoneName => zone.to_owned(),
        Piece::Offset { z: true, .. } if offset == 0 => "Z".to_owned(),
        Piece::Offset { colon, parts, .. } => offset_text(offset, colon, parts),
        Piece::Fraction { digits, trim, separator } => {
            let mut fraction = format!("{:09}", local.nanosecond() % 1_000_000_000);
            fraction.truncate(digits);
            if trim {
                fraction.truncate(fraction.trim_end_matches('0').len());
            }
            let zeros = if trim { 0 } else { digits.saturating_sub(fraction.len()) };
            if fraction.is_empty() { String::new() } else { format!("{separator}{fraction}{}", "0".repeat(zeros)) }
        }
    };
    out.push_str(&text);
}

fn offset_text(offset: i32, colon: bool, parts: u8) -> String {
    let size = offset.unsigned_abs();
    let mut text = format!("{}{:02}", if offset < 0 { '-' } else { '+' }, size / 3600);
    for part in [size / 60 % 60, size % 60].iter().take(usize::from(parts) - 1) {
        text.push_str(if colon { ":" } else { "" });
        text.push_str(&format!("{part:02}"));
    }
    text
}

/// What a text said so far.
struct Parsed {
    year: i32,
    month: Option<u32>,
    day: Option<u32>,
    ordinal: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    ns: u32,
    pm: Option<bool>,
    zone: Option<Zone>,
    zone_name: Option<String>,
}

/// The time that `text` says by `layout`; `local` is where it is if the text does not say.
pub(super) fn parse(mut layout: &str, mut text: &str, local: Tz) -> Option<Time> {
    let mut parsed = Parsed {
        year: 0,
        month: None,
        day: None,
        ordinal: None,
        hour: 0,
        minute: 0,
        second: 0,
        ns: 0,
        pm: None,
        zone: None,
        zone_name: None,
    };
    loop {
        let (literal, piece) = next_piece(layout);
        text = skip_literal(text, literal)?;
        let Some((piece, rest)) = piece else { break };
        layout = rest;
        text = parsed.take(piece, text, layout)?;
    }
    if !text.is_empty() {
        return None;
    }
    parsed.time(local)
}

/// Spaces in the layout stand for any number of them.
fn skip_literal<'t>(mut text: &'t str, literal: &str) -> Option<&'t str> {
    let mut rest = literal;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return None;
            }
            rest = rest.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
        } else {
            text = text.strip_prefix(c)?;
        }
    }
    Some(text)
}

/// A number of `least` to `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least { None } else { Some((text[..count].parse().ok()?, &text[count..])) }
}

fn name_of<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(u32, &'t str)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len()).filter(|head| head.eq_ignore_ascii_case(name))?;
        Some((at as u32, &text[head.len()..]))
    })
}

impl Parsed {
    /// Takes a piece off the front of `text`; `behind` is what the layout has after it.
    fn take<'t>(&mut self, piece: Piece, text: &'t str, behind: &str) -> Option<&'t str> {
        let range = |(n, rest): (u32, &'t str), allowed: std::ops::RangeInclusive<u32>| allowed.contains(&n).then_some((n, rest));
        let (value, rest) = match piece {
            Piece::LongMonth => name_of(text, &MONTHS, false)?,
            Piece::Month => name_of(text, &MONTHS, true)?,
            Piece::NumMonth { zero } => range(digits(text, 1 + usize::from(zero), 2)?, 1..=12)?,
            Piece::LongWeekday => return name_of(text, &DAYS, false).map(|(_, rest)| rest),
            Piece::Weekday => return name_of(text, &DAYS, true).map(|(_, rest)| rest),
            Piece::Day(fill) => {
                let text = if fill == Fill::Space { text.strip_prefix(' ').unwrap_or(text) } else { text };
                digits(text, if fill == Fill::Zero { 2 } else { 1 }, 2)?
            }
            Piece::DayOfYear(_) => digits(text.trim_start_matches(' '), 1, 3)?,
            Piece::Hour24 => range(digits(text, 1, 2)?, 0..=23)?,
            Piece::Hour12 { zero } => range(digits(text, 1 + usize::from(zero), 2)?, 0..=12)?,
            Piece::Minute { zero } | Piece::Second { zero } => range(digits(text, 1 + usize::from(zero), 2)?, 0..=59)?,
            Piece::Year => digits(text, 4, 4)?,
            Piece::ShortYear => digits(text, 2, 2)?,
            Piece::Pm { upper } => {
                let (pm, am) = if upper { ("PM", "AM") } else { ("pm", "am") };
                match text.strip_prefix(pm) {
                    Some(rest) => (1, rest),
                    None => (0, text.strip_prefix(am)?),
                }
            }
            Piece::ZoneName => return self.zone_name(text),
            Piece::Offset { z, colon, parts } => return self.offset(text, z, colon, parts),
            Piece::Fraction { digits, trim, separator } => return self.fraction(text, digits, trim, separator),
        };
        match piece {
            Piece::LongMonth | Piece::Month => self.month = Some(value + 1),
            Piece::NumMonth { .. } => self.month = Some(value),
            Piece::Day(_) => self.day = Some(value),
            Piece::DayOfYear(_) => self.ordinal = Some(value),
            Piece::Hour24 | Piece::Hour12 { .. } => self.hour = value,
            Piece::Minute { .. } => self.minute = value,
            Piece::Year => self.year = value as i32,
            Piece::ShortYear => self.year = value as i32 + if value >= 69 { 1900 } else { 2000 },
            Piece::Pm { .. } => self.pm = Some(value == 1),
            _ => {
                self.second = value;
                // a fraction is taken though the layout has none
                let has_fraction = rest.starts_with(['.', ',']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
                if has_fraction && !matches!(next_piece(behind), ("", Some((Piece::Fraction { .. }, _)))) {
                    return self.fraction(rest, 0, true, '.');
                }
            }
        }
        Some(rest)
    }

    fn fraction<'t>(&mut self, text: &'t str, count: usize, trim: bool, _separator: char) -> Option<&'t str> {
        let Some(rest) = text.strip_prefix(['.', ',']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) else {
            // what may be trimmed may be missing
            return trim.then_some(text);
        };
        let found = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !trim && found != count {
            return None;
        }
        let digits = &rest[..found.min(9)];
        self.ns = format!("{digits:0<9}").parse().ok()?;
        Some(&rest[found..])
    }

    fn offset<'t>(&mut self, text: &'t str, z: bool, colon: bool, parts: u8) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix('Z').filter(|_| z) {
            self.zone = Some(Zone::Named(Tz::UTC));
            return Some(rest);
        }
        let negative = text.starts_with('-');
        let (hours, mut rest) = digits(text.strip_prefix(['+', '-'])?, 2, 2)?;
        let mut seconds = hours * 3600;
        for unit in [60, 1].iter().take(usize::from(parts) - 1) {
            rest = if colon { rest.strip_prefix(':')? } else { rest };
            let (value, behind) = digits(rest, 2, 2)?;
            seconds += value * unit;
            rest = behind;
        }
        let offset = if negative { -(seconds as i32) } else { seconds as i32 };
        self.zone = Some(if offset == 0 { Zone::Named(Tz::UTC) } else { Zone::Fixed(offset, String::new()) });
        Some(rest)
    }

    /// Three to five capitals, or `GMT+3`.
    fn zone_name<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let length = text.bytes().take(5).take_while(u8::is_ascii_uppercase).count();
        if length < 3 {
            return None;
        }
        self.zone_name = Some(text[..length].to_owned());
        Some(&text[length..])
    }

    fn time(self, local: Tz) -> Option<Time> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let date = match self.ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(self.year, ordinal)?,
            None => NaiveDate::from_ymd_opt(self.year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let clock = date.and_time(NaiveTime::from_hms_nano_opt(hour, self.minute, self.second, self.ns)?);
        let zone = match (self.zone, self.zone_name) {
            (Some(Zone::Fixed(offset, _)), Some(name)) => Zone::Fixed(offset, name),
            (Some(zone), _) => zone,
            (None, Some(name)) if name != "UTC" => {
                // a name that is not that of the local zone then is taken for one without an offset
                let here = Time::of_local(clock, Zone::Named(local))?;
                if here.local().2 == name {
                    return Some(here);
                }
                Zone::Fixed(0, name)
            }
            (None, Some(_)) => Zone::Named(Tz::UTC),
            (None, None) => Zone::Named(local),
        };
        Time::of_local(clock, zone)
    }
}
