//! Validation: what parses but makes no sense. Types of operands, references that must be there, ranges of arguments.
//!
//! ```text
//! query ─► every expression: [types]      aggregates, groups: about the span      metrics: ranges, what compare() goes with
//! ```
//! Messages are Tempo's where its answers show them; they name the expression as it is printed.
//!
//! # Invariants
//! - A query that passes has a meaning for every span: the worst that happens at run time is that nothing matches.

pub(crate) mod types;

use gosyntax::re2;

use crate::ast::{
    Aggregate, BinaryOp, Field, FieldExpr, FieldName, Intrinsic, Metrics, MetricsFunction, Pipeline, Query, Root, Scalar, Scope,
    SecondStage, Spansets, Stage,
};
use crate::parse::Error;
use crate::value::Value;
use types::{Mismatch, Type};

type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Most values per attribute that `compare()` may tell. Tempo: `ast_metrics.go`.
const COMPARE_TOP_MAX: usize = 1_000;

/// Validates a query.
///
/// # Errors
/// The first thing that makes no sense, from left to right.
pub(crate) fn query(query: &Query) -> Result {
    match &query.root {
        Root::Search(of) => check_pipeline(of),
        Root::Metrics(of) => check_metrics(of),
    }
}

fn check_pipeline(pipeline: &Pipeline) -> Result {
    pipeline.stages.iter().try_for_each(|stage| match stage {
        Stage::Spansets(spansets) => check_spansets(spansets),
        Stage::Scalar(filter) => {
            check_scalar(&filter.left)?;
            check_scalar(&filter.right)
        }
        Stage::By(expr) => check_group(expr),
        Stage::Coalesce => Ok(()),
        Stage::Select(fields) => fields.iter().try_for_each(named),
    })
}

fn check_spansets(spansets: &Spansets) -> Result {
    match spansets {
        Spansets::Filter(expr) => check_filter(expr),
        Spansets::Binary { left, right, .. } => {
            check_spansets(left)?;
            check_spansets(right)
        }
        Spansets::Pipeline(pipeline) => check_pipeline(pipeline),
    }
}

/// Validates what stands between braces.
///
/// # Errors
/// As [`query`].
pub(crate) fn check_filter(expr: &FieldExpr) -> Result {
    match check_expr(expr)? {
        Type::Bool | Type::Any => Ok(()),
        _ => Err(Error::invalid(format!("span filter field expressions must resolve to a boolean: {{ {expr} }}"))),
    }
}

fn check_group(expr: &FieldExpr) -> Result {
    check_expr(expr)?;
    if refers_to_span(expr) {
        Ok(())
    } else {
        Err(Error::invalid(format!("grouping field expressions must reference the span: by({expr})")))
    }
}

fn check_scalar(scalar: &Scalar) -> Result {
    match scalar {
        Scalar::Literal(_) => Ok(()),
        Scalar::Aggregate(aggregate) => check_aggregate(aggregate),
        Scalar::Binary { left, right, .. } => {
            check_scalar(left)?;
            check_scalar(right)
        }
        Scalar::Negate(inner) => check_scalar(inner),
        Scalar::Pipeline(pipeline, inner) => {
            check_pipeline(pipeline)?;
            check_scalar(inner)
        }
    }
}

fn check_aggregate(aggregate: &Aggregate) -> Result {
    let Some(of) = &aggregate.of else { return Ok(()) };
    let resolved = check_expr(of)?;
    if !(resolved.is_number() || resolved == Type::Any) {
        return Err(Error::invalid(format!("aggregate field expressions must resolve to a number type: {aggregate}")));
    }
    if !refers_to_span(of) {
        return Err(Error::invalid(format!("aggregate field expressions must reference the span: {aggregate}")));
    }
    Ok(())
}

fn check_expr(expr: &FieldExpr) -> Result<Type> {
    match expr {
        FieldExpr::Literal(value) => Ok(types::of_literal(value)),
        FieldExpr::Field(field) => named(field).map(|()| types::of_field(field)),
        FieldExpr::Negate(inner) => match check_expr(inner)? {
            of if of.is_number() || of == Type::Any => Ok(of),
            _ => Err(Error::invalid(format!("illegal operation for the given type: {expr}"))),
        },
        FieldExpr::Not(inner) => match check_expr(inner)? {
            Type::Bool | Type::Any => Ok(Type::Bool),
            _ => Err(Error::invalid(format!("illegal operation for the given type: {expr}"))),
        },
        FieldExpr::Binary { op, left, right } => check_binary(expr, *op, left, right),
    }
}

fn check_binary(expr: &FieldExpr, op: BinaryOp, left: &FieldExpr, right: &FieldExpr) -> Result<Type> {
    if let Some(other) = beside_nil(left, right) {
        return check_existence(expr, op, other);
    }
    let (l, r) = (check_expr(left)?, check_expr(right)?);
    let resolved = types::binary(op, l, r).map_err(|mismatch| {
        Error::invalid(match mismatch {
            Mismatch::Operands => format!("binary operations must operate on the same type: {expr}"),
            Mismatch::Operator => format!("illegal operation for the given types: {expr}"),
        })
    })?;
    if matches!(op, BinaryOp::Match | BinaryOp::NotMatch) {
        check_pattern(expr, right)?;
    }
    Ok(resolved)
}

