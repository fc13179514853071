//! `logfmt`: `key=value key="quoted value" key`, all of it as labels or by name.
//!
//! Lenient unless `--strict`: from a fault to the next space nothing counts, and no error is set. A key without a value is a label with
//! `--keep-empty` only. The first value of a key counts; by name, the last. Source: Loki `pkg/logql/log/{parser.go, logfmt/}`, which
//! took the reader from go-logfmt.

use super::StageFault;
use super::paths::parse_logfmt_path;
use crate::ast::Extraction;
use crate::labels::{Category, Labels, NameId, Names, PipelineError, sanitize_label};

#[derive(Debug, Clone, Copy)]
pub(super) struct Logfmt {
    pub(super) strict: bool,
    pub(super) keep_empty: bool,
}

impl Logfmt {
    pub(super) fn run(&self, line: &str, labels: &mut Labels, buffer: &mut Vec<u8>) {
        let mut reader = Reader::new(line);
        while let Some(pair) = reader.next() {
            let Ok(pair) = pair else {
                if self.strict {
                    break;
                }
                continue;
            };
            let Some(name) = labels.wanted_name(pair.key) else { continue };
            let Some(value) = pair.value.text(buffer) else {
                reader.invalid_quote();
                if self.strict {
                    break;
                }
                continue;
            };
            if !value.is_empty() || self.keep_empty {
                set_printable(labels, name, value);
                if labels.all_required_found() {
                    break;
                }
            }
        }
        report(self.strict, reader.fault, labels);
    }
}

#[derive(Debug)]
pub(super) struct LogfmtPaths {
    flags: Logfmt,
    /// Key, as a label, and the label it sets.
    paths: Vec<(String, NameId)>,
}

impl LogfmtPaths {
    pub(super) fn new(flags: Logfmt, extractions: &[Extraction], names: &mut Names) -> Result<Self, StageFault> {
        let mut paths: Vec<(String, NameId)> = Vec::with_capacity(extractions.len());
        for Extraction { label, expression } in extractions {
            let key = parse_logfmt_path(expression)?;
            let name = names.intern(label);
            // the last one of a label counts
            paths.retain(|(_, other)| *other != name);
            paths.push((key, name));
        }
        Ok(LogfmtPaths { flags, paths })
    }

    pub(super) fn run(&self, line: &str, labels: &mut Labels, buffer: &mut Vec<u8>) {
        for (_, name) in &self.paths {
            if labels.free_name(*name) == *name {
                labels.set(Category::Parsed, *name, "");
            }
        }
        let mut reader = Reader::new(line);
        while let Some(pair) = reader.next() {
            let Ok(pair) = pair else {
                if self.flags.strict {
                    break;
                }
                continue;
            };
            let sets = |key: &String| *key == *pair.key || *key == sanitize_label(pair.key);
            if !self.paths.iter().any(|(key, _)| sets(key)) {
                continue;
            }
            let Some(value) = pair.value.text(buffer) else {
                reader.invalid_quote();
                if self.flags.strict {
                    break;
                }
                continue;
            };
            for (_, name) in self.paths.iter().filter(|(key, _)| sets(key)) {
                let name = labels.free_name(*name);
                set_printable(labels, name, value);
            }
        }
        report(self.flags.strict, reader.fault, labels);
    }
}

/// The first value of `key` in a line of logfmt, as [`Logfmt`] reads it, with its escapes replaced into `buffer`; empty for a key
/// without one. Faults are passed over.
pub fn logfmt_value<'b>(line: &'b str, key: &str, buffer: &'b mut Vec<u8>) -> Option<&'b str> {
    let mut reader = Reader::new(line);
    while let Some(pair) = reader.next() {
        let Some(Pair { value, .. }) = pair.ok().filter(|pair| pair.key == key) else { continue };
        // A value that is none is not the key's.
        match value {
            Value::Plain(text) => return Some(text),
            Value::Escaped(text) if is_escaped(text, buffer) => return std::str::from_utf8(buffer).ok(),
            Value::Escaped(_) => reader.invalid_quote(),
        }
    }
    None
}

/// Whether the escapes of `text` are ones; what they stand for is in `buffer`.
fn is_escaped(text: &str, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let unescaped = super::json::unescape(text.as_bytes(), buffer, super::json::Escapes::Logfmt).is_some();
    unescaped && std::str::from_utf8(buffer).is_ok()
}

fn report(strict: bool, fault: Option<Fault>, labels: &mut Labels) {
    if let Some(fault) = fault.filter(|_| strict) {
        let what = match fault.unexpected {
            Some(byte) => format!("unexpected {}", gosyntax::quote::quote_char(Some(char::from(byte)))),
            None => fault.what.to_owned(),
        };
        labels.set_error(PipelineError::Logfmt, &format!("logfmt syntax error at pos {} : {what}", fault.at + 1));
    }
}

