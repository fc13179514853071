//! What a query asks of single spans, as tests that storage can skip by.
//!
//! # Invariants
//! - A span that satisfies one of the conditions passes the predicate; most that do not, pass too.

use lake::{ColumnTest, Predicate, Scalar, Test};
use traceql::ast::{FieldName, Intrinsic, Scope};
use traceql::eval::{self, Condition, Conditions};
use traceql::value::Value;

use super::spans::Resources;

/// Resources up to which rows are told apart by them.
const RESOURCES_MAX: usize = 512;
/// Values of one attribute that are looked for.
const VALUES_MAX: usize = 64;

/// The tests of spans that satisfy one of `conditions`; `None` when no span can.
pub(super) fn predicate(conditions: &[Conditions], resources: &Resources) -> Option<Predicate> {
    match conditions {
        [] => None,
        [one] => Some(Predicate { all: one.all.iter().filter_map(|condition| test(condition, resources)).collect() }),
        // Of each alternative one test, the most telling: all of them must have one, or nothing can be said.
        many => {
            let best = |one: &Conditions| one.all.iter().filter_map(|condition| test(condition, resources)).max_by_key(weight);
            let tests: Option<Vec<ColumnTest>> = many.iter().map(best).collect();
            Some(Predicate { all: tests.map(ColumnTest::any_of).into_iter().collect() })
        }
    }
}

/// How much a test can be hoped to rule out.
fn weight(test: &ColumnTest) -> u8 {
    match &test.test {
        Test::In(_) if test.column == "trace_id" || test.column == "span_id" => 3,
        Test::AnyOf(_) | Test::KeyIs(..) => 2,
        Test::In(_) => 1,
        _ => 0,
    }
}

fn test(condition: &Condition, resources: &Resources) -> Option<ColumnTest> {
    match &condition.field {
        FieldName::Intrinsic(intrinsic, _) => of_intrinsic(*intrinsic, &condition.test),
        FieldName::Attribute(scope, name) => of_attribute(*scope, name, &condition.test, resources),
    }
}

fn column(name: &str, test: Test) -> Option<ColumnTest> {
    Some(ColumnTest { column: name.to_owned(), test })
}

fn of_intrinsic(intrinsic: Intrinsic, test: &eval::Test) -> Option<ColumnTest> {
    let eval::Test::Equal(values) = test else {
        return match (intrinsic, test) {
            (Intrinsic::Duration, eval::Test::Range { min, max }) => {
                let bound = |end: &Option<(Value<'static>, bool)>| end.as_ref().and_then(|(value, _)| nanoseconds(value));
                column("duration_ns", Test::Between(bound(min).map(Scalar::Int), bound(max).map(Scalar::Int)))
            }
            _ => None,
        };
    };
    let all = |scalar: fn(&Value<'static>) -> Option<Scalar>| values.iter().map(scalar).collect::<Option<Vec<_>>>();
    let text = |value: &Value<'static>| match value {
        Value::Str(text) => Some(Scalar::Text(text.clone().into_owned())),
        _ => None,
    };
    let id = |value: &Value<'static>| match value {
        Value::Str(text) => hex::decode(&**text).ok().map(Scalar::Bytes),
        _ => None,
    };
    let (name, scalars) = match intrinsic {
        Intrinsic::Name => ("name", all(text)?),
        Intrinsic::Kind => {
            ("kind", all(|value| if let Value::Kind(kind) = value { Some(Scalar::Int(*kind as i64)) } else { None })?)
        }
        Intrinsic::Status => {
            let status = |value: &Value<'static>| if let Value::Status(status) = value { Some(*status as i64) } else { None };
            let numbers: Vec<i64> = values.iter().map(status).collect::<Option<_>>()?;
            // What OTLP does not know is unset, and so is stored as it came.
            if numbers.contains(&0) {
                return None;
            }
            ("status_code", numbers.into_iter().map(Scalar::Int).collect())
        }
        Intrinsic::TraceId => {
            ("trace_id", all(id)?.into_iter().filter(|id| matches!(id, Scalar::Bytes(id) if id.len() == 16)).collect())
        }
        Intrinsic::Duration => {
            let bounds: Vec<i64> = values.iter().map(nanoseconds).collect::<Option<_>>()?;
            let (low, high) = (bounds.iter().min().copied()?, bounds.iter().max().copied()?);
            return column("duration_ns", Test::Between(Some(Scalar::Int(low)), Some(Scalar::Int(high))));
        }
        _ => return None,
    };
    if name == "kind" && scalars.contains(&Scalar::Int(0)) || scalars.is_empty() {
        return None;
    }
    column(name, Test::In(scalars))
}

