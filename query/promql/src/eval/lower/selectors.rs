//! Selectors and subqueries: which samples are needed, and when inner expressions are evaluated.

use super::{Lower, durations};
use crate::ast::{At, Expr, ExprKind, Extension, MatrixSelector, Span, Subquery, VectorSelector};
use crate::eval::EvalError;
use crate::eval::operators::{self, Instant, InstantSelect, Reference, Select, Window};
use crate::eval::plan::{Node, Operator};
use crate::value::Grid;

impl Lower<'_> {
    /// `name{...}` at each step.
    pub(super) fn instant_vector(&self, selector: &VectorSelector, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let what = if selector.extension == Extension::Smoothed { Instant::Smoothed } else { Instant::Value };
        self.instant_select(selector, what, span, grid)
    }

    /// Something of the newest sample of each series at each step.
    pub(super) fn instant_select(
        &self,
        selector: &VectorSelector,
        what: Instant,
        span: Span,
        grid: Grid,
    ) -> Result<Node, EvalError> {
        let time = self.reference(selector.at, &selector.offset)?;
        let lookback_ms = self.options.lookback_ms;
        let after_ms = if what == Instant::Smoothed { lookback_ms } else { 0 };
        let starts = what == Instant::Start;
        let select = self.select(selector, time.range(grid), (lookback_ms, after_ms), starts, span, grid);
        let op = InstantSelect { time, lookback_ms, what, names: self.options.names(), span };
        Ok(Node::new(Operator::InstantSelect(op), vec![select], grid, span))
    }

    /// `name{...}[5m]` as the result of an instant query.
    pub(super) fn window(&self, matrix: &MatrixSelector, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let (select, window) = self.range_select(matrix, false, grid)?;
        Ok(Node::new(Operator::Window(window), vec![select], grid, span))
    }

    /// The samples of `name{...}[5m]` at all steps, and the window of one step.
    pub(super) fn range_select(&self, matrix: &MatrixSelector, starts: bool, grid: Grid) -> Result<(Node, Window), EvalError> {
        let selector = vector_selector(&matrix.selector)?;
        let time = self.reference(selector.at, &selector.offset)?;
        let range_ms = durations::length_ms(&matrix.range, self.options)?;
        let extension = selector.extension;
        let window = Window { time, range_ms, extension, lookback_ms: self.options.lookback_ms };
        let around = (window.before_ms(), window.after_ms());
        let select = self.select(selector, time.range(grid), around, starts, matrix.selector.span, grid);
        Ok((select, window))
    }

    /// The leaf: samples in `(first - before, last + after]`.
    fn select(
        &self,
        selector: &VectorSelector,
        (first_ms, last_ms): (i64, i64),
        (before_ms, after_ms): (i64, i64),
        starts: bool,
        span: Span,
        grid: Grid,
    ) -> Node {
        let from_ms = first_ms.saturating_sub(before_ms).saturating_add(1);
        let to_ms = last_ms.saturating_add(after_ms);
        let select = Select { matchers: selector.matchers.clone(), from_ms, to_ms, starts };
        let select = Node::new(Operator::Select(select), Vec::new(), grid, span);
        if self.counted.contains(&span) { Node::new(Operator::MarkResets, vec![select], grid, span) } else { select }
    }

    /// `expr[1h:5m]` at each step, and the window a function around it reads at one.
    pub(super) fn subquery(
        &self,
        subquery: &Subquery,
        span: Span,
        grid: Grid,
        for_function: bool,
    ) -> Result<(Node, Window), EvalError> {
        let time = self.reference(subquery.at, &subquery.offset)?;
        let range_ms = durations::length_ms(&subquery.range, self.options)?;
        let step_ms = match &subquery.step {
            Some(step) => durations::length_ms(step, self.options)?,
            None => self.options.subquery_step_ms,
        };
        let (first_ms, end_ms) = time.range(grid);
        let start_ms = first_multiple_after(step_ms.max(1), first_ms.saturating_sub(range_ms));
        let inner_grid = Grid { start_ms, end_ms, step_ms: step_ms.max(1) };
        let (steps, max) = (inner_grid.len(), self.options.subquery_steps_max);
        if steps > max {
            return Err(EvalError::TooManySteps { steps, max });
        }
        let inner = self.expr(&subquery.expr, inner_grid)?;
        let op = operators::Subquery { grid: inner_grid, for_function };
        let node = Node::new(Operator::Subquery(op), vec![inner], grid, span);
        Ok((node, Window { time, range_ms, extension: Extension::None, lookback_ms: self.options.lookback_ms }))
    }

    /// `@` and `offset`.
    pub(super) fn reference(&self, at: Option<At>, offset: &crate::ast::DurationValue) -> Result<Reference, EvalError> {
        let at_ms = at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.options.grid.start_ms,
            At::End => self.options.grid.end_ms,
        });
        Ok(Reference { at_ms, offset_ms: durations::offset_ms(offset, self.options)? })
    }
}

/// The selector below a range.
pub(super) fn vector_selector(expr: &Expr) -> Result<&VectorSelector, EvalError> {
    match &expr.kind {
        ExprKind::Vector(selector) => Ok(selector),
        _ => Err(EvalError::Invalid("a range stands behind something that is no selector".into())),
    }
}

/// The smallest multiple of `step` that is greater than `time`.
fn first_multiple_after(step: i64, time: i64) -> i64 {
    time.div_euclid(step).saturating_add(1).saturating_mul(step)
}
