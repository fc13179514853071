//! Operands of pipelines and the operators between them: spansets, numbers of spansets, series.
//!
//! What a parenthesis holds is known only at its end: `({ } | count()) > ...` starts like `({ }) > ...`. So operands are read as what they
//! turn out to be ([`Term`]), and an operator takes those that fit.
//!
//! ```text
//! ( { } && { } )  spansets      ( { } | { } )  a pipeline      ( { } | count() )  a number      ( { } | rate() )  series
//! ```

use super::field::Level;
use super::parser::{Parser, Result, Tall};
use super::token::Kind;
use crate::ast::{Aggregate, AggregateFunction, BinaryOp, FieldExpr, Metrics, Scalar, ScalarFilter, SpansetOp, Spansets};
use crate::value::Value;
use crate::{fold, words};

/// An operand.
#[derive(Debug)]
pub(super) enum Term {
    /// Filters and what combines them.
    Spansets {
        of: Tall<Box<Spansets>>,
        /// Whether it stands in parentheses. Only then it goes together with a pipeline.
        parenthesised: bool,
    },
    /// Pipelines in parentheses and what combines them.
    Pipelines(Tall<Box<Spansets>>),
    /// A number of a spanset.
    Scalar(Tall<Box<Scalar>>),
    /// A comparison of such numbers.
    Filter(Tall<Box<ScalarFilter>>),
    /// Series, in parentheses, or arithmetic with them.
    Metrics(Tall<Box<Metrics>>),
}

/// How spansets stand beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpansetsKind {
    /// Not all of them in parentheses.
    Bare,
    /// Each in parentheses.
    Parenthesised,
    /// Pipelines among them.
    Pipelines,
}

impl SpansetsKind {
    /// That of both combined, if they may be.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Bare, Self::Pipelines) | (Self::Pipelines, Self::Bare) => None,
            (Self::Pipelines, _) | (_, Self::Pipelines) => Some(Self::Pipelines),
            (Self::Parenthesised, Self::Parenthesised) => Some(Self::Parenthesised),
            _ => Some(Self::Bare),
        }
    }
}

impl Parser {
    /// Operands and the operators between them, down to those of level `weakest`.
    pub(super) fn term(&mut self, weakest: Level) -> Result<Term> {
        let mut left = self.operand()?;
        loop {
            left = match (left, self.symbol()) {
                (Term::Spansets { of, parenthesised }, Some(symbol)) => match spanset_op(symbol, weakest) {
                    Some(op) => {
                        let kind = if parenthesised { SpansetsKind::Parenthesised } else { SpansetsKind::Bare };
                        self.joined_spansets(op, of, kind)?
                    }
                    None => return Ok(Term::Spansets { of, parenthesised }),
                },
                (Term::Pipelines(of), Some(symbol)) => match spanset_op(symbol, weakest) {
                    Some(op) => self.joined_spansets(op, of, SpansetsKind::Pipelines)?,
                    None => return Ok(Term::Pipelines(of)),
                },
                (Term::Scalar(scalar), Some(_)) => match self.binary_op().filter(|op| scalar_op(*op, weakest)) {
                    Some(op) => self.joined_scalars(op, scalar)?,
                    None => return Ok(Term::Scalar(scalar)),
                },
                (Term::Metrics(metrics), Some(_)) => match self.binary_op().filter(|op| metrics_op(*op, weakest)) {
                    Some(op) => self.joined_metrics(op, metrics)?,
                    None => return Ok(Term::Metrics(metrics)),
                },
                (left, _) => return Ok(left),
            };
        }
    }

