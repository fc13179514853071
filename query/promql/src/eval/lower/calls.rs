//! Calls of functions: which operator each is.

use super::selectors::vector_selector;
use super::{Lower, bare, type_of};
use crate::ast::{Call, Expr, ExprKind, Extension, Function, Span, ValueType};
use crate::eval::EvalError;
use crate::eval::operators::{
    Absent, Date, HistogramFunction, HistogramVector, Instant, Labeling, Map, MapFunction, RangeFunction, ScalarOp, Sort, Unite,
};
use crate::eval::plan::{Node, Operator};
use crate::value::Grid;

impl Lower<'_> {
    /// A call.
    pub(super) fn call(&self, call: &Call, span: Span, grid: Grid) -> Result<Node, EvalError> {
        if let Some(value) = self.query_constant(call.function) {
            return Ok(Node::new(Operator::Scalar(ScalarOp::Constant(value)), Vec::new(), grid, span));
        }
        let args: Vec<&Expr> = call.args.iter().map(bare).collect();
        if let Some(at) = args.iter().position(|a| type_of(a) == ValueType::Matrix) {
            return self.range_function(call.function, &args, at, span, grid);
        }
        match call.function {
            Function::Time => self.scalar(ScalarOp::Time, &[], span, grid),
            Function::Pi => self.scalar(ScalarOp::Constant(std::f64::consts::PI), &[], span, grid),
            Function::MinOf => self.scalar(ScalarOp::Min, &args, span, grid),
            Function::MaxOf => self.scalar(ScalarOp::Max, &args, span, grid),
            Function::Scalar => self.scalar(ScalarOp::OfVector, &args, span, grid),
            // A scalar is a series without labels already.
            Function::Vector => self.expr(argument(&args, 0)?, grid),
            Function::Timestamp => self.timestamp(Instant::Time, argument(&args, 0)?, span, grid),
            Function::StartTimestamp => self.timestamp(Instant::Start, argument(&args, 0)?, span, grid),
            Function::Absent => self.absent(argument(&args, 0)?, span, grid),
            Function::LabelReplace | Function::LabelJoin => self.labeling(call.function, &args, span, grid),
            Function::Sort | Function::SortDesc | Function::SortByLabel | Function::SortByLabelDesc => {
                let op = Sort::new(call.function, &strings(args.get(1..).unwrap_or_default())?, span)?;
                Ok(Node::new(Operator::Sort(op), vec![self.expr(argument(&args, 0)?, grid)?], grid, span))
            }
            Function::HistogramQuantile | Function::HistogramFraction | Function::HistogramQuantiles => {
                self.histogram_vector(call.function, &args, span, grid)
            }
            Function::Info => self.info(&args, span, grid),
            function => self.instant_function(function, &args, span, grid),
        }
    }

    fn scalar(&self, op: ScalarOp, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let inputs = args.iter().map(|a| self.expr(a, grid)).collect::<Result<_, _>>()?;
        Ok(Node::new(Operator::Scalar(op), inputs, grid, span))
    }

    /// An operator that works sample by sample.
    pub(super) fn map(&self, function: MapFunction) -> Operator {
        Operator::Map(Map { function, names: self.options.names() })
    }

    /// Functions of one vector and scalars, sample by sample.
    fn instant_function(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let inputs = args.iter().map(|a| self.expr(a, grid)).collect::<Result<Vec<_>, _>>()?;
        if let Some(op) = Date::new(function, self.options.names()) {
            let now = || self.scalar(ScalarOp::Time, &[], span, grid);
            let input = inputs.into_iter().next().map_or_else(now, Ok)?;
            return Ok(self.united(Node::new(Operator::Date(op), vec![input], grid, span), Unite::Merge));
        }
        let map = MapFunction::of(function).ok_or_else(|| misplaced(function))?;
        let mut inputs = inputs;
        if map == MapFunction::Round && inputs.len() == 1 {
            inputs.push(Node::new(Operator::Scalar(ScalarOp::Constant(1.0)), Vec::new(), grid, span));
        }
        Ok(self.united(Node::new(self.map(map), inputs, grid, span), Unite::Merge))
    }

    /// `timestamp`, `start_timestamp`: straight on a selector they speak of the sample.
    fn timestamp(&self, what: Instant, arg: &Expr, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let node = match (&arg.kind, what) {
            (ExprKind::Vector(_), Instant::Start) if !self.options.start_timestamps => {
                return Ok(Node::new(Operator::Nothing, Vec::new(), grid, span));
            }
            (ExprKind::Vector(selector), _) => self.instant_select(selector, what, span, grid)?,
            (_, Instant::Start) => return Ok(Node::new(Operator::Nothing, Vec::new(), grid, span)),
            _ => Node::new(self.map(MapFunction::StepTime), vec![self.expr(arg, grid)?], grid, span),
        };
        Ok(self.united(node, Unite::Merge))
    }

    fn absent(&self, arg: &Expr, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let matchers = match &arg.kind {
            ExprKind::Vector(selector) => &selector.matchers[..],
            _ => &[],
        };
        let op = Absent::new(matchers, false);
        Ok(Node::new(Operator::Absent(op), vec![self.expr(arg, grid)?], grid, span))
    }

    fn labeling(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let texts = strings(args.get(1..).unwrap_or_default())?;
        let op = if function == Function::LabelReplace { Labeling::replace(&texts)? } else { Labeling::join(&texts)? };
        let input = self.expr(argument(args, 0)?, grid)?;
        let node = Node::new(Operator::Labeling(op), vec![input], grid, span);
        Ok(Node::new(Operator::Unite(Unite::Merge), vec![node], grid, span))
    }

    fn histogram_vector(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let of = |at: usize| argument(args, at);
        let (function, vector, scalars): (_, &Expr, &[&Expr]) = match function {
            Function::HistogramQuantile => (HistogramFunction::Quantile, of(1)?, &args[..1]),
            Function::HistogramFraction => (HistogramFunction::Fraction, of(2)?, &args[..2]),
            _ => (HistogramFunction::Quantiles(string(of(1)?)?.to_owned()), of(0)?, &args[2..]),
        };
        let mut inputs = vec![self.expr(vector, grid)?];
        for scalar in scalars {
            inputs.push(self.expr(scalar, grid)?);
        }
        let op = HistogramVector {
            function,
            names: self.options.names(),
            vector_span: vector.span,
            scalar_spans: scalars.iter().map(|s| s.span).collect(),
        };
        Ok(Node::new(Operator::HistogramVector(op), inputs, grid, span))
    }

    /// A function of a range, of a selector or of a subquery.
    fn range_function(&self, function: Function, args: &[&Expr], at: usize, span: Span, grid: Grid) -> Result<Node, EvalError> {
        let options = self.options;
        let of_counter = matches!(function, Function::Rate | Function::Irate | Function::Increase | Function::Resets);
        let starts = options.start_timestamps && of_counter;
        let range = args[at];
        // What a function says of a subquery has no place: Prometheus puts a selector without one where the subquery was.
        let (raw, window, range_span) = match &range.kind {
            ExprKind::Subquery(subquery) => {
                let (raw, window) = self.subquery(subquery, range.span, grid, true)?;
                (raw, window, Span::default())
            }
            ExprKind::Matrix(matrix) => {
                let (raw, window) = self.range_select(matrix, starts, grid)?;
                (raw, window, range.span)
            }
            _ => return Err(misplaced(function)),
        };
        check_extension(function, window.extension)?;
        let mut inputs = vec![raw];
        for scalar in args.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, a)| a) {
            inputs.push(self.expr(scalar, grid)?);
        }
        let op = RangeFunction {
            function: if function == Function::AbsentOverTime { Function::PresentOverTime } else { function },
            window,
            starts,
            names: options.names(),
            type_labels: options.type_and_unit_labels,
            range_span,
            first_span: if at == 0 { range_span } else { args[0].span },
        };
        let node = Node::new(Operator::RangeFunction(op), inputs, grid, span);
        if function != Function::AbsentOverTime {
            return Ok(self.united(node, Unite::Refuse));
        }
        let matchers = match &range.kind {
            ExprKind::Matrix(matrix) => &vector_selector(&matrix.selector)?.matchers[..],
            _ => &[],
        };
        Ok(Node::new(Operator::Absent(Absent::new(matchers, true)), vec![node], grid, span))
    }
}

