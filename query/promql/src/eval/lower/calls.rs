//! Calls of functions: which operator each is.
//!
//! What recurses holds little, so that a query as high as the parser lets through needs little stack: inputs are lowered by a loop, and
//! operators are put over them by functions that do not recurse.

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
            return self.scalar(ScalarOp::Constant(value), &[], span, grid);
        }
        let args: Vec<&Expr> = call.args.iter().map(bare).collect();
        match args.iter().position(|a| type_of(a) == ValueType::Matrix) {
            Some(at) => self.range_function(call.function, &args, at, span, grid),
            None => self.call_of_vectors(call.function, &args, span, grid),
        }
    }

    fn call_of_vectors(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        match function {
            Function::Time => self.scalar(ScalarOp::Time, &[], span, grid),
            Function::Pi => self.scalar(ScalarOp::Constant(std::f64::consts::PI), &[], span, grid),
            Function::MinOf => self.scalar(ScalarOp::Min, args, span, grid),
            Function::MaxOf => self.scalar(ScalarOp::Max, args, span, grid),
            Function::Scalar => self.scalar(ScalarOp::OfVector, args, span, grid),
            // A scalar is a series without labels already.
            Function::Vector => self.expr(argument(args, 0)?, grid),
            Function::Timestamp => self.timestamp(Instant::Time, argument(args, 0)?, span, grid),
            Function::StartTimestamp => self.timestamp(Instant::Start, argument(args, 0)?, span, grid),
            Function::Absent => self.absent(argument(args, 0)?, span, grid),
            Function::LabelReplace | Function::LabelJoin => self.labeling(function, args, span, grid),
            Function::Sort | Function::SortDesc | Function::SortByLabel | Function::SortByLabelDesc => {
                self.sort(function, args, span, grid)
            }
            Function::HistogramQuantile | Function::HistogramFraction | Function::HistogramQuantiles => {
                self.histogram_vector(function, args, span, grid)
            }
            Function::Info => self.info(args, span, grid),
            function => self.instant_function(function, args, span, grid),
        }
    }

    fn scalar(&self, op: ScalarOp, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let inputs = self.inputs(args, grid)?;
        Ok(Node::new(Operator::Scalar(op), inputs, grid, span))
    }

    fn inputs(&self, args: &[&Expr], grid: Grid) -> Result<Vec<Node>, EvalError> {
        let mut inputs = Vec::with_capacity(args.len());
        for arg in args {
            inputs.push(self.expr(arg, grid)?);
        }
        Ok(inputs)
    }

    /// An operator that works sample by sample.
    pub(super) fn map(&self, function: MapFunction) -> Operator {
        Operator::Map(Map { function, names: self.options.names() })
    }

    /// Functions of one vector and scalars, sample by sample.
    fn instant_function(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let inputs = self.inputs(args, grid)?;
        self.instant_operator(function, inputs, span, grid)
    }

    fn instant_operator(&self, function: Function, mut inputs: Vec<Node>, span: Span, grid: Grid) -> Result<Node, EvalError> {
        if let Some(op) = Date::new(function, self.options.names()) {
            let now = || Node::new(Operator::Scalar(ScalarOp::Time), Vec::new(), grid, span);
            let input = inputs.into_iter().next().unwrap_or_else(now);
            return Ok(self.united(Node::new(Operator::Date(op), vec![input], grid, span), Unite::Merge));
        }
        let map = MapFunction::of(function).ok_or_else(|| misplaced(function))?;
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
        let op = labeling(function, args)?;
        let inputs = self.inputs(&args[..1], grid)?;
        Ok(relabelled(op, inputs, span, grid))
    }

    fn sort(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        argument(args, 0)?;
        let op = Sort::new(function, &strings(&args[1..])?, span)?;
        let inputs = self.inputs(&args[..1], grid)?;
        Ok(Node::new(Operator::Sort(op), inputs, grid, span))
    }

    fn histogram_vector(&self, function: Function, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let (op, args) = self.histogram_operator(function, args)?;
        let inputs = self.inputs(&args, grid)?;
        Ok(Node::new(Operator::HistogramVector(op), inputs, grid, span))
    }

    /// The operator, and its inputs: the vector, then scalars.
    fn histogram_operator<'e>(
        &self,
        function: Function,
        args: &[&'e Expr],
    ) -> Result<(HistogramVector, Vec<&'e Expr>), EvalError> {
        let of = |at: usize| argument(args, at);
        let (function, vector, scalars) = match function {
            Function::HistogramQuantile => (HistogramFunction::Quantile, of(1)?, &args[..1]),
            Function::HistogramFraction => (HistogramFunction::Fraction, of(2)?, &args[..2]),
            _ => (HistogramFunction::Quantiles(string(of(1)?)?.to_owned()), of(0)?, &args[2..]),
        };
        let op = HistogramVector {
            function,
            names: self.options.names(),
            vector_span: vector.span,
            scalar_spans: scalars.iter().map(|s| s.span).collect(),
        };
        let mut inputs = vec![vector];
        inputs.extend_from_slice(scalars);
        Ok((op, inputs))
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

fn labeling(function: Function, args: &[&Expr]) -> Result<Labeling, EvalError> {
    argument(args, 0)?;
    let texts = strings(&args[1..])?;
    if function == Function::LabelReplace { Labeling::replace(&texts) } else { Labeling::join(&texts) }
}

fn relabelled(op: Labeling, inputs: Vec<Node>, span: Span, grid: Grid) -> Node {
    let node = Node::new(Operator::Labeling(op), inputs, grid, span);
    Node::new(Operator::Unite(Unite::Merge), vec![node], grid, span)
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
