//! Spans of the lake as an evaluation sees them.
//!
//! ```text
//! record batch ─[batch]─► columns of the fields that the query names, found once per batch ─┐
//! resources by id ─[resources]──────────────────────────────────────────────────────────────┴─[trace]─► traceql::spans::Spans
//! ```

mod attributes;
mod batch;
mod listed;
mod resources;
mod trace;

pub(super) use attributes::{any_value_of_item, attributes_of_json};
pub(super) use batch::{MAPS, Shape, SpanBatch};
pub(super) use resources::Resources;
pub(super) use trace::{Piece, TraceSpans};
