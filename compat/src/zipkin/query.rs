//! What Zipkin's searches ask, and the TraceQL that finds it.
//! Source: `zipkin2-api.yaml`; `QueryRequest` of Zipkin.

use query::traceql::Window;
use traceql::ast::{BinaryOp, FieldExpr, Intrinsic, Scope};
use traceql::value::{Status, Value};

use crate::form::Form;
use crate::found::Wanted;
use crate::spanql::{all, attribute, binary, compare, equal, equal_as_text, intrinsic, newest, scoped, text};

const MS_NS: i64 = 1_000_000;
const US_NS: i64 = 1_000;
/// How far back a search goes when nothing is said (Zipkin's `QUERY_LOOKBACK`).
const DEFAULT_LOOKBACK_MS: i64 = 86_400_000;
/// Traces, when nothing is said.
const DEFAULT_LIMIT: usize = 10;
/// Conditions of an `annotationQuery`.
const CONDITIONS_MAX: usize = 64;

/// The search that the parameters say.
///
/// # Errors
/// In a sentence.
pub(super) fn wanted(form: &Form, now_ns: i64) -> Result<Wanted, String> {
    let mut conditions = Vec::new();
    for (name, field) in [
        ("serviceName", attribute(Scope::Resource, "service.name")),
        ("remoteServiceName", attribute(Scope::Span, "peer.service")),
        ("spanName", intrinsic(Intrinsic::Name)),
    ] {
        match (name, form.get(name)) {
            // `all` is what Zipkin's page sends for any span.
            (_, "") | ("spanName", "all") => {}
            (_, value) => conditions.push(equal(field, text(value))),
        }
    }
    for (name, op) in [("minDuration", BinaryOp::GreaterEqual), ("maxDuration", BinaryOp::LessEqual)] {
        if let Some(us) = number(form, name)? {
            conditions.push(compare(intrinsic(Intrinsic::Duration), op, Value::Duration(us.saturating_mul(US_NS))));
        }
    }
    if number(form, "maxDuration")?.is_some() && number(form, "minDuration")?.is_none() {
        return Err("maxDuration is only valid with minDuration".to_owned());
    }
    conditions.extend(annotations(form.get("annotationQuery"))?);
    let limit = match number(form, "limit")? {
        None => DEFAULT_LIMIT,
        Some(limit) if limit <= 0 => return Err("limit should be positive".to_owned()),
        Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    Ok(Wanted { text: newest(all(conditions)), time: window(form, now_ns, false)?, limit })
}

/// `lookback` up to `endTs`, milliseconds.
///
/// # Errors
/// In a sentence.
pub(super) fn window(form: &Form, now_ns: i64, end_required: bool) -> Result<Window, String> {
    let end_ms = match number(form, "endTs")? {
        None if end_required => return Err("endTs is required".to_owned()),
        None => now_ns / MS_NS,
        Some(ms) if ms <= 0 => return Err("endTs should be positive, in epoch milliseconds".to_owned()),
        Some(ms) => ms,
    };
    let lookback_ms = match number(form, "lookback")? {
        None => DEFAULT_LOOKBACK_MS,
        Some(ms) if ms <= 0 => return Err("lookback should be positive, in milliseconds".to_owned()),
        Some(ms) => ms,
    };
    let ns = |ms: i64| ms.saturating_mul(MS_NS);
    // The last millisecond is meant whole.
    Ok(Window { start_ns: ns(end_ms.saturating_sub(lookback_ms).max(0)), end_ns: ns(end_ms).saturating_add(MS_NS - 1) })
}

fn number(form: &Form, name: &str) -> Result<Option<i64>, String> {
    match form.get(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{name} is no number: {}", gosyntax::quote::quote(text))),
    }
}

/// `http.path=/x and error and retried`: tags with values, and names of tags or annotations.
fn annotations(query: &str) -> Result<Vec<FieldExpr>, String> {
    let parts: Vec<&str> = query.split(" and ").map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.len() > CONDITIONS_MAX {
        return Err(format!("annotationQuery has {} conditions, limit is {CONDITIONS_MAX}", parts.len()));
    }
    Ok(parts.into_iter().map(annotation).collect())
}

fn annotation(part: &str) -> FieldExpr {
    if let Some((key, value)) = part.split_once('=') {
        return equal_as_text(&attribute(Scope::Any, key.trim()), value.trim());
    }
    let tag = compare(attribute(Scope::Any, part), BinaryOp::NotEqual, Value::Nil);
    let event = equal(scoped(Intrinsic::EventName), text(part));
    let named = binary(BinaryOp::Or, tag, event);
    match part {
        // What is a tag there is a status here.
        "error" => binary(BinaryOp::Or, equal(intrinsic(Intrinsic::Status), Value::Status(Status::Error)), named),
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_793_500_000_000_000_000;

    fn read(url: &str) -> Result<Wanted, String> {
        wanted(&Form::of_url(url).unwrap(), NOW_NS)
    }

    #[test]
    fn searches_become_traceql() {
        #[track_caller]
        fn check(url: &str, expected: &str) {
            let expected = traceql::parse::parse(&format!("{expected} with(most_recent=true)")).unwrap().to_string();
            assert_eq!(read(url).unwrap().text, expected, "{url}");
        }
        check("", "{ true }");
        check("serviceName=shop&spanName=all", "{ resource.service.name = \"shop\" }");
        check(
            "serviceName=shop&spanName=get&remoteServiceName=stock",
            "{ resource.service.name = \"shop\" && span.peer.service = \"stock\" && name = \"get\" }",
        );
        check("minDuration=1000&maxDuration=2000000", "{ duration >= 1ms && duration <= 2s }");
        check(
            "annotationQuery=http.path%3D%2Fx+and+retried",
            "{ .http.path = \"/x\" && (.retried != nil || event:name = \"retried\") }",
        );
        check("annotationQuery=error", "{ status = error || (.error != nil || event:name = \"error\") }");
    }

    #[test]
    fn times_and_limits() {
        let asked = read("endTs=2000&lookback=1000&limit=7").unwrap();
        assert_eq!((asked.limit, asked.time), (7, Window { start_ns: 1_000_000_000, end_ns: 2_000_999_999 }));
        let least = read("").unwrap();
        assert_eq!((least.limit, least.time.start_ns / MS_NS), (10, NOW_NS / MS_NS - DEFAULT_LOOKBACK_MS));
        for (url, expected) in [
            ("limit=x", "limit is no number: \"x\""),
            ("limit=0", "limit should be positive"),
            ("endTs=-1", "endTs should be positive, in epoch milliseconds"),
            ("lookback=0", "lookback should be positive, in milliseconds"),
            ("maxDuration=5", "maxDuration is only valid with minDuration"),
        ] {
            assert_eq!(read(url).unwrap_err(), expected);
        }
    }
}
