//! `json`: the fields of an object as labels, all of them or by path.
//!
//! ```text
//! {"a": {"b": 1, "c": [2]}, "d": "x\n", "e": null}     a_b="1" d="x⏎"     arrays and nulls are skipped
//! ```
//! The reader takes what Loki's takes (buger/jsonparser): it looks at no more than it needs, so that what is behind the object, inside
//! an array, or behind the last comma may be anything; keys in front of a fault are labels. Source: Loki `pkg/logql/log/parser.go`.
//!
//! # Invariants
//! - A value is looked at only if its label is required; an object is passed over if none of its labels can be.
//! - Objects in each other are read [`NESTING_MAX`] deep, as an error beyond.

use memchr::{memchr2, memchr3};

use super::StageFault;
use super::logfmt::set_printable;
use super::paths::{PathStep, parse_json_path};
use crate::ast::Extraction;
use crate::labels::{Category, Labels, NameId, Names, PipelineError, push_sanitized};

/// Objects in each other that are read. Loki has no limit.
pub(super) const NESTING_MAX: usize = 128;

const NO_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
const NO_ARRAY: &str = "Value is array, but can't find closing ']' symbol";
const NO_STRING: &str = "Value is string, but can't find closing '\"' symbol";
const NO_VALUE: &str = "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol";
const NO_JSON: &str = "Malformed JSON error";
const UNKNOWN: &str = "Unknown value type";
const BAD_ESCAPE: &str = "Encountered an invalid escape sequence in a string";
const TOO_DEEP: &str = "objects are nested deeper than 128";

/// A value, as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Without quotes; with escapes or not.
    String(&'a str, bool),
    /// A number or a boolean.
    Scalar(&'a str),
    Null,
    Object(&'a str),
    Array(&'a str),
}

/// Why a walk over an object ended before the object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Fault(&'static str),
    /// All that is wanted was found.
    Found,
}

#[derive(Debug)]
pub(super) struct Json;

impl Json {
    /// `prefix` and `buffer` are scratch space.
    pub(super) fn run(&self, line: &str, labels: &mut Labels, prefix: &mut String, buffer: &mut Vec<u8>) {
        prefix.clear();
        let mut flatten = Flatten { labels, prefix, buffer };
        if let Err(Stop::Fault(fault)) = flatten.object(line, 0) {
            flatten.labels.set_error(PipelineError::Json, fault);
        }
    }
}

struct Flatten<'b> {
    labels: &'b mut Labels,
    /// The keys of the objects around, as they begin a label's name.
    prefix: &'b mut String,
    buffer: &'b mut Vec<u8>,
}

impl Flatten<'_> {
    fn object(&mut self, text: &str, depth: usize) -> Result<(), Stop> {
        if depth > NESTING_MAX {
            return Err(Stop::Fault(TOO_DEEP));
        }
        each_field(text, |key, value| self.field(key, value, depth))
    }

    fn field(&mut self, key: &str, value: Value<'_>, depth: usize) -> Result<(), Stop> {
        let around = self.prefix.len();
        match value {
            Value::Null | Value::Array(_) => return Ok(()),
            Value::Object(text) => {
                self.push(key);
                let result = if self.labels.may_require(self.prefix) { self.object(text, depth + 1) } else { Ok(()) };
                self.prefix.truncate(around);
                return result;
            }
            Value::String(..) | Value::Scalar(_) => {}
        }
        let name = if depth == 0 {
            self.labels.wanted_name(key)
        } else {
            self.push(key);
            // below the top a name may be empty, which is Loki's oddity
            let id = self.labels.intern(self.prefix);
            self.prefix.truncate(around);
            let name = self.labels.free_name(id);
            (self.labels.is_required(name) && !self.labels.is_parsed(name)).then_some(name)
        };
        let Some(name) = name else { return Ok(()) };
        match value {
            Value::String(text, escaped) => set_string(self.labels, name, text, escaped, self.buffer),
            Value::Scalar(text) => self.labels.set(Category::Parsed, name, text),
            _ => {}
        }
        if self.labels.all_required_found() { Err(Stop::Found) } else { Ok(()) }
    }

    fn push(&mut self, key: &str) {
        if !self.prefix.is_empty() && !key.trim().is_empty() {
            self.prefix.push('_');
        }
        push_sanitized(self.prefix, key);
    }
}

