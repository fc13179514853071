//! Quantities as text: durations, byte sizes and numbers, in the forms that LogQL and the labels of lines have them.
//!
//! ```text
//! 1h30m  5d  1.5s  ─[duration]─► ns ─► 1h30m0s        10GB  2.5KiB ─[bytes]─► bytes ─► 2.6kB        1e3 ─[number]─► f64
//! ```
//! # Invariants
//! - Nothing panics on any text. A mistake is said in the words of the Go library that Loki uses, since it ends in the label
//!   `__error_details__` and in dashboards.

mod bytes;
mod number;

pub use bytes::{bytes_text, parse_bytes};
pub use gosyntax::duration::{
    duration_text, parse_duration, parse_go_duration, parse_prometheus_duration, prometheus_duration_text,
};
pub use number::parse_float;