/// `anchored` and `smoothed` make sense for some functions only.
fn check_extension(function: Function, extension: Extension) -> Result<(), EvalError> {
    let (word, of): (_, &[Function]) = match extension {
        Extension::None => return Ok(()),
        Extension::Anchored => {
            ("anchored", &[Function::Changes, Function::Delta, Function::Increase, Function::Rate, Function::Resets])
        }
        Extension::Smoothed => ("smoothed", &[Function::Delta, Function::Increase, Function::Rate]),
    };
    if of.contains(&function) {
        return Ok(());
    }
    let names: Vec<&str> = of.iter().map(|f| f.signature().name).collect();
    let name = function.signature().name;
    Err(EvalError::failed(format!("{word} modifier can only be used with: {} - not with {name}", names.join(", "))))
}

fn argument<'a>(args: &[&'a Expr], at: usize) -> Result<&'a Expr, EvalError> {
    args.get(at).copied().ok_or_else(|| EvalError::Invalid(format!("argument {} is missing", at + 1)))
}

fn string(expr: &Expr) -> Result<&str, EvalError> {
    match &expr.kind {
        ExprKind::String(text) => Ok(text),
        _ => Err(EvalError::Invalid("a string must be written out".into())),
    }
}

fn strings<'a>(args: &[&'a Expr]) -> Result<Vec<&'a str>, EvalError> {
    args.iter().map(|a| string(a)).collect()
}

/// The parser lets through what has the right types only; this is for trees that did not come from it.
fn misplaced(function: Function) -> EvalError {
    EvalError::Invalid(format!("{} has arguments of the wrong type", function.signature().name))
}
