//! Two samples and an operator.

use std::sync::Arc;

use crate::annotation::{Annotation, texts};
use crate::ast::{BinaryOp, Span};
use crate::eval::EvalContext;
use crate::histogram::{Histogram, Incompatible, Notes, ResetHint};
use crate::value::{Sample, StepSeries};

/// A value of either kind, owned.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl From<Sample<'_>> for Value {
    fn from(sample: Sample<'_>) -> Self {
        match sample {
            Sample::Float(value) => Self::Float(value),
            Sample::Histogram(histogram) => Self::Histogram(Arc::clone(histogram)),
        }
    }
}

impl Value {
    /// Puts it at step `at`, where nothing is.
    pub(super) fn put(self, series: &mut StepSeries, at: usize) {
        match self {
            Self::Float(value) => series.set_float(at, value),
            Self::Histogram(histogram) => series.set_histogram(at, histogram),
        }
    }
}

/// Something to say, still without a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note(Annotation);

impl Note {
    pub(super) fn add(self, span: Span, cx: &mut EvalContext<'_>) {
        cx.annotations.put(Annotation { span, ..self.0 });
    }
}

/// What comes out.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// The value; of a comparison the left one.
    pub(super) value: Option<Value>,
    /// Whether a comparison holds; else true.
    pub(super) keep: bool,
    /// Why there is no value.
    pub(super) refusal: Option<Note>,
    /// What to say though there is one.
    pub(super) warning: Option<Note>,
    /// What to say besides.
    pub(super) info: Option<Note>,
}

/// The function of two numbers; of comparisons 1 or 0. `None` for operators of sets and histograms.
pub(crate) fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    fn flag(holds: bool) -> f64 {
        f64::from(u8::from(holds))
    }
    Some(match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Sub => |a, b| a - b,
        BinaryOp::Mul => |a, b| a * b,
        BinaryOp::Div => |a, b| a / b,
        BinaryOp::Mod => |a, b| a % b,
        BinaryOp::Pow => power,
        BinaryOp::Atan2 => f64::atan2,
        BinaryOp::Equal => |a, b| flag(a == b),
        BinaryOp::NotEqual => |a, b| flag(a != b),
        BinaryOp::Less => |a, b| flag(a < b),
        BinaryOp::LessEqual => |a, b| flag(a <= b),
        BinaryOp::Greater => |a, b| flag(a > b),
        BinaryOp::GreaterEqual => |a, b| flag(a >= b),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::TrimUpper | BinaryOp::TrimLower => return None,
    })
}

fn power(a: f64, b: f64) -> f64 {
    a.powf(b)
}

/// How Prometheus writes an operator.
pub(super) fn sign(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::Pow => "^",
        BinaryOp::Atan2 => "atan2",
        BinaryOp::Equal => "==",
        BinaryOp::NotEqual => "!=",
        BinaryOp::Less => "<",
        BinaryOp::LessEqual => "<=",
        BinaryOp::Greater => ">",
        BinaryOp::GreaterEqual => ">=",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Unless => "unless",
        BinaryOp::TrimUpper => "</",
        BinaryOp::TrimLower => ">/",
    }
}

/// `left op right`.
pub(super) fn element(op: BinaryOp, left: Sample<'_>, right: Sample<'_>) -> Outcome {
    match (left, right) {
        (Sample::Float(a), Sample::Float(b)) => match arithmetic(op) {
            None => incompatible("float", op, "float"),
            Some(apply) if super::is_comparison(op) => {
                Outcome { value: Some(Value::Float(a)), keep: apply(a, b) != 0.0, ..Outcome::default() }
            }
            Some(apply) => kept(Value::Float(apply(a, b))),
        },
        (Sample::Float(a), Sample::Histogram(b)) => match op {
            BinaryOp::Mul => histogram(b.mul(a).compact()),
            _ => incompatible("float", op, "histogram"),
        },
        (Sample::Histogram(a), Sample::Float(b)) => match op {
            BinaryOp::Mul => histogram(a.mul(b).compact()),
            BinaryOp::Div => histogram(a.div(b).compact()),
            BinaryOp::TrimUpper => histogram(a.trim_upper(b)),
            BinaryOp::TrimLower => histogram(a.trim_lower(b)),
            _ => incompatible("histogram", op, "float"),
        },
        (Sample::Histogram(a), Sample::Histogram(b)) => histograms(op, a, b),
    }
}

fn histograms(op: BinaryOp, a: &Arc<Histogram>, b: &Arc<Histogram>) -> Outcome {
    match op {
        BinaryOp::Add => sum(op, texts::ADDITION, a.add(b)),
        BinaryOp::Sub => sum(op, texts::SUBTRACTION, a.sub(b)),
        BinaryOp::Equal | BinaryOp::NotEqual => {
            let keep = a.equals(b) == (op == BinaryOp::Equal);
            Outcome { value: Some(Value::Histogram(Arc::clone(a))), keep, ..Outcome::default() }
        }
        _ => incompatible("histogram", op, "histogram"),
    }
}

/// A sum or difference, compacted; a difference is a gauge.
fn sum(op: BinaryOp, word: &str, result: Result<(Histogram, Notes), Incompatible>) -> Outcome {
    let Ok((mut sum, notes)) = result else {
        let refusal = Some(Note(texts::incompatible_layout(Span::default(), sign(op))));
        return Outcome { refusal, ..Outcome::default() };
    };
    if op == BinaryOp::Sub {
        sum.reset_hint = ResetHint::Gauge;
    }
    let collision = || Note(texts::reset_collision(Span::default(), word));
    let reconciled = || Note(texts::bounds_reconciled(Span::default(), word));
    Outcome {
        warning: notes.reset_collision.then(collision),
        info: notes.bounds_reconciled.then(reconciled),
        ..histogram(sum.compact())
    }
}

fn kept(value: Value) -> Outcome {
    Outcome { value: Some(value), keep: true, ..Outcome::default() }
}

fn histogram(histogram: Histogram) -> Outcome {
    kept(Value::Histogram(Arc::new(histogram)))
}

fn incompatible(left: &str, op: BinaryOp, right: &str) -> Outcome {
    let refusal = Some(Note(texts::incompatible_types(Span::default(), left, sign(op), right)));
    Outcome { refusal, ..Outcome::default() }
}
