//! Traces as OpenTelemetry has them: what Tempo answers by id, and what Jaeger's third API answers to everything.
//!
//! ```text
//! Trace ─[group]─► by resource, by scope ─┬─[message]─► ResourceSpans (protobuf)
//!                                         └─[json]────► resourceSpans, span by span
//! ```
//!
//! # Invariants
//! - A span is told with everything that was stored of it. Order is that of the spans: a resource stands where its first span does.

pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod plain;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::HashMap;
use std::sync::Arc;

use query::traceql::{Resource, Scope, Span, Trace, TraceId};

/// The spans of one resource.
#[derive(Debug)]
pub(crate) struct OfResource {
    pub(crate) resource: Arc<Resource>,
    pub(crate) scopes: Vec<OfScope>,
}

/// The spans of one scope within a resource.
#[derive(Debug)]
pub(crate) struct OfScope {
    pub(crate) scope: Arc<Scope>,
    /// Each with its trace.
    pub(crate) spans: Vec<(TraceId, Span)>,
}

/// The spans of `traces` by resource and scope.
pub(crate) fn group(traces: impl IntoIterator<Item = Trace>) -> Vec<OfResource> {
    let mut groups: Vec<OfResource> = Vec::new();
    let mut known: HashMap<i64, Vec<usize>> = HashMap::new();
    for trace in traces {
        for span in trace.spans {
            // The number tells resources apart; what was built by hand may have one number for all.
            let candidates = known.entry(span.resource.id).or_default();
            let at = candidates.iter().copied().find(|&at| same(&groups[at].resource, &span.resource)).unwrap_or_else(|| {
                candidates.push(groups.len());
                groups.push(OfResource { resource: Arc::clone(&span.resource), scopes: Vec::new() });
                groups.len() - 1
            });
            let scopes = &mut groups[at].scopes;
            match scopes.iter_mut().find(|known| same(&known.scope, &span.scope)) {
                Some(of_scope) => of_scope.spans.push((trace.id, span)),
                None => scopes.push(OfScope { scope: Arc::clone(&span.scope), spans: vec![(trace.id, span)] }),
            }
        }
    }
    groups
}

fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// A time of the wire: never before the epoch.
pub(crate) fn unix_ns(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

/// When a span ended, nanoseconds since the epoch.
pub(crate) fn end_ns(span: &Span) -> i64 {
    span.start_ns.saturating_add(span.duration_ns)
}