    /// `left op ...`, and as long as `op` is the same `&&` or `||` what follows.
    fn joined_spansets(&mut self, op: SpansetOp, left: Tall<Box<Spansets>>, kind: SpansetsKind) -> Result<Term> {
        let symbol = self.symbol();
        let logic = matches!(op, SpansetOp::And | SpansetOp::Union);
        let weakest = if logic { Level::Compare } else { Level::Add };
        let (mut operands, mut kind) = (vec![left], kind);
        while operands.len() == 1 || logic && self.symbol() == symbol {
            self.advance();
            let at = self.mark();
            if !matches!(self.peek(), Kind::Symbol("{" | "(")) {
                return Err(self.unexpected(&["{", "("]));
            }
            let (right, right_kind) = match self.term(weakest)? {
                Term::Spansets { of, parenthesised: false } => (of, SpansetsKind::Bare),
                Term::Spansets { of, parenthesised: true } => (of, SpansetsKind::Parenthesised),
                Term::Pipelines(of) => (of, SpansetsKind::Pipelines),
                _ => return Err(self.unexpected_at(at, &[])),
            };
            kind = kind.with(right_kind).ok_or_else(|| self.unexpected_at(at, &[]))?;
            operands.push(right);
        }
        let of =
            if logic && kind != SpansetsKind::Pipelines { self.pairs(op, operands)? } else { self.left_to_right(op, operands)? };
        Ok(match kind {
            SpansetsKind::Pipelines => Term::Pipelines(of),
            kind => Term::Spansets { of, parenthesised: kind == SpansetsKind::Parenthesised },
        })
    }

    fn left_to_right(&self, op: SpansetOp, operands: Vec<Tall<Box<Spansets>>>) -> Result<Tall<Box<Spansets>>> {
        let joined = operands.into_iter().map(Ok).reduce(|left, right| self.joined_pair(op, left?, right?));
        joined.unwrap_or_else(|| Err(self.unexpected(&[])))
    }

