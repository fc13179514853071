//! One operator at work, whoever runs the tree: its inputs counted out of the budget, its output counted in.

use super::operators::{Aggregate, Partial, drop_names, drop_names_raw, mark_resets, numbers};
use super::plan::{Node, Operator};
use super::{EvalContext, EvalError, context};
use crate::labels::Labels;
use crate::value::{Grid, RawSeries, Sample, StepSeries};

/// What flows between operators.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Series as storage has them.
    Raw(Vec<RawSeries>),
    /// Series on steps; a scalar is one.
    Steps(Vec<StepSeries>),
    /// A string.
    Text(String),
}

/// What an operator gives for its inputs, all of them whole. A [`Operator::Select`] has none and is not for here.
///
/// # Errors
/// Those of the operator.
pub fn step(node: &Node, inputs: Vec<Data>, cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    cx.tick()?;
    let held: usize = inputs.iter().map(weight).sum();
    let out = apply(node, inputs, cx)?;
    settle(node, held, &out, cx)?;
    Ok(out)
}

/// What a per-series operator gives for some of the series of its first input. Its other inputs are `scalars`, which stay.
///
/// # Errors
/// Those of the operator.
pub fn step_series(node: &Node, series: Data, scalars: &[Data], cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    cx.tick()?;
    let held = weight(&series);
    let mut inputs = Vec::with_capacity(1 + scalars.len());
    inputs.push(series);
    inputs.extend_from_slice(scalars);
    let out = apply(node, inputs, cx)?;
    settle(node, held, &out, cx)?;
    Ok(out)
}

/// As [`step_series`], of series as storage has them, which are not copied where the operator needs no copy.
///
/// # Errors
/// Those of the operator.
pub fn step_raw(node: &Node, series: &[RawSeries], scalars: &[Data], cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    cx.tick()?;
    match &node.op {
        Operator::InstantSelect(op) => Ok(Data::Steps(op.apply(node.grid, series, cx)?)),
        Operator::RangeFunction(op) => {
            let scalars: Vec<&[f64]> = scalars.iter().map(scalar).collect::<Result<_, _>>()?;
            Ok(Data::Steps(op.apply(node.grid, series, &scalars, cx)?))
        }
        Operator::Window(op) => Ok(Data::Raw(op.apply(node.grid.start_ms, series, cx)?)),
        _ => step_series(node, Data::Raw(series.to_vec()), scalars, cx),
    }
}

/// The state of an aggregation before any input; `param` is its parameter.
///
/// # Errors
/// As [`Aggregate::begin`].
pub fn begin(op: &Aggregate, grid: Grid, param: Option<&Data>, cx: &mut EvalContext<'_>) -> Result<Partial, EvalError> {
    match param {
        Some(Data::Steps(series)) => op.begin(grid, Some(numbers(series)?), cx),
        _ => op.begin(grid, None, cx),
    }
}

/// Takes some series into the state of an aggregation; they are counted out of the budget.
///
/// # Errors
/// As [`Partial::add`].
pub fn accumulate(op: &Aggregate, into: &mut Partial, series: Data, cx: &mut EvalContext<'_>) -> Result<(), EvalError> {
    let held = weight(&series);
    let Data::Steps(series) = series else { return Err(EvalError::Invalid("an operator takes steps, not samples".into())) };
    into.add(op, &series, cx)?;
    cx.budget.give(held);
    Ok(())
}

/// Counts `held` out of the budget and `out` in, unless the operator has counted it.
fn settle(node: &Node, held: usize, out: &Data, cx: &mut EvalContext<'_>) -> Result<(), EvalError> {
    if node.op.makes_samples() {
        cx.budget.give(held);
        return Ok(());
    }
    let now = weight(out);
    cx.budget.give(held.saturating_sub(now));
    cx.budget.take(now.saturating_sub(held))
}

/// What is held; samples as storage has them are not counted, since only their windows must be in memory.
fn weight(data: &Data) -> usize {
    match data {
        Data::Steps(series) => series.iter().map(context::weight_of_steps).sum(),
        Data::Raw(_) | Data::Text(_) => 0,
    }
}