/// Sets a parsed label; a replacement character, which stands for bytes that were no text, becomes a space.
pub(super) fn set_printable(labels: &mut Labels, name: NameId, value: &str) {
    if value.contains(char::REPLACEMENT_CHARACTER) {
        labels.set(Category::Parsed, name, &value.replace(char::REPLACEMENT_CHARACTER, " "));
    } else {
        labels.set(Category::Parsed, name, value);
    }
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    at: usize,
    unexpected: Option<u8>,
    what: &'static str,
}

/// A key and what stands behind its `=`.
#[derive(Debug, Clone, Copy)]
struct Pair<'a> {
    key: &'a str,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Plain(&'a str),
    /// With escapes, without the quotes.
    Escaped(&'a str),
}

impl<'a> Value<'a> {
    /// The value, unescaped into `buffer` if need be; `None` if an escape is none.
    fn text<'b>(self, buffer: &'b mut Vec<u8>) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self {
            Value::Plain(text) => Some(text),
            Value::Escaped(text) => {
                is_escaped(text, buffer).then_some(())?;
                std::str::from_utf8(buffer).ok()
            }
        }
    }
}

struct Reader<'a> {
    line: &'a str,
    at: usize,
    /// The newest fault.
    fault: Option<Fault>,
}

impl<'a> Reader<'a> {
    fn new(line: &'a str) -> Self {
        Reader { line, at: 0, fault: None }
    }

    /// The next pair; `Err` for a fault, whose text is skipped.
    fn next(&mut self) -> Option<Result<Pair<'a>, ()>> {
        let bytes = self.line.as_bytes();
        let Some(skip) = bytes[self.at..].iter().position(|c| *c > b' ') else {
            self.at = bytes.len();
            return None;
        };
        let start = self.at + skip;
        let stop = bytes[start..].iter().position(|c| *c <= b' ' || *c == b'=' || *c == b'"').map_or(bytes.len(), |n| start + n);
        self.at = stop;
        let key = &self.line[start..stop];
        match bytes.get(stop) {
            Some(b'"') => return Some(self.unexpected(stop)),
            Some(b'=') if key.is_empty() => return Some(self.unexpected(stop)),
            _ => {}
        }
        if key.contains(char::REPLACEMENT_CHARACTER) {
            return Some(self.fail(Fault { at: stop, unexpected: None, what: "invalid key" }));
        }
        if bytes.get(stop) != Some(&b'=') {
            return Some(Ok(Pair { key, value: Value::Plain("") }));
        }
        self.at = stop + 1;
        Some(match bytes.get(self.at) {
            Some(b'"') => self.quoted().map(|value| Pair { key, value }),
            _ => self.plain().map(|value| Pair { key, value }),
        })
    }

    fn plain(&mut self) -> Result<Value<'a>, ()> {
        let bytes = self.line.as_bytes();
        let start = self.at;
        let stop = bytes[start..].iter().position(|c| *c <= b' ' || *c == b'=' || *c == b'"').map_or(bytes.len(), |n| start + n);
        if bytes.get(stop).is_some_and(|c| *c > b' ') {
            return self.unexpected(stop);
        }
        self.at = stop;
        Ok(Value::Plain(&self.line[start..stop]))
    }

    fn quoted(&mut self) -> Result<Value<'a>, ()> {
        let start = self.at + 1;
        match super::json::string_end(&self.line.as_bytes()[start..]) {
            Some((length, escaped)) => {
                self.at = start + length + 1;
                let text = &self.line[start..start + length];
                Ok(if escaped { Value::Escaped(text) } else { Value::Plain(text) })
            }
            None => {
                self.at = self.line.len();
                self.fault = Some(Fault { at: self.at, unexpected: None, what: "unterminated quoted value" });
                Err(())
            }
        }
    }

    /// An escape of the value that was just read is none; what follows it counts again.
    fn invalid_quote(&mut self) {
        self.fault = Some(Fault { at: self.at, unexpected: None, what: "invalid quoted value" });
    }

    fn unexpected<T>(&mut self, at: usize) -> Result<T, ()> {
        self.fail(Fault { at, unexpected: self.line.as_bytes().get(at).copied(), what: "" })
    }

    /// Notes a fault and goes on at the next space.
    fn fail<T>(&mut self, fault: Fault) -> Result<T, ()> {
        let bytes = self.line.as_bytes();
        self.at = bytes[fault.at..].iter().position(|c| *c <= b' ').map_or(bytes.len(), |n| fault.at + n);
        self.fault = Some(fault);
        Err(())
    }
}
