//! JSON that is written straight into bytes: texts, label sets, values.
//!
//! Only what is written by the thousand goes through here; the rest is `serde_json`'s.

use std::io::Write;
use std::sync::Arc;

use gosyntax::number::{write_float, write_timestamp};

/// Appends `text` in quotes. `<`, `>`, `&` and the two line separators are escaped as well, so that an answer can stand in a page.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            b'<' => b"\\u003c",
            b'>' => b"\\u003e",
            b'&' => b"\\u0026",
            0xe2 if matches!(bytes[at..], [_, 0x80, 0xa8, ..]) => b"\\u2028",
            0xe2 if matches!(bytes[at..], [_, 0x80, 0xa9, ..]) => b"\\u2029",
            0..0x20 => {
                out.extend_from_slice(&bytes[from..at]);
                let _ = write!(out, "\\u{byte:04x}");
                from = at + 1;
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&bytes[from..at]);
        out.extend_from_slice(escaped);
        // The separators have three bytes in the text.
        from = at + if byte == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

/// Appends `{"name":"value",...}` in the order of `labels`.
pub(crate) fn write_labels<'a>(out: &mut Vec<u8>, labels: impl IntoIterator<Item = (&'a Arc<str>, &'a Arc<str>)>) {
    out.push(b'{');
    for (at, (name, value)) in labels.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, name);
        out.push(b':');
        write_text(out, value);
    }
    out.push(b'}');
}

/// Appends a sample value: a number in quotes, since JSON has no NaN and no infinity.
pub(crate) fn write_value(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    write_float(out, value);
    out.push(b'"');
}

/// Appends `[1435781451.781,"1"]`.
pub(crate) fn write_point(out: &mut Vec<u8>, ms: i64, value: f64) {
    out.push(b'[');
    write_timestamp(out, ms);
    out.push(b',');
    write_value(out, value);
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> String {
        let mut out = Vec::new();
        write_text(&mut out, of);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped() {
        assert_eq!(text(""), r#""""#);
        assert_eq!(text("a\"b\\c\n\r\t\u{1}"), r#""a\"b\\c\n\r\t\u0001""#);
        assert_eq!(text("<a href='x'>&"), r#""\u003ca href='x'\u003e\u0026""#);
        assert_eq!(text("küche \u{2028}|\u{2029}|\u{2027}|\u{1f600}"), "\"küche \\u2028|\\u2029|\u{2027}|\u{1f600}\"");
    }

    proptest::proptest! {
        #[test]
        fn every_text_comes_back(of in ".*") {
            let back: String = serde_json::from_str(&text(&of)).unwrap();
            proptest::prop_assert_eq!(back, of);
        }
    }

    #[test]
    fn label_sets_are_objects() {
        let mut out = Vec::new();
        let labels = [("__name__", "up"), ("job", "a"), ("zone", "\"x\"")].map(|(n, v)| (Arc::from(n), Arc::from(v)));
        write_labels(&mut out, labels.iter().map(|(name, value)| (name, value)));
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"__name__":"up","job":"a","zone":"\"x\""}"#);
    }

    #[test]
    fn points_are_pairs() {
        let mut out = Vec::new();
        write_point(&mut out, 1_435_781_451_781, f64::INFINITY);
        assert_eq!(String::from_utf8(out).unwrap(), r#"[1435781451.781,"+Inf"]"#);
    }
}