/// Sets a label to a string of the line; one with a broken escape is empty.
pub(super) fn set_string(labels: &mut Labels, name: NameId, text: &str, escaped: bool, buffer: &mut Vec<u8>) {
    if !escaped {
        return set_printable(labels, name, text);
    }
    buffer.clear();
    let value = unescape(text.as_bytes(), buffer, Escapes::Json).and_then(|()| std::str::from_utf8(buffer).ok());
    set_printable(labels, name, value.unwrap_or_default());
}

/// `json a="x.y[0]"`
#[derive(Debug)]
pub(super) struct JsonPaths {
    paths: Vec<(NameId, Vec<PathStep>)>,
}

impl JsonPaths {
    pub(super) fn new(extractions: &[Extraction], names: &mut Names) -> Result<Self, StageFault> {
        let path = |e: &Extraction| Ok((names.intern(&e.label), parse_json_path(&e.expression)?));
        Ok(JsonPaths { paths: extractions.iter().map(path).collect::<Result<_, StageFault>>()? })
    }

    pub(super) fn run(&self, line: &str, labels: &mut Labels, buffer: &mut Vec<u8>) {
        if line.is_empty() {
            return;
        }
        if !line.starts_with(['{', '[', '"']) {
            return labels.set_error(PipelineError::Json, "");
        }
        // a path that is found sets its label once: what is left here is what was not found
        let mut open: Vec<usize> = (0..self.paths.len()).collect();
        let mut walk = Walk { paths: &self.paths, open: &mut open, labels, buffer };
        let all = (0..self.paths.len()).collect::<Vec<_>>();
        // fields of an object that does not end are fields all the same
        let whole = if line.starts_with('{') { Ok(Value::Object(line)) } else { read_value(line, 0).map(|(value, _)| value) };
        if let Ok(value) = whole {
            walk.value(value, &all, 0);
        }
        if open.is_empty() {
            return;
        }
        for (name, _) in &self.paths {
            if labels.value(*name).is_none() {
                labels.set(Category::Parsed, *name, "");
            }
        }
    }
}

struct Walk<'b> {
    paths: &'b [(NameId, Vec<PathStep>)],
    open: &'b mut Vec<usize>,
    labels: &'b mut Labels,
    buffer: &'b mut Vec<u8>,
}

impl Walk<'_> {
    /// Follows those of `here` into the value; all of them have led here by `depth` steps.
    fn value(&mut self, value: Value<'_>, here: &[usize], depth: usize) {
        if depth > NESTING_MAX {
            return;
        }
        match value {
            Value::Object(text) => {
                let _ = each_field_faulty(text, |key, value| {
                    self.step(|step| matches!(step, PathStep::Key(wanted) if wanted == key), value, here, depth)
                });
            }
            Value::Array(text) => {
                let mut index = 0;
                each_element(text, |value| {
                    self.step(|step| *step == PathStep::Index(index), Ok(value), here, depth);
                    index += 1;
                });
            }
            _ => {}
        }
    }

    fn step(
        &mut self,
        is_here: impl Fn(&PathStep) -> bool,
        value: Result<Value<'_>, &'static str>,
        here: &[usize],
        depth: usize,
    ) -> bool {
        let on: Vec<usize> = here.iter().copied().filter(|p| self.paths[*p].1.get(depth).is_some_and(&is_here)).collect();
        if on.is_empty() {
            return true;
        }
        for path in on.iter().filter(|p| self.paths[**p].1.len() == depth + 1) {
            let Some(at) = self.open.iter().position(|open| open == path) else { continue };
            self.open.swap_remove(at);
            match value {
                Ok(value) => self.set(self.paths[*path].0, value),
                Err(fault) => self.labels.set_error(PipelineError::Json, fault),
            }
        }
        if let Ok(value) = value {
            self.value(value, &on, depth + 1);
        }
        !self.open.is_empty()
    }

    fn set(&mut self, name: NameId, value: Value<'_>) {
        let name = self.labels.free_name(name);
        match value {
            Value::String(text, escaped) => set_string(self.labels, name, text, escaped, self.buffer),
            Value::Array(text) => set_string(self.labels, name, text, text.contains('\\'), self.buffer),
            Value::Scalar(text) | Value::Object(text) => self.labels.set(Category::Parsed, name, text),
            Value::Null => self.labels.set(Category::Parsed, name, ""),
        }
    }
}

