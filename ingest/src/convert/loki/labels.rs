//! The text of a label set, `{app="api", env="prod"}`, as Loki reads and prints it.

use std::fmt::Write;

/// Why a text is no label set, as Loki says it: line and column, counted from 1, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("1:{column}: parse error: {reason}")]
pub(crate) struct LabelsError {
    column: usize,
    reason: String,
}

/// The pairs of `text`, in the order in which they stand there. An empty set is fine here; names may repeat.
///
/// # Errors
/// What is no label set, or has a name that is none. Values are quoted as in Go: double, single or back quotes.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, LabelsError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut pairs = Vec::new();
    cursor.expect(b'{', "left brace")?;
    while cursor.peek() != Some(b'}') {
        let name = cursor.name()?;
        cursor.expect(b'=', "\"=\"")?;
        let value = cursor.quoted()?;
        pairs.push((name, value));
        match cursor.peek() {
            Some(b',') => cursor.at += 1,
            Some(b'}') => {}
            _ => return Err(cursor.unexpected("\",\" or \"}\"")),
        }
    }
    cursor.at += 1;
    match cursor.peek() {
        None => Ok(pairs),
        Some(_) => Err(cursor.unexpected("end of input")),
    }
}

/// Whether `name` can name a label: letters, digits and underscores, no digit first.
pub(crate) fn is_name(name: &str) -> bool {
    !name.as_bytes().first().is_none_or(u8::is_ascii_digit) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// As Loki prints a label set: names ascend, values are quoted as in Go.
pub(crate) fn print<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> String {
    let mut out = String::from("{");
    for (at, (name, value)) in labels.enumerate() {
        let _ = write!(out, "{}{name}=", if at > 0 { ", " } else { "" });
        quote(value, &mut out);
    }
    out.push('}');
    out
}

fn quote(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn error(&self, at: usize, reason: impl Into<String>) -> LabelsError {
        LabelsError { column: at + 1, reason: reason.into() }
    }

    fn unexpected(&mut self, expected: &str) -> LabelsError {
        self.peek();
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let found = found.map_or("end of input".to_owned(), |c| format!("{c:?}"));
        self.error(self.at, format!("unexpected {found} in label set, expected {expected}"))
    }

    fn expect(&mut self, byte: u8, name: &str) -> Result<(), LabelsError> {
        if self.peek() != Some(byte) {
            return Err(self.unexpected(name));
        }
        self.at += 1;
        Ok(())
    }

    fn name(&mut self) -> Result<String, LabelsError> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        if !is_name(name) {
            return Err(self.unexpected("a label name"));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    /// A quoted string. Ends at a character boundary, since the quotes are ASCII.
    fn quoted(&mut self) -> Result<String, LabelsError> {
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'' | b'`')) => quote,
            _ => return Err(self.unexpected("a quoted value")),
        };
        let start = self.at;
        self.at += 1;
        let content = &self.text[self.at..];
        if quote == b'`' {
            let end = content.find('`').ok_or_else(|| self.error(start, "unterminated raw string"))?;
            self.at += end + 1;
            return Ok(content[..end].to_owned());
        }
        let mut value = Vec::new();
        let mut rest = content.as_bytes();
        loop {
            match rest {
                [] | [b'\n', ..] => return Err(self.error(start, "unterminated quoted string")),
                [byte, tail @ ..] if *byte == quote => {
                    self.at = self.text.len() - tail.len();
                    return Ok(String::from_utf8_lossy(&value).into_owned());
                }
                [b'\\', tail @ ..] => {
                    rest = escape(tail, quote, &mut value).ok_or_else(|| {
                        let at = self.text.len() - tail.len() - 1;
                        self.error(at, "invalid escape in quoted string")
                    })?;
                }
                [byte, tail @ ..] => {
                    value.push(*byte);
                    rest = tail;
                }
            }
        }
    }
}

