//! Types of fields, literals and operators.

use crate::ast::{BinaryOp, Field, FieldName, Intrinsic};
use crate::value::Value;

/// The type of an expression as far as the text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// That of an attribute: whatever a span has.
    Any,
    Nil,
    Int,
    Float,
    Duration,
    Text,
    Bool,
    Status,
    Kind,
}

/// Why two operands do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// They are of different types.
    Operands,
    /// The operator is none of their type.
    Operator,
}

impl Type {
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Duration)
    }
}

/// That of a literal.
pub(crate) fn of_literal(value: &Value<'_>) -> Type {
    match value {
        Value::Nil => Type::Nil,
        Value::Int(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::Duration(_) => Type::Duration,
        Value::Str(_) => Type::Text,
        Value::Bool(_) => Type::Bool,
        Value::Status(_) => Type::Status,
        Value::Kind(_) => Type::Kind,
        Value::List(_) => Type::Any,
    }
}

/// That of a field.
pub(crate) fn of_field(field: &Field) -> Type {
    let FieldName::Intrinsic(intrinsic, _) = &field.name else { return Type::Any };
    match intrinsic {
        Intrinsic::Duration | Intrinsic::TraceDuration | Intrinsic::EventTimeSinceStart => Type::Duration,
        Intrinsic::ChildCount | Intrinsic::NestedSetLeft | Intrinsic::NestedSetRight | Intrinsic::NestedSetParent => Type::Int,
        Intrinsic::Kind => Type::Kind,
        Intrinsic::Status => Type::Status,
        // Tempo takes a filter of these alone, as if they were attributes
        Intrinsic::InstrumentationName | Intrinsic::InstrumentationVersion | Intrinsic::Parent => Type::Any,
        Intrinsic::Name
        | Intrinsic::StatusMessage
        | Intrinsic::SpanId
        | Intrinsic::ParentId
        | Intrinsic::RootName
        | Intrinsic::RootService
        | Intrinsic::TraceId
        | Intrinsic::EventName
        | Intrinsic::LinkTraceId
        | Intrinsic::LinkSpanId => Type::Text,
    }
}

/// That of `left op right`. Numbers of all types go together; an attribute goes with everything that the operator takes.
pub(crate) fn binary(op: BinaryOp, left: Type, right: Type) -> Result<Type, Mismatch> {
    let both_numbers = left.is_number() && right.is_number();
    let open = [left, right].iter().any(|t| matches!(t, Type::Any | Type::Nil));
    if !(open || both_numbers || left == right) {
        return Err(Mismatch::Operands);
    }
    if !(takes(op, left) && takes(op, right)) {
        return Err(Mismatch::Operator);
    }
    Ok(match op {
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo | BinaryOp::Power => {
            if left == Type::Any { right } else { left }
        }
        _ => Type::Bool,
    })
}

fn takes(op: BinaryOp, operand: Type) -> bool {
    match operand {
        Type::Any => true,
        Type::Bool => matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Equal | BinaryOp::NotEqual),
        Type::Nil | Type::Status | Type::Kind => matches!(op, BinaryOp::Equal | BinaryOp::NotEqual),
        Type::Text => matches!(
            op,
            BinaryOp::Equal
                | BinaryOp::NotEqual
                | BinaryOp::Match
                | BinaryOp::NotMatch
                | BinaryOp::Less
                | BinaryOp::LessEqual
                | BinaryOp::Greater
                | BinaryOp::GreaterEqual
        ),
        Type::Int | Type::Float | Type::Duration => {
            !matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Match | BinaryOp::NotMatch)
        }
    }
}