/// A number as nanoseconds, if it is a whole number of them.
fn nanoseconds(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(value) | Value::Duration(value) => Some(*value),
        _ => None,
    }
}

fn of_attribute(scope: Scope, name: &str, test: &eval::Test, resources: &Resources) -> Option<ColumnTest> {
    match scope {
        Scope::Span => of_span(name, test),
        Scope::Resource => of_resource(name, test, resources),
        Scope::Any => Some(ColumnTest::any_of(vec![of_span(name, test)?, of_resource(name, test, resources)?])),
        Scope::Event | Scope::Link | Scope::Instrumentation => None,
    }
}

fn of_span(name: &str, test: &eval::Test) -> Option<ColumnTest> {
    let eval::Test::Equal(values) = test else { return None };
    if values.is_empty() || values.len() > VALUES_MAX {
        return None;
    }
    let is = |column: &str, scalar: Scalar| ColumnTest { column: column.to_owned(), test: Test::KeyIs(name.to_owned(), scalar) };
    // Lists are JSON, whose keys are marked whatever their values.
    let mut tests = vec![is("attrs_json", Scalar::Text(String::new()))];
    for value in values {
        match value {
            Value::Str(text) => tests.push(is("attrs_str", Scalar::Text(text.clone().into_owned()))),
            Value::Bool(value) => tests.push(is("attrs_bool", Scalar::Int((*value).into()))),
            Value::Int(value) | Value::Duration(value) => {
                tests.push(is("attrs_int", Scalar::Int(*value)));
                tests.push(is("attrs_f64", Scalar::Float(*value as f64)));
            }
            Value::Float(value) => {
                tests.push(is("attrs_f64", Scalar::Float(*value)));
                if value.fract() == 0.0 && value.abs() < 9.0e18 {
                    tests.push(is("attrs_int", Scalar::Int(*value as i64)));
                }
            }
            Value::Nil | Value::Status(_) | Value::Kind(_) | Value::List(_) => return None,
        }
    }
    Some(ColumnTest::any_of(tests))
}

fn of_resource(name: &str, test: &eval::Test, resources: &Resources) -> Option<ColumnTest> {
    let admitted = resources.values(name).filter(|(_, value)| admits(test, value));
    let ids: Vec<Scalar> = admitted.map(|(id, _)| Scalar::Int(id)).take(RESOURCES_MAX + 1).collect();
    // No resource at all: no span. A set of none is no test, so a number is asked for that no resource has.
    match ids.len() {
        0 => column("resource_id", Test::In(vec![Scalar::Int(unused(resources))])),
        few if few <= RESOURCES_MAX => column("resource_id", Test::In(ids)),
        _ => None,
    }
}

/// A number that is no resource's.
fn unused(resources: &Resources) -> i64 {
    (0..).find(|id| resources.get(*id).is_none()).unwrap_or(0)
}

/// Whether a value may satisfy a test; more values may than do.
fn admits(test: &eval::Test, value: &Value<'_>) -> bool {
    if let Value::List(items) = value {
        return items.iter().any(|item| admits(test, item));
    }
    match test {
        eval::Test::Exists => *value != Value::Nil,
        eval::Test::Equal(values) => values.iter().any(|wanted| order(value, wanted).is_some_and(std::cmp::Ordering::is_eq)),
        eval::Test::Range { min, max } => {
            let above = |end: &Option<(Value<'static>, bool)>| {
                end.as_ref().is_none_or(|(low, _)| order(value, low).is_some_and(std::cmp::Ordering::is_ge))
            };
            let below = |end: &Option<(Value<'static>, bool)>| {
                end.as_ref().is_none_or(|(high, _)| order(value, high).is_some_and(std::cmp::Ordering::is_le))
            };
            above(min) && below(max)
        }
        eval::Test::Regex { regex, .. } => matches!(value, Value::Str(text) if regex.is_match(text)),
    }
}

/// The order of two values; numbers as floats, which takes some that differ for equal.
fn order(a: &Value<'_>, b: &Value<'_>) -> Option<std::cmp::Ordering> {
    let number = |value: &Value<'_>| match value {
        Value::Int(v) | Value::Duration(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    };
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}
