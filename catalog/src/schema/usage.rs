//! What the node notes about its own use. Times are nanoseconds.

use arrow::datatypes::{DataType, Field};

use super::{dictionary, optional, required, time_ns};

/// One query that somebody asked.
///
/// `ts` is when it came; `start_ts`, `end_ts` and `step_ns` are what it asked for. `text` is cut at a bound, `text_bytes` says how long it was.
/// `status` is `ok`, `error`, `refused`, `timeout` or `cancelled`. `rows` counts rows, series, entries or traces, as the language has it;
/// `result_bytes` the answer before compression. `cache` is `hit`, `partial` or `shared`, null when everything was worked out. What only
/// some callers say (`user`, Grafana's headers) is null where they do not.
pub(super) fn query_log() -> Vec<Field> {
    vec![
        required(1, "language", dictionary()),
        required(2, "ts", time_ns()),
        required(3, "query_id", DataType::Utf8),
        required(4, "tenant", dictionary()),
        required(5, "api", dictionary()),
        required(6, "endpoint", dictionary()),
        required(7, "text", DataType::Utf8),
        required(8, "text_bytes", DataType::Int64),
        optional(9, "start_ts", time_ns()),
        optional(10, "end_ts", time_ns()),
        optional(11, "step_ns", DataType::Int64),
        required(12, "status", dictionary()),
        optional(13, "error", DataType::Utf8),
        required(14, "duration_ns", DataType::Int64),
        optional(15, "rows", DataType::Int64),
        optional(16, "result_bytes", DataType::Int64),
        required(17, "files_scanned", DataType::Int64),
        required(18, "bytes_scanned", DataType::Int64),
        optional(19, "cache", dictionary()),
        optional(20, "user", dictionary()),
        optional(21, "user_agent", dictionary()),
        optional(22, "dashboard_uid", dictionary()),
        optional(23, "panel_id", dictionary()),
        optional(24, "panel_plugin_id", dictionary()),
        optional(25, "grafana_org_id", dictionary()),
        optional(26, "datasource_uid", dictionary()),
        optional(27, "query_group_id", DataType::Utf8),
        optional(28, "query_tags", dictionary()),
    ]
}
