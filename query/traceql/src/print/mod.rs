//! Tree to text: a query on one line, as Tempo prints it (`Display` of [`Query`] and of all its parts).
//!
//! Every operand that is an operation has parentheses, so that the text shows the tree.
//!
//! # Invariants
//! - What is printed of a tree that was parsed parses, and gives the same tree.

mod literal;
mod metrics;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use crate::ast::{
    Aggregate, BinaryOp, Field, FieldExpr, FieldName, Hint, Pipeline, Query, Root, Scalar, ScalarFilter, Scope, SpansetOp,
    Spansets, Stage,
};
use crate::value::Value;
use crate::words;
use literal::{Literal, attribute_name, is_negative};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.root {
            Root::Search(pipeline) => pipeline.fmt(f)?,
            Root::Metrics(metrics) => metrics.fmt(f)?,
        }
        if self.hints.is_empty() {
            return Ok(());
        }
        f.write_str(" with(")?;
        separated(f, &self.hints, ", ")?;
        f.write_str(")")
    }
}

impl Display for Hint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, Literal(&self.value))
    }
}

fn separated<T: Display>(f: &mut Formatter<'_>, members: &[T], between: &str) -> fmt::Result {
    for (at, member) in members.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { between })?;
        member.fmt(f)?;
    }
    Ok(())
}

impl Display for Pipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        separated(f, &self.stages, " | ")
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Spansets(spansets) => spansets.fmt(f),
            Stage::Scalar(filter) => filter.fmt(f),
            Stage::By(expr) => write!(f, "by({expr})"),
            Stage::Coalesce => f.write_str("coalesce()"),
            Stage::Select(fields) => {
                f.write_str("select(")?;
                separated(f, fields, ", ")?;
                f.write_str(")")
            }
        }
    }
}

impl Display for Spansets {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // a filter goes together with a pipeline in parentheses only when it has some too
        let parenthesised = self.has_pipeline();
        match self {
            Spansets::Filter(expr) => write!(f, "{{ {expr} }}"),
            Spansets::Binary { op, left, right } => {
                operand(f, left, parenthesised)?;
                write!(f, " {op} ")?;
                operand(f, right, parenthesised)
            }
            Spansets::Pipeline(pipeline) => write!(f, "({pipeline})"),
        }
    }
}

impl Spansets {
    fn has_pipeline(&self) -> bool {
        match self {
            Spansets::Filter(_) => false,
            Spansets::Binary { left, right, .. } => left.has_pipeline() || right.has_pipeline(),
            Spansets::Pipeline(_) => true,
        }
    }
}

fn operand(f: &mut Formatter<'_>, spansets: &Spansets, parenthesised: bool) -> fmt::Result {
    match spansets {
        Spansets::Filter(_) if !parenthesised => spansets.fmt(f),
        Spansets::Pipeline(_) => spansets.fmt(f),
        _ => write!(f, "({spansets})"),
    }
}

impl Display for SpansetOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(words::text_of(&words::SPANSET_OPS, *self))
    }
}

impl Display for BinaryOp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(words::text_of(&words::BINARY_OPS, *self))
    }
}

impl Display for ScalarFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", Operand(&self.left), self.op, Operand(&self.right))
    }
}

impl Display for Scalar {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Literal(value) => Literal(value).fmt(f),
            Scalar::Aggregate(aggregate) => aggregate.fmt(f),
            Scalar::Binary { op, left, right } => write!(f, "{} {op} {}", Operand(&**left), Operand(&**right)),
            Scalar::Negate(inner) => write!(f, "-{}", Operand(&**inner)),
            Scalar::Pipeline(pipeline, inner) if pipeline.stages.is_empty() => write!(f, "({inner})"),
            Scalar::Pipeline(pipeline, inner) => write!(f, "({pipeline} | {inner})"),
        }
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(words::text_of(&words::AGGREGATES, self.function))?;
        match &self.of {
            Some(expr) => write!(f, "({expr})"),
            None => f.write_str("()"),
        }
    }
}

impl Display for FieldExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            FieldExpr::Literal(value) => Literal(value).fmt(f),
            FieldExpr::Field(field) => field.fmt(f),
            // signs in a row need no parentheses, which could grow too many
            FieldExpr::Negate(inner) if inner.is_signed() => write!(f, "- {inner}"),
            FieldExpr::Not(inner) if inner.is_signed() => write!(f, "!{inner}"),
            FieldExpr::Negate(inner) => write!(f, "-{}", Operand(&**inner)),
            FieldExpr::Not(inner) => write!(f, "!{}", Operand(&**inner)),
            // a sign binds less than these: what it stands before would be their left side and right side together
            FieldExpr::Binary { op, left, right } if op.binds_more_than_sign() && left.is_negative() => {
                write!(f, "({left}) {op} {}", Operand(&**right))
            }
            FieldExpr::Binary { op, left, right } => write!(f, "{} {op} {}", Operand(&**left), Operand(&**right)),
        }
    }
}

impl BinaryOp {
    fn binds_more_than_sign(self) -> bool {
        matches!(self, BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Power)
    }
}

impl FieldExpr {
    fn is_signed(&self) -> bool {
        matches!(self, FieldExpr::Negate(_) | FieldExpr::Not(_))
    }

    fn is_negative(&self) -> bool {
        matches!(self, FieldExpr::Literal(value) if is_negative(value))
    }
}

/// An expression as a part of another.
struct Operand<'a, T>(&'a T);

impl Display for Operand<'_, FieldExpr> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldExpr::Field(_) | FieldExpr::Literal(_) => self.0.fmt(f),
            inner => write!(f, "({inner})"),
        }
    }
}

impl Display for Operand<'_, Scalar> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::Literal(_) | Scalar::Aggregate(_) | Scalar::Pipeline(..) => self.0.fmt(f),
            inner => write!(f, "({inner})"),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let parent = if self.parent { "parent." } else { "" };
        match &self.name {
            FieldName::Intrinsic(intrinsic, spelling) => write!(f, "{parent}{}", words::intrinsic_text(*intrinsic, *spelling)),
            // behind `parent.` a name that is written without quotes may be an intrinsic
            FieldName::Attribute(Scope::Any, name) if self.parent => write!(f, "{parent}{}", attribute_name(name, true)),
            FieldName::Attribute(scope, name) => {
                write!(f, "{parent}{}.{}", words::scope_text(*scope), attribute_name(name, false))
            }
        }
    }
}

/// The text of a literal alone, as queries have it.
pub fn literal(value: &Value<'_>) -> String {
    Literal(value).to_string()
}
