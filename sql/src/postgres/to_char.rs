//! `to_char(timestamp, format)` with the patterns of Postgres (16, table 9.27); DataFusion's own function of that name takes strftime's,
//! and would give Postgres' patterns back as they are.
//!
//! Times are in UTC. Numbers, intervals and the patterns `RN`, `BC`, `SP` are not there; they are refused by name or stay text as in Postgres.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Bytes of a format.
const FORMAT_BYTES_MAX: usize = 1024;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    signature: Signature,
}

impl ToChar {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &'static str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null, ..] => Ok(DataType::Utf8),
            [other, ..] => plan_err!("to_char takes a timestamp or a date here, not {other}"),
            [] => plan_err!("to_char takes a time and a format"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [times, formats] = arrays.as_slice() else { return plan_err!("to_char takes a time and a format") };
        let times = cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let formats = cast(formats, &DataType::Utf8)?;
        let formats = formats.as_string::<i32>();
        let mut texts = StringBuilder::with_capacity(times.len(), times.len() * 20);
        let mut last: Option<(&str, Vec<Piece>)> = None;
        for row in 0..times.len() {
            if times.is_null(row) || formats.is_null(row) {
                texts.append_null();
                continue;
            }
            let format = formats.value(row);
            if format.len() > FORMAT_BYTES_MAX {
                return exec_err!("the format of to_char has {} bytes, the limit is {FORMAT_BYTES_MAX}", format.len());
            }
            if last.as_ref().is_none_or(|(known, _)| *known != format) {
                last = Some((format, pieces(format)));
            }
            let Some(text) = last.as_ref().and_then(|(_, pieces)| written(times.value(row), pieces)) else {
                return exec_err!("to_char: a time beyond what can be written");
            };
            texts.append_value(text);
        }
        let texts: ArrayRef = Arc::new(texts.finish());
        if constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&texts, 0)?));
        }
        Ok(ColumnarValue::Array(texts))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    /// A pattern, by its place in [`PATTERNS`], whether blanks and zeros around it go (`FM`), and whether it is an ordinal (`TH`, `th`).
    Field {
        pattern: usize,
        fill: bool,
        ordinal: Option<bool>,
    },
}

