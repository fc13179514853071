//! Patterns: `<name>` captures up to the text behind it, `<_>` skips. `pattern` takes labels by one, `|>` asks whether a line looks so.
//!
//! ```text
//! parser   <ip> - <user> [<_>] "<method>      the first text must begin the line; the last capture takes the rest
//! filter   <_>error: <_>                      texts in this order, something between them, all of the line from the first on
//! ```
//! Source: Loki `pkg/logql/log/pattern/{lexer.rl, parser.go, pattern.go}`.

use memchr::memmem::{Finder, find};

use super::StageFault;
use crate::labels::{Category, Labels, NameId, Names};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Capture(&'a str),
}

/// Splits a pattern. `<` and `>` around anything but a name are text.
pub(super) fn parts(pattern: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(open) = pattern[at..].find('<').map(|found| at + found) {
        let name = pattern[open + 1..].split_once('>').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            at = open + 1;
            continue;
        };
        if start < open {
            parts.push(Part::Text(&pattern[start..open]));
        }
        parts.push(Part::Capture(name));
        at = open + name.len() + 2;
        start = at;
    }
    if start < pattern.len() {
        parts.push(Part::Text(&pattern[start..]));
    }
    parts
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn refuse_neighbours(pattern: &str, parts: &[Part<'_>]) -> Result<(), StageFault> {
    let neighbours = parts.windows(2).any(|pair| matches!(pair, [Part::Capture(_), Part::Capture(_)]));
    if neighbours { Err(refused(pattern, "found consecutive capture")) } else { Ok(()) }
}

fn refused(pattern: &str, reason: &'static str) -> StageFault {
    StageFault::Pattern { pattern: pattern.to_owned(), reason }
}

/// The stage `pattern`.
#[derive(Debug)]
pub(super) struct PatternParser {
    head: Box<str>,
    /// What is captured, if it has a name, and the text that ends it; none behind the last capture of a pattern that ends with it.
    captures: Vec<(Option<NameId>, Option<Finder<'static>>)>,
}

impl PatternParser {
    pub(super) fn new(pattern: &str, names: &mut Names) -> Result<Self, StageFault> {
        let parts = parts(pattern);
        if !parts.iter().any(|part| matches!(part, Part::Capture(name) if *name != "_")) {
            return Err(refused(pattern, "at least one capture is required"));
        }
        refuse_neighbours(pattern, &parts)?;
        let mut parser = PatternParser { head: "".into(), captures: Vec::new() };
        for part in &parts {
            match (part, parser.captures.last_mut()) {
                (Part::Text(text), None) => parser.head = (*text).into(),
                (Part::Text(text), Some(capture)) => capture.1 = Some(Finder::new(text).into_owned()),
                (Part::Capture("_"), _) => parser.captures.push((None, None)),
                (Part::Capture(name), _) => {
                    let name = Some(names.intern(name));
                    if parser.captures.iter().any(|(other, _)| *other == name) {
                        return Err(refused(pattern, "duplicate capture name"));
                    }
                    parser.captures.push((name, None));
                }
            }
        }
        Ok(parser)
    }

    pub(super) fn run(&self, line: &str, labels: &mut Labels) {
        let Some(mut rest) = line.strip_prefix(&*self.head).filter(|_| !line.is_empty()) else { return };
        for (name, end) in &self.captures {
            let found = end.as_ref().and_then(|end| Some((end.find(rest.as_bytes())?, end.needle().len())));
            let (captured, behind) = match found {
                Some((at, length)) => (&rest[..at], Some(&rest[at + length..])),
                // a text that is missing gives the capture all of the line, and ends it
                None => (rest, None),
            };
            if let Some(name) = name.filter(|name| labels.is_required(*name)) {
                let name = labels.free_name(name);
                labels.set(Category::Parsed, name, captured);
            }
            match behind {
                Some(behind) => rest = behind,
                None => return,
            }
            if labels.all_required_found() {
                return;
            }
        }
    }
}

/// A pattern of `|>` and `!>`.
#[derive(Debug, Clone)]
pub(super) struct LinePattern {
    texts: Vec<Box<[u8]>>,
    begins_with_capture: bool,
    ends_with_capture: bool,
}

impl LinePattern {
    pub(super) fn new(pattern: &str) -> Result<Self, StageFault> {
        let parts = parts(pattern);
        if parts.iter().any(|part| matches!(part, Part::Capture(name) if *name != "_")) {
            return Err(refused(pattern, "named captures are not allowed"));
        }
        refuse_neighbours(pattern, &parts)?;
        let text = |part: &Part<'_>| match part {
            Part::Text(text) => Some(text.as_bytes().into()),
            Part::Capture(_) => None,
        };
        Ok(LinePattern {
            texts: parts.iter().filter_map(text).collect(),
            begins_with_capture: matches!(parts.first(), Some(Part::Capture(_))),
            ends_with_capture: matches!(parts.last(), Some(Part::Capture(_))),
        })
    }

    /// The empty pattern matches the empty line, and no other does.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let is_empty = self.texts.is_empty() && !self.begins_with_capture;
        if line.is_empty() || is_empty {
            return line.is_empty() && is_empty;
        }
        let mut end = 0;
        for (at, text) in self.texts.iter().enumerate() {
            match find(&line[end..], text) {
                // nothing between two texts, or before the first one: an empty capture is none
                Some(0) if at > 0 || self.begins_with_capture => return false,
                Some(found) => end += found + text.len(),
                None => return false,
            }
        }
        self.ends_with_capture == (end < line.len())
    }
}
