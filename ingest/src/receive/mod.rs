//! Receivers: one module per push protocol.
//!
//! ```text
//! request ─► admission by bytes ─► body: read, decompress, limits ─► convert ─► sink.append ─► answer in the sender's dialect
//! ```
//!
//! # Invariants
//! - Overload is refused before a body is decoded.
//! - Every limit holds for the declared and for the real size, before and after decompression.
//! - An error body has the encoding of the request.

pub mod body;
pub mod config;
pub mod otlp;
pub mod prometheus;

pub use body::Admission;
pub use config::ReceiveConfig;
