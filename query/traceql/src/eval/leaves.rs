//! Filters at the front of a pipeline, one span at a time: which traces are worth being looked at as a whole.
//!
//! ```text
//! { a } || ({ b } | count() > 2)   ──►   a or b
//! { a } >> { b }                   ──►   a, or b: both must be there, so the one that says more
//! ```
//!
//! # Invariants
//! - Sound, never exact: a trace without a span that one of the filters selects gives no spanset.

use super::columns;
use super::compile::{self, check_slots};
use super::conditions::{self, Conditions};
use super::error::Result;
use super::program::Test;
use super::search::names_parent;
use crate::ast::{FieldExpr, FieldName, Form, Intrinsic, Pipeline, SpansetOp, Spansets, Stage};
use crate::spans::{Slots, Source, Spans};

/// Levels of a tree that are gone into. The parser allows fewer.
const DEPTH_MAX: usize = 500;

/// Filters of which a span has to be selected by one.
#[derive(Debug, Clone)]
pub struct Leaves {
    slots: Slots,
    tests: Vec<Test>,
    conditions: Vec<Conditions>,
}

impl Leaves {
    /// Those of `pipeline`; `None` when it begins with every span, or with what a span alone cannot tell.
    ///
    /// # Errors
    /// A pattern that is none; a tree that is too deep or names too many fields.
    pub fn of(pipeline: &Pipeline) -> Result<Option<Self>> {
        let Some(Side { filters, conditions, .. }) = of_pipeline(pipeline, 0) else { return Ok(None) };
        let mut slots = Slots::default();
        let tests = filters.into_iter().map(|expr| compile::test(expr, &mut slots)).collect::<Result<_>>()?;
        check_slots(&slots)?;
        Ok(Some(Self { slots, tests, conditions }))
    }

    /// The fields that they ask for.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What a span that is selected satisfies, as of [`super::Search::conditions`].
    pub fn conditions(&self) -> &[Conditions] {
        &self.conditions
    }

    /// The rows of `spans` that one of them selects, each once, in no promised order.
    pub fn select(&self, spans: &dyn Spans) -> Vec<usize> {
        let (mut selected, mut left) = (Vec::new(), (0..spans.len()).collect::<Vec<_>>());
        for (at, test) in self.tests.iter().enumerate() {
            let found = columns::select(test, spans, left.clone());
            if at + 1 < self.tests.len() && !found.is_empty() {
                let mut next = found.iter().peekable();
                left.retain(|row| next.next_if_eq(&row).is_none());
            }
            selected.extend(found);
        }
        selected
    }
}

/// Filters of which one must select a span.
struct Side<'a> {
    filters: Vec<&'a FieldExpr>,
    conditions: Vec<Conditions>,
    /// How few spans can be hoped to be selected: the more the fewer.
    weight: u8,
}

fn of_pipeline(pipeline: &Pipeline, depth: usize) -> Option<Side<'_>> {
    match pipeline.stages.first() {
        Some(Stage::Spansets(spansets)) if depth < DEPTH_MAX => of_spansets(spansets, depth + 1),
        _ => None,
    }
}

fn of_spansets(spansets: &Spansets, depth: usize) -> Option<Side<'_>> {
    match spansets {
        _ if depth > DEPTH_MAX => None,
        Spansets::Filter(expr) => of_filter(expr),
        Spansets::Pipeline(inner) => of_pipeline(inner, depth),
        Spansets::Binary { op, left, right } => {
            let left = || of_spansets(left, depth + 1);
            let right = of_spansets(right, depth + 1);
            match op {
                SpansetOp::Union => Some(either(left()?, right?)),
                // What stands in no relation is there without a left side.
                SpansetOp::Structural(_, Form::Not) => right,
                SpansetOp::And | SpansetOp::Structural(_, Form::Plain | Form::Union) => match (left(), right) {
                    (Some(left), Some(right)) => Some(if left.weight > right.weight { left } else { right }),
                    (left, right) => left.or(right),
                },
            }
        }
    }
}

