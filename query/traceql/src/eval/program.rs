//! Expressions over one span, compiled: what [`super::compile`] makes of a tree and how it is run.
//!
//! ```text
//! { event:name = "e" && event.n > 2 && .a + 1 = .b }
//!   ──► All[ Compare(Arithmetic(.a + 1) = .b), Item(event, All[ Compare(event:name = "e"), Compare(event.n > 2) ]) ]
//! ```

use regex::Regex;

use super::arithmetic;
use super::compare::{self, Comparison};
use crate::ast::BinaryOp;
use crate::spans::{Reference, Source, Spans};
use crate::value::Value;

/// What holds of a span or does not.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Constant(bool),
    /// Every one.
    All(Box<[Test]>),
    /// At least one.
    Any(Box<[Test]>),
    Not(Box<Test>),
    /// A value that is this bool.
    Is(Operand, bool),
    /// A value that is true, or a list with a true element.
    Contains(Operand),
    /// `= nil` when negated, `!= nil` when not.
    Present {
        of: Operand,
        negated: bool,
    },
    Compare {
        left: Operand,
        op: Comparison,
        right: Operand,
    },
    /// A span that names no parent, or with `negated` one that names one; `of` is the parent's id.
    Root {
        of: Reference,
        negated: bool,
    },
    Match {
        of: Operand,
        regex: Regex,
        negated: bool,
    },
    /// Of one event (or link) at least, and within all references to fields of events are to that one.
    Item(Source, Box<Test>),
}

/// What has a value.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Literal(Value<'static>),
    Field(Reference),
    Negate(Box<Operand>),
    /// The other bool.
    Not(Box<Operand>),
    Arithmetic {
        op: BinaryOp,
        left: Box<Operand>,
        right: Box<Operand>,
    },
    Test(Box<Test>),
}

/// Of what an expression is evaluated.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    spans: &'a dyn Spans,
    row: usize,
    event: Option<usize>,
    link: Option<usize>,
}

impl<'a> At<'a> {
    /// A span; no event of it in particular.
    pub(super) fn span(spans: &'a dyn Spans, row: usize) -> Self {
        Self { spans, row, event: None, link: None }
    }

    fn with_item(self, source: Source, item: usize) -> Self {
        match source {
            Source::Link => Self { link: Some(item), ..self },
            _ => Self { event: Some(item), ..self },
        }
    }

    fn field(self, reference: Reference) -> Value<'a> {
        let bound = match reference.source {
            Source::Event => self.event,
            Source::Link => self.link,
            Source::Row | Source::Trace => None,
        };
        match bound {
            Some(item) if !reference.parent => self.spans.item(reference.slot, self.row, item),
            _ => value_of(self.spans, reference, self.row),
        }
    }
}

/// The value of a field of a span; of events and links that of the last one that has it, as Tempo returns it. [`Value::Nil`]: none.
pub fn value_of(spans: &dyn Spans, reference: Reference, row: usize) -> Value<'_> {
    let row = if reference.parent { spans.parent(row) } else { Some(row) };
    let Some(row) = row else { return Value::Nil };
    match reference.source {
        Source::Row | Source::Trace => spans.value(reference.slot, row),
        source => {
            let items = (0..spans.items(source, row)).rev();
            items.map(|item| spans.item(reference.slot, row, item)).find(|v| *v != Value::Nil).unwrap_or(Value::Nil)
        }
    }
}

impl Test {
    pub(super) fn holds(&self, at: At<'_>) -> bool {
        match self {
            Self::Constant(holds) => *holds,
            Self::All(tests) => tests.iter().all(|test| test.holds(at)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(at)),
            Self::Not(test) => !test.holds(at),
            Self::Is(operand, bool) => operand.value(at) == Value::Bool(*bool),
            Self::Contains(operand) => match operand.value(at) {
                Value::List(elements) => elements.contains(&Value::Bool(true)),
                value => value == Value::Bool(true),
            },
            Self::Present { of, negated } => (of.value(at) == Value::Nil) == *negated,
            Self::Compare { left, op, right: Operand::Literal(right) } => op.holds(&left.value(at), right),
            Self::Compare { left, op, right } => op.holds(&left.value(at), &right.value(at)),
            Self::Root { of, negated } => {
                let row = if of.parent { at.spans.parent(at.row) } else { Some(at.row) };
                row.is_some_and(|row| at.spans.is_blank(of.slot, row) != *negated)
            }
            Self::Match { of, regex, negated } => compare::matches(regex, &of.value(at), *negated),
            Self::Item(source, test) => (0..at.spans.items(*source, at.row)).any(|item| test.holds(at.with_item(*source, item))),
        }
    }
}

impl Operand {
    pub(super) fn value<'a>(&'a self, at: At<'a>) -> Value<'a> {
        match self {
            Self::Literal(value) => value.borrowed(),
            Self::Field(reference) => at.field(*reference),
            Self::Negate(operand) => arithmetic::negate(&operand.value(at)),
            Self::Not(operand) => match operand.value(at) {
                Value::Bool(bool) => Value::Bool(!bool),
                _ => Value::Nil,
            },
            Self::Arithmetic { op, left, right } => arithmetic::apply(*op, &left.value(at), &right.value(at)),
            Self::Test(test) => Value::Bool(test.holds(at)),
        }
    }
}