/// Calls `visit` with each field of the object at the start of `text`; keys are unescaped.
pub(super) fn each_field(text: &str, mut visit: impl FnMut(&str, Value<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut stop = None;
    let read = each_field_faulty(text, |key, value| match value {
        Ok(value) => match visit(key, value) {
            Ok(()) => true,
            Err(why) => {
                stop = Some(why);
                false
            }
        },
        Err(fault) => {
            stop = Some(Stop::Fault(fault));
            false
        }
    });
    match stop {
        Some(why) => Err(why),
        None => read.map_err(Stop::Fault),
    }
}

/// As [`each_field`], with the faults of values, behind which it ends; `visit` says whether to go on.
fn each_field_faulty(
    text: &str,
    mut visit: impl FnMut(&str, Result<Value<'_>, &'static str>) -> bool,
) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let mut at = next_token(bytes, 0).filter(|at| bytes[*at] == b'{').ok_or(NO_OBJECT)? + 1;
    at = next_token(bytes, at).ok_or(NO_JSON)?;
    let mut buffer = Vec::new();
    loop {
        match bytes[at] {
            b'"' => at += 1,
            b'}' => return Ok(()),
            _ => return Err(NO_OBJECT),
        }
        let (length, escaped) = string_end(&bytes[at..]).ok_or(NO_JSON)?;
        let key = &text[at..at + length];
        at = next_token(bytes, at + length + 1).filter(|at| bytes[*at] == b':').ok_or(NO_JSON)? + 1;
        let key = if escaped {
            buffer.clear();
            unescape(key.as_bytes(), &mut buffer, Escapes::Json).ok_or(BAD_ESCAPE)?;
            std::str::from_utf8(&buffer).map_err(|_| BAD_ESCAPE)?
        } else {
            key
        };
        let start = next_token(bytes, at).ok_or(NO_JSON)?;
        let value = read_value(text, start);
        let goes_on = visit(key, value.map(|(value, _)| value));
        let (_, end) = value?;
        if !goes_on {
            return Ok(());
        }
        at = next_token(bytes, end).ok_or(NO_ARRAY)?;
        match bytes[at] {
            b'}' => return Ok(()),
            b',' => at = next_token(bytes, at + 1).ok_or(NO_ARRAY)?,
            _ => return Err(NO_OBJECT),
        }
    }
}

/// Calls `visit` with each element of an array, up to the first fault.
fn each_element(text: &str, mut visit: impl FnMut(Value<'_>)) {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(start) = next_token(bytes, at) {
        let Ok((value, end)) = read_value(text, start) else { return };
        visit(value);
        match next_token(bytes, end) {
            Some(comma) if bytes[comma] == b',' => at = comma + 1,
            _ => return,
        }
    }
}

/// The value at `at`, and where it ends.
fn read_value(text: &str, at: usize) -> Result<(Value<'_>, usize), &'static str> {
    let bytes = text.as_bytes();
    match bytes[at] {
        b'"' => {
            let (length, escaped) = string_end(&bytes[at + 1..]).ok_or(NO_STRING)?;
            Ok((Value::String(&text[at + 1..at + 1 + length], escaped), at + length + 2))
        }
        b'[' => {
            let end = block_end(bytes, at, b'[', b']').ok_or(NO_ARRAY)?;
            Ok((Value::Array(&text[at..end]), end))
        }
        b'{' => {
            let end = block_end(bytes, at, b'{', b'}').ok_or(NO_OBJECT)?;
            Ok((Value::Object(&text[at..end]), end))
        }
        first => {
            let end = bytes[at..].iter().position(|c| ENDS[usize::from(*c)]).map_or(bytes.len(), |n| at + n);
            let token = &text[at..end];
            let value = match first {
                b't' | b'f' if matches!(token, "true" | "false") => Value::Scalar(token),
                b'n' if token == "null" => Value::Null,
                b'0'..=b'9' | b'-' => Value::Scalar(token),
                _ if token.is_empty() => return Err(NO_VALUE),
                _ => return Err(UNKNOWN),
            };
            Ok((value, end))
        }
    }
}

/// The bytes that end a number, `true`, `false` or `null`.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let mut at = 0;
    while at < 7 {
        ends[b" \n\r\t,}]"[at] as usize] = true;
        at += 1;
    }
    ends
};

