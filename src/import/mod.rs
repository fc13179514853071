//! Metrics of another system, brought along.
//!
//! ```text
//! [source] text or blocks ─ a thread of its own ─► requests of remote write 2.0, a few waiting ─► [target] a server, or a folder
//! ```
//! Both targets convert with the same code, so that a series has the same id whichever way it came. Memory is that of a few requests.

mod source;
mod target;

pub(crate) use source::{Piece, Source, read};
pub(crate) use target::{Target, Written};
