//! From the syntax tree to operators: every duration becomes a number, every selector knows which samples it needs, and what is the
//! same at each step is evaluated once.
//!
//! ```text
//! x @ 10 + rate(y[step()] offset 1m)     on the steps 0s, 30s, 60s
//!
//!   VectorBinary +
//!     Repeat                                 x @ 10 does not change
//!       InstantSelect  at 10s                one step
//!         Select x (-4m50s, 10s]
//!     RangeFunction rate 30s, offset 1m      three steps
//!       Select y (-1m30s, 0s]
//! ```

mod calls;
mod counted;
mod durations;
mod info;
mod invariant;
mod selectors;

use std::collections::HashSet;

use super::EvalError;
use super::operators::{Aggregate, Names, ScalarOp, Unite, VectorBinary, VectorScalar};
use super::plan::{Node, Operator, Plan};
use crate::ast::{self, Expr, ExprKind, Function, Span, ValueType};
use crate::value::Grid;
use invariant::{bare, is_worth_repeating};

/// What a query is lowered for.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryOptions {
    /// When it is evaluated.
    pub grid: Grid,
    /// Whether it is an instant query. Then `grid` has one step, and `step()` is 0.
    pub is_instant: bool,
    /// How old the newest sample of a series may be; the sample exactly as old as that is too old.
    pub lookback_ms: i64,
    /// Step of subqueries that do not say theirs. At least 1.
    pub subquery_step_ms: i64,
    /// Whether names of metrics go at the end of the query instead of where they lose their meaning.
    pub delayed_name_removal: bool,
    /// Whether counters know when they started.
    pub start_timestamps: bool,
    /// Whether `__type__` says what a counter is, instead of the end of its name.
    pub type_and_unit_labels: bool,
    /// Samples the query may hold at a time.
    pub samples_max: usize,
    /// Series a vector may have.
    pub series_max: usize,
    /// Steps a subquery may have. Series have a place for each step, so this bounds the memory of one.
    pub subquery_steps_max: usize,
}

impl QueryOptions {
    /// An instant query with the settings Prometheus has when nothing is set.
    pub fn instant(at_ms: i64) -> Self {
        Self {
            grid: Grid::instant(at_ms),
            is_instant: true,
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
            samples_max: 50_000_000,
            series_max: usize::MAX,
            subquery_steps_max: 10_000_000,
        }
    }

    /// A range query with the settings Prometheus has when nothing is set. `step_ms` is at least 1.
    pub fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        Self { grid: Grid { start_ms, end_ms, step_ms }, is_instant: false, ..Self::instant(start_ms) }
    }

    /// What `step()` is.
    fn step_seconds(&self) -> f64 {
        if self.is_instant { 0.0 } else { self.grid.step_ms as f64 / 1000.0 }
    }

    /// What `range()` is.
    fn range_seconds(&self) -> f64 {
        (self.grid.end_ms - self.grid.start_ms) as f64 / 1000.0
    }

    /// When names go.
    fn names(&self) -> Names {
        if self.delayed_name_removal { Names::Late } else { Names::Now }
    }
}

/// The operators of a query.
///
/// # Errors
/// [`EvalError::Invalid`] when a duration makes no sense, or the type does not fit a range query.
pub fn lower(expr: &Expr, options: &QueryOptions) -> Result<Plan, EvalError> {
    let result = type_of(expr);
    if !options.is_instant && !matches!(result, ValueType::Vector | ValueType::Scalar) {
        let found = if result == ValueType::Matrix { "range vector" } else { "string" };
        let text = format!("invalid expression type \"{found}\" for range query, must be Scalar or instant Vector");
        return Err(EvalError::Invalid(text));
    }
    let grid = options.grid;
    let lower = Lower { options, counted: counted::counted_selectors(expr) };
    let mut root = lower.expr(expr, grid)?;
    if options.delayed_name_removal && matches!(result, ValueType::Vector | ValueType::Matrix) {
        root = Node::new(Operator::DropNames, vec![root], grid, expr.span);
    }
    let (samples_max, series_max) = (options.samples_max, options.series_max);
    Ok(Plan { root, result, grid, is_instant: options.is_instant, samples_max, series_max })
}

fn leaf(op: Operator, span: Span, grid: Grid) -> Node {
    Node::new(op, Vec::new(), grid, span)
}

/// The type of an expression that was checked.
fn type_of(expr: &Expr) -> ValueType {
    match &expr.kind {
        ExprKind::Number(_) => ValueType::Scalar,
        ExprKind::String(_) => ValueType::String,
        ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
        ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
        ExprKind::Binary(binary) => match (type_of(&binary.lhs), type_of(&binary.rhs)) {
            (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
            _ => ValueType::Vector,
        },
        ExprKind::Unary(unary) => type_of(&unary.expr),
        ExprKind::Paren(inner) => type_of(inner),
        ExprKind::Call(call) => call.function.signature().returns,
    }
}

struct Lower<'a> {
    options: &'a QueryOptions,
    /// Where selectors stand whose histograms are only counted.
    counted: HashSet<Span>,
}

