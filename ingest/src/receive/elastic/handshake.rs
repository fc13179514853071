//! What shippers ask and set up before they send: answers that let them go on. Nothing that they set up is kept, because nothing here
//! depends on it: there are no mappings, no life cycles, no pipelines.
//!
//! ```text
//! Filebeat, Elastic Agent   GET /, /_license, /_ilm/policy/*, /_index_template/*, /_data_stream/*, /_ingest/pipeline/*
//! Logstash                  HEAD /, GET /, /_license, /_xpack, /_index_template/*, /_template/*
//! Fluentd, Fluent Bit       GET /, HEAD and PUT of templates and aliases
//! Vector                    GET /_cluster/health, /
//! ```

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{error, value};

/// The version that is spoken. Shippers compare it with their own.
const VERSION: &str = "8.19.0";
/// The name of cluster and node.
const NAME: &str = "telelake";

/// The answer to a request that brings no documents. `segments` are those of its path.
pub(super) fn answer(method: &Method, segments: &[&str], query: Option<&str>) -> Response {
    let reads = method == Method::GET || method == Method::HEAD;
    let found = match segments {
        [] if reads => Some(info()),
        ["_license"] if reads => Some(json!({ "license": license() })),
        ["_xpack"] if reads => Some(json!({
            "build": { "hash": "unknown", "date": "2025-01-01T00:00:00.000Z" },
            "license": license(),
            "features": {
                "ilm": { "available": true, "enabled": true },
                "security": { "available": true, "enabled": false },
                "monitoring": { "available": true, "enabled": false },
            },
            "tagline": "You know, for X",
        })),
        ["_cluster", "health", ..] if reads => Some(health()),
        ["_cluster", "settings"] if reads => Some(json!({ "persistent": {}, "transient": {}, "defaults": {} })),
        ["_nodes", ..] if reads => Some(json!({
            "_nodes": { "total": 1, "successful": 1, "failed": 0 },
            "cluster_name": NAME,
            "nodes": { NAME: { "name": NAME, "version": VERSION, "roles": ["ingest", "data"], "http": {} } },
        })),
        ["_cat", ..] if reads => return catalogue(query),
        ["_data_stream", name] if reads => Some(json!({ "data_streams": [data_stream(name)] })),
        ["_data_stream"] if reads => Some(json!({ "data_streams": [] })),
        ["_index_template" | "_component_template", name] if reads => {
            let list = if segments[0] == "_index_template" { "index_template" } else { "component_template" };
            Some(json!({ format!("{list}s"): [{ "name": name, list: { "index_patterns": [name], "template": {} } }] }))
        }
        ["_template" | "_ingest" | "_ilm", ..] | [_, "_ilm", ..] if reads => {
            let name = segments.last().copied().unwrap_or_default();
            Some(json!({ name: named(segments) }))
        }
        ["_alias", name] | [_, "_alias", name] if reads => Some(json!({ *name: { "aliases": { *name: {} } } })),
        ["_alias"] | ["_aliases"] if reads => Some(json!({})),
        [index, "_alias"] if reads => Some(json!({ *index: { "aliases": {} } })),
        [index, "_mapping" | "_settings"] if reads => Some(json!({ *index: { "mappings": {}, "settings": {} } })),
        [index] if reads && !index.starts_with('_') => Some(json!({ *index: { "aliases": {}, "mappings": {}, "settings": {} } })),
        ["_refresh" | "_flush"] | [_, "_refresh" | "_flush"] => {
            Some(json!({ "_shards": { "total": 1, "successful": 1, "failed": 0 } }))
        }
        [
            "_index_template" | "_component_template" | "_template" | "_ingest" | "_ilm" | "_data_stream" | "_aliases" | "_alias",
            ..,
        ]
        | [_, "_alias" | "_aliases" | "_mapping" | "_settings", ..]
            if is_set_up(method) =>
        {
            Some(json!({ "acknowledged": true }))
        }
        [index] if is_set_up(method) && !index.starts_with('_') => {
            Some(json!({ "acknowledged": true, "shards_acknowledged": true, "index": index }))
        }
        _ => None,
    };
    match found {
        Some(found) => {
            let mut response = value(StatusCode::OK, &found);
            if method == Method::HEAD {
                *response.body_mut() = Body::empty();
            }
            response
        }
        None => {
            let path = segments.join("/");
            let shown: String = path.chars().take(200).collect();
            error(
                StatusCode::NOT_FOUND,
                "resource_not_found_exception",
                &format!("no handler found for uri [/{shown}] and method [{method}]"),
            )
        }
    }
}

fn is_set_up(method: &Method) -> bool {
    [Method::PUT, Method::POST, Method::DELETE].contains(method)
}

fn info() -> Value {
    json!({
        "name": NAME,
        "cluster_name": NAME,
        "cluster_uuid": "dGVsZWxha2UtZWxhc3RpYw",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "unknown",
            "build_date": "2025-01-01T00:00:00.000000000Z",
            "build_snapshot": false,
            "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    })
}

fn license() -> Value {
    json!({
        "status": "active", "uid": "00000000-0000-0000-0000-000000000000", "type": "basic", "mode": "basic",
        "issue_date_in_millis": 0, "max_nodes": 1000, "issued_to": NAME, "issuer": NAME, "start_date_in_millis": -1,
    })
}

fn health() -> Value {
    json!({
        "cluster_name": NAME, "status": "green", "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
        "active_primary_shards": 0, "active_shards": 0, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0,
        "delayed_unassigned_shards": 0, "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0,
    })
}

fn data_stream(name: &str) -> Value {
    json!({
        "name": name, "timestamp_field": { "name": "@timestamp" }, "indices": [], "generation": 1, "status": "GREEN", "template": name,
    })
}

/// What a template, a pipeline or a policy of that name would say, had it been kept.
fn named(segments: &[&str]) -> Value {
    match segments.first() {
        Some(&"_ilm") => json!({ "version": 1, "policy": { "phases": {} } }),
        Some(&"_ingest") => json!({ "processors": [] }),
        _ => json!({ "index_patterns": [], "settings": {}, "mappings": {}, "aliases": {} }),
    }
}

/// `_cat`: tables without rows.
fn catalogue(query: Option<&str>) -> Response {
    let json = query.is_some_and(|query| query.split('&').any(|part| part == "format=json"));
    if json {
        return value(StatusCode::OK, &json!([]));
    }
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}
