//! What PromQL, LogQL, TraceQL and their APIs take from Go, because their judges are written in it: string literals and quoting, patterns
//! in RE2's language, numbers and durations as text.
//!
//! # Invariants
//! - Pure functions of text and numbers; nothing panics on any input.
//! - A mistake has Go's words.

pub mod duration;
pub mod number;
pub mod quote;
pub mod re2;
