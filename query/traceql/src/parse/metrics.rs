//! Metrics: what makes series of spans, what happens to series, and arithmetic between them.
//!
//! Series are operands of arithmetic in parentheses only, which is what [`Term::Metrics`] says; comparisons and `| topk(n)` are of all
//! that stands before them.

use super::Error;
use super::field::Level;
use super::parser::{Parser, Result, Tall};
use super::term::Term;
use super::token::Kind;
use crate::ast::{BinaryOp, Field, Metrics, MetricsFunction, Scalar, SecondStage};
use crate::eval::arithmetic;
use crate::value::Value;
use crate::words;

/// Values per attribute that `compare` tells when it does not say how many. Tempo: `ast_metrics.go`.
const COMPARE_TOP: usize = 10;

/// What a message says that `topk(n)` could follow as.
const SECOND_STAGES: [&str; 2] = ["topk", "bottomk"];

impl Parser {
    /// `rate() by (...)` and the like, if the next word is one of them.
    pub(super) fn metrics_function(&mut self) -> Result<Option<MetricsFunction>> {
        let Some(word) = self.word() else { return Ok(None) };
        let function = match word {
            "rate" => {
                self.no_arguments()?;
                MetricsFunction::Rate { by: self.by()? }
            }
            "count_over_time" => {
                self.no_arguments()?;
                MetricsFunction::Count { by: self.by()? }
            }
            "quantile_over_time" => {
                let of = self.first_argument()?;
                let mut quantiles = Vec::new();
                self.expect(",", &[","])?;
                loop {
                    quantiles.push(self.quantile()?);
                    if !self.eat(",") {
                        break;
                    }
                }
                self.expect(")", &[",", ")"])?;
                MetricsFunction::Quantile { of, quantiles, by: self.by()? }
            }
            "histogram_over_time" => {
                let of = self.first_argument()?;
                self.expect(")", &[")"])?;
                MetricsFunction::Histogram { of, by: self.by()? }
            }
            "compare" => return self.compare().map(Some),
            _ => {
                let Some(function) = words::named(&words::OVER_TIME, word) else { return Ok(None) };
                let of = self.first_argument()?;
                self.expect(")", &[")"])?;
                MetricsFunction::OverTime { function, of, by: self.by()? }
            }
        };
        Ok(Some(function))
    }

    fn no_arguments(&mut self) -> Result<()> {
        self.advance();
        self.expect("(", &["("])?;
        self.expect(")", &[")"])
    }

    fn first_argument(&mut self) -> Result<Field> {
        self.advance();
        self.expect("(", &["("])?;
        self.field(&[])
    }

    fn by(&mut self) -> Result<Vec<Field>> {
        if self.eat_word("by") { self.fields() } else { Ok(Vec::new()) }
    }

    fn quantile(&mut self) -> Result<f64> {
        let quantile = match *self.peek() {
            Kind::Int(value) => value as f64,
            Kind::Float(value) => value,
            _ => return Err(self.unexpected(&["INTEGER", "FLOAT"])),
        };
        self.advance();
        Ok(quantile)
    }

    /// `compare({filter}, top, start, end)`.
    fn compare(&mut self) -> Result<MetricsFunction> {
        self.advance();
        self.expect("(", &["("])?;
        let filter = self.filter()?;
        let (mut top, mut window) = (COMPARE_TOP, None);
        if self.eat(",") {
            let wanted = self.int(&["INTEGER"])?;
            // what no number of values can be is refused with the others that are too many
            top = usize::try_from(wanted).unwrap_or(usize::MAX);
            if self.eat(",") {
                let start = self.int(&["INTEGER"])?;
                self.expect(",", &[","])?;
                window = Some((start, self.int(&["INTEGER"])?));
            }
        }
        self.expect(")", &[",", ")"])?;
        Ok(MetricsFunction::Compare { filter, top, window })
    }

