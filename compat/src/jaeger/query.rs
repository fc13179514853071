//! What Jaeger's searches ask, whichever of its APIs they come by, and the TraceQL that finds it.
//!
//! ```text
//! service, operation, tags, minDuration, maxDuration ─► { resource.service.name = .. && name = .. && .. }
//! ```
//! A tag is text there and may be a number here; some tags never were attributes: Jaeger makes them of what OTLP has fields for.
//! Source: `TraceQueryParameters` of jaeger-idl; `internal/converter` and `internal/jptrace` of Jaeger.

use std::collections::BTreeMap;

use query::traceql::Window;
use traceql::ast::{BinaryOp, FieldExpr, Intrinsic, Scope};
use traceql::value::{Status, Value};

use crate::found::Wanted;
use crate::spanql::{
    all, attribute, binary, compare, equal, equal_as_text, filter, intrinsic, kind, newest, scoped, status, text,
};

/// Traces, when nothing is said.
pub(super) const DEFAULT_LIMIT: usize = 100;
/// Tags that a search may have.
const TAGS_MAX: usize = 64;

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TraceQuery {
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) time: Window,
    /// Nanoseconds; 0: none.
    pub(super) duration_min_ns: i64,
    pub(super) duration_max_ns: i64,
    pub(super) limit: usize,
}

impl TraceQuery {
    /// The TraceQL.
    ///
    /// # Errors
    /// More tags than anybody needs, said in a sentence.
    pub(super) fn wanted(&self) -> Result<Wanted, String> {
        if self.tags.len() > TAGS_MAX {
            return Err(format!("search has {} tags, limit is {TAGS_MAX}", self.tags.len()));
        }
        let mut conditions = Vec::new();
        if !self.service.is_empty() {
            conditions.push(of_service(&self.service));
        }
        if !self.operation.is_empty() {
            conditions.push(equal(intrinsic(Intrinsic::Name), text(&self.operation)));
        }
        for (ns, op) in [(self.duration_min_ns, BinaryOp::GreaterEqual), (self.duration_max_ns, BinaryOp::LessEqual)] {
            if ns > 0 {
                conditions.push(compare(intrinsic(Intrinsic::Duration), op, Value::Duration(ns)));
            }
        }
        conditions.extend(self.tags.iter().map(|(key, value)| of_tag(key, value)));
        Ok(Wanted { text: newest(all(conditions)), time: self.time, limit: self.limit })
    }
}

/// Spans of a service.
pub(super) fn of_service(name: &str) -> FieldExpr {
    equal(attribute(Scope::Resource, "service.name"), text(name))
}

/// Spans of a service and, when a kind is named, of that kind. The text of a filter; `None` for a kind that there is not.
pub(super) fn of_service_and_kind(service: &str, span_kind: &str) -> Option<String> {
    let mut conditions = vec![of_service(service)];
    if !span_kind.is_empty() {
        conditions.push(equal(intrinsic(Intrinsic::Kind), Value::Kind(kind(span_kind)?)));
    }
    Some(filter(all(conditions)))
}

/// Spans that Jaeger would show with a tag.
fn of_tag(key: &str, value: &str) -> FieldExpr {
    let as_attribute = equal_as_text(&attribute(Scope::Any, key), value);
    let made = match key {
        "error" if value == "true" => Some(equal(intrinsic(Intrinsic::Status), Value::Status(Status::Error))),
        "span.kind" => kind(value).map(|kind| equal(intrinsic(Intrinsic::Kind), Value::Kind(kind))),
        "otel.status_code" => status(value).map(|status| equal(intrinsic(Intrinsic::Status), Value::Status(status))),
        "otel.status_description" => Some(equal(intrinsic(Intrinsic::StatusMessage), text(value))),
        "otel.scope.name" | "otel.library.name" => Some(equal(scoped(Intrinsic::InstrumentationName), text(value))),
        "otel.scope.version" | "otel.library.version" => Some(equal(scoped(Intrinsic::InstrumentationVersion), text(value))),
        _ => None,
    };
    match made {
        Some(made) => binary(BinaryOp::Or, made, as_attribute),
        None => as_attribute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(tags: &[(&str, &str)]) -> TraceQuery {
        TraceQuery {
            service: "shop".to_owned(),
            operation: String::new(),
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            time: Window { start_ns: 1, end_ns: 2 },
            duration_min_ns: 0,
            duration_max_ns: 0,
            limit: 20,
        }
    }

    #[track_caller]
    fn check(query: &TraceQuery, expected: &str) {
        // A chain means the same however it is grouped.
        let flat = |text: &str| traceql::parse::parse(text).unwrap().to_string().replace(['(', ')'], "");
        assert_eq!(flat(&query.wanted().unwrap().text), flat(&format!("{expected} with(most_recent=true)")));
    }

    #[test]
    fn searches_become_traceql() {
        check(&query(&[]), "{ resource.service.name = \"shop\" }");
        let full = TraceQuery {
            operation: "GET /".to_owned(),
            duration_min_ns: 1_000_000,
            duration_max_ns: 2_000_000_000,
            ..query(&[])
        };
        check(&full, "{ resource.service.name = \"shop\" && name = \"GET /\" && duration >= 1ms && duration <= 2s }");
        check(&TraceQuery { service: String::new(), ..query(&[]) }, "{ true }");
        let service = "resource.service.name = \"shop\"";
        check(&query(&[("http.method", "GET")]), &format!("{{ {service} && .http.method = \"GET\" }}"));
        check(&query(&[("code", "500")]), &format!("{{ {service} && (.code = \"500\" || .code = 500) }}"));
        check(
            &query(&[("error", "true")]),
            &format!("{{ {service} && (status = error || (.error = \"true\" || .error = true)) }}"),
        );
        check(&query(&[("span.kind", "server")]), &format!("{{ {service} && (kind = server || .span.kind = \"server\") }}"));
    }

    #[test]
    fn kinds_are_named() {
        assert!(of_service_and_kind("shop", "server").unwrap().contains("kind = server"));
        assert!(!of_service_and_kind("shop", "").unwrap().contains("kind"));
        assert_eq!(of_service_and_kind("shop", "x"), None);
    }
}
