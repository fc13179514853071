//! What a span of an answer says beside its name and times: the fields that a query names.
//!
//! ```text
//! { .a > 1 || .b = "x" } | select(.c)      a span with a = 2, b = "y", c = 3, tags = ["p", "q"] returns a = 2 and c = 3
//! ```
//! As Tempo has it: a field that is compared with literals is returned where one of the comparisons holds, of a list those elements for which
//! it does. What is selected, grouped by or calculated with is returned whatever it is.

use super::compare;
use super::program::{Operand, Test, value_of};
use crate::spans::{Reference, Source, Spans};
use crate::value::Value;

/// A field that is returned.
#[derive(Debug, Clone)]
pub struct Returned {
    name: String,
    reference: Reference,
    /// One of which must hold; `None`: nothing must.
    tests: Option<Vec<Test>>,
}

impl Returned {
    pub(super) fn new(name: String, reference: Reference, test: Option<Test>) -> Self {
        Self { name, reference, tests: test.map(|test| vec![test]) }
    }

    /// Whether it is the same field.
    pub(super) fn is(&self, name: &str, reference: Reference) -> bool {
        self.name == name && self.reference == reference
    }

    /// The field is named once more.
    pub(super) fn also(&mut self, test: Option<Test>) {
        match (&mut self.tests, test) {
            (Some(tests), Some(test)) => tests.push(test),
            (tests, _) => *tests = None,
        }
    }

    /// The name, as Tempo writes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is returned of a span; [`Value::Nil`]: nothing. Of events and links that of the last one that has it.
    pub fn value<'a>(&self, spans: &'a dyn Spans, row: usize) -> Value<'a> {
        let Some(tests) = &self.tests else { return value_of(spans, self.reference, row) };
        let admits = |value: &Value<'_>| tests.iter().any(|test| admits(test, self.reference, value));
        let kept = |value: Value<'a>| match value {
            Value::List(mut elements) => {
                elements.retain(admits);
                match elements.len() {
                    0 => Value::Nil,
                    1 => elements.remove(0),
                    _ => Value::List(elements),
                }
            }
            Value::Nil if admits(&Value::Nil) => Value::text("nil"),
            value if admits(&value) => value,
            _ => Value::Nil,
        };
        match self.reference.source {
            Source::Event | Source::Link if !self.reference.parent => {
                let items = (0..spans.items(self.reference.source, row)).rev();
                items
                    .map(|item| kept(spans.item(self.reference.slot, row, item)))
                    .find(|v| *v != Value::Nil)
                    .unwrap_or(Value::Nil)
            }
            _ => kept(value_of(spans, self.reference, row)),
        }
    }
}

/// Whether a comparison of the field with a literal holds for this value of it. Any other test says nothing of the value.
fn admits(test: &Test, field: Reference, value: &Value<'_>) -> bool {
    let is_field = |operand: &Operand| matches!(operand, Operand::Field(reference) if *reference == field);
    match test {
        Test::Compare { left, op, right: Operand::Literal(literal) } if is_field(left) => op.holds(value, literal),
        Test::Compare { left: Operand::Literal(literal), op, right } if is_field(right) => op.holds(literal, value),
        Test::Match { of, regex, negated } if is_field(of) => compare::matches(regex, value, *negated),
        Test::Present { of, negated } if is_field(of) => (*value == Value::Nil) == *negated,
        Test::Item(_, inner) => admits(inner, field, value),
        _ => *value != Value::Nil,
    }
}