/// What a pattern stands for.
#[derive(Debug, Clone, Copy)]
enum What {
    /// A format of strftime.
    Of(&'static str),
    /// A name of up to nine letters, padded, in this case.
    Name(&'static str, Case),
    /// A short name in this case.
    Short(&'static str, Case),
    /// A number that is computed from others, and its digits.
    Computed(fn(&Fields) -> i64, usize),
    /// Always the same.
    Fixed(&'static str),
}

#[derive(Debug, Clone, Copy)]
enum Case {
    Upper,
    Title,
    Lower,
}

/// What computed patterns are computed from.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    weekday: i64,
    second_of_day: i64,
    iso_year: i64,
    julian: i64,
}

/// The patterns, longer ones before those that they begin with. Names of days and months tell their case by their own.
const PATTERNS: [(&str, bool, What); 52] = {
    use Case::{Lower, Title, Upper};
    use What::{Computed, Fixed, Name, Of, Short};
    [
        ("HH24", false, Of("%H")),
        ("HH12", false, Of("%I")),
        ("HH", false, Of("%I")),
        ("MI", false, Of("%M")),
        ("SSSSS", false, Computed(|f| f.second_of_day, 0)),
        ("SSSS", false, Computed(|f| f.second_of_day, 0)),
        ("SS", false, Of("%S")),
        ("MS", false, Of("%3f")),
        ("US", false, Of("%6f")),
        ("FF3", false, Of("%3f")),
        ("FF6", false, Of("%6f")),
        ("AM", true, Of("%p")),
        ("PM", true, Of("%p")),
        ("am", true, Of("%P")),
        ("pm", true, Of("%P")),
        ("IYYY", false, Computed(|f| f.iso_year, 4)),
        ("IYY", false, Computed(|f| f.iso_year % 1000, 3)),
        ("IY", false, Computed(|f| f.iso_year % 100, 2)),
        ("YYYY", false, Computed(|f| f.year, 4)),
        ("YYY", false, Computed(|f| f.year % 1000, 3)),
        ("YY", false, Computed(|f| f.year % 100, 2)),
        ("Y", false, Computed(|f| f.year % 10, 1)),
        ("CC", false, Computed(|f| (f.year + 99) / 100, 2)),
        ("MONTH", true, Name("%B", Upper)),
        ("Month", true, Name("%B", Title)),
        ("month", true, Name("%B", Lower)),
        ("MON", true, Short("%b", Upper)),
        ("Mon", true, Short("%b", Title)),
        ("mon", true, Short("%b", Lower)),
        ("MM", false, Of("%m")),
        ("DAY", true, Name("%A", Upper)),
        ("Day", true, Name("%A", Title)),
        ("day", true, Name("%A", Lower)),
        ("DY", true, Short("%a", Upper)),
        ("Dy", true, Short("%a", Title)),
        ("dy", true, Short("%a", Lower)),
        ("DDD", false, Of("%j")),
        ("DD", false, Of("%d")),
        ("D", false, Computed(|f| f.weekday + 1, 0)),
        ("ID", false, Computed(|f| if f.weekday == 0 { 7 } else { f.weekday }, 0)),
        ("IW", false, Of("%V")),
        ("I", false, Computed(|f| f.iso_year % 10, 1)),
        ("WW", false, Computed(|f| (f.day_of_year - 1) / 7 + 1, 2)),
        ("W", false, Computed(|f| (f.day - 1) / 7 + 1, 0)),
        ("Q", false, Computed(|f| (f.month - 1) / 3 + 1, 0)),
        ("J", false, Computed(|f| f.julian, 0)),
        ("TZH", false, Fixed("+00")),
        ("TZM", false, Fixed("00")),
        ("TZ", true, Fixed("UTC")),
        ("tz", true, Fixed("utc")),
        ("OF", false, Fixed("+00")),
        ("FF", false, Of("%6f")),
    ]
};

/// Takes a format apart. What is no pattern is text; so is what stands in quotes.
fn pieces(format: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut rest = format;
    let mut fill = true;
    while let Some(c) = rest.chars().next() {
        let mut text = |c: char| match pieces.last_mut() {
            Some(Piece::Text(last)) => last.push(c),
            _ => pieces.push(Piece::Text(c.to_string())),
        };
        if c == '"' {
            let mut inner = rest[1..].char_indices();
            let mut end = rest.len();
            while let Some((at, c)) = inner.next() {
                match c {
                    '"' => {
                        end = at + 2;
                        break;
                    }
                    '\\' => inner.next().map(|(_, c)| text(c)).unwrap_or_default(),
                    c => text(c),
                }
            }
            rest = &rest[end..];
            continue;
        }
        if starts_with(rest, "FM") || starts_with(rest, "FX") {
            fill &= !starts_with(rest, "FM");
            rest = &rest[2..];
            continue;
        }
        let matches =
            |(name, cased, _): &(&str, bool, What)| if *cased { rest.starts_with(name) } else { starts_with(rest, name) };
        let Some(pattern) = PATTERNS.iter().position(matches) else {
            text(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[PATTERNS[pattern].0.len()..];
        let ordinal = rest.starts_with("TH").then_some(true).or(rest.starts_with("th").then_some(false));
        rest = if ordinal.is_some() { &rest[2..] } else { rest };
        pieces.push(Piece::Field { pattern, fill, ordinal });
        fill = true;
    }
    pieces
}

/// Whether `text` begins with `name`, in any case.
fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// The text of a time, in microseconds; `None` when it is beyond what the calendar has.
fn written(micros: i64, pieces: &[Piece]) -> Option<String> {
    let time = timestamp_us_to_datetime(micros)?;
    let of = |format: &str| time.format(format).to_string();
    let number = |format: &str| of(format).parse::<i64>().unwrap_or_default();
    let fields = Fields {
        year: number("%Y"),
        month: number("%m"),
        day: number("%d"),
        day_of_year: number("%j"),
        weekday: number("%w"),
        second_of_day: micros.div_euclid(1_000_000).rem_euclid(86_400),
        iso_year: number("%G"),
        julian: micros.div_euclid(86_400_000_000) + 2_440_588,
    };
    let mut out = String::new();
    for piece in pieces {
        let (pattern, fill, ordinal) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Field { pattern, fill, ordinal } => (*pattern, *fill, *ordinal),
        };
        let text = match PATTERNS[pattern].2 {
            What::Of(format) => of(format),
            What::Name(format, case) => {
                let name = cased(of(format), case);
                if fill { format!("{name:<9}") } else { name }
            }
            What::Short(format, case) => cased(of(format), case),
            What::Computed(compute, digits) => format!("{:0digits$}", compute(&fields)),
            What::Fixed(text) => text.to_owned(),
        };
        let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !matches!(PATTERNS[pattern].2, What::Fixed(_));
        let text = match text.trim_start_matches('0') {
            "" if !fill && is_number => "0",
            short if !fill && is_number && !PATTERNS[pattern].0.contains(['F', 'U']) && PATTERNS[pattern].0 != "MS" => short,
            _ => text.as_str(),
        };
        out.push_str(text);
        if let Some(upper) = ordinal.filter(|_| is_number) {
            let suffix = suffix(text);
            out.push_str(&if upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() });
        }
    }
    Some(out)
}

fn cased(name: String, case: Case) -> String {
    match case {
        Case::Upper => name.to_ascii_uppercase(),
        Case::Title => name,
        Case::Lower => name.to_ascii_lowercase(),
    }
}

/// The ending of an ordinal number.
fn suffix(number: &str) -> &'static str {
    let tens = number.len().checked_sub(2).and_then(|at| number.get(at..=at)) == Some("1");
    match number.chars().last() {
        _ if tens => "th",
        Some('1') => "st",
        Some('2') => "nd",
        Some('3') => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-03-05T17:08:09.012345Z, a Thursday.
    const TIME: i64 = 1_772_730_489_012_345;

    #[track_caller]
    fn check(format: &str, expected: &str) {
        assert_eq!(written(TIME, &pieces(format)).as_deref(), Some(expected), "{format}");
    }

    #[test]
    fn patterns() {
        check("YYYY-MM-DD HH24:MI:SS", "2026-03-05 17:08:09");
        check("yyyy-mm-dd\"T\"hh24:mi:ss.ms\"Z\"", "2026-03-05T17:08:09.012Z");
        check("HH12:MI AM", "05:08 PM");
        check("FMHH:MI pm", "5:08 pm");
        check("US SSSS", "012345 61689");
        check("Day, DD Month YYYY", "Thursday , 05 March     2026");
        check("FMDay, FMDDth FMMonth", "Thursday, 5th March");
        check("DY Dy dy MON Mon mon", "THU Thu thu MAR Mar mar");
        check("YY Y YYY CC Q", "26 6 026 21 1");
        check("DDD D ID WW W IW IYYY J", "064 5 4 10 1 10 2026 2461105");
        check("TZ tz OF TZH:TZM", "UTC utc +00 +00:00");
        check("DDTH", "05TH");
        check("\"a \\\"quoted\\\" word\" (%Y)", "a \"quoted\" word (%6)");
        check("", "");
    }

    proptest! {
        #[test]
        fn any_format_and_any_time(micros: i64, format in "\\PC{0,40}") {
            let _ = written(micros, &pieces(&format));
        }
    }
}
