//! Strings: quoting as Go's `%q` does it, and back.
//!
//! In Go a string is bytes, and `"\xc5"` is one that is no UTF-8. Such a byte is held as the private character `U+10FF00 + byte`,
//! so that the text is printed again as it was, and whoever needs a real name can tell ([`holds_bytes`]).

use std::fmt::Write;

/// The private characters that stand for bytes which make no UTF-8; a byte below 0x80 always makes some.
const BYTES: std::ops::RangeInclusive<char> = '\u{10FF80}'..='\u{10FFFF}';

/// Whether the value of a string has bytes that make no UTF-8. No label has such a name or value.
pub fn holds_bytes(text: &str) -> bool {
    text.contains(|c| BYTES.contains(&c))
}

/// `text` in double quotes, as Go's `strconv.Quote` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c, '"');
    }
    out.push('"');
    out
}

/// `c` in single quotes, as Go's `strconv.QuoteRune` writes it; the end of the text is the replacement character.
pub fn quote_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        _ if BYTES.contains(&c) => {
            let _ = write!(out, "\\x{:02x}", u32::from(c) & 0xff);
        }
        // printed as it is, the lexer would take it for a mistake
        char::REPLACEMENT_CHARACTER if quote == '"' => out.push_str("\\ufffd"),
        _ if c == quote => {
            out.push('\\');
            out.push(c);
        }
        _ if is_printable(c) => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => {
            let code = u32::from(c);
            let _ = match code {
                0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
                0..0x1_0000 => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            };
        }
    }
}

/// Whether Go prints the character as it is. `str`'s own escaping knows, once the character does not stand first.
pub fn is_printable(c: char) -> bool {
    let mut pair = [0; 5];
    pair[0] = b'x';
    let len = c.encode_utf8(&mut pair[1..]).len() + 1;
    matches!(c, '"' | '\'' | '\\')
        || std::str::from_utf8(&pair[..len]).is_ok_and(|pair| pair.escape_debug().skip(1).eq(std::iter::once(c)))
}

/// Length of the literal in double quotes at the start of `text`, unless its line ends first.
pub fn quoted_len(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\n' => return None,
            b'\\' => _ = bytes.next().filter(|(_, b)| *b != b'\n')?,
            _ => {}
        }
    }
    None
}

/// Whether every escape in the `body` of a literal in double quotes is one that Go has.
pub fn escapes_are_known(body: &str) -> bool {
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { return false };
        let code = |range: std::ops::Range<usize>, radix| rest.get(range).and_then(|d| u32::from_str_radix(d, radix).ok());
        let digits = |len: usize| rest.get(1..=len).is_some_and(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let (known, len) = match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '"' => (true, 1),
            'x' => (digits(2), 3),
            'u' => (digits(4) && code(1..5, 16).and_then(char::from_u32).is_some(), 5),
            'U' => (digits(8) && code(1..9, 16).and_then(char::from_u32).is_some(), 9),
            '0'..='7' => {
                let octal = rest.get(0..3).is_some_and(|d| d.bytes().all(|b| (b'0'..=b'7').contains(&b)));
                (octal && code(0..3, 8).is_some_and(|c| c < 256), 3)
            }
            _ => (false, 1),
        };
        if !known {
            return false;
        }
        rest = &rest[len..];
    }
    true
}

/// The value of a string literal with its quotes, one that the lexer has accepted.
pub fn unquote(literal: &str) -> String {
    let body = &literal[1..literal.len() - 1];
    if literal.starts_with('`') || !body.contains('\\') {
        return body.to_owned();
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    text_of(&out)
}

/// The bytes as text, with characters of [`BYTES`] for those that make no UTF-8.
fn text_of(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(0x10_ff00 + u32::from(*byte))));
    }
    out
}

/// Appends what the escape at the start of `rest` (behind its backslash) means; gives what follows it.
fn unescape<'a>(rest: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some(c) = rest.chars().next() else { return rest };
    let (digits, radix) = match c {
        'x' => (1..3, 16),
        'u' => (1..5, 16),
        'U' => (1..9, 16),
        '0'..='7' => (0..3, 8),
        _ => {
            let byte = match c {
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 0x0b,
                _ => {
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    return &rest[c.len_utf8()..];
                }
            };
            out.push(byte);
            return &rest[1..];
        }
    };
    let end = digits.end;
    let code = rest.get(digits).and_then(|d| u32::from_str_radix(d, radix).ok()).unwrap_or(0);
    match (c, u8::try_from(code)) {
        ('x' | '0'..='7', Ok(byte)) => out.push(byte),
        _ => {
            let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    rest.get(end..).unwrap_or("")
}
