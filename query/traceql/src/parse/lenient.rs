//! What can be used of a query that is still being typed, for the tags and values that an editor suggests.
//!
//! ```text
//! { span.a = "x" && (span.b > 2 && span.c = ) && .d = 1 && name = }  ─►  span.a = "x" && span.b > 2
//! ```
//! A condition that cannot be read says nothing: in a conjunction the others hold, and an alternative with it may be anything. So does one
//! that names an attribute without its scope, as in Tempo: its tags are of every span then.

use super::lex;
use super::parser::{Parser, Tall};
use super::token::{Kind, Position, Token};
use super::{HEIGHT_MAX, NESTING_MAX, QUERY_BYTES_MAX, parse};
use crate::ast::{BinaryOp, FieldExpr, FieldName, Form, Metrics, Pipeline, Root, Scope, SpansetOp, Spansets, Stage};
use crate::value::Value;
use crate::{check, fold};

/// The condition that the spans of `text` satisfy, as far as it can be understood; `None` when that is nothing, or any span.
///
/// Of a query that parses it is what the spans of its first stage satisfy, each alone: structure and later stages are left out. Of one
/// that does not, it is made of those conditions between its first braces that can be read; an open brace has none.
pub fn lenient(text: &str) -> Option<FieldExpr> {
    let condition = match parse(text) {
        Ok(query) => match &query.root {
            Root::Search(pipeline) => of_pipeline(pipeline),
            Root::Metrics(metrics) => of_metrics(metrics),
        },
        Err(_) if text.len() > QUERY_BYTES_MAX => None,
        Err(_) => of_unfinished(&lex::tokens(text)),
    };
    condition.and_then(scoped).filter(|condition| *condition != FieldExpr::Literal(Value::Bool(true)))
}

/// What is left of a condition without attributes that have no scope.
fn scoped(condition: FieldExpr) -> Option<FieldExpr> {
    match condition {
        FieldExpr::Binary { op: BinaryOp::And, left, right } => match (scoped(*left), scoped(*right)) {
            (Some(left), Some(right)) => Some(fold::binary(BinaryOp::And, left, right)),
            (left, right) => left.or(right),
        },
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => Some(fold::binary(BinaryOp::Or, scoped(*left)?, scoped(*right)?)),
        one => (!names_unscoped(&one)).then_some(one),
    }
}

fn names_unscoped(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Literal(_) => false,
        FieldExpr::Field(field) => matches!(field.name, FieldName::Attribute(Scope::Any, _)),
        FieldExpr::Negate(inner) | FieldExpr::Not(inner) => names_unscoped(inner),
        FieldExpr::Binary { left, right, .. } => names_unscoped(left) || names_unscoped(right),
    }
}

fn of_pipeline(pipeline: &Pipeline) -> Option<FieldExpr> {
    match pipeline.stages.first()? {
        Stage::Spansets(spansets) => of_spansets(spansets),
        _ => None,
    }
}

fn of_spansets(spansets: &Spansets) -> Option<FieldExpr> {
    match spansets {
        Spansets::Filter(expr) => Some(expr.clone()),
        Spansets::Pipeline(pipeline) => of_pipeline(pipeline),
        // the spans are those of the right side
        Spansets::Binary { op: SpansetOp::Structural(_, Form::Plain | Form::Not), right, .. } => of_spansets(right),
        // Of several spansets Tempo asks for nothing, and so the spans of all of them are there.
        Spansets::Binary { .. } => None,
    }
}

fn of_metrics(metrics: &Metrics) -> Option<FieldExpr> {
    match metrics {
        Metrics::Of { pipeline, .. } => of_pipeline(pipeline),
        Metrics::Then { of, .. } => of_metrics(of),
        Metrics::Number(_) => None,
        Metrics::Binary { left, right, .. } => match (&**left, &**right) {
            (Metrics::Number(_), of) | (of, Metrics::Number(_)) => of_metrics(of),
            (left, right) => either(of_metrics(left), of_metrics(right)),
        },
    }
}

fn either(left: Option<FieldExpr>, right: Option<FieldExpr>) -> Option<FieldExpr> {
    Some(fold::binary(BinaryOp::Or, left?, right?))
}

fn of_unfinished(tokens: &[Token]) -> Option<FieldExpr> {
    let is = |symbol: &'static str| move |token: &Token| token.kind == Kind::Symbol(symbol);
    let open = tokens.iter().position(is("{"))?;
    let len = tokens[open..].iter().position(is("}"))?;
    readable(&tokens[open + 1..open + len], 0).map(|condition| condition.tree)
}

/// The condition that `tokens` are, as far as they can be read.
fn readable(tokens: &[Token], depth: usize) -> Option<Tall<FieldExpr>> {
    let (operand, mut next) = first_operand(tokens);
    let mut condition = operand_condition(operand, depth);
    while let Some((op, rest)) = next {
        let operand;
        (operand, next) = first_operand(rest);
        condition = joined(op, condition, operand_condition(operand, depth));
    }
    condition
}

/// `left op right` where nothing is what cannot be read. Of a tree that would grow too high one conjunct will do.
fn joined(op: BinaryOp, left: Option<Tall<FieldExpr>>, right: Option<Tall<FieldExpr>>) -> Option<Tall<FieldExpr>> {
    match (left, right) {
        (Some(left), Some(right)) => {
            let height = left.height.max(right.height) + 1;
            if height <= HEIGHT_MAX {
                return Some(Tall { tree: fold::binary(op, left.tree, right.tree), height });
            }
            Some(left).filter(|_| op == BinaryOp::And)
        }
        (left, right) => left.or(right).filter(|_| op == BinaryOp::And),
    }
}

/// The tokens before the first `&&` or `||` that stands in no parentheses, the operator, and the tokens behind it.
fn first_operand(tokens: &[Token]) -> (&[Token], Option<(BinaryOp, &[Token])>) {
    let mut open = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        let op = match token.kind {
            Kind::Symbol("(") => {
                open += 1;
                continue;
            }
            Kind::Symbol(")") => {
                open = open.saturating_sub(1);
                continue;
            }
            Kind::Symbol("&&") => BinaryOp::And,
            Kind::Symbol("||") => BinaryOp::Or,
            _ => continue,
        };
        if open == 0 {
            return (&tokens[..at], Some((op, &tokens[at + 1..])));
        }
    }
    (tokens, None)
}

/// The condition that `tokens` without `&&` and `||` outside of parentheses are.
fn operand_condition(tokens: &[Token], depth: usize) -> Option<Tall<FieldExpr>> {
    if let Some(condition) = whole(tokens) {
        return Some(condition);
    }
    match tokens {
        [Token { kind: Kind::Symbol("("), .. }, inner @ .., Token { kind: Kind::Symbol(")"), .. }] if depth < NESTING_MAX => {
            readable(inner, depth + 1)
        }
        _ => None,
    }
}

/// The tokens as an expression that a filter could be.
fn whole(tokens: &[Token]) -> Option<Tall<FieldExpr>> {
    let mut tokens = tokens.to_vec();
    tokens.push(Token { kind: Kind::End, at: Position { line: 0, column: 0 } });
    let mut parser = Parser::of(tokens);
    let expr = parser.field_expr().ok()?;
    let complete = *parser.peek() == Kind::End;
    (complete && check::check_filter(&expr.tree).is_ok()).then_some(expr)
}