    /// `> 3`, `| topk(5)` and more of them behind series.
    pub(super) fn second_stages(&mut self, metrics: Tall<Box<Metrics>>) -> Result<Tall<Box<Metrics>>> {
        let mut of = metrics;
        loop {
            let stage = match self.binary_op() {
                Some(op) if Level::of(op) == Level::Compare && !matches!(op, BinaryOp::Match | BinaryOp::NotMatch) => {
                    SecondStage::Compare(op, self.threshold()?)
                }
                _ if self.symbol() == Some("|") => self.ranking()?,
                _ => return Ok(of),
            };
            let height = self.pipeline_above(&[of.height])?;
            of = Tall { tree: Box::new(Metrics::Then { of: of.tree, stage }), height };
        }
    }

    /// `| topk(5)`
    fn ranking(&mut self) -> Result<SecondStage> {
        self.advance();
        let stage = match self.word() {
            Some("topk") => SecondStage::TopK,
            Some("bottomk") => SecondStage::BottomK,
            _ => return Err(self.unexpected(&SECOND_STAGES)),
        };
        self.advance();
        self.expect("(", &["("])?;
        let most = self.int(&["INTEGER"])?;
        self.expect(")", &[")"])?;
        Ok(stage(usize::try_from(most).unwrap_or(usize::MAX)))
    }

    /// The number behind a comparison: a constant, or a duration alone.
    fn threshold(&mut self) -> Result<f64> {
        self.advance();
        let mark = self.mark();
        match self.term(Level::Add)? {
            Term::Scalar(scalar) => match *scalar.tree {
                Scalar::Literal(Value::Duration(ns)) => Ok(ns as f64 / 1e9),
                ref scalar => constant(scalar).ok_or_else(|| self.unexpected_at(mark, &[])),
            },
            _ => Err(self.unexpected_at(mark, &[])),
        }
    }

    /// `left op ...`, of series on the left.
    pub(super) fn joined_metrics(&mut self, op: BinaryOp, left: Tall<Box<Metrics>>) -> Result<Term> {
        self.advance();
        let mark = self.mark();
        let right = match self.term(Level::of(op).above())? {
            Term::Metrics(right) => right,
            Term::Scalar(right) => Tall::leaf(Box::new(self.number(&right.tree, mark)?)),
            _ => return Err(self.unexpected_at(mark, &[])),
        };
        self.metrics_arithmetic(op, left, right)
    }

    pub(super) fn metrics_arithmetic(
        &mut self,
        op: BinaryOp,
        left: Tall<Box<Metrics>>,
        right: Tall<Box<Metrics>>,
    ) -> Result<Term> {
        let height = self.pipeline_above(&[left.height, right.height])?;
        let tree = Metrics::Binary { op, left: left.tree, right: right.tree };
        Ok(Term::Metrics(Tall { tree: Box::new(tree), height }))
    }

    /// A number beside series, of which `mark` is the token that is to blame when it is none.
    pub(super) fn number(&self, scalar: &Scalar, mark: usize) -> Result<Metrics, Error> {
        constant(scalar).map(Metrics::Number).ok_or_else(|| self.unexpected_at(mark, &[]))
    }
}

/// The number that is the same for all spansets and has no unit. Unlike a literal it may be infinite. Durations may take part in sums and
/// products of numbers of spansets, but not of those beside series.
fn constant(scalar: &Scalar) -> Option<f64> {
    match constant_value(scalar)? {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

fn constant_value(scalar: &Scalar) -> Option<Value<'static>> {
    match scalar {
        Scalar::Literal(value @ (Value::Int(_) | Value::Float(_))) => Some(value.clone()),
        Scalar::Binary { op, left, right } => Some(arithmetic::apply(*op, &constant_value(left)?, &constant_value(right)?)),
        Scalar::Negate(inner) => Some(arithmetic::negate(&constant_value(inner)?)),
        _ => None,
    }
}
