//! A filter of one span at a time, for who has spans but no traces: tags, and files whose spans are judged where they lie.

use super::compile;
use super::error::Result;
use super::program::{At, Test};
use crate::ast::FieldExpr;
use crate::spans::{Slots, Spans};

/// A compiled `{ expr }`.
#[derive(Debug, Clone)]
pub struct Filter {
    test: Test,
}

impl Filter {
    /// Compiles `expr`; the fields that it names get slots of `slots`.
    ///
    /// # Errors
    /// A pattern that is none; a tree that is too deep or names too many fields.
    pub fn new(expr: &FieldExpr, slots: &mut Slots) -> Result<Self> {
        Ok(Self { test: compile::test(expr, slots)? })
    }

    /// Whether the span at `row` matches.
    pub fn matches(&self, spans: &dyn Spans, row: usize) -> bool {
        self.test.holds(At::span(spans, row))
    }
}
