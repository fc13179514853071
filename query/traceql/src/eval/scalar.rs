//! Numbers of a spanset: aggregates, arithmetic between them, and the filter that compares them.

use std::cmp::Ordering;

use super::arithmetic;
use super::compare::{self, Comparison};
use super::error::{Error, Result};
use super::names;
use super::program::{At, Operand};
use super::search::{Compiler, Run, Stage};
use super::{compile, structural};
use crate::ast::{self, AggregateFunction, BinaryOp};
use crate::spans::Spans;
use crate::value::Value;

/// `left op right`.
#[derive(Debug, Clone)]
pub(super) struct ScalarFilter {
    left: Scalar,
    op: Comparison,
    right: Scalar,
}

#[derive(Debug, Clone)]
enum Scalar {
    Literal(Value<'static>),
    /// `avg(duration)`: its name in answers and what it is of.
    Aggregate {
        name: String,
        function: AggregateFunction,
        of: Option<Operand>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Scalar>,
        right: Box<Scalar>,
    },
    Negate(Box<Scalar>),
    /// A number of other spans of the same trace.
    Pipeline(Vec<Stage>, Box<Scalar>),
}

impl ScalarFilter {
    pub(super) fn new(filter: &ast::ScalarFilter, compiler: &mut Compiler) -> Result<Self> {
        let op = compile::comparison(filter.op).ok_or(Error::Meaningless { what: "an operator that compares no numbers" })?;
        Ok(Self { left: Scalar::new(&filter.left, compiler)?, op, right: Scalar::new(&filter.right, compiler)? })
    }

    /// Whether the spans at `rows` pass; `attributes` learn the aggregates. When numbers are of pipelines within, `rows` become their spans.
    pub(super) fn passes(&self, run: &Run<'_>, rows: &mut Vec<usize>, attributes: &mut Vec<(String, Value<'static>)>) -> bool {
        let mut seen = Seen { rows: None, attributes };
        let left = self.left.of(run, rows, &mut seen);
        let right = self.right.of(run, rows, &mut seen);
        let Seen { rows: of_pipelines, .. } = seen;
        if let Some(of_pipelines) = of_pipelines {
            *rows = of_pipelines;
        }
        self.op.holds(&left, &right)
    }
}

/// What was come across on the way to a number.
struct Seen<'a> {
    rows: Option<Vec<usize>>,
    attributes: &'a mut Vec<(String, Value<'static>)>,
}

impl Scalar {
    fn new(scalar: &ast::Scalar, compiler: &mut Compiler) -> Result<Self> {
        compiler.deeper(|compiler| {
            Ok(match scalar {
                ast::Scalar::Literal(value) => Self::Literal(value.clone()),
                ast::Scalar::Aggregate(aggregate) => Self::aggregate(aggregate, compiler)?,
                ast::Scalar::Binary { op, left, right } => {
                    let (left, right) = (Box::new(Self::new(left, compiler)?), Box::new(Self::new(right, compiler)?));
                    Self::Binary { op: *op, left, right }
                }
                ast::Scalar::Negate(inner) => Self::Negate(Box::new(Self::new(inner, compiler)?)),
                ast::Scalar::Pipeline(pipeline, scalar) => {
                    Self::Pipeline(compiler.stages(pipeline)?, Box::new(Self::new(scalar, compiler)?))
                }
            })
        })
    }

    fn aggregate(aggregate: &ast::Aggregate, compiler: &mut Compiler) -> Result<Self> {
        let name = match aggregate.function {
            AggregateFunction::Count => "count",
            AggregateFunction::Avg => "avg",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
            AggregateFunction::Sum => "sum",
        };
        let inner = aggregate.of.as_ref().map(names::expression).unwrap_or_default();
        let of = aggregate.of.as_ref().map(|expr| compiler.operand(expr)).transpose()?;
        if of.is_none() && aggregate.function != AggregateFunction::Count {
            return Err(Error::Meaningless { what: "an aggregate of nothing" });
        }
        Ok(Self::Aggregate { name: format!("{name}({inner})"), function: aggregate.function, of })
    }

