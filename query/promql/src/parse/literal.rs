//! Numbers, as Go reads them: an integer with prefix first, then a float.

/// The value of a number the lexer has found.
///
/// # Errors
/// The text Go's `strconv` gives: what the lexer lets through is not always a number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    if let Some(n) = integer(text) {
        return Ok(n as f64);
    }
    let failed = |why| format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", gosyntax::quote::quote(text));
    let infinite = ["inf", "nan"].iter().any(|word| word.eq_ignore_ascii_case(text));
    let plain = infinite || text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'e' | b'E' | b'+' | b'-'));
    let digits = if underscores_separate(text) { text.replace('_', "") } else { text.to_owned() };
    match digits.parse::<f64>() {
        Ok(value) if plain && value.is_infinite() && !infinite => Err(failed("value out of range")),
        Ok(value) if plain => Ok(value),
        _ => Err(failed("invalid syntax")),
    }
}

/// `12`, `0x1f`, `0b1`, `0o17`, `017`; underscores between digits.
fn integer(text: &str) -> Option<i64> {
    if text.contains('_') && !underscores_separate(text) {
        return None;
    }
    let text = text.replace('_', "");
    let (prefix, rest) = text.split_at_checked(2).unwrap_or(("", ""));
    let (radix, digits) = match prefix.to_ascii_lowercase().as_str() {
        "0x" => (16, rest),
        "0b" => (2, rest),
        "0o" => (8, rest),
        _ if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        _ => (10, text.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok()
}

/// Whether each underscore stands between digits, or between a prefix and a digit.
fn underscores_separate(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let hexadecimal = lower.starts_with("0x");
    let number = if hexadecimal || lower.starts_with("0b") || lower.starts_with("0o") { &lower[2..] } else { &lower };
    let is_digit = |b: u8| b.is_ascii_digit() || (hexadecimal && b.is_ascii_hexdigit());
    let mut before = if number.len() < lower.len() { b'0' } else { b'^' };
    for b in number.bytes() {
        if (b == b'_' && !is_digit(before)) || (before == b'_' && !is_digit(b)) {
            return false;
        }
        before = b;
    }
    before != b'_'
}
