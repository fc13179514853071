//! Spansets of one trace: filters and what combines them.

use super::columns;
use super::error::Result;
use super::program::Test;
use super::search::{Compiler, Run, Stage};
use super::structural;
use crate::ast::{self, FieldExpr, SpansetOp};
use crate::value::Value;

/// A compiled expression of spansets. Rows ascend, going in and coming out.
#[derive(Debug, Clone)]
pub(super) enum Spansets {
    Filter(Test),
    /// What hangs on a root: `{ }` beside a structural operator.
    Connected,
    Binary {
        op: SpansetOp,
        left: Box<Spansets>,
        right: Box<Spansets>,
    },
    Pipeline(Vec<Stage>),
}

impl Spansets {
    pub(super) fn new(spansets: &ast::Spansets, compiler: &mut Compiler) -> Result<Self> {
        compiler.deeper(|compiler| {
            Ok(match spansets {
                ast::Spansets::Filter(expr) => Self::Filter(compiler.test(expr)?),
                ast::Spansets::Binary { op, left, right } => {
                    let is_structural = matches!(op, SpansetOp::Structural(..));
                    if is_structural {
                        compiler.needs_structure();
                    }
                    let mut side = |of: &ast::Spansets| match of {
                        ast::Spansets::Filter(FieldExpr::Literal(Value::Bool(true))) if is_structural => {
                            Ok(Box::new(Self::Connected))
                        }
                        _ => Self::new(of, compiler).map(Box::new),
                    };
                    let (left, right) = (side(left)?, side(right)?);
                    Self::Binary { op: *op, left, right }
                }
                ast::Spansets::Pipeline(pipeline) => Self::Pipeline(compiler.stages(pipeline)?),
            })
        })
    }

    /// Whether each span can be judged by itself.
    pub(super) fn is_of_single_spans(&self) -> bool {
        match self {
            Self::Filter(_) => true,
            Self::Binary { op: SpansetOp::Union, left, right } => left.is_of_single_spans() && right.is_of_single_spans(),
            Self::Connected | Self::Binary { .. } | Self::Pipeline(_) => false,
        }
    }

    /// The spans of `rows` that are selected.
    pub(super) fn select(&self, run: &Run<'_>, rows: &[usize]) -> Vec<usize> {
        match self {
            Self::Filter(test) => columns::select(test, run.spans, rows.to_vec()),
            Self::Connected => rows.iter().copied().filter(|row| run.tree().is_connected(*row)).collect(),
            Self::Pipeline(stages) => run.rows_of(stages, rows),
            Self::Binary { op, left, right } => {
                let left = left.select(run, rows);
                if left.is_empty() && *op == SpansetOp::And {
                    return left;
                }
                let right = right.select(run, rows);
                match op {
                    SpansetOp::And if right.is_empty() => right,
                    SpansetOp::And | SpansetOp::Union => structural::union(&left, &right),
                    SpansetOp::Structural(relation, form) => structural::apply(*relation, *form, run.tree(), &left, &right),
                }
            }
        }
    }
}