/// What follows a backslash, as Go has it; gives back what follows that.
fn escape<'b>(rest: &'b [u8], quote: u8, out: &mut Vec<u8>) -> Option<&'b [u8]> {
    let (kind, rest) = rest.split_first()?;
    let digits = |count: usize, radix: u32| {
        let (head, tail) = rest.split_at_checked(count)?;
        let head = std::str::from_utf8(head).ok().filter(|h| h.bytes().all(|b| b.is_ascii_alphanumeric()))?;
        Some((u32::from_str_radix(head, radix).ok()?, tail))
    };
    let simple = match kind {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        kind if *kind == quote => quote,
        b'x' => {
            let (byte, tail) = digits(2, 16)?;
            out.push(byte as u8);
            return Some(tail);
        }
        b'u' | b'U' => {
            let (code, tail) = digits(if *kind == b'u' { 4 } else { 8 }, 16)?;
            out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(tail);
        }
        b'0'..=b'7' => {
            let first = u32::from(kind - b'0');
            let (low, tail) = digits(2, 8)?;
            out.push(u8::try_from(first * 64 + low).ok()?);
            return Some(tail);
        }
        _ => return None,
    };
    out.push(simple);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn label_sets() {
        #[track_caller]
        fn check(text: &str, expected: &[(&str, &str)]) {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        check("{}", &[]);
        check(r#"{a="b"}"#, &[("a", "b")]);
        check(r#" { a = "b" , _c1='d\'"' , e=`\n` , } "#, &[("a", "b"), ("_c1", "d'\""), ("e", "\\n")]);
        check(r#"{a="ü\u00fc\x41\101\n\\"}"#, &[("a", "üüAA\n\\")]);
        check(r#"{a="1",a="2"}"#, &[("a", "1"), ("a", "2")]);
    }

    #[test]
    fn what_is_no_label_set() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(parse(text).map_err(|e| e.to_string()), Err(expected.to_owned()), "{text}");
        }
        check(r#"{ab""#, "1:4: parse error: unexpected '\"' in label set, expected \"=\"");
        check(r#"{ab="c"#, "1:5: parse error: unterminated quoted string");
        check("", "1:1: parse error: unexpected end of input in label set, expected left brace");
        check(r#"{a-b="c"}"#, "1:3: parse error: unexpected '-' in label set, expected \"=\"");
        check(r#"{1a="c"}"#, "1:2: parse error: unexpected '1' in label set, expected a label name");
        check(r#"{a="\q"}"#, "1:5: parse error: invalid escape in quoted string");
        check(r#"{a="b"} x"#, "1:9: parse error: unexpected 'x' in label set, expected end of input");
        check(r#"{a=b}"#, "1:4: parse error: unexpected 'b' in label set, expected a quoted value");
    }

    /// Cases taken from Loki's own tests, kept outside of the repository.
    #[test]
    fn as_loki_reads_them() {
        #[derive(serde::Deserialize)]
        struct Case {
            kind: String,
            input: Option<String>,
            expect: Option<serde_yaml_ng::Value>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/logql/units.yaml");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("SKIPPED: {path} is not there");
            return;
        };
        let cases: Vec<Case> = serde_yaml_ng::from_str(&text).expect("a list of cases");
        let cases: Vec<_> = cases.into_iter().filter(|case| case.kind == "stream_labels").collect();
        for case in &cases {
            let labels = catalog::LabelSet::new(parse(case.input.as_deref().expect("a text")).expect("a label set"));
            let found: std::collections::BTreeMap<String, String> =
                labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let expected: std::collections::BTreeMap<String, String> =
                serde_yaml_ng::from_value(case.expect.clone().expect("labels")).expect("texts");
            assert_eq!(found, expected);
        }
        assert!(cases.len() >= 3, "{}", cases.len());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(pairs in prop::collection::vec(("[a-z_][a-z0-9_]{0,4}", ".{0,12}"), 0..4), any in ".{0,40}") {
            let labels = || pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            prop_assert_eq!(parse(&print(labels())), Ok(pairs.clone()));
            let _ = parse(&any);
            let _ = parse(&format!("{{a=\"{any}"));
        }
    }
}
