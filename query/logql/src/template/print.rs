//! Values as text: `print`, `println`, `printf`, and what `{{..}}` writes. Source: Go `fmt/print.go`, `fmt/format.go`.

use std::fmt::Write as _;

use super::OUTPUT_BYTES_MAX;
use super::float::{exponent, fixed, general};
use super::value::Value;

/// Widest field; beyond, Go says the width is bad.
const WIDTH_MAX: i64 = 1_000_000;

/// What `{{value}}` writes.
pub(super) fn print_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.extend_from_slice(b"<no value>"),
        _ => push_value(value, out),
    }
}

/// As `%v`.
fn push_value(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(n) | Value::Int64(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(f) => out.extend_from_slice(general(*f, None, false).as_bytes()),
        Value::Text(text) => out.extend_from_slice(text),
        Value::Time(time) => out.extend_from_slice(time.shown().as_bytes()),
        Value::List(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                push_value(item, out);
            }
            out.push(b']');
        }
        Value::Map(map) => push_map(map, out),
        Value::Labels(labels) => push_map(&Value::pairs_of(labels), out),
    }
}

fn push_map(pairs: &[(String, Value<'_>)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"map[");
    for (at, (key, item)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b':');
        push_value(item, out);
    }
    out.push(b']');
}

/// A space between two of which none is a text.
pub(super) fn sprint(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let is_text = |value: &Value<'_>| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&values[at - 1]) {
            out.push(b' ');
        }
        push_value(value, &mut out);
    }
    out
}

