//! Where `json` and `logfmt` look for a label: `a.b["c d"][0]`, and a key.
//! Source: Loki `pkg/logql/log/{jsonexpr, logfmt}`.

use super::StageFault;

/// One step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// Into the field of an object.
    Key(String),
    /// Into an element of an array, from 0.
    Index(usize),
}

/// Reads a path: `field`, `["field"]` or `[index]`, then any number of `.field`, `["field"]`, `[index]`. A field without quotes is made of
/// ASCII letters, digits and `_`.
///
/// # Errors
/// [`StageFault::Expression`].
pub fn parse_json_path(expression: &str) -> Result<Vec<PathStep>, StageFault> {
    let refused = |reason: &str| StageFault::Expression { expression: expression.to_owned(), reason: reason.to_owned() };
    let mut steps = Vec::new();
    let mut rest = expression.trim();
    while !rest.is_empty() {
        let dotted = rest.strip_prefix('.').filter(|_| !steps.is_empty());
        if dotted.is_some() || (steps.is_empty() && !rest.starts_with('[')) {
            let field = dotted.unwrap_or(rest);
            let length = field.bytes().position(|c| !is_field(c)).unwrap_or(field.len());
            if length == 0 || field.as_bytes()[0].is_ascii_digit() {
                return Err(refused("unexpected character, expecting a field"));
            }
            steps.push(PathStep::Key(field[..length].to_owned()));
            rest = &field[length..];
            continue;
        }
        let inside = rest.strip_prefix('[').ok_or_else(|| refused("unexpected character, expecting '.' or '['"))?;
        let behind = if inside.starts_with('"') {
            let (length, _) = super::json::string_end(&inside.as_bytes()[1..]).ok_or_else(|| refused("unterminated string"))?;
            steps.push(PathStep::Key(gosyntax::quote::unquote(&inside[..length + 2])));
            &inside[length + 2..]
        } else {
            let length = inside.bytes().position(|c| !c.is_ascii_digit()).unwrap_or(inside.len());
            let index = inside[..length].parse().map_err(|_| refused("unexpected character, expecting a string or an index"))?;
            steps.push(PathStep::Index(index));
            &inside[length..]
        };
        rest = behind.strip_prefix(']').ok_or_else(|| refused("unexpected character, expecting ']'"))?;
    }
    if steps.is_empty() { Err(refused("empty expression")) } else { Ok(steps) }
}

/// Reads the key that a label of `logfmt` is taken from: one field, or one in quotes.
///
/// # Errors
/// [`StageFault::Expression`].
pub fn parse_logfmt_path(expression: &str) -> Result<String, StageFault> {
    let is_key = |key: &str| !key.is_empty() && !key.as_bytes()[0].is_ascii_digit() && key.bytes().all(is_field);
    if is_key(expression) {
        return Ok(expression.to_owned());
    }
    let quoted = expression.len() > 2 && expression.starts_with('"') && expression.ends_with('"');
    if quoted && super::json::string_end(&expression.as_bytes()[1..]).is_some_and(|(n, _)| n == expression.len() - 2) {
        return Ok(gosyntax::quote::unquote(expression));
    }
    let reason = "unexpected character, expecting a field".to_owned();
    Err(StageFault::Expression { expression: expression.to_owned(), reason })
}

fn is_field(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}
