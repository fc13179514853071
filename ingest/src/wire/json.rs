//! JSON without a tree: a cursor over a text that hands out one value after the other.
//!
//! ```text
//! object(|reader, key| ..) ─┐  the closure reads the value, whatever it is: string(), raw(), or another object() or array()
//! array(|reader, index| ..)─┘
//! ```
//! Text without escapes is borrowed. What is passed over is checked as well, so that a broken request is refused as a whole.
//!
//! # Invariants
//! - No input makes it panic or loop; nesting is bounded by [`DEPTH_MAX`].
//! - A control character within a string is taken as it is, since senders write those.

use std::borrow::Cow;

use memchr::memchr2;

/// Deepest nesting that is followed.
pub const DEPTH_MAX: usize = 128;

/// What is no JSON, or not the JSON that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct JsonError {
    /// Where, in bytes from the start.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A cursor over a JSON text.
#[derive(Debug, Clone)]
pub struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> JsonReader<'a> {
    /// Starts at the first value of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// A cursor at `position`, which another cursor of this text had.
    pub fn at(&self, position: usize) -> Self {
        Self { at: position, ..self.clone() }
    }

    /// The error that something else than `reason` stands here.
    pub fn error<E: From<JsonError>>(&self, reason: &'static str) -> E {
        JsonError { at: self.at, reason }.into()
    }

    /// The first byte of what comes next, white space aside.
    ///
    /// # Errors
    /// At the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Result<u8, JsonError> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(self.error("unexpected end"))
    }

    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.error(reason));
        }
        self.at += 1;
        Ok(())
    }

    fn descend(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.error("values are nested too deeply")) } else { Ok(()) }
    }

    /// An object: `each` is called with every key and must read its value.
    ///
    /// # Errors
    /// What is no object, and what `each` says.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "expected an object")?;
        self.descend()?;
        if self.peek()? != b'}' {
            loop {
                let key = self.string()?;
                self.expect(b':', "expected a colon")?;
                each(self, key)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return Err(self.error("expected a comma or the end of an object")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// An array: `each` is called with every index and must read the element.
    ///
    /// # Errors
    /// What is no array, and what `each` says.
    pub fn array<E: From<JsonError>>(&mut self, mut each: impl FnMut(&mut Self, usize) -> Result<(), E>) -> Result<(), E> {
        self.expect(b'[', "expected an array")?;
        self.descend()?;
        if self.peek()? != b']' {
            for index in 0.. {
                each(self, index)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return Err(self.error("expected a comma or the end of an array")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// A string.
    ///
    /// # Errors
    /// What is no string, or has a bad escape.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        match memchr2(b'"', b'\\', rest) {
            Some(length) if rest[length] == b'"' => {
                self.at = start + length + 1;
                Ok(Cow::Borrowed(&self.text[start..start + length]))
            }
            Some(length) => self.escaped(start, length).map(Cow::Owned),
            None => Err(self.error("unterminated string")),
        }
    }

    /// A string from `start` on, whose first escape is `plain` bytes behind that.
    fn escaped(&mut self, start: usize, plain: usize) -> Result<String, JsonError> {
        let mut out = String::with_capacity(2 * plain + 16);
        out.push_str(&self.text[start..start + plain]);
        self.at = start + plain;
        loop {
            self.at += 1;
            self.escape(&mut out)?;
            let rest = &self.text.as_bytes()[self.at..];
            let length = memchr2(b'"', b'\\', rest).ok_or_else(|| self.error::<JsonError>("unterminated string"))?;
            out.push_str(&self.text[self.at..self.at + length]);
            self.at += length;
            if rest[length] == b'"' {
                self.at += 1;
                return Ok(out);
            }
        }
    }

    /// What follows a backslash. Half of a surrogate pair alone is U+FFFD.
    fn escape(&mut self, out: &mut String) -> Result<(), JsonError> {
        let kind = self.text.as_bytes().get(self.at).copied().ok_or_else(|| self.error::<JsonError>("unterminated string"))?;
        self.at += 1;
        out.push(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex4()?;
                let low = (0xd800..0xdc00).contains(&first).then(|| {
                    let after = self.at;
                    let second = match self.text.as_bytes().get(after..after + 2) {
                        Some(b"\\u") => {
                            self.at += 2;
                            self.hex4().ok().filter(|second| (0xdc00..0xe000).contains(second))
                        }
                        _ => None,
                    };
                    if second.is_none() {
                        self.at = after;
                    }
                    second
                });
                let code = match low.flatten() {
                    Some(second) => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    None => first,
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                self.at -= 1;
                return Err(self.error("invalid escape"));
            }
        });
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit)).and_then(|d| std::str::from_utf8(d).ok());
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or_else(|| self.error("invalid escape"))?;
        self.at += 4;
        Ok(code)
    }

    /// Any value, as it stands there.
    ///
    /// # Errors
    /// What is no JSON.
    pub fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Any value as text: a string without its quotes, everything else as it stands there.
    ///
    /// # Errors
    /// What is no JSON.
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek()? == b'"' { self.string() } else { self.raw().map(Cow::Borrowed) }
    }

    /// Passes over any value.
    ///
    /// # Errors
    /// What is no JSON.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek()? {
            b'{' => self.object(|reader, _| reader.skip()),
            b'[' => self.array(|reader, _| reader.skip()),
            b'"' => self.pass_string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn pass_string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let length = memchr2(b'"', b'\\', rest).ok_or_else(|| self.error::<JsonError>("unterminated string"))?;
            self.at += length + 1;
            if rest[length] == b'"' {
                return Ok(());
            }
            match rest.get(length + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                Some(b'u') => {
                    self.at += 1;
                    self.hex4()?;
                }
                _ => return Err(self.error("invalid escape")),
            }
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        match self.text.as_bytes().get(self.at) {
            Some(byte) if byte.is_ascii_alphanumeric() => Err(self.error("expected a value")),
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        let mut good = digits(&mut at);
        if good && bytes.get(at) == Some(&b'.') {
            at += 1;
            good = digits(&mut at);
        }
        if good && matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            good = digits(&mut at);
        }
        if !good {
            return Err(self.error("expected a value"));
        }
        self.at = at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Result<(), JsonError> {
        let mut reader = JsonReader::new(text);
        reader.skip()?;
        match reader.peek() {
            Ok(_) => Err(reader.error("more than one value")),
            Err(_) => Ok(()),
        }
    }

    #[test]
    fn values_are_told_from_what_is_none() {
        for good in ["{}", "[]", " [1, -2.5e+3, true, false, null, \"a\\u00e4\\n\"] ", "{\"a\":{\"b\":[{}]}}", "0", "\"\n\""] {
            assert_eq!(all(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "None",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "{a:1}",
            "1.",
            "-",
            "1e",
            "\"a",
            "\"\\q\"",
            "nul",
            "truex",
            "[1 2]",
            "{\"a\":1,}",
        ] {
            assert!(all(bad).is_err(), "{bad}");
        }
        assert!(all(&"[".repeat(1 << 20)).is_err());
        assert!(all(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX))).is_ok());
    }

    #[test]
    fn strings_are_unescaped() {
        for (text, expected) in [
            (r#""plain""#, "plain"),
            (r#""a\"b\\c\/d\n""#, "a\"b\\c/d\n"),
            (r#""\u00e4\ud83d\ude00x""#, "ä😀x"),
            (r#""\ud83dx\ude00\ud83d\u0041""#, "\u{fffd}x\u{fffd}\u{fffd}A"),
        ] {
            assert_eq!(JsonReader::new(text).string().as_deref(), Ok(expected), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn rebuilt(reader: &mut JsonReader<'_>) -> Result<serde_json::Value, JsonError> {
        match reader.peek()? {
            b'{' => {
                let mut map = serde_json::Map::new();
                reader.object(|reader, key| {
                    map.insert(key.into_owned(), rebuilt(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Ok(map.into())
            }
            b'[' => {
                let mut list = Vec::new();
                reader.array(|reader, _| {
                    list.push(rebuilt(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Ok(list.into())
            }
            b'"' => Ok(reader.string()?.into_owned().into()),
            _ => Ok(serde_json::from_str(reader.raw()?).expect("a scalar")),
        }
    }

    proptest! {
        #[test]
        fn as_serde_reads_it(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(rebuilt(&mut JsonReader::new(&text)), Ok(value));
            prop_assert_eq!(all(&text), Ok(()));
        }

        #[test]
        fn what_serde_takes_is_taken_and_nothing_panics(text in r#"[\[\]{}:,"\\a-fu0-9.eE+\- ]{0,30}"#) {
            // serde refuses what we do not: numbers with leading zeros.
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                prop_assert_eq!(all(&text), Ok(()));
            }
            let _ = all(&text);
        }
    }
}
