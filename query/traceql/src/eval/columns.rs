//! Filters over many spans at once: a column at a time, each value once.
//!
//! ```text
//! { service = "a" && duration > 1s }     rows ─ service: a verdict per number of its column ─► rows ─ duration: row by row ─► rows
//! ```
//!
//! # Invariants
//! - What is selected is what [`Test::holds`] says of each row; columns only save asking it.

use super::program::{At, Operand, Test};
use crate::spans::{Coded, Reference, Source, Spans};

/// Rows below which columns are not worth their set-up.
const ROWS_MIN: usize = 64;

/// Whether a value was judged yet, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Open,
    Passes,
    Fails,
}

/// Those of `rows` of which `test` holds, in their order.
pub(super) fn select(test: &Test, spans: &dyn Spans, mut rows: Vec<usize>) -> Vec<usize> {
    match test {
        Test::Constant(true) => {}
        Test::Constant(false) => rows.clear(),
        Test::All(tests) => {
            for test in tests {
                rows = select(test, spans, rows);
            }
        }
        test => match coded(test, spans, rows.len()) {
            Some(coded) => {
                let mut verdicts = vec![Verdict::Open; coded.len];
                rows.retain(|row| {
                    let verdict = &mut verdicts[coded.places[*row] as usize];
                    if *verdict == Verdict::Open {
                        *verdict = if test.holds(At::span(spans, *row)) { Verdict::Passes } else { Verdict::Fails };
                    }
                    *verdict == Verdict::Passes
                });
            }
            None => rows.retain(|row| test.holds(At::span(spans, *row))),
        },
    }
    rows
}

/// The column that decides a test, when there is one and it has fewer values than `rows`.
fn coded<'a>(test: &Test, spans: &'a dyn Spans, rows: usize) -> Option<Coded<'a>> {
    let mut sole = None;
    if rows < ROWS_MIN || !asks_only(test, &mut sole) {
        return None;
    }
    spans.coded(sole?.slot).filter(|coded| coded.len < rows)
}

/// Whether a test asks for one field of the span itself and nothing else; `sole` is the one so far.
fn asks_only(test: &Test, sole: &mut Option<Reference>) -> bool {
    match test {
        Test::Constant(_) => true,
        Test::All(tests) | Test::Any(tests) => tests.iter().all(|test| asks_only(test, sole)),
        Test::Not(test) => asks_only(test, sole),
        Test::Is(of, _) | Test::Contains(of) | Test::Present { of, .. } | Test::Match { of, .. } => names_only(of, sole),
        Test::Compare { left, right, .. } => names_only(left, sole) && names_only(right, sole),
        Test::Root { .. } | Test::Item(..) => false,
    }
}

fn names_only(operand: &Operand, sole: &mut Option<Reference>) -> bool {
    match operand {
        Operand::Literal(_) => true,
        Operand::Field(reference) => {
            reference.source == Source::Row && !reference.parent && *sole.get_or_insert(*reference) == *reference
        }
        Operand::Negate(inner) | Operand::Not(inner) => names_only(inner, sole),
        Operand::Arithmetic { left, right, .. } => names_only(left, sole) && names_only(right, sole),
        Operand::Test(test) => asks_only(test, sole),
    }
}
