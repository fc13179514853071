//! `metrics`, `series`, `histograms`, `exemplars`, `metadata`.

use catalog::Table;

use super::{Identity, Keep, Lookup, Shape, Source, SqlTable, column, from};

/// The labels of a series, found by `sid`.
const LABELS: Source = Source::Lookup(Lookup { key: "sid", table: Table::Series, id: "sid", map: Some("labels") });

/// A sample is known by series and time; of two the one that was written last counts.
const SAMPLE: Identity = Identity { id: "sid", per_day: false, keep: Keep::Newest };

pub(super) fn tables() -> Vec<SqlTable> {
    vec![metrics(), series(), histograms(), exemplars(), metadata()]
}

fn metrics() -> SqlTable {
    SqlTable {
        name: "metrics",
        table: Table::Samples,
        columns: vec![column("ts"), column("metric"), from("labels", LABELS), column("value"), column("start_ts"), column("sid")],
        identity: Some(SAMPLE),
        shape: Shape::Row,
    }
}

/// One row per series and day.
fn series() -> SqlTable {
    SqlTable {
        name: "series",
        table: Table::Series,
        columns: vec![column("metric"), column("labels"), column("sid"), from("first_ts", Source::Column("ts"))],
        identity: Some(Identity { id: "sid", per_day: true, keep: Keep::Oldest }),
        shape: Shape::Row,
    }
}

fn histograms() -> SqlTable {
    let mut columns = vec![column("ts"), column("metric"), from("labels", LABELS)];
    columns.extend(
        [
            "count",
            "float_count",
            "sum",
            "schema",
            "reset_hint",
            "zero_threshold",
            "zero_count",
            "zero_float_count",
            "custom_bounds",
            "positive_offsets",
            "positive_lengths",
            "positive_counts",
            "positive_float_counts",
            "negative_offsets",
            "negative_lengths",
            "negative_counts",
            "negative_float_counts",
            "start_ts",
            "sid",
        ]
        .map(column),
    );
    SqlTable { name: "histograms", table: Table::Histograms, columns, identity: Some(SAMPLE), shape: Shape::Row }
}

/// `exemplar_labels` are the exemplar's own, `labels` those of its series.
fn exemplars() -> SqlTable {
    SqlTable {
        name: "exemplars",
        table: Table::Exemplars,
        columns: vec![
            column("ts"),
            column("metric"),
            from("labels", LABELS),
            column("value"),
            from("trace_id", Source::Hex("trace_id")),
            from("span_id", Source::Hex("span_id")),
            from("exemplar_labels", Source::Column("labels")),
            column("sid"),
        ],
        identity: None,
        shape: Shape::Row,
    }
}

/// One row per metric and day.
fn metadata() -> SqlTable {
    SqlTable {
        name: "metadata",
        table: Table::Metadata,
        columns: vec![column("metric"), column("type"), column("unit"), column("help"), from("first_ts", Source::Column("ts"))],
        identity: Some(Identity { id: "metric", per_day: true, keep: Keep::Newest }),
        shape: Shape::Row,
    }
}
