//! `info`: info series are looked up at the times the samples of the first argument are of.

use super::invariant::bare;
use super::{Lower, durations};
use crate::ast::{Expr, ExprKind, Span};
use crate::eval::EvalError;
use crate::eval::operators::{Info, Instant, InstantSelect, Reference, Select};
use crate::eval::plan::{Node, Operator};
use crate::value::Grid;

impl Lower<'_> {
    /// `info(v)`, `info(v, {...})`.
    pub(super) fn info(&self, args: &[&Expr], span: Span, grid: Grid) -> Result<Node, EvalError> {
        let base = args.first().ok_or_else(|| EvalError::Invalid("info takes a vector".into()))?;
        let selector = match args.get(1).map(|a| &bare(a).kind) {
            None => None,
            Some(ExprKind::Vector(selector)) => Some(&selector.matchers[..]),
            Some(_) => return Err(EvalError::Invalid("the second argument of info is a selector".into())),
        };
        let op = Info::new(selector)?;
        let time = self.info_time(base, Reference::default())?.unwrap_or_default();
        let (first_ms, last_ms) = time.range(grid);
        let lookback_ms = self.options.lookback_ms;
        let from_ms = first_ms.saturating_sub(lookback_ms).saturating_add(1);
        let select = Select { matchers: op.matchers(), from_ms, to_ms: last_ms, starts: false };
        let select = Node::new(Operator::Select(select), Vec::new(), grid, span);
        let newest = InstantSelect { time, lookback_ms, what: Instant::InfoTime, names: self.options.names(), span };
        let newest = Node::new(Operator::InstantSelect(newest), vec![select], grid, span);
        Ok(Node::new(Operator::Info(op), vec![self.expr(base, grid)?, newest], grid, span))
    }

    /// What time the first selector in `expr` speaks of, when the expressions around it speak of `around`.
    fn info_time(&self, expr: &Expr, around: Reference) -> Result<Option<Reference>, EvalError> {
        let shifted = |inner: Reference| match inner.at_ms {
            Some(_) => inner,
            None => Reference { at_ms: around.at_ms, offset_ms: around.offset_ms.saturating_add(inner.offset_ms) },
        };
        match &expr.kind {
            ExprKind::Vector(selector) => Ok(Some(shifted(self.reference(selector.at, &selector.offset)?))),
            ExprKind::Subquery(subquery) => {
                let offset_ms = durations::offset_ms(&subquery.offset, self.options)?;
                let at_ms = self.reference(subquery.at, &subquery.offset)?.at_ms;
                self.info_time(&subquery.expr, shifted(Reference { at_ms, offset_ms }))
            }
            _ => {
                for child in expr.children() {
                    if let Some(found) = self.info_time(child, around)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }
}