/// One operator.
fn apply(node: &Node, inputs: Vec<Data>, cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    let grid = node.grid;
    let mut inputs = Inputs(inputs.into_iter());
    Ok(Data::Steps(match &node.op {
        Operator::Select(_) => return Err(EvalError::Invalid("series come from storage".into())),
        Operator::Subquery(op) => return Ok(Data::Raw(op.apply(inputs.steps()?, cx)?)),
        Operator::MarkResets => return Ok(Data::Raw(mark_resets(inputs.raw()?, cx)?)),
        Operator::Window(op) => return Ok(Data::Raw(op.apply(grid.start_ms, &inputs.raw()?, cx)?)),
        Operator::Text(text) => return Ok(Data::Text(text.clone())),
        Operator::DropNames => match inputs.next()? {
            Data::Raw(series) => return Ok(Data::Raw(drop_names_raw(series)?)),
            Data::Steps(series) => drop_names(series)?,
            Data::Text(text) => return Ok(Data::Text(text)),
        },
        Operator::InstantSelect(op) => op.apply(grid, &inputs.raw()?, cx)?,
        Operator::RangeFunction(op) => {
            let raw = inputs.raw()?;
            let scalars = inputs.scalars()?;
            op.apply(grid, &raw, &slices(&scalars), cx)?
        }
        Operator::Scalar(op) => vec![op.apply(grid, &inputs.all_steps()?, cx)?],
        Operator::Map(op) => {
            let vector = inputs.steps()?;
            let scalars = inputs.scalars()?;
            op.apply(grid, vector, &slices(&scalars), cx)?
        }
        Operator::Date(op) => op.apply(inputs.steps()?, cx)?,
        Operator::VectorScalar(op) => {
            let vector = inputs.steps()?;
            let scalars = inputs.scalars()?;
            op.apply(vector, scalars.first().map_or(&[], |s| s), cx)?
        }
        Operator::Labeling(op) => op.apply(inputs.steps()?, cx)?,
        Operator::Absent(op) => op.apply(grid, &inputs.steps()?, cx)?,
        Operator::Sort(op) => op.apply(grid, inputs.steps()?, cx)?,
        Operator::HistogramVector(op) => {
            let vector = inputs.steps()?;
            let scalars = inputs.scalars()?;
            op.apply(grid, &vector, &slices(&scalars), cx)?
        }
        Operator::Info(op) => op.apply(grid, &inputs.steps()?, &inputs.steps()?, cx)?,
        Operator::Aggregate(op) => {
            let vector = inputs.steps()?;
            let params = inputs.scalars()?;
            op.apply(grid, params.first().map(|p| &p[..]), &vector, cx)?
        }
        Operator::VectorBinary(op) => op.apply(grid, inputs.steps()?, inputs.steps()?, cx)?,
        Operator::Repeat => repeat(grid, inputs.steps()?, cx)?,
        Operator::Unite(unite) => unite.apply(inputs.steps()?)?,
        Operator::Nothing => Vec::new(),
    }))
}

/// What is at the first step, at each step of `grid`.
///
/// # Errors
/// When the budget is used up.
pub fn repeat(grid: Grid, series: Vec<StepSeries>, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
    let steps = grid.len();
    let mut out = Vec::with_capacity(series.len());
    for one in series {
        let mut repeated = match one.sample(0) {
            None => continue,
            Some(Sample::Float(value)) => StepSeries::full(Labels::default(), vec![value; steps]),
            Some(Sample::Histogram(histogram)) => StepSeries {
                histograms: Some(vec![Some(histogram.clone()); steps]),
                ..StepSeries::empty(Labels::default(), steps)
            },
        };
        (repeated.labels, repeated.drop_name) = (one.labels, one.drop_name);
        cx.budget.take(context::weight_of_steps(&repeated))?;
        out.push(repeated);
    }
    Ok(out)
}

/// The inputs of an operator, in order. A tree that [`super::lower()`] made has what each operator takes.
struct Inputs(std::vec::IntoIter<Data>);

impl Inputs {
    fn next(&mut self) -> Result<Data, EvalError> {
        self.0.next().ok_or_else(|| EvalError::Invalid("an operator lacks an input".into()))
    }

    fn raw(&mut self) -> Result<Vec<RawSeries>, EvalError> {
        match self.next()? {
            Data::Raw(series) => Ok(series),
            Data::Steps(_) | Data::Text(_) => Err(EvalError::Invalid("an operator takes samples, not steps".into())),
        }
    }

    fn steps(&mut self) -> Result<Vec<StepSeries>, EvalError> {
        match self.next()? {
            Data::Steps(series) => Ok(series),
            Data::Raw(_) | Data::Text(_) => Err(EvalError::Invalid("an operator takes steps, not samples".into())),
        }
    }

    fn all_steps(&mut self) -> Result<Vec<Vec<StepSeries>>, EvalError> {
        let mut all = Vec::new();
        while self.0.len() > 0 {
            all.push(self.steps()?);
        }
        Ok(all)
    }

    /// The remaining inputs, which are scalars.
    fn scalars(&mut self) -> Result<Vec<Vec<f64>>, EvalError> {
        self.all_steps()?.iter().map(|s| Ok(numbers(s)?.to_vec())).collect()
    }
}

/// The numbers of an input that is a scalar.
fn scalar(data: &Data) -> Result<&[f64], EvalError> {
    match data {
        Data::Steps(series) => numbers(series),
        Data::Raw(_) | Data::Text(_) => Err(EvalError::Invalid("an operator takes steps, not samples".into())),
    }
}

fn slices(scalars: &[Vec<f64>]) -> Vec<&[f64]> {
    scalars.iter().map(Vec::as_slice).collect()
}
