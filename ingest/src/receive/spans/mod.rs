//! What the receivers of spans that are not OTLP share: a span with OTLP's fields, borrowed from the request, and the way out of it.
//!
//! ```text
//! Jaeger, Zipkin bytes ─ walk ─► [Span] ─ [RequestWriter] ─► ExportTraceServiceRequest ─► the converter of spans ─► sink
//! ```
//! So there is one converter, with one input, for all spans: ids, limits, refusals and their texts, and what a retry is, do not depend on the
//! protocol.
//!
//! # Invariants
//! - What a span must not have is not judged here: it is written so that the converter refuses it, alone. A bad id is left out, a time
//!   that does not fit becomes one that is out of range, text is not validated.
//! - Memory is bounded before it is taken: a span holds no more attributes, events and links than one beyond the limit, the request
//!   written is at most [`otlp::OTLP_FACTOR_MAX`] times as large as the largest body.

pub(crate) mod attributes;
pub(crate) mod error;
pub(crate) mod http;
pub(crate) mod otlp;
pub(crate) mod span;

pub(crate) use attributes::{Attributes, Value};
pub(crate) use error::ReadError;
pub(crate) use otlp::{RequestWriter, Scope};
pub(crate) use span::{Event, Kind, Link, Parent, Span, Status, times, trace_id};

#[cfg(test)]
pub(crate) mod tests;
