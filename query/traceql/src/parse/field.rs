//! Expressions over the fields of a span, between braces and in arguments.
//!
//! ```text
//! weakest   && ||   = != =~ !~ < <= > >=   + - (also the sign)   !   * / %   ^   strongest
//! ```
//! Operators of one level are read from the left, `^` from the right. `&&` and `||` are of one level: `a || b && c` is `(a || b) && c`.

use super::Error;
use super::parser::{Parser, Result, Tall};
use super::token::Kind;
use crate::ast::{BinaryOp, Field, FieldExpr, FieldName};
use crate::value::Value;
use crate::{fold, words};

/// How strongly an operator binds. Those of numbers of spansets and of series bind alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Logic,
    Compare,
    Add,
    Not,
    Multiply,
    Power,
    Operand,
}

impl Level {
    pub(super) fn of(op: BinaryOp) -> Self {
        match op {
            BinaryOp::And | BinaryOp::Or => Self::Logic,
            BinaryOp::Add | BinaryOp::Subtract => Self::Add,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Self::Multiply,
            BinaryOp::Power => Self::Power,
            _ => Self::Compare,
        }
    }

    /// The next stronger one.
    pub(super) fn above(self) -> Self {
        match self {
            Self::Logic => Self::Compare,
            Self::Compare => Self::Add,
            Self::Add => Self::Not,
            Self::Not => Self::Multiply,
            Self::Multiply => Self::Power,
            Self::Power | Self::Operand => Self::Operand,
        }
    }
}

impl Parser {
    /// A whole expression.
    pub(super) fn field_expr(&mut self) -> Result<Tall<FieldExpr>> {
        self.nested(|p| p.expression(Level::Logic))
    }

    /// The binary operator that is next.
    pub(super) fn binary_op(&self) -> Option<BinaryOp> {
        self.symbol().and_then(|symbol| words::named(&words::BINARY_OPS, symbol))
    }

    fn expression(&mut self, weakest: Level) -> Result<Tall<FieldExpr>> {
        let mut left = self.unary()?;
        while let Some(op) = self.binary_op() {
            let level = Level::of(op);
            if level < weakest {
                break;
            }
            if left.tree == FieldExpr::Literal(Value::Nil) && !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
                return Err(self.unexpected(&[]));
            }
            left = match level {
                Level::Logic => self.chain(op, left)?,
                Level::Power => self.power(left)?,
                _ => {
                    self.advance();
                    let right = self.expression(level.above())?;
                    self.joined(op, left, right)?
                }
            };
        }
        Ok(left)
    }

    fn joined(&self, op: BinaryOp, left: Tall<FieldExpr>, right: Tall<FieldExpr>) -> Result<Tall<FieldExpr>> {
        let height = self.above(&[left.height, right.height])?;
        Ok(Tall { tree: fold::binary(op, left.tree, right.tree), height })
    }

    /// `first op second op third ...` of one operator, which is `&&` or `||`. How the operands are grouped changes nothing, so that they
    /// are grouped in pairs: lists of hundreds of alternatives are no rare query.
    fn chain(&mut self, op: BinaryOp, first: Tall<FieldExpr>) -> Result<Tall<FieldExpr>> {
        let mut operands = vec![first];
        while self.binary_op() == Some(op) {
            self.advance();
            operands.push(self.expression(Level::Compare)?);
        }
        while operands.len() > 1 {
            let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
            let mut rest = operands.into_iter();
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => self.joined(op, left, right)?,
                    None => left,
                });
            }
            operands = pairs;
        }
        operands.pop().ok_or_else(|| self.unexpected(&[]))
    }

    /// `first ^ second ^ third ...`, read from the right.
    fn power(&mut self, first: Tall<FieldExpr>) -> Result<Tall<FieldExpr>> {
        let mut bases = vec![first];
        while self.eat("^") {
            bases.push(self.unary()?);
        }
        let last = bases.pop().ok_or_else(|| self.unexpected(&[]))?;
        bases.into_iter().rev().try_fold(last, |exponent, base| self.joined(BinaryOp::Power, base, exponent))
    }

    fn unary(&mut self) -> Result<Tall<FieldExpr>> {
        let (weakest, node): (_, fn(FieldExpr) -> FieldExpr) = match self.symbol() {
            Some("-") => (Level::Add.above(), fold::negate),
            Some("!") => (Level::Not.above(), fold::not),
            _ => return self.primary(),
        };
        self.advance();
        let inner = self.nested(|p| p.expression(weakest))?;
        let height = self.above(&[inner.height])?;
        Ok(Tall { tree: node(inner.tree), height })
    }

    fn primary(&mut self) -> Result<Tall<FieldExpr>> {
        let literal = match self.peek() {
            Kind::Symbol("(") => {
                self.advance();
                let inner = self.field_expr()?;
                self.expect(")", &[])?;
                return Ok(inner);
            }
            Kind::String(text) => Value::Str(text.clone().into()),
            Kind::Int(value) => Value::Int(*value),
            Kind::Float(value) => Value::Float(*value),
            Kind::Duration(ns) => Value::Duration(*ns),
            Kind::Word("nil") if self.beside_equality() => Value::Nil,
            Kind::Word(word) => match literal(word) {
                Some(value) => value,
                None => return self.field(&[]).map(|field| Tall::leaf(FieldExpr::Field(field))),
            },
            _ => return self.field(&[]).map(|field| Tall::leaf(FieldExpr::Field(field))),
        };
        self.advance();
        Ok(Tall::leaf(FieldExpr::Literal(literal)))
    }

    /// Whether the next token stands left or right of `=` or `!=`: nowhere else there is a `nil`.
    fn beside_equality(&self) -> bool {
        let equality = |kind: &Kind| matches!(kind, Kind::Symbol("=" | "!="));
        equality(self.peek_second()) || self.peek_back().is_some_and(equality)
    }

    /// A field alone.
    pub(super) fn field(&mut self, expected: &[&str]) -> Result<Field> {
        let field = match self.peek() {
            Kind::Field(named) => match &named.field {
                Ok(field) => field.clone(),
                Err((at, why)) => return Err(Error::at(*at, why.clone())),
            },
            Kind::Word(word) => match words::intrinsic(word) {
                Some((intrinsic, spelling)) => Field { parent: false, name: FieldName::Intrinsic(intrinsic, spelling) },
                None => return Err(self.unexpected(expected)),
            },
            _ => return Err(self.unexpected(expected)),
        };
        self.advance();
        Ok(field)
    }

    /// `(field, field)`; what stands before is read.
    pub(super) fn fields(&mut self) -> Result<Vec<Field>> {
        self.expect("(", &["("])?;
        let mut fields = vec![self.field(&[])?];
        while self.eat(",") {
            fields.push(self.field(&[])?);
        }
        self.expect(")", &[",", ")"])?;
        Ok(fields)
    }
}

/// The word as a literal.
fn literal(word: &str) -> Option<Value<'static>> {
    Some(match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "minInt" => Value::Int(i64::MIN),
        "maxInt" => Value::Int(i64::MAX),
        _ => {
            let status = words::named(&words::STATUSES, word).map(Value::Status);
            return status.or_else(|| words::named(&words::KINDS, word).map(Value::Kind));
        }
    })
}
