//! Arithmetic on durations: `5m + step()`.

use super::Result;
use super::parser::Parser;
use super::token::Kind;
use crate::ast::{BinaryOp, DurationExpr, DurationExprKind, DurationValue, NumberLiteral, Span};

/// More seconds than this are more nanoseconds than fit into 63 bits.
const SECONDS_MAX: f64 = (1_u64 << 63) as f64 / 1e9;

/// The weakest operator, and what binds tighter than a sign.
const ANY: u8 = 1;
const POWER: u8 = 3;

const fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(ANY),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(2),
        BinaryOp::Pow => Some(POWER),
        _ => None,
    }
}

/// A duration and its height.
pub(super) struct Length {
    expr: Box<DurationExpr>,
    height: usize,
}

impl Length {
    fn leaf(kind: DurationExprKind, span: Span) -> Self {
        Self { expr: Box::new(DurationExpr { kind, span, wrapped: false }), height: 1 }
    }

    /// A number that stands alone: not even parentheses are around it, so that they are there when it is printed.
    fn literal(&self) -> Option<NumberLiteral> {
        match self.expr.kind {
            DurationExprKind::Number(number) if !self.expr.wrapped => Some(number),
            _ => None,
        }
    }

    pub(super) fn value(self) -> DurationValue {
        match self.literal() {
            Some(number) => DurationValue::Fixed(milliseconds(number.value)),
            None => DurationValue::Computed(self.expr),
        }
    }
}

/// Seconds to milliseconds by way of whole nanoseconds, as Prometheus goes.
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64 / 1_000_000
}

impl Parser<'_> {
    /// Inside brackets.
    pub(super) fn positive_duration(&mut self) -> Result<Length> {
        let first = self.duration_operand()?;
        let length = self.duration_rest(first, ANY)?;
        self.peek()?;
        match length.literal() {
            Some(number) if number.value <= 0.0 => self.fail(length.expr.span, "duration must be greater than 0"),
            _ => Ok(length),
        }
    }

    /// Behind `offset`: arithmetic needs parentheses, since `a offset 5m + b` adds to `a`. Once it began with parentheses that have
    /// no sign, it goes on behind them: this is how Prometheus' grammar resolves it.
    pub(super) fn offset_duration(&mut self) -> Result<Length> {
        let first = self.peek()?;
        let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = first.kind else {
            let length = self.duration_primary()?;
            return if first.kind == Kind::LeftParen { self.duration_rest(length, ANY) } else { Ok(length) };
        };
        self.take()?;
        let sign = Span { start: first.start, end: first.end };
        if matches!(self.peek()?.kind, Kind::Op(BinaryOp::Add | BinaryOp::Sub)) {
            let operand = self.deeper(Self::duration_operand)?;
            let operand = self.duration_rest(operand, POWER)?;
            let length = self.signed(sign, op == BinaryOp::Sub, operand)?;
            return self.duration_rest(length, ANY);
        }
        let operand = self.duration_primary()?;
        self.signed(sign, op == BinaryOp::Sub, operand)
    }

    /// `lhs` and what operators at least as strong as `weakest` make of it.
    fn duration_rest(&mut self, mut lhs: Length, weakest: u8) -> Result<Length> {
        loop {
            let token = self.peek()?;
            let Kind::Op(op) = token.kind else { return Ok(lhs) };
            let Some(strength) = precedence(op).filter(|s| *s >= weakest) else { return Ok(lhs) };
            self.take()?;
            let right_of = if op == BinaryOp::Pow { strength } else { strength + 1 };
            let rhs = self.deeper(|p| {
                let operand = p.duration_operand()?;
                p.duration_rest(operand, right_of)
            })?;
            if rhs.literal().is_some_and(|n| n.value == 0.0) && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
                let word = if op == BinaryOp::Div { "division" } else { "modulo" };
                return self.fail(Span { start: token.start, end: token.end }, format!("{word} by zero"));
            }
            let span = Span { start: lhs.expr.span.start, end: rhs.expr.span.end };
            let below = lhs.height.max(rhs.height);
            let kind = DurationExprKind::Binary(op, lhs.expr, rhs.expr);
            lhs = self.length(kind, span, below)?;
        }
    }

    fn length(&self, kind: DurationExprKind, span: Span, below: usize) -> Result<Length> {
        Ok(Length { height: self.height(span, below)?, expr: Box::new(DurationExpr { kind, span, wrapped: false }) })
    }

    /// A primary, or a sign and its operand.
    fn duration_operand(&mut self) -> Result<Length> {
        let sign = self.peek()?;
        let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = sign.kind else { return self.duration_primary() };
        self.take()?;
        let operand = self.deeper(Self::duration_operand)?;
        let operand = self.duration_rest(operand, POWER)?;
        self.signed(Span { start: sign.start, end: sign.end }, op == BinaryOp::Sub, operand)
    }

    /// Signs of literals are folded into them, and a plus changes nothing.
    fn signed(&self, sign: Span, negate: bool, operand: Length) -> Result<Length> {
        let span = Span { start: sign.start, end: operand.expr.span.end };
        if let Some(mut number) = operand.literal() {
            if negate {
                number.value = -number.value;
            }
            return Ok(Length::leaf(DurationExprKind::Number(number), span));
        }
        if !negate {
            return Ok(operand);
        }
        let below = operand.height;
        self.length(DurationExprKind::Sign(negate, operand.expr), span, below)
    }

    fn duration_primary(&mut self) -> Result<Length> {
        let first = self.peek()?;
        match first.kind {
            Kind::Number | Kind::Duration => self.duration_literal(),
            Kind::Step | Kind::Range => {
                self.take()?;
                let kind = if first.kind == Kind::Step { DurationExprKind::Step } else { DurationExprKind::Range };
                let end = self.empty_call()?;
                Ok(Length::leaf(kind, Span { start: first.start, end }))
            }
            Kind::MinOf | Kind::MaxOf => self.extreme(),
            Kind::LeftParen => {
                self.take()?;
                let mut inner = self.deeper(Self::duration_in_parens)?;
                self.expect(Kind::RightParen)?;
                inner.expr.wrapped = true;
                Ok(inner)
            }
            _ => self.unexpected(),
        }
    }

    fn duration_in_parens(&mut self) -> Result<Length> {
        let first = self.duration_operand()?;
        self.duration_rest(first, ANY)
    }

    fn duration_literal(&mut self) -> Result<Length> {
        let Some((number, span)) = self.number()? else { return self.unexpected() };
        if number.value.is_nan() || number.value > SECONDS_MAX {
            return self.fail(span, "duration out of range");
        }
        Ok(Length::leaf(DurationExprKind::Number(number), span))
    }

    /// `min_of(a, b)`.
    fn extreme(&mut self) -> Result<Length> {
        let name = self.take()?;
        self.expect(Kind::LeftParen)?;
        let a = self.deeper(Self::duration_in_parens)?;
        self.expect(Kind::Comma)?;
        let b = self.deeper(Self::duration_in_parens)?;
        let end = self.expect(Kind::RightParen)?;
        let below = a.height.max(b.height);
        let (a, b) = (a.expr, b.expr);
        let kind = if name.kind == Kind::MinOf { DurationExprKind::Min(a, b) } else { DurationExprKind::Max(a, b) };
        self.length(kind, Span { start: name.start, end }, below)
    }
}
