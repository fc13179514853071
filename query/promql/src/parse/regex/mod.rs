//! Patterns of matchers: RE2's language as Go has it, the whole value, `.` matches newlines too.
//!
//! ```text
//! pattern ─► ^(?s:pattern)$ ─[Re2]─► the same in the language of the crate `regex` ─► machine
//! ```
//! The two languages differ: `\d`, `\w`, `\s`, `\b` are ASCII in RE2; a `{` that opens no repetition is a character, and so are `&&`
//! and `[` in a class; there are octal escapes and `\Q...\E`; a repetition is not repeated. Mistakes are named as Go names them.

mod re2;
#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

use super::quote::holds_bytes;

/// Largest compiled pattern, in bytes.
pub const REGEX_BYTES_MAX: usize = 10 << 20;

/// Compiles the pattern of a matcher: anchored at both ends.
///
/// # Errors
/// A pattern that is none, in Go's words, or whose machine is larger than [`REGEX_BYTES_MAX`].
pub fn compile_regex(pattern: &str) -> Result<Regex, String> {
    let anchored = format!("^(?s:{pattern})$");
    if holds_bytes(pattern) {
        return Err(mistake("invalid UTF-8", &anchored));
    }
    let translated = re2::translate(&anchored)?;
    RegexBuilder::new(&translated).size_limit(REGEX_BYTES_MAX).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(limit) => format!("error parsing regexp: expression needs more than {limit} bytes"),
        // what is left are names of Unicode classes, and depth
        e => mistake(e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: "), &anchored),
    })
}

fn mistake(what: &str, place: &str) -> String {
    format!("error parsing regexp: {what}: `{place}`")
}
