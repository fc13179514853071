//! `spans`, `span_events`, `resources`.

use catalog::Table;

use super::{Identity, Keep, RESOURCE, Shape, Source, SqlTable, column, from};

/// OTLP's span kinds by number.
pub(crate) const KINDS: &[&str] = &["unspecified", "internal", "server", "client", "producer", "consumer"];

/// OTLP's status codes by number.
pub(crate) const STATUS: &[&str] = &["unset", "ok", "error"];

pub(super) fn tables() -> Vec<SqlTable> {
    vec![spans(), span_events(), resources()]
}

fn spans() -> SqlTable {
    SqlTable {
        name: "spans",
        table: Table::Spans,
        columns: vec![
            column("ts"),
            from("trace_id", Source::Hex("trace_id")),
            from("span_id", Source::Hex("span_id")),
            from("parent_span_id", Source::Hex("parent_span_id")),
            column("service"),
            column("name"),
            from("kind", Source::Names("kind", KINDS)),
            from("status", Source::Names("status_code", STATUS)),
            column("status_message"),
            column("duration_ns"),
            from("attributes", Source::Attributes),
            from("resource", RESOURCE),
            column("events"),
            from("links", Source::Links),
            column("scope_name"),
            column("scope_version"),
            column("scope_attrs"),
            column("trace_state"),
            column("flags"),
            column("dropped_attributes"),
            column("dropped_events"),
            column("dropped_links"),
            column("resource_id"),
            column("nested_left"),
            column("nested_right"),
            column("root_service"),
            column("root_name"),
        ],
        identity: None,
        shape: Shape::Row,
    }
}

/// One row per event of a span. `ts` is the event's time, `span_ts` the span's start.
fn span_events() -> SqlTable {
    SqlTable {
        name: "span_events",
        table: Table::Spans,
        columns: vec![
            from("ts", Source::Event("ts")),
            from("name", Source::Event("name")),
            from("attributes", Source::Event("attrs")),
            from("dropped_attributes", Source::Event("dropped_attributes")),
            from("trace_id", Source::Hex("trace_id")),
            from("span_id", Source::Hex("span_id")),
            column("service"),
            from("span_name", Source::Column("name")),
            from("span_ts", Source::Column("ts")),
        ],
        identity: None,
        shape: Shape::Events,
    }
}

/// One row per resource and day.
fn resources() -> SqlTable {
    SqlTable {
        name: "resources",
        table: Table::Resources,
        columns: vec![
            column("service"),
            from("attributes", Source::Attributes),
            column("schema_url"),
            column("dropped_attributes"),
            column("resource_id"),
            from("first_ts", Source::Column("ts")),
        ],
        identity: Some(Identity { id: "resource_id", per_day: true, keep: Keep::Oldest }),
        shape: Shape::Row,
    }
}