/// `other = nil` or `other != nil`.
fn check_existence(expr: &FieldExpr, op: BinaryOp, other: &FieldExpr) -> Result<Type> {
    if !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) {
        return Err(Error::invalid(format!("illegal operation for the given types: {expr}")));
    }
    let FieldExpr::Field(field) = other else { return check_expr(other).map(|_| Type::Bool) };
    if op == BinaryOp::Equal && !field.parent && is_always_there(&field.name) {
        return Err(Error::invalid(format!("{field} is a part of every span and never nil: {expr}")));
    }
    Ok(Type::Bool)
}

fn check_pattern(expr: &FieldExpr, right: &FieldExpr) -> Result {
    let FieldExpr::Literal(Value::Str(pattern)) = right else {
        return Err(Error::invalid(format!("the right side of a regular expression match must be a string: {expr}")));
    };
    // its grammar alone: machines are built, and bounded, where they are needed
    re2::group_names(pattern).map(|_| ()).map_err(|why| Error::invalid(format!("invalid regex: {why}: {expr}")))
}

fn check_metrics(metrics: &Metrics) -> Result {
    match metrics {
        Metrics::Of { pipeline, function } => {
            check_pipeline(pipeline)?;
            check_function(function)
        }
        Metrics::Then { of, stage } => {
            check_metrics(of)?;
            match stage {
                SecondStage::TopK(0) => Err(Error::invalid("topk() must be of at least 1 series")),
                SecondStage::BottomK(0) => Err(Error::invalid("bottomk() must be of at least 1 series")),
                _ if compares(of) => Err(Error::invalid(format!("compare() goes with no other stage: {metrics}"))),
                _ => Ok(()),
            }
        }
        Metrics::Number(_) => Ok(()),
        Metrics::Binary { left, right, .. } => {
            check_metrics(left)?;
            check_metrics(right)?;
            if compares(left) || compares(right) {
                return Err(Error::invalid(format!("compare() takes no part in arithmetic: {metrics}")));
            }
            Ok(())
        }
    }
}

fn check_function(function: &MetricsFunction) -> Result {
    match function {
        MetricsFunction::Rate { by } | MetricsFunction::Count { by } => by.iter().try_for_each(named),
        MetricsFunction::OverTime { of, by, .. } | MetricsFunction::Histogram { of, by } => {
            named(of)?;
            by.iter().try_for_each(named)
        }
        MetricsFunction::Quantile { of, quantiles, by } => {
            named(of)?;
            if let Some(beyond) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
                return Err(Error::invalid(format!("quantile must be between 0 and 1: {beyond}")));
            }
            by.iter().try_for_each(named)
        }
        MetricsFunction::Compare { filter, top, window } => {
            check_filter(filter)?;
            if !(1..=COMPARE_TOP_MAX).contains(top) {
                let message = "compare() top number of values must be an integer between 1 and 1000";
                return Err(Error::invalid(message));
            }
            match window {
                Some((start, end)) if start >= end => {
                    Err(Error::invalid(format!("compare() end must be after its start: start={start} end={end}")))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Whether a field can stand for a value. `parent` cannot.
fn named(field: &Field) -> Result {
    match field.name {
        FieldName::Intrinsic(Intrinsic::Parent, _) => {
            Err(Error::unsupported(format!("{field} is no value, it can be compared with nil only")))
        }
        _ => Ok(()),
    }
}

/// The other side of a comparison with `nil`.
fn beside_nil<'a>(left: &'a FieldExpr, right: &'a FieldExpr) -> Option<&'a FieldExpr> {
    let nil = |expr: &FieldExpr| matches!(expr, FieldExpr::Literal(Value::Nil));
    if nil(right) { Some(left) } else { nil(left).then_some(right) }
}

/// Whether every span has the field, so that asking for those without it is a mistake.
fn is_always_there(name: &FieldName) -> bool {
    match name {
        FieldName::Attribute(scope, name) => *scope == Scope::Resource && name == "service.name",
        FieldName::Intrinsic(intrinsic, _) => *intrinsic != Intrinsic::Parent,
    }
}

fn refers_to_span(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Literal(_) => false,
        FieldExpr::Field(_) => true,
        FieldExpr::Negate(inner) | FieldExpr::Not(inner) => refers_to_span(inner),
        FieldExpr::Binary { left, right, .. } => refers_to_span(left) || refers_to_span(right),
    }
}

/// Whether series are those of `compare()`.
fn compares(metrics: &Metrics) -> bool {
    match metrics {
        Metrics::Of { function, .. } => matches!(function, MetricsFunction::Compare { .. }),
        Metrics::Then { of, .. } => compares(of),
        Metrics::Number(_) => false,
        Metrics::Binary { left, right, .. } => compares(left) || compares(right),
    }
}
