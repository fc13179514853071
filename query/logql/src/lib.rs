//! LogQL, the language: what a query means, without storage and without DataFusion.
//!
//! ```text
//! text ─[parse]─► [ast] ─┬─ [pipeline]: line ► line and labels                 ─┬─ `query` runs both over record batches of the lake
//!                        └─ [metric]: lines ► samples ► steps ► vectors ► answer └─ the tests run both over lines in memory
//! ```
//! Judge: Grafana Loki at 65e30f84 (August 2026).
//!
//! # Invariants
//! - No I/O, no clock, no randomness, no threads: the same input gives the same output, byte for byte.
//! - A line is parsed once, and only for the labels that somebody asks for; nothing is allocated for a line that is dropped.
//! - Any text parses or is an error with a position; nothing panics, recursion is bounded.

pub mod ast;
pub mod parse;
pub mod print;
pub mod units;

pub mod labels;
pub mod patterns;
pub mod pipeline;
pub mod template;

pub mod interpret;
pub mod metric;
