//! Runs a plan in memory, one operator after the other: what rules use, and what everything else is compared with.

use super::operators::{drop_names, drop_names_raw, numbers};
use super::plan::{Node, Operator, Plan};
use super::{Budget, Check, EvalContext, EvalError, context};
use crate::annotation::Annotations;
use crate::ast::ValueType;
use crate::eval::operators::Select;
use crate::labels::Labels;
use crate::value::{Grid, RawSeries, Sample, StepSeries};

/// Where series come from.
pub trait Source {
    /// The series that match, each once, ascending by labels, with their samples from `select.from_ms` to `select.to_ms`, both included.
    ///
    /// # Errors
    /// [`EvalError::Storage`], or what the source refuses.
    fn select(&self, select: &Select) -> Result<Vec<RawSeries>, EvalError>;
}

/// A result, and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result.
    pub value: AnswerValue,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// The most samples that were held at a time.
    pub samples_peak: usize,
}

/// The kinds of results.
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerValue {
    /// Of an instant query: one step, in the order in which sorting functions left it.
    Vector(Vec<StepSeries>),
    /// Of a range query: ascending by labels. A scalar is a series without labels.
    Matrix(Vec<StepSeries>),
    /// Of an instant query for a range: ascending by labels.
    Range(Vec<RawSeries>),
    /// Of an instant query.
    Scalar(f64),
    /// Of an instant query.
    String(String),
}

/// What flows between operators.
enum Data {
    Raw(Vec<RawSeries>),
    Steps(Vec<StepSeries>),
    Text(String),
}

/// Runs `plan` over `source`. `check` is asked often whether to go on.
///
/// # Errors
/// What stopped it; annotations are lost then.
pub fn interpret(plan: &Plan, source: &dyn Source, check: Check<'_>) -> Result<Answer, EvalError> {
    let budget = Budget::new(plan.samples_max, plan.series_max);
    let mut cx = EvalContext::new(&budget, check);
    let data = run(&plan.root, source, &mut cx)?;
    let value = finish(plan, data)?;
    Ok(Answer { value, annotations: cx.annotations, samples_peak: budget.peak() })
}

/// The result of a plan, from what its last operator gave.
fn finish(plan: &Plan, data: Data) -> Result<AnswerValue, EvalError> {
    Ok(match data {
        Data::Text(text) => AnswerValue::String(text),
        Data::Raw(mut series) => {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            AnswerValue::Range(series)
        }
        Data::Steps(mut series) if !plan.is_instant => {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            AnswerValue::Matrix(series)
        }
        Data::Steps(series) if plan.result == ValueType::Scalar => {
            AnswerValue::Scalar(numbers(&series)?.first().copied().unwrap_or(f64::NAN))
        }
        Data::Steps(series) => AnswerValue::Vector(series),
    })
}

fn run(node: &Node, source: &dyn Source, cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    cx.tick()?;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        inputs.push(run(input, source, cx)?);
    }
    let held: usize = inputs.iter().map(weight).sum();
    let out = apply(node, inputs, source, cx)?;
    if node.op.makes_samples() {
        cx.budget.give(held);
    } else {
        let now = weight(&out);
        cx.budget.give(held.saturating_sub(now));
        cx.budget.take(now.saturating_sub(held))?;
    }
    Ok(out)
}

/// What is held; samples as storage has them are not counted, since only their windows must be in memory.
fn weight(data: &Data) -> usize {
    match data {
        Data::Steps(series) => series.iter().map(context::weight_of_steps).sum(),
        Data::Raw(_) | Data::Text(_) => 0,
    }
}

/// One operator.
fn apply(node: &Node, inputs: Vec<Data>, source: &dyn Source, cx: &mut EvalContext<'_>) -> Result<Data, EvalError> {
    let grid = node.grid;
    let mut inputs = Inputs(inputs.into_iter());
    Ok(Data::Steps(match &node.op {
        Operator::Select(select) => return Ok(Data::Raw(source.select(select)?)),
        Operator::Subquery(op) => return Ok(Data::Raw(op.apply(inputs.steps()?, cx)?)),
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

/// The inputs of an operator, in order. A tree that [`super::lower`] made has what each operator takes.
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

fn slices(scalars: &[Vec<f64>]) -> Vec<&[f64]> {
    scalars.iter().map(Vec::as_slice).collect()
}
