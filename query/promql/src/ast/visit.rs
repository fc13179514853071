//! Walking the tree. A tree from the parser is at most [`crate::parse::NESTING_MAX`] high, so that recursion is safe.

use super::{Expr, ExprKind, VectorSelector};

impl Expr {
    /// The expressions right below, in order of the text; the parameter of an aggregation comes behind what is aggregated.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        let (two, many): ([Option<&Self>; 2], &[Self]) = match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) => ([None, None], &[]),
            ExprKind::Matrix(matrix) => ([Some(&*matrix.selector), None], &[]),
            ExprKind::Subquery(subquery) => ([Some(&*subquery.expr), None], &[]),
            ExprKind::Aggregate(aggregate) => ([Some(&*aggregate.expr), aggregate.param.as_deref()], &[]),
            ExprKind::Binary(binary) => ([Some(&*binary.lhs), Some(&*binary.rhs)], &[]),
            ExprKind::Unary(unary) => ([Some(&*unary.expr), None], &[]),
            ExprKind::Paren(inner) => ([Some(&**inner), None], &[]),
            ExprKind::Call(call) => ([None, None], &call.args),
        };
        two.into_iter().flatten().chain(many)
    }

    /// The expressions right below, to be changed; the order is that of [`Expr::children`].
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let (two, many): ([Option<&mut Self>; 2], &mut [Self]) = match &mut self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) => ([None, None], &mut []),
            ExprKind::Matrix(matrix) => ([Some(&mut *matrix.selector), None], &mut []),
            ExprKind::Subquery(subquery) => ([Some(&mut *subquery.expr), None], &mut []),
            ExprKind::Aggregate(aggregate) => ([Some(&mut *aggregate.expr), aggregate.param.as_deref_mut()], &mut []),
            ExprKind::Binary(binary) => ([Some(&mut *binary.lhs), Some(&mut *binary.rhs)], &mut []),
            ExprKind::Unary(unary) => ([Some(&mut *unary.expr), None], &mut []),
            ExprKind::Paren(inner) => ([Some(&mut **inner), None], &mut []),
            ExprKind::Call(call) => ([None, None], &mut call.args),
        };
        two.into_iter().flatten().chain(many)
    }

    /// Calls `see` with this expression and all below it, parents first.
    pub fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    /// Calls `change` with this expression and all below it, parents first. What `change` puts in is walked too.
    pub fn visit_mut(&mut self, change: &mut impl FnMut(&mut Self)) {
        change(self);
        for child in self.children_mut() {
            child.visit_mut(change);
        }
    }

    /// The selectors in it, those with a range among them, in order of [`Expr::visit`].
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut selectors = Vec::new();
        self.visit(&mut |expr| {
            if let ExprKind::Vector(selector) = &expr.kind {
                selectors.push(selector);
            }
        });
        selectors
    }
}
