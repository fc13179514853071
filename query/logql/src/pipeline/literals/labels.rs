//! Texts that a line must have because a filter wants a label that only the line can give.
//!
//! ```text
//! | json | status="500"     status is in the line as `500` behind one of : = " [ , or a space, or a digit of it is written as \u00..
//! ```
//! Parsers take values as they stand, but for escapes of strings. Characters that are neither space nor special are written otherwise as `\u00`
//! and two digits alone, so that one of the two is in the line.

use gosyntax::re2::{self, Literal};

use super::super::ordered;
use crate::ast::{LabelFilter, LabelFormatValue, MatchOp, Matcher, Stage};
use crate::labels::DUPLICATE_SUFFIX;

/// What index entries are made of: shorter texts say nothing.
const USEFUL_BYTES_MIN: usize = 4;
/// What may stand before a value of `json` or `logfmt`.
const BEFORE: &str = ":= \t\n\r\"[,";
/// How an escape begins that stands for a character of ASCII.
const ESCAPE: &str = "\\u00";

/// A condition on lines, which holds where none of `labels` comes from the stream or from metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelLiterals {
    /// Names of labels.
    pub labels: Vec<String>,
    /// One of them is in every line that is kept.
    pub literals: Vec<Literal>,
}

/// What label filters among `stages` want of lines.
pub fn label_literals(stages: &[Stage]) -> Vec<LabelLiterals> {
    let mut found = Vec::new();
    let mut set: Vec<&str> = Vec::new();
    let mut takes_anywhere = false;
    for stage in ordered(stages) {
        match stage {
            Stage::LabelFilter(filter) => of_filter(filter, takes_anywhere, &mut found),
            Stage::Regexp(_) | Stage::Pattern(_) => takes_anywhere = true,
            Stage::LabelFormat(formats) => {
                set.extend(formats.iter().map(|format| format.target.as_str()));
                // A label that is renamed is not the one of that name any more, which only a later parser could set.
                set.extend(formats.iter().filter_map(|format| match &format.value {
                    LabelFormatValue::Rename(source) => Some(source.as_str()),
                    LabelFormatValue::Template(_) => None,
                }));
            }
            Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize => break,
            _ => {}
        }
        found.retain(|condition: &LabelLiterals| !condition.labels.iter().any(|label| set.contains(&label.as_str())));
    }
    found
}

/// Adds what `filter` wants.
fn of_filter(filter: &LabelFilter, takes_anywhere: bool, found: &mut Vec<LabelLiterals>) {
    match filter {
        LabelFilter::String(matcher) => found.extend(of_matcher(matcher, takes_anywhere)),
        LabelFilter::And(left, right) => {
            of_filter(left, takes_anywhere, found);
            of_filter(right, takes_anywhere, found);
        }
        LabelFilter::Or(left, right) => {
            let one = |side: &LabelFilter| {
                let mut found = Vec::new();
                of_filter(side, takes_anywhere, &mut found);
                found.into_iter().next()
            };
            if let (Some(mut either), Some(other)) = (one(left), one(right)) {
                either.labels.extend(other.labels);
                either.literals.extend(other.literals);
                found.push(either);
            }
        }
        // A quantity has many forms.
        LabelFilter::Number { .. } | LabelFilter::Duration { .. } | LabelFilter::Bytes { .. } | LabelFilter::Ip { .. } => {}
    }
}

fn of_matcher(matcher: &Matcher, takes_anywhere: bool) -> Option<LabelLiterals> {
    // What errors say is in no line, and behind a label that had to make room for another one there may be anything.
    if matcher.name.starts_with("__") || matcher.name.ends_with(DUPLICATE_SUFFIX) {
        return None;
    }
    let literals = match matcher.op {
        MatchOp::Equal => of_text(&Literal::exact(matcher.value.as_str()), !takes_anywhere)?,
        MatchOp::Regex => {
            let required = re2::required_literals(&format!("^(?s:{})$", matcher.value));
            let written = |texts: &Vec<Literal>| texts.iter().map(|text| of_text(text, false)).collect::<Option<Vec<_>>>();
            required.iter().filter_map(written).map(|texts| texts.concat()).next()?
        }
        MatchOp::NotEqual | MatchOp::NotRegex => return None,
    };
    Some(LabelLiterals { labels: vec![matcher.name.clone()], literals })
}

/// How a text of a value is written in a line: a part of it, or its escape. `None` if that says nothing. `begins`: the value begins with it, and
/// stands where `json` or `logfmt` find it.
fn of_text(text: &Literal, begins: bool) -> Option<Vec<Literal>> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/' | '\'');
    let longest = text.text.split(|c| !is_plain(c)).max_by_key(|part| part.len())?;
    let same_case = |part: String| Literal { text: part, case_insensitive: text.case_insensitive };
    let mut literals = if longest.len() >= USEFUL_BYTES_MIN {
        vec![same_case(longest.to_owned())]
    } else if begins && longest.len() + 1 == USEFUL_BYTES_MIN && text.text.starts_with(longest) {
        BEFORE.chars().map(|before| same_case(format!("{before}{longest}"))).collect()
    } else {
        return None;
    };
    literals.push(Literal::exact(ESCAPE));
    Some(literals)
}
