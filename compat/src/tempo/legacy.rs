//! A search as Tempo had it before TraceQL: `tags` in logfmt, and bounds of the trace's duration.
//!
//! ```text
//! name=GET status.code=error http.method=GET http.route=/x  minDuration=1s
//!   └ anywhere in the trace ─┘  └─── in one resource ────┘    └ the trace's
//! ```
//! Source: `makePipelineWithRowGroups` of Tempo's `tempodb/encoding/vparquet*`, its recorded answers: tags that it has columns for are
//! looked for in all of the trace, and names by their parts; the others must be found together in what one resource sent.

use query::traceql::Error;
use traceql::ast::{BinaryOp, FieldExpr, Intrinsic, Pipeline, Scope, SpansetOp, Spansets, Stage};
use traceql::value::Value;

use super::message::SearchRequest;
use crate::spanql::{all, attribute, binary, compare, contains, equal, equal_as_text, intrinsic, spansets, status};

/// Tags that a search may have: each is a level of the tree, of which the language has a limit.
const TAGS_MAX: usize = 32;
const NS_PER_MS: i64 = 1_000_000;

/// The TraceQL of `request`, which has none of its own.
///
/// # Errors
/// More tags than anybody needs.
pub(super) fn query(request: &SearchRequest) -> Result<String, Error> {
    if request.tags.len() > TAGS_MAX {
        return Err(Error::Invalid { message: format!("search has {} tags, limit is {TAGS_MAX}", request.tags.len()) });
    }
    let mut tags: Vec<(&str, &str)> = request.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    tags.sort_unstable();
    let mut of_trace: Vec<FieldExpr> = Vec::new();
    let mut of_resource: Vec<FieldExpr> = Vec::new();
    for (key, value) in tags {
        match column(key, value) {
            Some(condition) => of_trace.push(condition),
            None => of_resource.push(equal_as_text(&attribute(Scope::Any, key), value)),
        }
    }
    let duration = |ms: u32, op| compare(intrinsic(Intrinsic::TraceDuration), op, Value::Duration(i64::from(ms) * NS_PER_MS));
    let bounds = [(request.min_duration_ms, BinaryOp::GreaterEqual), (request.max_duration_ms, BinaryOp::LessEqual)];
    of_trace.extend(bounds.into_iter().filter(|(ms, _)| *ms > 0).map(|(ms, op)| duration(ms, op)));
    let mut parts: Vec<Spansets> = of_trace.into_iter().map(Spansets::Filter).collect();
    parts.extend(in_one_resource(of_resource));
    // A pipeline is combined with pipelines only.
    if parts.iter().any(|part| matches!(part, Spansets::Pipeline(_))) {
        parts = parts.into_iter().map(as_pipeline).collect();
    }
    let joined = parts.into_iter().reduce(both);
    Ok(spansets(joined.unwrap_or_else(|| Spansets::Filter(all([])))))
}

/// The condition of a tag that Tempo has a column for.
fn column(key: &str, value: &str) -> Option<FieldExpr> {
    Some(match key {
        "name" => contains(intrinsic(Intrinsic::Name), value),
        "service.name" => contains(attribute(Scope::Resource, "service.name"), value),
        "root.name" => contains(intrinsic(Intrinsic::RootName), value),
        "root.service.name" => contains(intrinsic(Intrinsic::RootService), value),
        "status.code" => equal(intrinsic(Intrinsic::Status), Value::Status(status(value)?)),
        _ => return None,
    })
}

/// Spans of one resource that have all of `conditions` among them. A resource is what has a service and an instance of its own.
fn in_one_resource(conditions: Vec<FieldExpr>) -> Option<Spansets> {
    let any = conditions.iter().cloned().reduce(|any, one| binary(BinaryOp::Or, any, one))?;
    if conditions.len() == 1 {
        return Some(Spansets::Filter(any));
    }
    let by = |name| Stage::By(FieldExpr::Field(attribute(Scope::Resource, name)));
    let each = conditions.into_iter().map(Spansets::Filter).reduce(both)?;
    let stages =
        vec![Stage::Spansets(Spansets::Filter(any)), by("service.name"), by("service.instance.id"), Stage::Spansets(each)];
    Some(Spansets::Pipeline(Pipeline { stages }))
}

fn as_pipeline(part: Spansets) -> Spansets {
    match part {
        Spansets::Pipeline(_) => part,
        other => Spansets::Pipeline(Pipeline { stages: vec![Stage::Spansets(other)] }),
    }
}

fn both(left: Spansets, right: Spansets) -> Spansets {
    Spansets::Binary { op: SpansetOp::And, left: Box::new(left), right: Box::new(right) }
}

