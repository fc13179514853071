//! Whole traces that a search finds, for APIs that answer a search with every span: Jaeger's and Zipkin's.
//!
//! ```text
//! TraceQL ─search─► ids, the newest first ─┬─ 16 at a time ─► traces ─► .. until all, or more spans than one answer holds
//! ```

use std::sync::Arc;

use catalog::TenantId;
use query::traceql::{Error, Result, SearchRequest, Trace, TraceId, TraceqlEngine, TracesRequest, Window};
use query::usage::note;

/// Traces that are read at a time.
const TRACES_AT_ONCE: usize = 16;

/// A search for whole traces.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// TraceQL.
    pub(crate) text: String,
    /// When.
    pub(crate) time: Window,
    /// Most traces.
    pub(crate) limit: usize,
}

/// The traces, the newest first.
///
/// # Errors
/// More spans than `traceql.trace_spans_max` in all of them together; those of the engine.
pub(crate) async fn traces(engine: &Arc<TraceqlEngine>, tenant: &TenantId, wanted: Wanted) -> Result<Vec<Trace>> {
    let Wanted { text, time, limit } = wanted;
    let limit = limit.min(engine.config().traces_max);
    let request = SearchRequest { text, time: Some(time), limit, spans_per_spanset: 1, timeout: None };
    let found = engine.search(tenant, request, None).await?;
    let ids: Vec<TraceId> = found.traces.iter().map(|trace| trace.id).collect();
    by_ids(engine, tenant, &ids, Some(time)).await
}

/// The traces of `ids` that exist, in their order.
///
/// # Errors
/// As of [`traces`].
pub(crate) async fn by_ids(
    engine: &Arc<TraceqlEngine>,
    tenant: &TenantId,
    ids: &[TraceId],
    time: Option<Window>,
) -> Result<Vec<Trace>> {
    let spans_max = engine.config().trace_spans_max;
    let (mut traces, mut spans) = (Vec::with_capacity(ids.len()), 0);
    for some in ids.chunks(TRACES_AT_ONCE) {
        let request = TracesRequest { ids: some.to_vec(), time };
        for trace in engine.traces(tenant, request).await? {
            spans += trace.spans.len();
            traces.push(trace);
        }
        if spans > spans_max {
            let message = format!(
                "the {} traces of the answer have more than {spans_max} spans (traceql.trace_spans_max); ask for fewer traces",
                ids.len()
            );
            return Err(Error::Limit { name: "trace_spans_max", message });
        }
    }
    note(|row| row.rows = Some(traces.len() as u64));
    Ok(traces)
}
