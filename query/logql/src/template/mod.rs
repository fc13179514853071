//! Templates of `line_format` and `label_format`: Go's `text/template` with the functions that Loki gives it.
//!
//! ```text
//! "{{.app | upper}}: {{__line__}}" ─[lex]─► tokens ─[parse]─► [node] ─[exec, with a line's labels]─► text
//!                                                                       └ functions/: one table, a family per file
//! ```
//! Sources: Go 1.25 `text/template`, `fmt`, `time`; Loki `pkg/logql/log/fmt.go`; sprig 3.
//!
//! # Invariants
//! - Any text is a template or an error in Go's words; no template panics.
//! - Execution ends: at most [`STEPS_MAX`] steps, [`OUTPUT_BYTES_MAX`] bytes of output and of any value, [`DEPTH_MAX`] levels.
//! - Text is bytes inside, as in Go: functions may cut characters. What comes out is text; a byte that is none is U+FFFD.
//! - The local time zone is UTC.

mod builtins;
mod exec;
mod float;
mod functions;
mod layout;
mod lex;
mod node;
mod parse;
mod print;
#[cfg(test)]
mod tests;
mod time;
mod value;

use hashbrown::HashMap;
use regex::bytes::Regex;

use crate::labels::Labels;
use node::Node;

/// Most bytes that a template writes, and that a value of it has.
pub const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// Most nodes that are evaluated for one line.
pub const STEPS_MAX: usize = 1_000_000;
/// Most levels of blocks, parentheses and calls.
pub const DEPTH_MAX: usize = 100;
/// Most expressions that are kept compiled.
const REGEXES_MAX: usize = 64;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    name: &'static str,
    text: Box<str>,
    nodes: Vec<Node>,
    defined: HashMap<Box<str>, Vec<Node>>,
}

/// What a template sees.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// `.`: a map of labels.
    pub labels: &'a Labels,
    /// `__line__`
    pub line: &'a str,
    /// `__timestamp__`, nanoseconds since the epoch.
    pub ts_ns: i64,
    /// `now`, nanoseconds since the epoch.
    pub now_ns: i64,
}

impl Template {
    /// Parses a template; `name` is what errors call it.
    ///
    /// # Errors
    /// In Go's words, with the line of the mistake.
    pub fn parse(name: &'static str, text: &str) -> Result<Self, String> {
        let (nodes, defined) = parse::parse(name, text)?;
        Ok(Template { name, text: text.into(), nodes, defined })
    }

    /// Appends what the template writes to `out`.
    ///
    /// # Errors
    /// What failed, in Go's words, with its place. `out` is then as it was.
    pub fn execute(&self, data: &Data<'_>, out: &mut String, regexes: &mut RegexCache) -> Result<(), String> {
        let before = out.len();
        let bytes = std::mem::take(out).into_bytes();
        let (bytes, result) = exec::execute(self, data, bytes, regexes);
        match String::from_utf8(bytes) {
            Ok(text) => *out = text,
            Err(broken) => {
                for chunk in broken.as_bytes().utf8_chunks() {
                    out.push_str(chunk.valid());
                    // a replacement for each byte, as in Go
                    out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
                }
            }
        }
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// The label that is all that the template writes: `{{.app}}`.
    pub(crate) fn single_label(&self) -> Option<&str> {
        match self.nodes.as_slice() {
            [Node::Action(pipe)] => pipe.single_field(),
            _ => None,
        }
    }

    /// Appends the names of all labels that the template may look at.
    pub fn label_names(&self, names: &mut Vec<String>) {
        for node in self.nodes.iter().chain(self.defined.values().flatten()) {
            node.fields(names);
        }
    }
}

/// Expressions that templates compiled: most are constants, and the same for every line.
#[derive(Debug, Default)]
pub struct RegexCache {
    compiled: HashMap<Box<[u8]>, Result<Regex, String>>,
}

impl RegexCache {
    fn get(&mut self, pattern: &[u8]) -> Result<&Regex, String> {
        if !self.compiled.contains_key(pattern) {
            if self.compiled.len() >= REGEXES_MAX {
                self.compiled.clear();
            }
            let text = std::str::from_utf8(pattern).map_err(|_| "error parsing regexp: invalid UTF-8".to_owned());
            self.compiled.insert(pattern.into(), text.and_then(gosyntax::re2::compile_search));
        }
        self.compiled[pattern].as_ref().map_err(Clone::clone)
    }
}