/// A space between all of them, and an end of line.
pub(super) fn sprintln(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        push_value(value, &mut out);
    }
    out.push(b'\n');
    out
}

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`.
///
/// # Errors
/// More than [`OUTPUT_BYTES_MAX`] bytes.
pub(super) fn sprintf(format: &[u8], values: &[Value<'_>]) -> Result<Vec<u8>, String> {
    let mut printer = Printer { format, at: 0, values, next: 0, reordered: false, good_index: true, out: Vec::new() };
    while printer.at < format.len() {
        let plain = memchr::memchr(b'%', &format[printer.at..]).unwrap_or(format.len() - printer.at);
        printer.out.extend_from_slice(&format[printer.at..printer.at + plain]);
        printer.at += plain + 1;
        if printer.at <= format.len() {
            printer.directive();
        }
        if printer.out.len() > OUTPUT_BYTES_MAX {
            return Err(format!("more than {OUTPUT_BYTES_MAX} bytes"));
        }
    }
    if !printer.reordered && printer.next < values.len() {
        printer.out.extend_from_slice(b"%!(EXTRA ");
        for (at, value) in values[printer.next..].iter().enumerate() {
            if at > 0 {
                printer.out.extend_from_slice(b", ");
            }
            if !matches!(value, Value::Nil) {
                printer.out.extend_from_slice(value.type_name().as_bytes());
                printer.out.push(b'=');
            }
            push_value(value, &mut printer.out);
        }
        printer.out.push(b')');
    }
    Ok(printer.out)
}

struct Printer<'f, 'v, 'a> {
    format: &'f [u8],
    at: usize,
    values: &'v [Value<'a>],
    next: usize,
    reordered: bool,
    good_index: bool,
    out: Vec<u8>,
}

impl Printer<'_, '_, '_> {
    fn peek(&self) -> u8 {
        self.format.get(self.at).copied().unwrap_or(0)
    }

    fn directive(&mut self) {
        let mut spec = Spec::default();
        self.good_index = true;
        loop {
            match self.peek() {
                b'#' => spec.sharp = true,
                b'0' => spec.zero = true,
                b'+' => spec.plus = true,
                b'-' => spec.minus = true,
                b' ' => spec.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.index();
        if self.peek() == b'*' {
            self.at += 1;
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            after_index = false;
        } else if let Some(width) = self.number() {
            spec.width = Some(width);
            if after_index {
                self.good_index = false;
            }
        }
        if self.peek() == b'.' {
            self.at += 1;
            if after_index {
                self.good_index = false;
            }
            after_index = self.index();
            if self.peek() == b'*' {
                self.at += 1;
                match self.star() {
                    Some(precision) => spec.precision = usize::try_from(precision).ok(),
                    None => self.out.extend_from_slice(b"%!(BADPREC)"),
                }
                after_index = false;
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !after_index {
            self.index();
        }
        spec.zero &= !spec.minus;
        self.verb(spec);
    }

    fn verb(&mut self, spec: Spec) {
        let rest = String::from_utf8_lossy(
            &self.format[self.at.min(self.format.len())..][..(self.format.len() - self.at.min(self.format.len())).min(4)],
        )
        .into_owned();
        let Some(verb) = rest.chars().next() else {
            self.out.extend_from_slice(b"%!(NOVERB)");
            return;
        };
        self.at += if self.format[self.at] < 0x80 { 1 } else { verb.len_utf8().min(self.format.len() - self.at) };
        if verb == '%' {
            self.out.push(b'%');
        } else if !self.good_index {
            self.out.extend_from_slice(format!("%!{verb}(BADINDEX)").as_bytes());
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            push_formatted(value, verb, spec, &mut self.out);
        } else {
            self.out.extend_from_slice(format!("%!{verb}(MISSING)").as_bytes());
        }
    }

    fn number(&mut self) -> Option<usize> {
        let digits = self.format[self.at.min(self.format.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.format[self.at.min(self.format.len())..][..digits]).ok()?;
        self.at += digits;
        text.parse::<i64>().ok().map(|n| n.min(WIDTH_MAX) as usize)
    }

    /// The whole number for a `*`.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.next);
        self.next += usize::from(value.is_some());
        match value {
            Some(Value::Int(n) | Value::Int64(n)) => Some(*n).filter(|n| n.abs() <= WIDTH_MAX),
            _ => None,
        }
    }

    /// `[3]`: which argument is next.
    fn index(&mut self) -> bool {
        if self.peek() != b'[' {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(close) = memchr::memchr(b']', rest) else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        let number = std::str::from_utf8(&rest[1..close]).ok().and_then(|text| text.parse::<usize>().ok());
        self.at += close + 1;
        match number.filter(|n| (1..=self.values.len()).contains(n)) {
            Some(number) => {
                self.next = number - 1;
                true
            }
            None => {
                self.good_index = false;
                true
            }
        }
    }
}

fn push_formatted(value: &Value<'_>, verb: char, spec: Spec, out: &mut Vec<u8>) {
    let text = match (verb, value) {
        ('T', _) => value.type_name().as_bytes().to_vec(),
        ('v', Value::Float(f)) => return push_number(&general(*f, spec.precision, spec.plus), spec, f.is_finite(), out),
        ('v' | 'd', Value::Int(n) | Value::Int64(n)) => return push_int(*n, 10, spec, out),
        ('v', Value::Text(text)) if spec.sharp => gosyntax::quote::quote(&String::from_utf8_lossy(text)).into_bytes(),
        ('v' | 's', Value::Text(text)) => truncated(text, spec.precision),
        ('v' | 't', Value::Bool(_)) | ('v', _) | ('s', Value::Time(_)) => shown(value),
        ('s' | 'd' | 'q' | 'x', Value::List(_) | Value::Map(_)) => return push_members(value, verb, spec, out),
        ('b', Value::Int(n) | Value::Int64(n)) => return push_int(*n, 2, spec, out),
        ('o' | 'O', Value::Int(n) | Value::Int64(n)) => return push_int(*n, 8, spec, out),
        ('x', Value::Int(n) | Value::Int64(n)) => return push_int(*n, 16, spec, out),
        ('X', Value::Int(n) | Value::Int64(n)) => return push_int(*n, 17, spec, out),
        ('c', Value::Int(n) | Value::Int64(n)) => character(*n).to_string().into_bytes(),
        ('q', Value::Int(n) | Value::Int64(n)) => gosyntax::quote::quote_char(Some(character(*n))).into_bytes(),
        ('U', Value::Int(n) | Value::Int64(n)) => format!("U+{n:04X}").into_bytes(),
        ('q', Value::Text(text)) => {
            let text = truncated(text, spec.precision);
            let text = String::from_utf8_lossy(&text);
            let raw = spec.sharp && !text.contains('`') && !text.contains(|c: char| c.is_control() && c != '\t');
            if raw { format!("`{text}`").into_bytes() } else { gosyntax::quote::quote(&text).into_bytes() }
        }
        ('x' | 'X', Value::Text(text)) => {
            let text = &text[..spec.precision.unwrap_or(text.len()).min(text.len())];
            let prefix = match (spec.sharp && !text.is_empty(), verb) {
                (true, 'x') => "0x",
                (true, _) => "0X",
                _ => "",
            };
            let mut hex = prefix.to_owned();
            for (at, byte) in text.iter().enumerate() {
                if spec.space && at > 0 {
                    hex.push(' ');
                }
                let _ = if verb == 'x' { write!(hex, "{byte:02x}") } else { write!(hex, "{byte:02X}") };
            }
            hex.into_bytes()
        }
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(f)) => {
            let mut text = match verb {
                'e' | 'E' => exponent(*f, Some(spec.precision.unwrap_or(6))),
                'f' | 'F' => fixed(*f, spec.precision.unwrap_or(6)),
                _ => general(*f, spec.precision, false),
            };
            if matches!(verb, 'E' | 'G') && f.is_finite() {
                text = text.to_uppercase();
            }
            if spec.plus && !text.starts_with(['-', '+']) {
                text.insert(0, '+');
            } else if spec.space && !text.starts_with(['-', '+']) {
                text.insert(0, ' ');
            }
            return push_number(&text, spec, f.is_finite(), out);
        }
        (_, Value::Nil) => format!("%!{verb}(<nil>)").into_bytes(),
        _ => {
            out.extend_from_slice(format!("%!{verb}({}=", value.type_name()).as_bytes());
            push_value(value, out);
            out.push(b')');
            return;
        }
    };
    push_padded(&text, spec, out);
}