/// `tags`: keys and values in logfmt.
///
/// # Errors
/// In the words of Go's `go-logfmt`.
pub(super) fn parse_tags(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut tags: Vec<(String, String)> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|b| *b <= b' ') {
            at += 1;
        }
        if at >= bytes.len() {
            return Ok(tags);
        }
        let key_from = at;
        while let Some(&b) = bytes.get(at).filter(|b| **b > b' ' && **b != b'=') {
            if b == b'"' {
                return Err(unexpected('"', at));
            }
            at += 1;
        }
        if at == key_from {
            return Err(unexpected('=', at));
        }
        let key = text[key_from..at].to_owned();
        let mut value = String::new();
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            if bytes.get(at) == Some(&b'"') {
                let length =
                    quoted_length(&bytes[at..]).ok_or_else(|| format!("unterminated quoted value at pos {}", text.len() + 1))?;
                // The escapes are those of JSON.
                value = serde_json::from_str(&text[at..at + length])
                    .map_err(|_| format!("invalid quoted value at pos {}", at + length))?;
                at += length;
            } else {
                let from = at;
                while let Some(&b) = bytes.get(at).filter(|b| **b > b' ') {
                    if b == b'=' || b == b'"' {
                        return Err(unexpected(b as char, at));
                    }
                    at += 1;
                }
                text[from..at].clone_into(&mut value);
            }
        }
        if tags.iter().any(|(known, _)| *known == key) {
            return Err(format!("tag {key} has been set twice"));
        }
        tags.push((key, value));
    }
}

fn unexpected(c: char, at: usize) -> String {
    format!("unexpected '{c}' at pos {}", at + 1)
}

/// The length of the quoted text that `bytes` begin with, quotes included.
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, b) in bytes.iter().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_logfmt() {
        #[track_caller]
        fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
            let expected = expected.map(|pairs| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
            assert_eq!(parse_tags(text), expected.map_err(str::to_owned), "{text}");
        }
        check("", Ok(&[]));
        check("a=b  c=\"d e\" f", Ok(&[("a", "b"), ("c", "d e"), ("f", "")]));
        check("k=\"\\u00e4\\n\\\"\"", Ok(&[("k", "ä\n\"")]));
        check("odd\\ key=\"has space\"", Ok(&[("odd\\", ""), ("key", "has space")]));
        check("a=b a=c", Err("tag a has been set twice"));
        check("=b", Err("unexpected '=' at pos 1"));
        check("a=b=c", Err("unexpected '=' at pos 4"));
        check("a=\"b", Err("unterminated quoted value at pos 5"));
        check("a=\"\\q\"", Err("invalid quoted value at pos 6"));
    }

    #[test]
    fn tags_become_traceql() {
        #[track_caller]
        fn check(tags: &str, min_duration_ms: u32, expected: &str) {
            let tags = parse_tags(tags).unwrap().into_iter().collect();
            let request = SearchRequest { tags, min_duration_ms, ..SearchRequest::default() };
            let text = query(&request).unwrap();
            assert_eq!(text, traceql::parse::parse(expected).unwrap_or_else(|e| panic!("{expected}: {e}")).to_string());
            traceql::parse::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        check("", 0, "{}");
        check("", 2000, "{ traceDuration >= 2s }");
        check("name=reindex", 0, "{ name =~ \"(?s).*reindex.*\" }");
        check(
            "status.code=error service.name=shipping",
            0,
            "{ resource.service.name =~ \"(?s).*shipping.*\" } && { status = error }",
        );
        check("cloud.provider=gcp status.code=error", 0, "{ status = error } && { .cloud.provider = \"gcp\" }");
        check("http.status_code=500", 0, "{ .http.status_code = \"500\" || .http.status_code = 500 }");
        check(
            "http.method=DELETE http.route=\"/orders/{id}\"",
            600,
            "({ traceDuration >= 600ms }) && ({ .http.method = \"DELETE\" || .http.route = \"/orders/{id}\" } \
             | by(resource.service.name) | by(resource.service.instance.id) \
             | { .http.method = \"DELETE\" } && { .http.route = \"/orders/{id}\" })",
        );
    }

    #[test]
    fn as_many_tags_as_are_allowed() {
        let request = |count: usize| SearchRequest {
            tags: (0..count).map(|n| (format!("tag.{n}"), n.to_string())).collect(),
            max_duration_ms: 5,
            ..SearchRequest::default()
        };
        let text = query(&request(TAGS_MAX)).unwrap();
        traceql::parse::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(query(&request(TAGS_MAX + 1)).unwrap_err().to_string(), "search has 33 tags, limit is 32");
    }

    proptest::proptest! {
        #[test]
        fn every_search_by_tags_is_traceql(text in "\\PC*") {
            if let Ok(tags) = parse_tags(&text) {
                let request = SearchRequest { tags: tags.into_iter().collect(), ..SearchRequest::default() };
                if let Ok(text) = query(&request) {
                    proptest::prop_assert!(traceql::parse::parse(&text).is_ok(), "{}", text);
                }
            }
        }
    }
}
