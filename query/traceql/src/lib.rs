//! TraceQL, the language: text to tree, tree to text, and what a tree means over spans. Knows neither storage nor DataFusion.
//!
//! ```text
//! text ─[parse]─► [ast] ─validate─► [ast] ──► [eval] over [spans]: filters, spansets of a trace, metrics
//! text ◄─[print]─ [ast]
//! ```
//! Source of the language: Tempo's documentation ("Construct a TraceQL query") and its answers at ad33aa8 (August 2026).

pub mod ast;
pub mod spans;
pub mod value;

mod check;
mod fold;
pub mod parse;
pub mod print;
mod words;

pub mod tree;

pub mod eval;
pub mod memory;
