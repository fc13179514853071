//! From states to the answer.

use super::grid::Grid;
use super::leaf::{Function, LeafState};
use super::math::{self, Set};
use super::row::{NAME, Row};
use super::{Answer, Metrics, Plan, SAMPLES_MAX, then};
use crate::ast::AggregateFunction;
use crate::eval::error::{Error, Result};
use crate::eval::key;
use crate::value::Value;

impl Metrics {
    /// The answer. `states` are one per leaf, in the order of [`Metrics::leaves`], all over `grid`; an answer with more than `series_max`
    /// series has the first of them by their labels.
    ///
    /// # Errors
    /// [`Error::TooManySamples`].
    pub fn finish(&self, states: Vec<LeafState>, grid: &Grid, series_max: usize) -> Result<Answer> {
        debug_assert!(states.len() == self.leaves.len(), "a state per leaf");
        let mut states: Vec<Option<LeafState>> = states.into_iter().map(Some).collect();
        // Of series to which nothing is done no more are made than are answered.
        let most = if let Plan::Leaf(_) = self.plan { series_max.saturating_add(1) } else { usize::MAX };
        let rows = match evaluate(&self.plan, &mut states, grid, most)? {
            Set::Rows(rows) => rows,
            Set::Number(_) => Vec::new(), // The parser has no query that is a number.
        };
        let mut series: Vec<_> = rows.into_iter().filter(|row| !row.is_empty()).map(|row| row.into_series(grid)).collect();
        let truncated = series.len() > series_max;
        series.truncate(series_max);
        bound_exemplars(&mut series, self.options.exemplars_max);
        Ok(Answer { series, truncated })
    }
}

/// Arithmetic may have spread one series' exemplars over many.
fn bound_exemplars(series: &mut [super::Series], mut left: usize) {
    for one in series {
        one.exemplars.truncate(left);
        left -= one.exemplars.len();
    }
}

fn evaluate(plan: &Plan, states: &mut [Option<LeafState>], grid: &Grid, most: usize) -> Result<Set> {
    Ok(match plan {
        Plan::Number(number) => Set::Number(*number),
        Plan::Leaf(at) => Set::Rows(states[*at].take().map(|state| rows(&state, grid, most)).transpose()?.unwrap_or_default()),
        Plan::Then { of, stage } => match evaluate(of, states, grid, most)? {
            Set::Rows(rows) => Set::Rows(then::apply(stage, rows)),
            number => number,
        },
        Plan::Binary { op, left, right } => {
            let left = evaluate(left, states, grid, most)?;
            math::apply(*op, left, evaluate(right, states, grid, most)?)
        }
    })
}

/// The series of a leaf, in the order of their labels; at most `most` combinations of them.
fn rows(state: &LeafState, grid: &Grid, most: usize) -> Result<Vec<Row>> {
    let mut rows = match &state.leaf.function {
        Function::Compare(compare) => {
            check(compare.rows_max(&state.table), grid)?;
            let mut counts = vec![Vec::new(); state.table.len()];
            state.cells.each(0.0, &mut |series, bucket, count| counts[series as usize].push((bucket, count)));
            compare.rows(&state.table, &counts, grid.len())
        }
        Function::Quantile(_, quantiles) => {
            let filling = Filling::of(state, grid, most);
            check(filling.series.len().saturating_mul(quantiles.len()), grid)?;
            let of = |q: &f64| filling.rows(*q, 0.0, &[("p", Value::Float(*q))]);
            let mut rows = quantiles.iter().flat_map(of).collect::<Vec<_>>();
            filling.attach_to_quantiles(&mut rows);
            rows
        }
        counted => {
            let filling = Filling::of(state, grid, most);
            check(filling.series.len(), grid)?;
            let empty = if let Function::OverTime(..) = counted { f64::NAN } else { 0.0 };
            let mut rows = filling.rows(0.0, empty, &[]);
            if let Function::Rate = counted {
                let seconds = grid.step_seconds();
                rows.iter_mut().flat_map(|row| &mut row.values).for_each(|count| *count /= seconds);
            }
            filling.attach(&mut rows);
            rows
        }
    };
    rows.sort_by(|a, b| {
        let values = a.labels.iter().zip(&b.labels).map(|((_, a), (_, b))| key::order(a, b));
        let different = values.into_iter().find(|order| order.is_ne());
        different.unwrap_or_else(|| a.labels.len().cmp(&b.labels.len()))
    });
    Ok(rows)
}

