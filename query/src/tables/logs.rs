//! `logs`, `streams`.

use catalog::Table;

use super::{Identity, Keep, Lookup, RESOURCE, Shape, Source, SqlTable, column, from};

/// The labels of a log stream, found by `stream_id`.
const LABELS: Source = Source::Lookup(Lookup { key: "stream_id", table: Table::Streams, id: "stream_id", map: Some("labels") });

pub(super) fn tables() -> Vec<SqlTable> {
    vec![logs(), streams()]
}

fn logs() -> SqlTable {
    SqlTable {
        name: "logs",
        table: Table::Logs,
        columns: vec![
            column("ts"),
            column("service"),
            column("level"),
            column("body"),
            from("labels", LABELS),
            from("attributes", Source::Attributes),
            from("resource", RESOURCE),
            from("trace_id", Source::Hex("trace_id")),
            from("span_id", Source::Hex("span_id")),
            column("observed_ts"),
            column("severity_number"),
            column("severity_text"),
            column("body_kind"),
            column("event_name"),
            column("scope_name"),
            column("scope_version"),
            column("scope_attrs"),
            column("flags"),
            column("dropped_attributes"),
            column("stream_id"),
            column("resource_id"),
            column("seq"),
        ],
        identity: None,
        shape: Shape::Row,
    }
}

/// One row per stream and day.
fn streams() -> SqlTable {
    SqlTable {
        name: "streams",
        table: Table::Streams,
        columns: vec![column("service"), column("labels"), column("stream_id"), from("first_ts", Source::Column("ts"))],
        identity: Some(Identity { id: "stream_id", per_day: true, keep: Keep::Oldest }),
        shape: Shape::Row,
    }
}