    /// How spansets of filters are grouped by one `&&` or `||` changes nothing, so that long lists make no high trees.
    fn pairs(&self, op: SpansetOp, mut operands: Vec<Tall<Box<Spansets>>>) -> Result<Tall<Box<Spansets>>> {
        while operands.len() > 2 {
            let (mut pairs, mut rest) = (Vec::with_capacity(operands.len().div_ceil(2)), operands.into_iter());
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => self.joined_pair(op, left, right)?,
                    None => left,
                });
            }
            operands = pairs;
        }
        self.left_to_right(op, operands)
    }

    fn joined_pair(&self, op: SpansetOp, left: Tall<Box<Spansets>>, right: Tall<Box<Spansets>>) -> Result<Tall<Box<Spansets>>> {
        let height = self.pipeline_above(&[left.height, right.height])?;
        Ok(Tall { tree: Box::new(Spansets::Binary { op, left: left.tree, right: right.tree }), height })
    }

    /// `left op ...` of numbers: a number, a comparison, or with series on the right series.
    fn joined_scalars(&mut self, op: BinaryOp, left: Tall<Box<Scalar>>) -> Result<Term> {
        self.advance();
        let at = self.mark();
        let level = Level::of(op);
        let right = match self.term(level.above())? {
            Term::Scalar(right) if level == Level::Power => self.scalar_power(right)?,
            Term::Scalar(right) => right,
            Term::Metrics(right) if metrics_op(op, level) => {
                let left = self.number(&left.tree, at - 1)?;
                return self.metrics_arithmetic(op, Tall::leaf(Box::new(left)), right);
            }
            _ => return Err(self.unexpected_at(at, &[])),
        };
        let height = self.pipeline_above(&[left.height, right.height])?;
        if level != Level::Compare {
            return Ok(Term::Scalar(Tall { tree: Box::new(fold::scalar_binary(op, *left.tree, *right.tree)), height }));
        }
        if is_constant(&left.tree) && is_constant(&right.tree) {
            return Err(self.unexpected(&[]));
        }
        let filter = ScalarFilter { left: *left.tree, op, right: *right.tree };
        Ok(Term::Filter(Tall { tree: Box::new(filter), height }))
    }

    /// `first ^ second ^ third ...`, read from the right.
    fn scalar_power(&mut self, first: Tall<Box<Scalar>>) -> Result<Tall<Box<Scalar>>> {
        let mut bases = vec![first];
        while self.eat("^") {
            let at = self.mark();
            match self.operand()? {
                Term::Scalar(scalar) => bases.push(scalar),
                _ => return Err(self.unexpected_at(at, &[])),
            }
        }
        let last = bases.pop().ok_or_else(|| self.unexpected(&[]))?;
        bases.into_iter().rev().try_fold(last, |exponent, base| {
            let height = self.pipeline_above(&[base.height, exponent.height])?;
            Ok(Tall { tree: Box::new(fold::scalar_binary(BinaryOp::Power, *base.tree, *exponent.tree)), height })
        })
    }

    fn operand(&mut self) -> Result<Term> {
        let literal = match *self.peek() {
            Kind::Symbol("{") => {
                let filter = self.filter()?;
                return Ok(Term::Spansets { of: Tall::leaf(Box::new(Spansets::Filter(filter))), parenthesised: false });
            }
            Kind::Symbol("(") => return self.pipeline_nested(Self::parenthesis),
            Kind::Symbol("-") => return self.pipeline_nested(Self::negative),
            Kind::Word(word) => {
                return match words::named(&words::AGGREGATES, word) {
                    Some(function) => self.aggregate(function),
                    None => Err(self.unexpected(&[])),
                };
            }
            Kind::Int(value) => Value::Int(value),
            Kind::Float(value) => Value::Float(value),
            Kind::Duration(ns) => Value::Duration(ns),
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        Ok(Term::Scalar(Tall::leaf(Box::new(Scalar::Literal(literal)))))
    }

    /// A sign binds a number that it stands before, and what is multiplied otherwise.
    fn negative(&mut self) -> Result<Term> {
        self.advance();
        let at = self.mark();
        let inner = match self.peek() {
            Kind::Int(_) | Kind::Float(_) | Kind::Duration(_) => self.operand()?,
            _ => self.term(Level::Add.above())?,
        };
        let Term::Scalar(inner) = inner else { return Err(self.unexpected_at(at, &[])) };
        let height = self.pipeline_above(&[inner.height])?;
        Ok(Term::Scalar(Tall { tree: Box::new(fold::scalar_negate(*inner.tree)), height }))
    }

    /// `count()`, `avg(expr)`, and `by (expr, ...)` behind it.
    fn aggregate(&mut self, function: AggregateFunction) -> Result<Term> {
        self.advance();
        self.expect("(", &["("])?;
        let of = match function {
            AggregateFunction::Count => None,
            _ => Some(self.field_expr()?),
        };
        self.expect(")", if of.is_none() { &[")"] } else { &[] })?;
        if self.word() == Some("by") {
            self.advance();
            let groups = self.fields()?.into_iter().map(FieldExpr::Field).collect();
            if !self.groups.is_empty() && self.groups != groups {
                return Err(self.unexpected(&[]));
            }
            self.groups = groups;
        }
        let aggregate = Aggregate { function, of: of.map(|of| of.tree) };
        Ok(Term::Scalar(Tall::leaf(Box::new(Scalar::Aggregate(aggregate)))))
    }
}

/// The operator between spansets, if it binds at least like `weakest`.
fn spanset_op(symbol: &str, weakest: Level) -> Option<SpansetOp> {
    let op = words::named(&words::SPANSET_OPS, symbol)?;
    let level = if matches!(op, SpansetOp::Structural(..)) { Level::Compare } else { Level::Logic };
    (level >= weakest).then_some(op)
}

/// Whether the operator is one between numbers of spansets, and binds at least like `weakest`.
fn scalar_op(op: BinaryOp, weakest: Level) -> bool {
    Level::of(op) >= weakest && !matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Match | BinaryOp::NotMatch)
}

/// Whether the operator is one between series, and binds at least like `weakest`.
pub(super) fn metrics_op(op: BinaryOp, weakest: Level) -> bool {
    Level::of(op) >= weakest && matches!(op, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide)
}

/// Whether a number is the same for every spanset.
fn is_constant(scalar: &Scalar) -> bool {
    match scalar {
        Scalar::Literal(_) => true,
        Scalar::Aggregate(_) | Scalar::Pipeline(..) => false,
        Scalar::Negate(inner) => is_constant(inner),
        Scalar::Binary { left, right, .. } => is_constant(left) && is_constant(right),
    }
}
