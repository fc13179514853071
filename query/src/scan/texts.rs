//! What a text must contain for a filter on it to be true: what an index of texts can be asked.
//!
//! ```text
//! LIKE '%time_out%'                        [time]
//! ~ '(timeout|refused) by peer'            [timeout or refused] and [ by peer]
//! json_get_str(body, 'status') = 'broken'  [status or \u00] and [broken or \u00]
//! ```
//!
//! # Invariants
//! - A text for which the filter is true has, of every [`Need`], at least one. Missing a need costs time; a wrong one loses rows.

use datafusion::logical_expr::Expr;
use regex_syntax::hir::{Hir, HirKind};

/// Shorter texts are in too many places to be worth a look: the index is of four bytes each.
const BYTES_MIN: usize = 4;
/// Alternatives that are worth a look.
const ALTERNATIVES_MAX: usize = 64;
/// Patterns beyond that are not looked into.
const PATTERN_BYTES_MAX: usize = 4 << 10;
/// How any character of ASCII begins that is escaped by its number in JSON.
const ESCAPE: &str = r"\u00";

/// Texts, one of which must be there. Never empty.
pub(super) type Need = Vec<String>;

/// What a text must contain that is `text`, or has it as a part.
pub(super) fn of_text(text: &str) -> Option<Need> {
    (text.len() >= BYTES_MIN).then(|| vec![text.to_owned()])
}

/// The runs of a LIKE pattern that stand for themselves and are worth a look; the longest one, if none is.
pub(super) fn of_like(pattern: &str) -> Vec<Need> {
    // A backslash escapes what follows; such a pattern is cut there as well.
    let runs = || pattern.split(['%', '_', '\\']);
    let needs: Vec<Need> = runs().filter_map(of_text).collect();
    if needs.is_empty() {
        let longest = runs().max_by_key(|run| run.len()).filter(|run| !run.is_empty());
        return longest.map(|run| vec![run.to_owned()]).into_iter().collect();
    }
    needs
}

/// What a text must contain that a regular expression, in the syntax of DataFusion's, is found in.
pub(super) fn of_regex(pattern: &str) -> Vec<Need> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Vec::new();
    }
    // The parser bounds how deep a pattern nests, and with that the recursion here.
    regex_syntax::parse(pattern).map(|hir| of_hir(&hir)).unwrap_or_default()
}

fn of_hir(hir: &Hir) -> Vec<Need> {
    match hir.kind() {
        HirKind::Literal(literal) => of_bytes(&literal.0).into_iter().collect(),
        HirKind::Capture(capture) => of_hir(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of_hir(&repetition.sub),
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(alternatives) => {
            let one = |hir: &Hir| of_hir(hir).into_iter().max_by_key(shortest);
            let needs: Option<Vec<Need>> = alternatives.iter().map(one).collect();
            let need: Need = needs.into_iter().flatten().flatten().collect();
            if need.is_empty() || need.len() > ALTERNATIVES_MAX { Vec::new() } else { vec![need] }
        }
        // Classes and what may be absent; anchors take no room.
        _ => Vec::new(),
    }
}

/// Literals side by side are one, also across anchors, which take no room.
fn of_concat(parts: &[Hir]) -> Vec<Need> {
    let (mut needs, mut run) = (Vec::new(), Vec::new());
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => run.extend_from_slice(&literal.0),
            HirKind::Look(_) | HirKind::Empty => {}
            _ => {
                needs.extend(of_bytes(&std::mem::take(&mut run)));
                needs.extend(of_hir(part));
            }
        }
    }
    needs.extend(of_bytes(&run));
    needs
}

fn of_bytes(bytes: &[u8]) -> Option<Need> {
    of_text(std::str::from_utf8(bytes).ok()?)
}

/// How much the least telling alternative says.
fn shortest(need: &Need) -> usize {
    need.iter().map(String::len).min().unwrap_or_default()
}

/// The argument that a call of a JSON function reads, and what it must contain for the call to give `value`; `None` for a value that says
/// nothing but that there is one.
pub(super) fn of_json<'e>(expr: &'e Expr, value: Option<&str>) -> Option<(&'e Expr, Vec<Need>)> {
    let expr = match expr {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::ScalarFunction(call) = expr else { return None };
    let gives_text = match call.name() {
        "json_get_str" | "json_as_text" => true,
        "json_get_int" | "json_get_float" | "json_get_bool" | "json_get_json" | "json_contains" | "json_length" => false,
        _ => return None,
    };
    let (text, path) = call.args.split_first()?;
    let keys = path.iter().filter_map(|key| match key {
        // A key that is a number may be meant as the place in a list.
        Expr::Literal(key, _) => key.try_as_str().flatten().filter(|key| key.parse::<isize>().is_err()),
        _ => None,
    });
    let values = value.filter(|_| gives_text);
    Some((text, keys.chain(values).filter_map(of_json_text).collect()))
}

/// What JSON must contain that has this text in it: as it is, or with an escape. Only of texts whose escapes all begin alike.
fn of_json_text(text: &str) -> Option<Need> {
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b'/') || c == b' ';
    (text.len() >= BYTES_MIN && text.bytes().all(plain)).then(|| vec![text.to_owned(), ESCAPE.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(needs: Vec<Need>, expected: &str) {
        let texts: Vec<String> = needs.iter().map(|need| need.join("|")).collect();
        assert_eq!(texts.join("; "), expected);
    }

    #[test]
    fn runs_of_patterns() {
        check(of_like("%abc%"), "abc");
        check(of_like("a%bcd_e"), "bcd");
        check(of_like("%connection%refused%by"), "connection; refused");
        check(of_like("%"), "");
        check(of_like(r"100\%x"), "100");
    }

    #[test]
    fn literals_of_regular_expressions() {
        check(of_regex("timeout"), "timeout");
        check(of_regex("^timeout$"), "timeout");
        check(of_regex("user=[a-z]+ failed.*code"), "user=;  failed; code");
        check(of_regex("(timeout|refused) by peer"), "timeout|refused;  by peer");
        check(of_regex("timeout|x"), "");
        check(of_regex("(timeout)?"), "");
        check(of_regex("(timeout)*abc"), "");
        check(of_regex("(timeout)+"), "timeout");
        check(of_regex("(?:error|warning){2,3}"), "error|warning");
        check(of_regex("(?i)timeout"), "");
        check(of_regex("time(?i)out"), "time");
        check(of_regex(r"a\.b\.c\.d"), "a.b.c.d");
        check(of_regex("(?x) time out # words"), "timeout");
        check(of_regex("(unclosed"), "");
    }

    #[test]
    fn texts_in_json() {
        check(of_json_text("broken").into_iter().collect(), r"broken|\u00");
        for text in ["abc", "a/bcd", "say \"hi\"", "naïve", "a\tbcd"] {
            check(of_json_text(text).into_iter().collect(), "");
        }
    }
}