#[inline]
fn next_token(bytes: &[u8], mut at: usize) -> Option<usize> {
    // Nearly always there is nothing to skip, or one space.
    while matches!(bytes.get(at)?, b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    Some(at)
}

/// Words in which the end of a string is looked for before a search begins that is made for long texts.
const NEAR_WORDS: usize = 3;

/// Length of the string whose text begins `bytes`, and whether it has escapes; `None` if no quote ends it.
#[inline]
pub(super) fn string_end(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut rest = bytes;
    for word in 0..NEAR_WORDS {
        let Some((chunk, behind)) = rest.split_first_chunk::<8>() else { break };
        let chunk = u64::from_le_bytes(*chunk);
        let found = has_byte(chunk, b'"') | has_byte(chunk, b'\\');
        if found != 0 {
            let at = word * 8 + found.trailing_zeros() as usize / 8;
            return if bytes[at] == b'"' { Some((at, false)) } else { far_end(bytes, at) };
        }
        rest = behind;
    }
    far_end(bytes, bytes.len() - rest.len())
}

/// The highest bit of the first byte of `word`, from the lowest up, that is `byte`; bits above it mean nothing.
fn has_byte(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let differing = word ^ (ONES * u64::from(byte));
    differing.wrapping_sub(ONES) & !differing & (ONES << 7)
}

/// As [`string_end`], of a string that has no quote and no escape before `at`.
fn far_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// Where the block that begins at `at` ends: brackets of its kind are counted outside of strings.
fn block_end(bytes: &[u8], at: usize, open: u8, close: u8) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        at += memchr3(b'"', open, close, bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => at += string_end(&bytes[at + 1..])?.0 + 1,
            c if c == open => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Whose escapes: both have JSON's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Half of a pair of `\u` is a fault.
    Json,
    /// Half of a pair is a replacement character; `\'` is one; control characters are faults.
    Logfmt,
}

/// Appends the unescaped text; `None` if an escape is none.
pub(super) fn unescape(mut text: &[u8], out: &mut Vec<u8>, escapes: Escapes) -> Option<()> {
    loop {
        let (plain, escape) = text.split_at(memchr::memchr(b'\\', text).unwrap_or(text.len()));
        if escapes == Escapes::Logfmt && plain.iter().any(|c| *c < b' ') {
            return None;
        }
        out.extend_from_slice(plain);
        let Some((_, escape)) = escape.split_first() else { return Some(()) };
        let (c, mut rest) = escape.split_first()?;
        match c {
            b'"' | b'\\' | b'/' => out.push(*c),
            b'\'' if escapes == Escapes::Logfmt => out.push(*c),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (c, behind) = unicode_escape(rest, escapes)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            _ => return None,
        }
        text = rest;
    }
}

/// The character of the escape whose `\u` was read, and what follows.
fn unicode_escape(text: &[u8], escapes: Escapes) -> Option<(char, &[u8])> {
    let unit = |text: &[u8]| {
        let digits = text.first_chunk::<4>().filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let first = unit(text)?;
    let rest = &text[4..];
    if let Some(c) = char::from_u32(first) {
        return Some((c, rest));
    }
    let second = rest.strip_prefix(b"\\u").and_then(unit).filter(|low| (0xdc00..0xe000).contains(low) && first < 0xdc00);
    match second.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))) {
        Some(c) => Some((c, &rest[6..])),
        None if escapes == Escapes::Logfmt => Some((char::REPLACEMENT_CHARACTER, rest)),
        None => None,
    }
}
