//! The text of an object, field by field, as buger/jsonparser reads it: no more of it than is needed.
//!
//! ```text
//! {"a": "x", "b": {"c": 1}}        a = x, as it stands there      b = {"c": 1}, whose end was found by its brackets
//! ```
//!
//! # Invariants
//! - Never panics on any text, and recurses into nothing: whoever wants the fields of a value asks for them.

use memchr::{memchr2, memchr3};

const NO_OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
const NO_ARRAY: &str = "Value is array, but can't find closing ']' symbol";
const NO_STRING: &str = "Value is string, but can't find closing '\"' symbol";
const NO_VALUE: &str = "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol";
const NO_JSON: &str = "Malformed JSON error";
const UNKNOWN: &str = "Unknown value type";
const BAD_ESCAPE: &str = "Encountered an invalid escape sequence in a string";

/// A value, as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Value<'a> {
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
pub(in super::super) enum Stop {
    Fault(&'static str),
    /// All that is wanted was found.
    Found,
}

/// Calls `visit` with each field of the object at the start of `text`; keys are unescaped.
pub(in super::super) fn each_field(text: &str, mut visit: impl FnMut(&str, Value<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
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
pub(super) fn each_field_faulty(
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
pub(super) fn each_element(text: &str, mut visit: impl FnMut(Value<'_>)) {
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
pub(super) fn read_value(text: &str, at: usize) -> Result<(Value<'_>, usize), &'static str> {
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
pub(in super::super) fn string_end(bytes: &[u8]) -> Option<(usize, bool)> {
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
pub(in super::super) enum Escapes {
    /// Half of a pair of `\u` is a fault.
    Json,
    /// Half of a pair is a replacement character; `\'` is one; control characters are faults.
    Logfmt,
}

/// Appends the unescaped text; `None` if an escape is none.
pub(in super::super) fn unescape(mut text: &[u8], out: &mut Vec<u8>, escapes: Escapes) -> Option<()> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As [`string_end`], byte by byte.
    fn end_by_bytes(bytes: &[u8]) -> Option<(usize, bool)> {
        let (mut at, mut escaped) = (0, false);
        loop {
            match bytes.get(at)? {
                b'"' => return Some((at, escaped)),
                b'\\' => (at, escaped) = (at + 2, true),
                _ => at += 1,
            }
        }
    }

    proptest! {
        #[test]
        fn strings_end_at_their_first_quote(text in r#"[a-z!"\\\x21\x23\x5b\x5dé]{0,70}"#, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(string_end(text.as_bytes()), end_by_bytes(text.as_bytes()));
            prop_assert_eq!(string_end(&bytes), end_by_bytes(&bytes));
        }
    }
}
