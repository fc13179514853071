//! TraceQL written by APIs that ask in other words: trees first, text by the language's own printer, so that no name and no value
//! of a client can be anything but a name or a value.
//!
//! ```text
//! service, operation, tags, durations ─► FieldExpr && FieldExpr && .. ─► Query ─► text
//! ```

use std::borrow::Cow;

use traceql::ast::{
    BinaryOp, Field, FieldExpr, FieldName, Hint, Intrinsic, Pipeline, Query, Root, Scope, Spansets, Spelling, Stage,
};
use traceql::value::{Kind, Status, Value};

/// An attribute.
pub(crate) fn attribute(scope: Scope, name: &str) -> Field {
    Field { parent: false, name: FieldName::Attribute(scope, name.to_owned()) }
}

/// An intrinsic by its old name, which all of them have that are asked for here.
pub(crate) fn intrinsic(intrinsic: Intrinsic) -> Field {
    Field { parent: false, name: FieldName::Intrinsic(intrinsic, Spelling::Legacy) }
}

/// An intrinsic that has no name without a scope.
pub(crate) fn scoped(intrinsic: Intrinsic) -> Field {
    Field { parent: false, name: FieldName::Intrinsic(intrinsic, Spelling::Scoped) }
}

/// Text.
pub(crate) fn text(text: &str) -> Value<'static> {
    Value::Str(Cow::Owned(text.to_owned()))
}

/// `field op value`
pub(crate) fn compare(field: Field, op: BinaryOp, value: Value<'static>) -> FieldExpr {
    binary(op, FieldExpr::Field(field), FieldExpr::Literal(value))
}

/// `field = value`
pub(crate) fn equal(field: Field, value: Value<'static>) -> FieldExpr {
    compare(field, BinaryOp::Equal, value)
}

/// The field, which is text, has `part` in it.
pub(crate) fn contains(field: Field, part: &str) -> FieldExpr {
    compare(field, BinaryOp::Match, text(&format!("(?s).*{}.*", regex_quote(part))))
}

/// The field equals what `value` may stand for: text, and the number or flag that is written so. Other APIs know texts only.
pub(crate) fn equal_as_text(field: &Field, value: &str) -> FieldExpr {
    let number = value.parse::<i64>().ok().map(Value::Int);
    let number = number.or_else(|| value.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::Float));
    let flag = value.parse::<bool>().ok().map(Value::Bool);
    [Some(text(value)), number, flag]
        .into_iter()
        .flatten()
        .map(|value| equal(field.clone(), value))
        .reduce(|all, one| binary(BinaryOp::Or, all, one))
        .expect("text is always among them")
}

/// All of `conditions`; every span when there are none.
pub(crate) fn all(conditions: impl IntoIterator<Item = FieldExpr>) -> FieldExpr {
    let all = conditions.into_iter().reduce(|all, one| binary(BinaryOp::And, all, one));
    all.unwrap_or(FieldExpr::Literal(Value::Bool(true)))
}

/// `left op right`
pub(crate) fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `{ expr }`, the text.
pub(crate) fn filter(expr: FieldExpr) -> String {
    spansets(Spansets::Filter(expr))
}

/// `{ expr } with (most_recent=true)`, the text: when there are more traces than asked for, the newest of them.
pub(crate) fn newest(expr: FieldExpr) -> String {
    let hint = Hint { key: "most_recent".to_owned(), value: Value::Bool(true) };
    query(Spansets::Filter(expr), vec![hint])
}

/// The text of a query of spansets.
pub(crate) fn spansets(spansets: Spansets) -> String {
    query(spansets, Vec::new())
}

fn query(spansets: Spansets, hints: Vec<Hint>) -> String {
    let pipeline = Pipeline { stages: vec![Stage::Spansets(spansets)] };
    Query { root: Root::Search(pipeline), hints }.to_string()
}

/// The kind of that name, in any case, with or without OTLP's prefix.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("span_kind_").unwrap_or(&name) {
        "unspecified" => Some(Kind::Unspecified),
        "internal" => Some(Kind::Internal),
        "server" => Some(Kind::Server),
        "client" => Some(Kind::Client),
        "producer" => Some(Kind::Producer),
        "consumer" => Some(Kind::Consumer),
        _ => None,
    }
}

/// The status of that name, in any case, with or without OTLP's prefix.
pub(crate) fn status(name: &str) -> Option<Status> {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("status_code_").unwrap_or(&name) {
        "unset" => Some(Status::Unset),
        "ok" => Some(Status::Ok),
        "error" => Some(Status::Error),
        _ => None,
    }
}

/// `text` as a pattern that matches exactly it.
fn regex_quote(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use traceql::parse::parse;

    use super::*;

    #[test]
    fn no_name_and_no_value_escapes() {
        for name in ["http.method", "a b", "a\"b", "x } || {", "", "\\", "ünï", "a=b", "\n"] {
            for value in
                ["x", "\" } || { true", "`", "\\", "", "\u{0}", "500", "true", "0.5", "-1", "-9223372036854775808", "1e300", "5."]
            {
                let condition = equal_as_text(&attribute(Scope::Any, name), value);
                let query = filter(all([condition.clone(), contains(intrinsic(Intrinsic::Name), value)]));
                let Ok(parsed) = parse(&query) else {
                    // A name that cannot be written at all is refused, which is not an escape.
                    assert!(name.is_empty(), "{query}");
                    continue;
                };
                assert_eq!(parsed.to_string(), query);
                let Root::Search(pipeline) = parsed.root else { panic!("{query}") };
                let [Stage::Spansets(Spansets::Filter(FieldExpr::Binary { left, .. }))] = pipeline.stages.as_slice() else {
                    panic!("{query}")
                };
                assert_eq!(**left, condition, "{query}");
            }
        }
    }
}
