//! What follows a selector: ranges, `offset`, `@`, `anchored`, `smoothed`.

use super::Result;
use super::length::Length;
use super::parser::{Context, Node, Parser};
use super::token::Kind;
use crate::ast::{At, DurationValue, Expr, ExprKind, Extension, MatrixSelector, Span, Subquery, VectorSelector};

const IN_OFFSET: Context = Context { name: "offset", expected: "number, duration, step(), or range()" };
const IN_RANGE: Context = Context { name: "subquery or range selector", expected: "number, duration, step(), or range()" };
const IN_STEP: Context = Context { name: "subquery selector", expected: "number, duration, step(), range(), or \"]\"" };

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
