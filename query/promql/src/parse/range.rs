//! What follows a selector: ranges, `offset`, `@`, `anchored`, `smoothed`; and arithmetic on durations.

use super::Result;
use super::expr::{Context, Node, Parser};
use super::token::Kind;
use crate::ast::{
    At, BinaryOp, DurationExpr, DurationExprKind, DurationValue, Expr, ExprKind, Extension, MatrixSelector, NumberLiteral, Span,
    Subquery, VectorSelector,
};

const IN_OFFSET: Context = Context { name: "offset", expected: "number, duration, step(), or range()" };
const IN_RANGE: Context = Context { name: "subquery or range selector", expected: "number, duration, step(), or range()" };
const IN_STEP: Context = Context { name: "subquery selector", expected: "number, duration, step(), range(), or \"]\"" };

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
struct Length {
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

    fn value(self) -> DurationValue {
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
    /// Everything that may follow a primary.
    pub(super) fn suffixes(&mut self, mut node: Node) -> Result<Node> {
        loop {
            match self.peek()?.kind {
                Kind::LeftBracket => node = self.brackets(node)?,
                Kind::Offset => self.offset(&mut node.expr)?,
                Kind::At => self.at(&mut node.expr)?,
                Kind::Anchored => self.extension(&mut node.expr, Extension::Anchored)?,
                Kind::Smoothed => self.extension(&mut node.expr, Extension::Smoothed)?,
                _ => return Ok(node),
            }
        }
    }

    /// `[5m]`, `[1h:5m]`.
    fn brackets(&mut self, node: Node) -> Result<Node> {
        let open = self.take()?;
        let range = self.within(IN_RANGE, Self::positive_duration)?;
        let next = self.peek()?;
        match next.kind {
            Kind::RightBracket => {
                self.take()?;
                self.matrix(node, range, Span { start: open.start, end: next.end })
            }
            Kind::Colon => {
                self.take()?;
                self.subquery(node, range)
            }
            _ => self.unexpected_in("subquery or range", "\":\" or \"]\""),
        }
    }

    fn matrix(&self, node: Node, range: Length, brackets: Span) -> Result<Node> {
        let ExprKind::Vector(selector) = &node.expr.kind else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        if selector.offset != DurationValue::Fixed(0) {
            return self.fail(brackets, "no offset modifiers allowed before range");
        }
        if selector.at.is_some() {
            return self.fail(brackets, "no @ modifiers allowed before range");
        }
        let span = Span { start: node.expr.span.start, end: brackets.end };
        let kind = ExprKind::Matrix(MatrixSelector { selector: node.expr, range: range.value() });
        self.node(kind, span, node.height)
    }

    fn subquery(&mut self, node: Node, range: Length) -> Result<Node> {
        let mut step = None;
        if self.peek()?.kind != Kind::RightBracket {
            step = Some(self.within(IN_STEP, Self::positive_duration)?.value());
            if self.peek()?.kind != Kind::RightBracket {
                return self.unexpected_in("subquery selector", "\"]\"");
            }
        }
        let span = Span { start: node.expr.span.start, end: self.take()?.end };
        let subquery = Subquery { expr: node.expr, range: range.value(), step, offset: DurationValue::Fixed(0), at: None };
        self.node(ExprKind::Subquery(subquery), span, node.height)
    }

    fn offset(&mut self, expr: &mut Expr) -> Result<()> {
        self.take()?;
        let value = self.within(IN_OFFSET, Self::offset_duration)?.value();
        let (end, span) = (self.last_closing(), expr.span);
        let Some((offset, _)) = modified(&mut expr.kind) else {
            let wanted = "an instant vector selector or range vector selector or a subquery";
            return self.fail(span, format!("offset modifier must be preceded by {wanted}"));
        };
        if *offset != DurationValue::Fixed(0) {
            return self.fail(span, "offset may not be set multiple times");
        }
        *offset = value;
        expr.span.end = end;
        Ok(())
    }

    /// `@ 1.5`, `@ start()`.
    fn at(&mut self, expr: &mut Expr) -> Result<()> {
        const IN_AT: Context = Context { name: "@", expected: "timestamp" };
        self.take()?;
        let value = self.within(IN_AT, |p| p.timestamp(expr.span))?;
        let (end, span) = (self.last_closing(), expr.span);
        let Some((_, at)) = modified(&mut expr.kind) else {
            let wanted = "an instant vector selector or range vector selector or a subquery";
            return self.fail(span, format!("@ modifier must be preceded by {wanted}"));
        };
        if at.is_some() {
            return self.fail(span, "@ <timestamp> may not be set multiple times");
        }
        *at = Some(value);
        expr.span.end = end;
        Ok(())
    }

    fn timestamp(&mut self, of: Span) -> Result<At> {
        let first = self.peek()?.kind;
        if matches!(first, Kind::Start | Kind::End) {
            self.take()?;
            self.empty_call()?;
            return Ok(if first == Kind::Start { At::Start } else { At::End });
        }
        let Some(seconds) = self.signed_number()? else { return self.unexpected() };
        if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
            let shown = if seconds.is_finite() { format!("{seconds:.6}") } else { crate::print::float(seconds) };
            return self.fail(of, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        let ms = (seconds * 1000.0).round();
        // what Go makes of a float that is too large
        Ok(At::Time(if ms.abs() < i64::MAX as f64 { ms as i64 } else { i64::MIN }))
    }

    fn extension(&mut self, expr: &mut Expr, extension: Extension) -> Result<()> {
        self.take()?;
        let word = if extension == Extension::Anchored { "anchored" } else { "smoothed" };
        if !self.options.experimental {
            return self.fail(expr.span, format!("{word} modifier is experimental and not enabled"));
        }
        let span = expr.span;
        let is_subquery = matches!(expr.kind, ExprKind::Subquery(_));
        let Some(selector) = selector_in(&mut expr.kind) else {
            let why = if is_subquery { "is not supported for subqueries" } else { "not implemented" };
            return self.fail(span, format!("{word} modifier {why}"));
        };
        if selector.extension != Extension::None && selector.extension != extension {
            return self.fail(span, "anchored and smoothed modifiers cannot be used together");
        }
        selector.extension = extension;
        Ok(())
    }

    /// Inside brackets.
    fn positive_duration(&mut self) -> Result<Length> {
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
    fn offset_duration(&mut self) -> Result<Length> {
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
        // the same limit as for expressions: a node that is thrown away says whether it is met
        let height = self.node(ExprKind::String(String::new()), span, below)?.height;
        Ok(Length { expr: Box::new(DurationExpr { kind, span, wrapped: false }), height })
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

    /// `()`; gives its end.
    fn empty_call(&mut self) -> Result<usize> {
        self.expect(Kind::LeftParen)?;
        self.expect(Kind::RightParen)
    }

    /// Takes a word of `kind`; gives its end.
    fn expect(&mut self, kind: Kind) -> Result<usize> {
        if self.peek()?.kind != kind {
            return self.unexpected();
        }
        Ok(self.take()?.end)
    }
}

/// Offset and `@` of an expression that can have them.
fn modified(kind: &mut ExprKind) -> Option<(&mut DurationValue, &mut Option<At>)> {
    match kind {
        ExprKind::Subquery(subquery) => Some((&mut subquery.offset, &mut subquery.at)),
        kind => selector_in(kind).map(|selector| (&mut selector.offset, &mut selector.at)),
    }
}

/// The selector that an expression is, with or without a range.
const fn selector_in(kind: &mut ExprKind) -> Option<&mut VectorSelector> {
    match kind {
        ExprKind::Vector(selector) => Some(selector),
        ExprKind::Matrix(matrix) => match &mut matrix.selector.kind {
            ExprKind::Vector(selector) => Some(selector),
            _ => None,
        },
        _ => None,
    }
}
