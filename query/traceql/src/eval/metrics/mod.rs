//! Series of a metrics query.
//!
//! ```text
//! spans of a trace ─[Leaf: search]─► rows ─push─► [LeafState] ──┐ merge, in any order and parts
//!                                                [LeafState] ──┴─► [LeafState] per leaf ─finish─► topk, comparisons, arithmetic ─► series
//! ```
//! A query has one leaf for each `... | rate()` in it. States of a leaf merge exactly: counts, extremes and sketches do not know their parts,
//! sums carry what they round away.
//!
//! # Invariants
//! - A state has one cell per series and step in which there is a span: it grows by a constant per span, see [`LeafState::memory`].
//! - Quantiles are off by at most 1 % of the value.

mod cell;
mod compare;
mod exemplar;
mod finish;
mod grid;
mod groups;
mod leaf;
mod map;
mod math;
mod row;
mod sketch;
mod table;
mod then;

pub use exemplar::Exemplar;
pub use grid::Grid;
pub use leaf::{Leaf, LeafState};
pub use row::Series;

use super::error::{Error, Result};
use crate::ast::{self, BinaryOp, SecondStage};

/// Series that one leaf may have before anything is done to them.
const SERIES_MAX: usize = 100_000;

/// Values of attributes that a comparison may tell apart.
const COMPARED_MAX: usize = 1_000_000;

/// Samples that all series of a leaf may have together.
const SAMPLES_MAX: usize = 50_000_000;

/// What a caller wishes beyond the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Most exemplars of all series together; 0: none.
    pub exemplars_max: usize,
}

/// A compiled metrics query.
#[derive(Debug, Clone)]
pub struct Metrics {
    leaves: Vec<Leaf>,
    plan: Plan,
    options: Options,
}

/// What happens to the answers of leaves.
#[derive(Debug, Clone)]
enum Plan {
    Leaf(usize),
    Then { of: Box<Plan>, stage: SecondStage },
    Number(f64),
    Binary { op: BinaryOp, left: Box<Plan>, right: Box<Plan> },
}

/// Series as an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// In the order of their labels.
    pub series: Vec<Series>,
    /// Whether there were more than asked for.
    pub truncated: bool,
}

/// Pipelines of one query; each looks at every span.
const LEAVES_MAX: usize = 100;

/// Levels of arithmetic that are compiled. The parser allows fewer.
const DEPTH_MAX: usize = 500;

impl Metrics {
    /// Compiles a query.
    ///
    /// # Errors
    /// As of a search; [`Error::TooManyLeaves`].
    pub fn new(metrics: &ast::Metrics, options: Options) -> Result<Self> {
        let mut leaves = Vec::new();
        let plan = plan(metrics, options, &mut leaves, 0)?;
        Ok(Self { leaves, plan, options })
    }

    /// The parts that look at spans, in the order in which [`Metrics::finish`] wants their states.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }
}

fn plan(metrics: &ast::Metrics, options: Options, leaves: &mut Vec<Leaf>, depth: usize) -> Result<Plan> {
    if depth == DEPTH_MAX {
        return Err(Error::TooDeep { limit: DEPTH_MAX });
    }
    Ok(match metrics {
        ast::Metrics::Of { pipeline, function } => {
            if leaves.len() == LEAVES_MAX {
                return Err(Error::TooManyLeaves { limit: LEAVES_MAX });
            }
            leaves.push(Leaf::new(pipeline, function, options)?);
            Plan::Leaf(leaves.len() - 1)
        }
        ast::Metrics::Then { of, stage } => {
            Plan::Then { of: Box::new(plan(of, options, leaves, depth + 1)?), stage: stage.clone() }
        }
        ast::Metrics::Number(number) => Plan::Number(*number),
        ast::Metrics::Binary { op, left, right } => {
            let left = Box::new(plan(left, options, leaves, depth + 1)?);
            Plan::Binary { op: *op, left, right: Box::new(plan(right, options, leaves, depth + 1)?) }
        }
    })
}