impl Lower<'_> {
    /// The operators of `expr` on the steps of `grid`.
    fn expr(&self, expr: &Expr, grid: Grid) -> Result<Node, EvalError> {
        match grid.len() {
            0 => Ok(leaf(Operator::Nothing, expr.span, grid)),
            1 => self.every_step(expr, grid),
            _ if is_worth_repeating(expr) => self.repeated(expr, grid),
            _ => self.every_step(expr, grid),
        }
    }

    fn repeated(&self, expr: &Expr, grid: Grid) -> Result<Node, EvalError> {
        let once = self.every_step(expr, Grid::instant(grid.start_ms))?;
        Ok(Node::new(Operator::Repeat, vec![once], grid, expr.span))
    }

    fn every_step(&self, expr: &Expr, grid: Grid) -> Result<Node, EvalError> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Number(literal) => Ok(leaf(Operator::Scalar(ScalarOp::Constant(literal.value)), span, grid)),
            ExprKind::String(text) => Ok(leaf(Operator::Text(text.clone()), span, grid)),
            ExprKind::Vector(selector) => self.instant_vector(selector, span, grid),
            ExprKind::Matrix(matrix) => self.window(matrix, span, grid),
            ExprKind::Subquery(subquery) => Ok(self.subquery(subquery, span, grid, false)?.0),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, span, grid),
            ExprKind::Binary(binary) => self.binary(binary, span, grid),
            ExprKind::Unary(unary) => self.unary(unary, span, grid),
            ExprKind::Paren(inner) => self.expr(inner, grid),
            ExprKind::Call(call) => self.call(call, span, grid),
        }
    }

    /// Without names, series may be equal: then they become one, or are an error.
    fn united(&self, node: Node, unite: Unite) -> Node {
        if self.options.delayed_name_removal {
            return node;
        }
        let (grid, span) = (node.grid, node.span);
        Node::new(Operator::Unite(unite), vec![node], grid, span)
    }

    fn aggregate(&self, aggregate: &ast::Aggregate, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let (inner, param) = (bare(&aggregate.expr), aggregate.param.as_deref().map(bare));
        let mut op = Aggregate::new(aggregate, span, inner.span, param.map(|p| p.span));
        let mut inputs = vec![self.expr(inner, grid)?];
        match param.map(|p| (&p.kind, p)) {
            Some((ExprKind::String(label), _)) => op.value_label = Some(label.clone()),
            Some((_, param)) => inputs.push(self.expr(param, grid)?),
            None => {}
        }
        op.check()?;
        Ok(Node::new(Operator::Aggregate(op), inputs, grid, span))
    }

    fn unary(&self, unary: &ast::Unary, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let input = self.expr(&unary.expr, grid)?;
        if !unary.negate {
            return Ok(input);
        }
        if type_of(&unary.expr) == ValueType::Scalar {
            return Ok(Node::new(Operator::Scalar(ScalarOp::Negate), vec![input], grid, span));
        }
        let negate = self.map(super::operators::MapFunction::Negate);
        Ok(self.united(Node::new(negate, vec![input], grid, span), Unite::Merge))
    }

    fn binary(&self, binary: &ast::Binary, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let lhs = self.expr(&binary.lhs, grid)?;
        let rhs = self.expr(&binary.rhs, grid)?;
        Ok(self.binary_operator(binary, [lhs, rhs], span, grid))
    }

    fn binary_operator(&self, binary: &ast::Binary, [lhs, rhs]: [Node; 2], span: Span, grid: Grid) -> Node {
        let (names, op, return_bool) = (self.options.names(), binary.op, binary.return_bool);
        let scalar = |side: &Expr| type_of(side) == ValueType::Scalar;
        match (scalar(&binary.lhs), scalar(&binary.rhs)) {
            (true, true) => Node::new(Operator::Scalar(ScalarOp::Binary(op)), vec![lhs, rhs], grid, span),
            (false, false) => {
                let matching = binary.matching.clone().unwrap_or_default();
                let op = VectorBinary { op, matching, return_bool, names, span };
                Node::new(Operator::VectorBinary(op), vec![lhs, rhs], grid, span)
            }
            (scalar_left, _) => {
                let op = VectorScalar { op, scalar_left, return_bool, names, span };
                let inputs = if scalar_left { vec![rhs, lhs] } else { vec![lhs, rhs] };
                self.united(Node::new(Operator::VectorScalar(op), inputs, grid, span), Unite::Merge)
            }
        }
    }

    /// What `start()`, `end()`, `step()` and `range()` are.
    fn query_constant(&self, function: Function) -> Option<f64> {
        let Grid { start_ms, end_ms, .. } = self.options.grid;
        Some(match function {
            Function::Start => start_ms as f64 / 1000.0,
            Function::End => end_ms as f64 / 1000.0,
            Function::Range => self.options.range_seconds(),
            Function::Step if start_ms == end_ms => 0.0,
            Function::Step => self.options.step_seconds(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
