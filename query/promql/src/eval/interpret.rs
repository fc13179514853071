//! Runs a plan in memory, one operator after the other: what rules use, and what everything else is compared with.

use super::operators::numbers;
use super::plan::{Node, Operator, Plan};
use super::step::{Data, step};
use super::{Budget, Check, EvalContext, EvalError};
use crate::annotation::Annotations;
use crate::ast::ValueType;
use crate::eval::operators::Select;
use crate::value::{RawSeries, StepSeries};

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
///
/// # Errors
/// When a scalar is none.
pub fn finish(plan: &Plan, data: Data) -> Result<AnswerValue, EvalError> {
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
    match &node.op {
        Operator::Select(select) => Ok(Data::Raw(source.select(select)?)),
        _ => step(node, inputs, cx),
    }
}
