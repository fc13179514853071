//! Texts that every line must contain which a pipeline keeps: an index of texts may pass over what has none of them.
//!
//! Only the filters in front of the first stage that changes the line count. From a label filter nothing is taken unless the value
//! stands in the line as it is: the first parser is `json` or `logfmt`, no label of a stream or of metadata can be meant (which is not
//! known here, so the caller names those), and no escape could write the value otherwise. That leaves nothing that can be proven without
//! the labels, so label filters give no literals.
//!
//! # Invariants
//! - No line that passes is without any of the texts. Missing a text costs time; a wrong one loses lines.

use super::pattern::{Part, parts};
use super::{ordered, pattern};
use crate::ast::{LineFilter, LineFilterOp, LineMatch, Stage};

/// A text that a line must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The text; never empty.
    pub text: String,
    /// Whether letters may be of the other case.
    pub case_insensitive: bool,
}

/// The texts that every line must contain which these stages keep.
pub fn required_literals(stages: &[Stage]) -> Vec<Literal> {
    let mut literals = Vec::new();
    for stage in ordered(stages) {
        match stage {
            Stage::LineFilter(filter) => of_filter(filter, &mut literals),
            Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize => break,
            _ => {}
        }
    }
    literals.dedup();
    literals
}

fn of_filter(filter: &LineFilter, literals: &mut Vec<Literal>) {
    // of alternatives none is certain
    let [LineMatch::Text(text)] = filter.alternatives.as_slice() else { return };
    match filter.op {
        LineFilterOp::Contains if !text.is_empty() => literals.push(Literal { text: text.clone(), case_insensitive: false }),
        LineFilterOp::Matches => of_regex(text, literals),
        LineFilterOp::Pattern => {
            let texts = parts(text).into_iter().filter_map(|part| match part {
                Part::Text(text) => Some(Literal { text: text.to_owned(), case_insensitive: false }),
                pattern::Part::Capture(_) => None,
            });
            literals.extend(texts);
        }
        _ => {}
    }
}

/// The runs of plain characters of an expression that is nothing but such runs, `.`, `.*`, `.+` and one `(?i)` in front. What has any
/// other operator gives none.
fn of_regex(pattern: &str, literals: &mut Vec<Literal>) {
    let (case_insensitive, mut rest) = match pattern.strip_prefix("(?i)") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut runs = vec![String::new()];
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        let run = runs.last_mut().expect("there is always a run");
        match c {
            '\\' => match rest.chars().next() {
                Some(c) if c.is_ascii_punctuation() => {
                    run.push(c);
                    rest = &rest[1..];
                }
                _ => return,
            },
            '.' => {
                rest = rest.strip_prefix(['*', '+']).unwrap_or(rest);
                rest = rest.strip_prefix('?').unwrap_or(rest);
                runs.push(String::new());
            }
            // of what repeats nothing is certain but with `+`
            '*' | '?' | '+' | '{' => {
                run.pop();
                if c == '{' {
                    return;
                }
                rest = rest.strip_prefix('?').unwrap_or(rest);
                runs.push(String::new());
            }
            '^' | '$' | '(' | ')' | '[' | ']' | '|' | '}' => return,
            _ => run.push(c),
        }
    }
    // k and s have a third form, outside of ASCII, which an index need not know
    let folds = |c: char| case_insensitive && (!c.is_ascii() || matches!(c, 'k' | 'K' | 's' | 'S'));
    let texts = runs.iter().flat_map(|run| run.split(folds)).filter(|text| !text.is_empty());
    literals.extend(texts.map(|text| Literal { text: text.to_owned(), case_insensitive }));
}
