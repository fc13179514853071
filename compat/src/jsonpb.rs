//! Protobuf messages as JSON, in the way of Go's `jsonpb`: what is zero is left out, integers of 64 bits are texts, bytes are base64.
//! Tempo, and Jaeger's third API, answer so; Grafana decodes with a reader that refuses names it does not know.
//!
//! Source: protobuf's "ProtoJSON Format"; `gogo/protobuf/jsonpb` with its default options.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json::write_text;

/// An object at work. The closing brace is written by [`Object::close`].
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    begun: bool,
}

impl<'a> Object<'a> {
    /// `{`
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, begun: false }
    }

    /// `}`
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }

    /// `"key":`, for what is written by hand.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
        write_text(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A text that is not empty.
    pub(crate) fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            write_text(self.key(key), text);
        }
    }

    /// A number of at most 32 bits that is not 0.
    pub(crate) fn small(&mut self, key: &str, number: impl Into<i64>) {
        let number = number.into();
        if number != 0 {
            // Writing to memory cannot fail.
            let _ = write!(self.key(key), "{number}");
        }
    }

    /// A number of 64 bits that is not 0.
    pub(crate) fn large(&mut self, key: &str, number: impl Into<i128>) {
        let number = number.into();
        if number != 0 {
            let _ = write!(self.key(key), "\"{number}\"");
        }
    }

    /// A float that is not 0.
    pub(crate) fn double(&mut self, key: &str, number: f64) {
        if number != 0.0 {
            write_double(self.key(key), number);
        }
    }

    /// A list that is not empty.
    pub(crate) fn list<T>(&mut self, key: &str, items: &[T], write: impl FnMut(&mut Vec<u8>, &T)) {
        if !items.is_empty() {
            write_list(self.key(key), items, write);
        }
    }

    /// A message that is there.
    pub(crate) fn message<T>(&mut self, key: &str, message: Option<&T>, write: impl FnOnce(&mut Vec<u8>, &T)) {
        if let Some(message) = message {
            write(self.key(key), message);
        }
    }
}

/// `[item,item,...]`
pub(crate) fn write_list<T>(out: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// A float: the shortest digits that give it back; what JSON has no number for is a text.
pub(crate) fn write_double(out: &mut Vec<u8>, number: f64) {
    let _ = match number {
        f64::INFINITY => write!(out, "\"Infinity\""),
        f64::NEG_INFINITY => write!(out, "\"-Infinity\""),
        number if number.is_nan() => write!(out, "\"NaN\""),
        // `0.1`, `5.0`, `1e300`: whoever reads it reads a number.
        number => write!(out, "{number:?}"),
    };
}

/// Bytes in base64, with padding.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    write_text(out, &STANDARD.encode(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_zero_is_left_out() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("a", "");
        object.small("b", 0u32);
        object.large("c", 0u64);
        object.double("d", 0.0);
        object.list("e", &[] as &[u8], |_, _| {});
        object.message::<()>("f", None, |_, ()| {});
        object.close();
        assert_eq!(out, b"{}");
    }

    #[test]
    fn numbers_and_texts() {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out);
        object.text("text", "a\"b");
        object.small("small", -1);
        object.large("large", u64::MAX);
        object.double("double", 0.1);
        object.double("huge", 1e300);
        object.double("none", f64::NAN);
        object.double("most", f64::INFINITY);
        object.list("list", &[1, 2], |out, n| write_base64(out, &[*n]));
        object.message("message", Some(&()), |out, ()| Object::open(out).close());
        object.close();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"text":"a\"b","small":-1,"large":"18446744073709551615","double":0.1,"huge":1e300,"none":"NaN","most":"Infinity","list":["AQ==","Ag=="],"message":{}}"#
        );
    }
}
