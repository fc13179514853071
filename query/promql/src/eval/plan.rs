//! The tree of operators a query becomes. `query` turns it into physical operators one by one; [`super::interpret()`] runs it in memory.
//!
//! ```text
//! sum by (job) (rate(x[5m]))
//!
//!   DropNames
//!     Aggregate  sum by (job)               Steps ► Steps   needs everything, in parts
//!       RangeFunction  rate                 Raw   ► Steps   one series at a time
//!         Select  {__name__="x"} (t0-5m, t1]      ► Raw     storage
//! ```
//! Every node knows the steps it is evaluated at: the same for a whole query, other ones below a subquery, a single one below a part
//! that is the same at each step.

use super::operators::{
    Absent, Aggregate, Date, HistogramVector, Info, InstantSelect, Labeling, Map, RangeFunction, ScalarOp, Select, Sort,
    Subquery, Unite, VectorBinary, VectorScalar, Window,
};
use crate::ast::{Span, ValueType};
use crate::value::Grid;

/// A query ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The last operator.
    pub root: Node,
    /// What the result is.
    pub result: ValueType,
    /// The steps of the query.
    pub grid: Grid,
    /// Whether it is an instant query: vectors and scalars come without steps, and keep their order.
    pub is_instant: bool,
    /// Samples the query may hold at a time.
    pub samples_max: usize,
    /// Series a vector may have.
    pub series_max: usize,
}

/// One operator, where its input comes from and when it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it does.
    pub op: Operator,
    /// Where its input comes from.
    pub inputs: Vec<Node>,
    /// When it is evaluated. Of a [`Operator::Select`] and a [`Operator::Subquery`]: when whoever reads it is.
    pub grid: Grid,
    /// The part of the query it stands for.
    pub span: Span,
}

/// The operators. What each takes and gives is said by its own module.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// Storage ► raw.
    Select(Select),
    /// Steps ► raw: what a subquery gives to the function around it.
    Subquery(Subquery),
    /// Raw ► raw with what is known of resets ([`super::operators::mark_resets`]).
    MarkResets,
    /// Raw ► raw: the samples of one window, the result of an instant query for a range.
    Window(Window),
    /// Raw ► steps.
    InstantSelect(InstantSelect),
    /// Raw, scalars ► steps.
    RangeFunction(RangeFunction),
    /// Scalars ► scalar; the leaves among them take nothing.
    Scalar(ScalarOp),
    /// Nothing ► a string.
    Text(String),
    /// Steps, scalars ► steps, sample by sample.
    Map(Map),
    /// Steps ► steps, sample by sample.
    Date(Date),
    /// Steps, scalar ► steps: arithmetic and comparisons.
    VectorScalar(VectorScalar),
    /// Steps ► steps with other labels.
    Labeling(Labeling),
    /// Steps ► the one series of `absent`.
    Absent(Absent),
    /// Steps ► steps in order.
    Sort(Sort),
    /// Steps, scalars ► steps: quantiles and fractions of histograms.
    HistogramVector(HistogramVector),
    /// Steps, steps ► steps: labels of info metrics.
    Info(Info),
    /// Steps, parameter ► steps.
    Aggregate(Aggregate),
    /// Steps, steps ► steps.
    VectorBinary(VectorBinary),
    /// One step ► the same at each step.
    Repeat,
    /// Steps ► steps without two of the same labels.
    Unite(Unite),
    /// Steps or raw ► the same with the names gone that had to go, then as [`Unite::Merge`].
    DropNames,
    /// Nothing at all.
    Nothing,
}

/// How much of its first input an operator must see at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streaming {
    /// One series at a time: any part of the input may be handed in, the outputs are put together.
    PerSeries,
    /// Any part at a time, into partial states that are merged and finished ([`Aggregate::begin`]).
    Partial,
    /// Everything.
    Whole,
}

impl Operator {
    /// Whether it makes new samples, which it takes from the budget, so that whoever runs it gives back what its input held. Others
    /// change or leave out samples of their input.
    pub fn makes_samples(&self) -> bool {
        match self {
            Self::Select(_)
            | Self::Subquery(_)
            | Self::Window(_)
            | Self::InstantSelect(_)
            | Self::RangeFunction(_)
            | Self::Scalar(_)
            | Self::Absent(_)
            | Self::HistogramVector(_)
            | Self::Info(_)
            | Self::Aggregate(_)
            | Self::VectorBinary(_)
            | Self::Repeat => true,
            Self::Text(_)
            | Self::MarkResets
            | Self::Map(_)
            | Self::Date(_)
            | Self::VectorScalar(_)
            | Self::Labeling(_)
            | Self::Sort(_)
            | Self::Unite(_)
            | Self::DropNames
            | Self::Nothing => false,
        }
    }
}

impl Node {
    /// A node.
    pub(super) fn new(op: Operator, inputs: Vec<Self>, grid: Grid, span: Span) -> Self {
        Self { op, inputs, grid, span }
    }

    /// How much of its first input it must see at once. Other inputs are needed whole in any case.
    pub fn streaming(&self) -> Streaming {
        match &self.op {
            Operator::Select(_)
            | Operator::Subquery(_)
            | Operator::MarkResets
            | Operator::Window(_)
            | Operator::InstantSelect(_)
            | Operator::RangeFunction(_)
            | Operator::Map(_)
            | Operator::Date(_)
            | Operator::VectorScalar(_)
            | Operator::Labeling(_)
            | Operator::Repeat
            | Operator::Nothing => Streaming::PerSeries,
            Operator::Aggregate(_) => Streaming::Partial,
            Operator::Scalar(_)
            | Operator::Text(_)
            | Operator::Absent(_)
            | Operator::Sort(_)
            | Operator::HistogramVector(_)
            | Operator::Info(_)
            | Operator::VectorBinary(_)
            | Operator::Unite(_)
            | Operator::DropNames => Streaming::Whole,
        }
    }
}