fn shown(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    push_value(value, &mut out);
    out
}

fn character(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Members of a list or map, each by the verb.
fn push_members(value: &Value<'_>, verb: char, spec: Spec, out: &mut Vec<u8>) {
    match value {
        Value::List(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                push_formatted(item, verb, spec, out);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.extend_from_slice(b"map[");
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                push_formatted(&Value::text(key.as_str()), verb, spec, out);
                out.push(b':');
                push_formatted(item, verb, spec, out);
            }
            out.push(b']');
        }
        _ => {}
    }
}

fn truncated(text: &[u8], precision: Option<usize>) -> Vec<u8> {
    match precision {
        None => text.to_vec(),
        Some(count) => String::from_utf8_lossy(text).chars().take(count).collect::<String>().into_bytes(),
    }
}

/// Fills up to the width, which counts characters.
fn push_padded(text: &[u8], spec: Spec, out: &mut Vec<u8>) {
    let length = String::from_utf8_lossy(text).chars().count();
    let fill = spec.width.unwrap_or(0).saturating_sub(length);
    if spec.minus {
        out.extend_from_slice(text);
        out.resize(out.len() + fill, b' ');
    } else {
        out.resize(out.len() + fill, if spec.zero { b'0' } else { b' ' });
        out.extend_from_slice(text);
    }
}

/// Zeros go behind the sign; what is no finite number gets spaces.
fn push_number(text: &str, spec: Spec, finite: bool, out: &mut Vec<u8>) {
    if !spec.zero || !finite {
        return push_padded(text.as_bytes(), Spec { zero: false, ..spec }, out);
    }
    let digits = text.strip_prefix(['-', '+', ' ']).unwrap_or(text);
    out.extend_from_slice(&text.as_bytes()[..text.len() - digits.len()]);
    let fill = spec.width.unwrap_or(0).saturating_sub(text.len());
    out.resize(out.len() + fill, b'0');
    out.extend_from_slice(digits.as_bytes());
}

/// A whole number; base 17 is 16 in capitals.
fn push_int(n: i64, base: u32, spec: Spec, out: &mut Vec<u8>) {
    let size = n.unsigned_abs();
    let mut digits = match base {
        2 => format!("{size:b}"),
        8 => format!("{size:o}"),
        16 => format!("{size:x}"),
        17 => format!("{size:X}"),
        _ => size.to_string(),
    };
    if let Some(precision) = spec.precision {
        digits =
            if precision == 0 && n == 0 { String::new() } else { "0".repeat(precision.saturating_sub(digits.len())) + &digits };
    }
    if spec.sharp {
        digits.insert_str(
            0,
            match base {
                2 => "0b",
                8 => "0",
                16 => "0x",
                17 => "0X",
                _ => "",
            },
        );
    }
    let sign = if n < 0 {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    let zero = spec.zero && spec.precision.is_none();
    push_number(&format!("{sign}{digits}"), Spec { zero, ..spec }, true, out);
}
