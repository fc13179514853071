//! The small things lines are made of: numbers, durations, quoted strings, words.

/// Reads along one line. Every method leaves the position alone when it finds nothing.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `prefix` if the rest starts with it.
    pub(super) fn eat(&mut self, prefix: &str) -> bool {
        self.rest.strip_prefix(prefix).map(|rest| self.rest = rest).is_some()
    }

    /// Takes `prefix` or says that it is missing.
    pub(super) fn expect(&mut self, prefix: &str) -> Result<(), String> {
        if self.eat(prefix) { Ok(()) } else { Err(format!("expected {prefix:?} at {:?}", shown(self.rest))) }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The longest prefix of which `holds` is true for each character; may be empty.
    pub(super) fn take_while(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// The next word and the white space behind it.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip_space();
        let word = self.take_while(|c| !c.is_whitespace());
        self.skip_space();
        word
    }

    /// A decimal number with optional sign, `Inf` or `NaN`. No hexadecimal: `0x5` is a zero six times.
    pub(super) fn number(&mut self) -> Option<f64> {
        let bytes = self.rest.as_bytes();
        let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
        let negative = bytes.first() == Some(&b'-');
        for (word, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.rest.get(at..at + 3).is_some_and(|w| w.eq_ignore_ascii_case(word)) {
                self.rest = &self.rest[at + 3..];
                return Some(if negative { -value } else { value });
            }
        }
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = digits(at);
        at += whole;
        let mut fraction = 0;
        if bytes.get(at) == Some(&b'.') {
            fraction = digits(at + 1);
            at += 1 + fraction;
        }
        if whole + fraction == 0 {
            return None;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at + 1 + sign);
            at += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let value = self.rest[..at].parse().ok()?;
        self.rest = &self.rest[at..];
        Some(value)
    }

    /// A whole number without sign.
    pub(super) fn count(&mut self) -> Result<usize, String> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits.parse().map_err(|_| format!("expected a count at {:?}", shown(self.rest)))
    }

    /// A string in double, single or back quotes, as Go writes them. Bytes that are no UTF-8 come as replacement characters.
    pub(super) fn quoted(&mut self) -> Result<String, String> {
        let quote = self.peek().filter(|c| matches!(c, '"' | '\'' | '`'));
        let Some(quote) = quote else { return Err(format!("expected a quoted string at {:?}", shown(self.rest))) };
        let body = &self.rest[1..];
        let mut bytes = Vec::new();
        let mut chars = body.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &body[at + 1..];
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            if c == '\\' && quote != '`' {
                escape(&mut chars, &mut bytes)?;
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        Err(format!("unterminated string {:?}", shown(self.rest)))
    }
}

/// One escape sequence behind its backslash.
fn escape(chars: &mut std::str::CharIndices<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let (_, c) = chars.next().ok_or("a backslash ends the line")?;
    let mut digits = |count: usize, radix: u32, first: Option<char>| -> Result<u32, String> {
        let mut value = 0u32;
        let missing = count - usize::from(first.is_some());
        let rest: Vec<char> = chars.by_ref().take(missing).map(|(_, c)| c).collect();
        for digit in first.into_iter().chain(rest) {
            value = value * radix + digit.to_digit(radix).ok_or("bad digit in an escape sequence")?;
        }
        Ok(value)
    };
    match c {
        'a' => out.push(7),
        'b' => out.push(8),
        'f' => out.push(12),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'v' => out.push(11),
        '\\' | '\'' | '"' => out.push(c as u8),
        'x' => out.push(digits(2, 16, None)? as u8),
        '0'..='7' => out.push(digits(3, 8, Some(c))? as u8),
        'u' | 'U' => {
            let code = digits(if c == 'u' { 4 } else { 8 }, 16, None)?;
            let c = char::from_u32(code).ok_or("no such character")?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => return Err(format!("unknown escape sequence \\{c}")),
    }
    Ok(())
}

/// A duration of Prometheus, not negative: `1h30m`, `500ms`, `0`. Milliseconds.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("not a duration: {text:?}");
    if text == "0" {
        return Ok(0);
    }
    let mut total = 0i64;
    let mut cursor = Cursor::new(text);
    while !cursor.is_done() {
        let digits = cursor.take_while(|c| c.is_ascii_digit());
        let amount: i64 = digits.parse().map_err(|_| wrong())?;
        let unit = unit_ms(cursor.take_while(|c| c.is_ascii_alphabetic())).ok_or_else(wrong)?;
        total = amount.checked_mul(unit).and_then(|ms| total.checked_add(ms)).ok_or_else(wrong)?;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// The length of a unit of time.
pub(super) fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        "y" => 365 * 86_400_000,
        _ => return None,
    })
}

/// The start of a text, for messages.
fn shown(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stop_where_they_end() {
        #[track_caller]
        fn check(text: &str, number: Option<f64>, rest: &str) {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.number().map(f64::to_bits), number.map(f64::to_bits));
            assert_eq!(cursor.rest(), rest);
        }
        check("5", Some(5.0), "");
        check("-1.5e3 7", Some(-1500.0), " 7");
        check("1e+100x3", Some(1e100), "x3");
        check("0x8", Some(0.0), "x8");
        check("1+2x3", Some(1.0), "+2x3");
        check("-Inf", Some(f64::NEG_INFINITY), "");
        check("nan", Some(f64::NAN), "");
        check(".5", Some(0.5), "");
        check("_", None, "_");
        check("-", None, "-");
    }

    #[test]
    fn durations() {
        assert_eq!(duration_ms("1h30m"), Ok(5_400_000));
        assert_eq!(duration_ms("500ms"), Ok(500));
        assert_eq!(duration_ms("0"), Ok(0));
        assert!(duration_ms("").is_err());
        assert!(duration_ms("5").is_err());
        assert!(duration_ms("-5m").is_err());
        assert!(duration_ms("99999999999999y").is_err());
    }

    #[test]
    fn strings_as_go_quotes_them() {
        let mut cursor = Cursor::new(r#""a\"b\n\x41\u00e9" rest"#);
        assert_eq!(cursor.quoted().unwrap(), "a\"b\nAé");
        assert_eq!(cursor.rest(), " rest");
        assert_eq!(Cursor::new(r"`a\n`").quoted().unwrap(), r"a\n");
        assert!(Cursor::new("\"a").quoted().is_err());
        assert!(Cursor::new("a").quoted().is_err());
    }
}
