//! Texts that every line must contain which a pipeline keeps: an index of texts may pass over what has none of them.
//!
//! Only the filters in front of the first stage that changes the line count. Line filters say it of themselves; label filters where the label
//! comes from the line, which only the caller can know ([`label_literals`]).
//!
//! # Invariants
//! - No line that passes is without any of the texts. Missing a text costs time; a wrong one loses lines.

mod labels;

use gosyntax::re2::{self, Literal};

use super::pattern::{Part, parts};
use super::{ordered, pattern};
use crate::ast::{LineFilter, LineFilterOp, LineMatch, Stage};
pub use labels::{LabelLiterals, label_literals};

/// Most texts of one alternative.
const TEXTS_MAX: usize = 64;

/// What every line must contain which these stages keep: of each list one of its texts, none of which is empty.
pub fn required_literals(stages: &[Stage]) -> Vec<Vec<Literal>> {
    let mut required = Vec::new();
    for stage in ordered(stages) {
        match stage {
            Stage::LineFilter(filter) => required.extend(of_filter(filter)),
            Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize => break,
            _ => {}
        }
    }
    required.dedup();
    required
}

fn of_filter(filter: &LineFilter) -> Vec<Vec<Literal>> {
    match filter.alternatives.as_slice() {
        [alternative] => of_match(filter.op, alternative),
        alternatives => {
            // One of them is in the line, so one text of each says enough.
            let best = alternatives.iter().map(|alternative| re2::best(of_match(filter.op, alternative)));
            let any = best.collect::<Option<Vec<_>>>().map(|best| best.concat());
            any.filter(|texts| !texts.is_empty() && texts.len() <= TEXTS_MAX).into_iter().collect()
        }
    }
}

fn of_match(op: LineFilterOp, alternative: &LineMatch) -> Vec<Vec<Literal>> {
    let LineMatch::Text(text) = alternative else { return Vec::new() };
    let certain = |text: &str| vec![Literal::exact(text)];
    match op {
        LineFilterOp::Contains if !text.is_empty() => vec![certain(text)],
        LineFilterOp::Matches => re2::required_literals(text),
        LineFilterOp::Pattern => {
            let texts = parts(text).into_iter().filter_map(|part| match part {
                Part::Text(text) if !text.is_empty() => Some(certain(text)),
                Part::Text(_) | pattern::Part::Capture(_) => None,
            });
            texts.collect()
        }
        _ => Vec::new(),
    }
}
