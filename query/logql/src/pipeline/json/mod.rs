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

mod scan;

pub(super) use scan::{Escapes, Stop, Value, each_field, string_end, unescape};
use scan::{each_element, each_field_faulty, read_value};

use super::StageFault;
use super::logfmt::set_printable;
use super::paths::{PathStep, parse_json_path};
use crate::ast::Extraction;
use crate::labels::{Category, Labels, NameId, Names, PipelineError, push_sanitized};

/// Objects in each other that are read. Loki has no limit.
pub(super) const NESTING_MAX: usize = 128;

const TOO_DEEP: &str = "objects are nested deeper than 128";

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
