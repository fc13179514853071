//! Receivers: one module per push protocol, and the readers of what a move brings along.
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
pub mod elastic;
pub mod jaeger;
pub mod loki;
pub mod openmetrics;
pub mod otlp;
mod plain;
pub mod prometheus;
mod spans;
pub mod tsdb;
pub mod zipkin;

pub use body::Admission;
pub use config::ReceiveConfig;