    fn of(&self, run: &Run<'_>, rows: &[usize], seen: &mut Seen<'_>) -> Value<'static> {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Aggregate { name, function, of } => {
                let value = aggregate(*function, of.as_ref(), run.spans, rows);
                set(seen.attributes, name, value.clone());
                value
            }
            Self::Binary { op, left, right } => {
                let left = left.of(run, rows, seen);
                arithmetic::apply(*op, &left, &right.of(run, rows, seen))
            }
            Self::Negate(inner) => arithmetic::negate(&inner.of(run, rows, seen)),
            Self::Pipeline(stages, scalar) => {
                let found = run.rows_of(stages, rows);
                let value = if found.is_empty() { Value::Nil } else { scalar.of(run, &found, seen) };
                seen.rows = Some(structural::union(seen.rows.as_deref().unwrap_or_default(), &found));
                value
            }
        }
    }
}

/// Sets an attribute of a spanset; one of that name is replaced.
pub(super) fn set(attributes: &mut Vec<(String, Value<'static>)>, name: &str, value: Value<'static>) {
    match attributes.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => attributes.push((name.to_owned(), value)),
    }
}

/// An aggregate of the spans at `rows`; nothing when none of them has a number. Of durations it is a duration, of whole numbers a whole
/// number unless it is an average or does not fit, else a float.
fn aggregate(function: AggregateFunction, of: Option<&Operand>, spans: &dyn Spans, rows: &[usize]) -> Value<'static> {
    let Some(of) = of else { return Value::Int(rows.len() as i64) };
    let numbers = rows.iter().map(|row| of.value(At::span(spans, *row)));
    match function {
        AggregateFunction::Count => Value::Int(numbers.filter(|v| *v != Value::Nil).count() as i64),
        AggregateFunction::Min => extreme(numbers, Ordering::Less),
        AggregateFunction::Max => extreme(numbers, Ordering::Greater),
        AggregateFunction::Sum => Sum::of(numbers).total(),
        AggregateFunction::Avg => Sum::of(numbers).average(),
    }
}

/// The value that lies to the `wanted` side of all others.
fn extreme<'a>(numbers: impl Iterator<Item = Value<'a>>, wanted: Ordering) -> Value<'static> {
    let mut found = Value::Nil;
    for number in numbers {
        // What is no number has no order to itself; NaN neither.
        if compare::order(&number, &number).is_some() && (found == Value::Nil || compare::order(&number, &found) == Some(wanted))
        {
            found = number.into_owned();
        }
    }
    found
}

/// A sum that is exact as long as everything is whole.
#[derive(Default)]
struct Sum {
    count: u64,
    whole: i128,
    float: f64,
    durations: bool,
    wholes: bool,
    floats: bool,
}

impl Sum {
    fn of<'a>(numbers: impl Iterator<Item = Value<'a>>) -> Self {
        let mut sum = Self::default();
        for number in numbers {
            match number {
                Value::Int(v) => (sum.whole, sum.wholes) = (sum.whole + i128::from(v), true),
                Value::Duration(v) => (sum.whole, sum.durations) = (sum.whole + i128::from(v), true),
                Value::Float(v) => (sum.float, sum.floats) = (sum.float + v, true),
                _ => continue,
            }
            sum.count += 1;
        }
        sum
    }

    fn total(&self) -> Value<'static> {
        match i64::try_from(self.whole) {
            _ if self.count == 0 => Value::Nil,
            Ok(exact) if self.durations && !self.wholes && !self.floats => Value::Duration(exact),
            Ok(exact) if !self.durations && !self.floats => Value::Int(exact),
            _ => Value::Float(self.whole as f64 + self.float),
        }
    }

    fn average(&self) -> Value<'static> {
        let count = self.count as f64;
        match self.total() {
            Value::Nil => Value::Nil,
            Value::Duration(total) => Value::Duration(total / self.count as i64),
            _ => Value::Float((self.whole as f64 + self.float) / count),
        }
    }
}
