//! Patterns in RE2's language as Go has it. Those of matchers take the whole value, and their `.` matches newlines too ([`compile_regex`]).
//!
//! ```text
//! pattern ─► ^(?s:pattern)$ ─[translate]─► the same in the language of the crate `regex` ─► machine
//! ```
//! The two languages differ: `\d`, `\w`, `\s`, `\b` are ASCII in RE2; a `{` that opens no repetition is a character, and so are `&&`
//! and `[` in a class; there are octal escapes and `\Q...\E`; a repetition is not repeated. Mistakes are named as Go names them.

mod literals;
#[cfg(test)]
mod tests;
mod translate;

pub use literals::{Literal, best, required_literals};

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use regex::{Regex, RegexBuilder, bytes};

use crate::quote::holds_bytes;
use translate::translate;

/// Largest compiled pattern, in bytes.
pub const REGEX_BYTES_MAX: usize = 10 << 20;

/// Patterns that are remembered, the newest last. One of a query is compiled where it is read, where it is checked and where it is used, and dashboards send the
/// same ones again and again: compiling `.+` takes longer than finding the streams that it selects.
static COMPILED: Mutex<VecDeque<(Box<str>, Regex)>> = Mutex::new(VecDeque::new());
/// How many of them.
const COMPILED_MAX: usize = 32;
/// Bytes of a pattern that is remembered, which has no repetition by number either, so that its machine is small.
const REMEMBERED_BYTES_MAX: usize = 64;

/// Compiles the pattern of a matcher: anchored at both ends.
///
/// # Errors
/// A pattern that is none, in Go's words, or whose machine is larger than [`REGEX_BYTES_MAX`].
pub fn compile_regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > REMEMBERED_BYTES_MAX || pattern.contains('{') {
        return compile(pattern);
    }
    // Nothing is left half done under the lock.
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, regex)) = compiled().iter().find(|(known, _)| **known == *pattern) {
        return Ok(regex.clone());
    }
    let regex = compile(pattern)?;
    let mut compiled = compiled();
    if compiled.len() >= COMPILED_MAX {
        compiled.pop_front();
    }
    compiled.push_back((pattern.into(), regex.clone()));
    Ok(regex)
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let anchored = format!("^(?s:{pattern})$");
    let translated = in_our_language(pattern, &anchored)?;
    RegexBuilder::new(&translated).size_limit(REGEX_BYTES_MAX).build().map_err(|e| refused(e, &anchored))
}

/// Compiles a pattern as it is, to be searched for in bytes: not anchored, `.` matches no newline.
///
/// # Errors
/// As [`compile_regex`].
pub fn compile_search(pattern: &str) -> Result<bytes::Regex, String> {
    let translated = in_our_language(pattern, pattern)?;
    bytes::RegexBuilder::new(&translated).size_limit(REGEX_BYTES_MAX).build().map_err(|e| refused(e, pattern))
}

/// The names of a pattern's groups in order, one that is there twice also here: Go allows that, and machines know the first.
///
/// # Errors
/// A pattern that is none, in Go's words.
pub fn group_names(pattern: &str) -> Result<Vec<String>, String> {
    translate(pattern).map(|(_, names)| names.into_iter().map(str::to_owned).collect())
}

/// What stands in `place`, which mistakes are shown with, in the language of the crate `regex`.
///
/// # Errors
/// A pattern that is none, in Go's words.
fn in_our_language(pattern: &str, place: &str) -> Result<String, String> {
    if holds_bytes(pattern) {
        return Err(mistake("invalid UTF-8", place));
    }
    translate(place).map(|(translated, _)| translated)
}

fn refused(error: regex::Error, place: &str) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("error parsing regexp: expression needs more than {limit} bytes"),
        // what is left are names of Unicode classes, and depth
        e => mistake(e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "), place),
    }
}

fn mistake(what: &str, place: &str) -> String {
    format!("error parsing regexp: {what}: `{place}`")
}
