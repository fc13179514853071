//! The test language of PromQL: `load` gives series, `eval` runs a query and says what must come out. Made so that the same files
//! judge the evaluator in memory and a whole node over its API.
//!
//! ```text
//! text ─[script]─► commands ─[run]─┬─ load, clear ─► System
//!                                  └─ eval ─► System ─► Reply ─[compare]─► what is wrong, if anything
//!                                       └─ again with `@` fixed, and as a range [checks]
//! ```
//! Source of the language: Prometheus `promql/promqltest`.
//!
//! # Invariants
//! - A [`System`] is asked through text and times only; nothing here knows how it answers.
//! - One `eval` gives one verdict: it passes only when the query and each of its re-runs do.
//! - An expectation that is not understood is an error of the file, never a pass.

use std::sync::Arc;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::value::RawSeries;

mod checks;
mod compare;
mod lexer;
mod memory;
mod nhcb;
mod script;
mod series;

pub use memory::InMemory;
pub use script::{Command, Eval, Expectations, ScriptError, TextMatch, When, parse};
pub use series::{Item, SeriesLine};

/// What is asked: storage that takes series, and a query engine over it.
pub trait System {
    /// Drops everything that was loaded.
    ///
    /// # Errors
    /// With a text when it cannot.
    fn clear(&mut self) -> Result<(), String>;

    /// Adds series to what is there. Hints of counter resets are as the file writes them.
    ///
    /// # Errors
    /// With a text when it cannot.
    fn load(&mut self, series: Vec<RawSeries>) -> Result<(), String>;

    /// Runs `query` at one time, milliseconds.
    ///
    /// # Errors
    /// The text of the query's error.
    fn instant(&mut self, query: &str, at_ms: i64) -> Result<Reply, String>;

    /// Runs `query` at `start_ms`, `start_ms + step_ms`, ... up to `end_ms`.
    ///
    /// # Errors
    /// The text of the query's error.
    fn range(&mut self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Reply, String>;
}

/// What a system answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The result.
    pub value: ReplyValue,
    /// Warnings as the HTTP API writes them: `PromQL warning: ... (line:col)`.
    pub warnings: Vec<String>,
    /// Infos as the HTTP API writes them: `PromQL info: ... (line:col)`.
    pub infos: Vec<String>,
}

/// The kinds of results.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyValue {
    /// Instant vector, in the order of the answer.
    Vector(Vec<(Labels, ReplySample)>),
    /// Range vector or answer of a range query, in the order of the answer.
    Matrix(Vec<RawSeries>),
    /// Scalar.
    Scalar(f64),
    /// String.
    String(String),
}

/// One value of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplySample {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
}

/// What became of one `eval`.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its query.
    pub query: String,
    /// What is wrong; `None` when it passed.
    pub wrong: Option<String>,
}

/// Runs a whole file against an empty system; one verdict for each `eval`, in order of the file.
///
/// # Errors
/// When the text is not of the language, or the system refuses a load.
pub fn run(text: &str, system: &mut dyn System) -> Result<Vec<Verdict>, String> {
    let mut verdicts = Vec::new();
    system.clear()?;
    for command in parse(text).map_err(|e| e.to_string())? {
        match command {
            Command::Clear => system.clear()?,
            Command::Load { line, series } => system.load(series).map_err(|e| format!("line {line}: {e}"))?,
            Command::Eval(eval) => {
                let wrong = checks::judge(&eval, system).err();
                verdicts.push(Verdict { line: eval.line, query: eval.query, wrong });
            }
        }
    }
    Ok(verdicts)
}