fn either<'a>(mut left: Side<'a>, right: Side<'a>) -> Side<'a> {
    left.filters.extend(right.filters);
    left.conditions.extend(right.conditions);
    conditions::settle(&mut left.conditions);
    left.weight = left.weight.min(right.weight);
    left
}

/// A filter that a span alone can tell.
fn of_filter(expr: &FieldExpr) -> Option<Side<'_>> {
    if names_parent(expr) {
        return None;
    }
    // Fields are known when it is compiled; that it fails is said when the query is.
    let mut slots = Slots::default();
    compile::test(expr, &mut slots).ok()?;
    if slots.fields().iter().any(|field| Source::of(field) == Source::Trace) {
        return None;
    }
    let conditions = Conditions::of(expr);
    let of_one = |one: &Conditions| one.all.iter().map(weight).max().unwrap_or(0);
    let weight = conditions.iter().map(of_one).min().unwrap_or(u8::MAX);
    Some(Side { filters: vec![expr], conditions, weight })
}

fn weight(condition: &conditions::Condition) -> u8 {
    match (&condition.field, &condition.test) {
        (FieldName::Intrinsic(Intrinsic::TraceId | Intrinsic::SpanId, _), conditions::Test::Equal(_)) => 5,
        (FieldName::Attribute(..), conditions::Test::Equal(_)) => 4,
        (FieldName::Intrinsic(Intrinsic::Name | Intrinsic::StatusMessage, _), conditions::Test::Equal(_)) => 3,
        (_, conditions::Test::Equal(_) | conditions::Test::Regex { .. }) => 2,
        (_, conditions::Test::Range { .. } | conditions::Test::Exists) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Root;
    use crate::memory::{Span, Trace};

    #[test]
    fn a_span_is_selected_by_one_of_the_filters() {
        #[track_caller]
        fn check(text: &str, selected: Option<&[&str]>) {
            let Root::Search(pipeline) = crate::parse::parse(text).unwrap().root else { panic!("{text}") };
            let leaves = Leaves::of(&pipeline).unwrap();
            let spans: Vec<Span> = ["a", "b", "c"].map(|name| Span { name: name.to_owned(), ..Span::default() }).into();
            let names = leaves.map(|leaves| {
                let trace = Trace::new(&spans, leaves.slots());
                let mut rows = leaves.select(&trace);
                rows.sort_unstable();
                rows.into_iter().map(|row| spans[row].name.as_str()).collect::<Vec<_>>()
            });
            assert_eq!(names.as_deref(), selected, "{text}");
        }
        check(r#"{ name = "a" }"#, Some(&["a"]));
        check(r#"{ name = "a" } || { name = "c" }"#, Some(&["a", "c"]));
        check(r#"({ name = "a" } | count() > 1) || ({ name = "b" } | by(kind))"#, Some(&["a", "b"]));
        // Of two sides that both must be there the one that says more.
        check(r#"{ name = "a" } >> {}"#, Some(&["a"]));
        check(r#"{} && { name = "c" }"#, Some(&["c"]));
        check(r#"{ name = "a" } &> { kind = server }"#, Some(&["a"]));
        check(r#"({ name = "a" } || {}) > { name = "b" }"#, Some(&["b"]));
        check(r#"{ name = "a" } >> { trace:duration > 1s }"#, Some(&["a"]));
        check(r#"{ name = "a" } !>> {}"#, Some(&["a", "b", "c"]));
        check(r#"{ name = "a" } | { name = "b" }"#, Some(&["a"]));
        check("{}", Some(&["a", "b", "c"]));
        check("{ nestedSetParent < 0 }", Some(&["a", "b", "c"])); // Roots name no parent.
        check("{ trace:duration > 1s } || { true }", None);
        check("{ nestedSetLeft > 3 }", None);
        check("by(name) | count() > 1", None);
    }
}