/// Refuses more samples than are held.
fn check(series: usize, grid: &Grid) -> Result<()> {
    let (steps, limit) = (grid.len(), SAMPLES_MAX);
    if series.saturating_mul(steps) > limit { Err(Error::TooManySamples { series, steps, limit }) } else { Ok(()) }
}

/// How series of a table become rows.
struct Filling<'a> {
    state: &'a LeafState,
    grid: &'a Grid,
    /// Those that do, in the order of their labels.
    series: Vec<u32>,
    /// Where in `series` each of the table's is.
    places: Vec<Option<u32>>,
}

impl<'a> Filling<'a> {
    fn of(state: &'a LeafState, grid: &'a Grid, most: usize) -> Self {
        let keys = state.table.keys();
        let mut series: Vec<u32> = (0..keys.len() as u32).collect();
        series.sort_unstable_by(|a, b| keys[*a as usize].cmp(&keys[*b as usize]));
        series.truncate(most);
        let mut places = vec![None; keys.len()];
        series.iter().zip(0..).for_each(|(series, place)| places[*series as usize] = Some(place));
        Self { state, grid, series, places }
    }

    fn place(&self, series: u32) -> Option<usize> {
        self.places[series as usize].map(|place| place as usize)
    }

    /// A row for each series, with `empty` where a bucket has no span, and with `more` labels.
    fn rows(&self, q: f64, empty: f64, more: &[(&str, Value<'static>)]) -> Vec<Row> {
        let leaf = &self.state.leaf;
        let row = |series: &u32| {
            let names = leaf.by.iter().map(|by| by.label.as_str()).chain(["__bucket"]);
            let key = &self.state.table.keys()[*series as usize];
            let mut labels: Vec<_> = names.zip(key.iter()).map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
            labels.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            if labels.is_empty() {
                labels.push((NAME.to_owned(), Value::text(name(&leaf.function))));
            }
            Row { labels, values: vec![empty; self.grid.len()], exemplars: Vec::new() }
        };
        let mut rows: Vec<Row> = self.series.iter().map(row).collect();
        self.state.cells.each(q, &mut |series, bucket, value| {
            if let Some(place) = self.place(series) {
                rows[place].values[bucket as usize] = value;
            }
        });
        rows
    }

    fn attach(&self, rows: &mut [Row]) {
        for candidate in self.state.exemplars.chosen() {
            if let Some(place) = self.place(candidate.series) {
                rows[place].exemplars.push(candidate.exemplar());
            }
        }
    }

    /// An exemplar of a quantile goes to the lowest quantile that it does not exceed. `rows` are all series of the first quantile, then of
    /// the next ones.
    fn attach_to_quantiles(&self, rows: &mut [Row]) {
        for candidate in self.state.exemplars.chosen() {
            let (place, bucket) = (self.place(candidate.series), self.grid.bucket(candidate.time_ns()));
            let Some((place, bucket)) = place.zip(bucket) else { continue };
            let of_series = (place..rows.len()).step_by(self.series.len().max(1));
            let value = |at: &usize| rows[*at].values[bucket];
            let above =
                of_series.clone().filter(|at| value(at) >= candidate.value()).min_by(|a, b| value(a).total_cmp(&value(b)));
            let highest = || of_series.clone().max_by(|a, b| value(a).total_cmp(&value(b)));
            if let Some(at) = above.or_else(highest) {
                rows[at].exemplars.push(candidate.exemplar());
            }
        }
    }
}

fn name(function: &Function) -> &'static str {
    match function {
        Function::Rate => "rate",
        Function::Count => "count_over_time",
        Function::OverTime(AggregateFunction::Count, _) => "count_over_time",
        Function::OverTime(AggregateFunction::Min, _) => "min_over_time",
        Function::OverTime(AggregateFunction::Max, _) => "max_over_time",
        Function::OverTime(AggregateFunction::Sum, _) => "sum_over_time",
        Function::OverTime(AggregateFunction::Avg, _) => "avg_over_time",
        Function::Quantile(..) => "quantile_over_time",
        Function::Histogram(_) => "histogram_over_time",
        Function::Compare(_) => "compare",
    }
}
