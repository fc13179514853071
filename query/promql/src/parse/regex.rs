//! Patterns of matchers: RE2's language, the whole value, `.` matches newlines too.

use regex::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes.
pub const REGEX_BYTES_MAX: usize = 10 << 20;

/// Compiles the pattern of a matcher: anchored at both ends.
///
/// # Errors
/// A pattern that is none, or whose machine is larger than [`REGEX_BYTES_MAX`].
pub fn compile_regex(pattern: &str) -> Result<Regex, String> {
    let anchored = format!("^(?s:{pattern})$");
    RegexBuilder::new(&anchored).size_limit(REGEX_BYTES_MAX).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(limit) => format!("error parsing regexp: compiled pattern exceeds {limit} bytes"),
        e => {
            let text = e.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("error parsing regexp: {}: `{pattern}`", reason.trim_start_matches("error: "))
        }
    })
}
