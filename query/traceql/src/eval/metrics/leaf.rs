//! A first stage of metrics: which spans count, into which series, by how much.

use std::sync::Arc;

use super::cell::Cells;
use super::compare::{Compare, Known};
use super::exemplar::{self, Exemplars, Ids};
use super::grid::Grid;
use super::groups::Groups;
use super::table::Table;
use super::{COMPARED_MAX, Options, SERIES_MAX};
use crate::ast::{AggregateFunction, Field, FieldName, Intrinsic, MetricsFunction, Pipeline, Spelling};
use crate::eval::conditions::Conditions;
use crate::eval::error::Result;
use crate::eval::names;
use crate::eval::program::value_of;
use crate::eval::search::{Needs, Search};
use crate::spans::{Reference, Slot, Slots, Source, Spans};
use crate::value::Value;

/// A pipeline and what is measured of its spans. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leaf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    search: Search,
    pub(super) function: Function,
    pub(super) by: Vec<By>,
    /// Whether the span's own duration is what is measured.
    of_duration: bool,
    ids: Option<Ids>,
    options: Options,
}

/// A label and where its values come from.
#[derive(Debug)]
pub(super) struct By {
    pub(super) label: String,
    of: Reference,
    /// Whether the name of an event is asked for: a span without any has an empty one, as in Tempo.
    is_event_name: bool,
}

impl By {
    /// The slot whose value in a row is the label, if that is all there is to it.
    pub(super) fn row_slot(&self) -> Option<Slot> {
        (self.of.source == Source::Row && !self.of.parent).then_some(self.of.slot)
    }

    fn value<'a>(&self, spans: &'a dyn Spans, row: usize) -> Value<'a> {
        let value = match self.of.source {
            // Of several events or links the first tells the group, as in Tempo.
            Source::Event | Source::Link if !self.of.parent => {
                let mut items = (0..spans.items(self.of.source, row)).map(|item| spans.item(self.of.slot, row, item));
                items.find(|value| *value != Value::Nil).unwrap_or(Value::Nil)
            }
            _ => value_of(spans, self.of, row),
        };
        if self.is_event_name && value == Value::Nil { Value::text("") } else { value }
    }
}

/// What is measured.
#[derive(Debug)]
pub(super) enum Function {
    Rate,
    Count,
    OverTime(AggregateFunction, Reference),
    Quantile(Reference, Vec<f64>),
    Histogram(Reference),
    Compare(Compare),
}

impl Leaf {
    pub(super) fn new(pipeline: &Pipeline, function: &MetricsFunction, options: Options) -> Result<Self> {
        let mut search = Search::of_spans(pipeline)?;
        let (function, by) = match function {
            MetricsFunction::Rate { by } => (Function::Rate, &by[..]),
            MetricsFunction::Count { by } => (Function::Count, &by[..]),
            MetricsFunction::OverTime { function, of, by } => (Function::OverTime(*function, search.reference(of)?), &by[..]),
            MetricsFunction::Quantile { of, quantiles, by } => {
                (Function::Quantile(search.reference(of)?, quantiles.clone()), &by[..])
            }
            MetricsFunction::Histogram { of, by } => (Function::Histogram(search.reference(of)?), &by[..]),
            MetricsFunction::Compare { filter, top, window } => {
                let filter = search.test(filter)?;
                search.needs_all();
                (Function::Compare(Compare { filter, top: *top, window: *window }), &[][..])
            }
        };
        let label = |field: &Field| {
            let is_event_name = matches!(field.name, FieldName::Intrinsic(Intrinsic::EventName, _));
            Ok(By { label: names::field_label(field), of: search.reference(field)?, is_event_name })
        };
        let by = by.iter().map(label).collect::<Result<_>>()?;
        let mut id = |intrinsic| {
            let name = FieldName::Intrinsic(intrinsic, Spelling::Scoped);
            search.reference(&Field { parent: false, name })
        };
        let ids = match options.exemplars_max {
            0 => None,
            _ => Some(Ids { trace: id(Intrinsic::TraceId)?, span: id(Intrinsic::SpanId)? }),
        };
        let of_duration = match &function {
            Function::OverTime(_, of) | Function::Quantile(of, _) if !of.parent => {
                matches!(search.slots().fields().get(usize::from(of.slot.0)), Some(FieldName::Intrinsic(Intrinsic::Duration, _)))
            }
            _ => false,
        };
        Ok(Self { inner: Arc::new(Inner { search, function, by, of_duration, ids, options }) })
    }

    /// Which spans count.
    pub fn search(&self) -> &Search {
        &self.inner.search
    }

    /// The fields that it asks for: of filters, groups, what is measured, and ids when there are exemplars.
    pub fn slots(&self) -> &Slots {
        self.inner.search.slots()
    }

    /// What it needs beyond them.
    pub fn needs(&self) -> Needs {
        self.inner.search.needs()
    }

    /// What spans have to satisfy, as of [`Search::conditions`].
    pub fn conditions(&self) -> &[Conditions] {
        self.inner.search.conditions()
    }

    /// Whether [`Spans::all`] is asked.
    pub fn needs_all(&self) -> bool {
        matches!(self.inner.function, Function::Compare(_))
    }

    /// Whether [`Spans::duration_ns`] is asked beyond the fields.
    pub fn wants_exemplars(&self) -> bool {
        self.inner.ids.is_some()
    }

    /// Nothing seen yet. Spans that start outside of `grid` will not count.
    pub fn state(&self, grid: &Grid) -> LeafState {
        let limit = if self.needs_all() { COMPARED_MAX } else { SERIES_MAX };
        let cells = match &self.inner.function {
            Function::OverTime(function, _) => Cells::of(*function, grid.len()),
            Function::Quantile(..) => Cells::sketches(grid.len()),
            _ => Cells::of(AggregateFunction::Count, grid.len()),
        };
        LeafState {
            leaf: Arc::clone(&self.inner),
            grid: *grid,
            table: Table::new(limit),
            cells,
            exemplars: Exemplars::new(self.inner.options.exemplars_max),
            known: Known::default(),
            heap_bytes: 0,
        }
    }
}

/// What a leaf has seen.
#[derive(Debug, Clone)]
pub struct LeafState {
    pub(super) leaf: Arc<Inner>,
    pub(super) grid: Grid,
    pub(super) table: Table,
    pub(super) cells: Cells,
    pub(super) exemplars: Exemplars,
    /// Of comparisons.
    known: Known,
    heap_bytes: isize,
}

impl LeafState {
    /// Evaluates the leaf's search over the spans of one trace and counts what it selects.
    ///
    /// # Errors
    /// As of [`LeafState::push`].
    pub fn evaluate(&mut self, spans: &dyn Spans) -> Result<()> {
        let leaf = Arc::clone(&self.leaf);
        leaf.search.spansets(spans).iter().try_for_each(|spanset| self.push(spans, &spanset.rows))
    }

    /// Counts spans that were selected, each once, in any order.
    ///
    /// # Errors
    /// [`crate::eval::Error::TooManySeries`].
    pub fn push(&mut self, spans: &dyn Spans, rows: &[usize]) -> Result<()> {
        let (leaf, starts, durations) = (Arc::clone(&self.leaf), spans.starts_ns(), spans.durations_ns());
        let is_grouped = !matches!(leaf.function, Function::Histogram(_) | Function::Compare(_));
        let mut groups = if is_grouped { Groups::of(&leaf.by, spans, rows.len()) } else { None };
        let mut values: Vec<Value<'_>> = Vec::with_capacity(leaf.by.len() + 1);
        // Of quantiles the numbers are counted together, at the end.
        let mut numbers = matches!(leaf.function, Function::Quantile(..)).then(|| Vec::with_capacity(rows.len()));
        for row in rows.iter().copied() {
            let start_ns = starts.map_or_else(|| spans.start_ns(row), |starts| starts[row]);
            let Some(bucket) = self.grid.bucket(start_ns).and_then(|bucket| u32::try_from(bucket).ok()) else {
                continue;
            };
            let measured = match &leaf.function {
                Function::Rate | Function::Count => Some(Measured::COUNTED),
                Function::OverTime(..) | Function::Quantile(..) if leaf.of_duration && durations.is_some() => {
                    durations.map(|durations| Measured { value: durations[row] as f64 / 1e9, bucket: None })
                }
                Function::OverTime(_, of) | Function::Quantile(of, _) => number(&value_of(spans, *of, row)),
                Function::Histogram(of) => power_of_two(&value_of(spans, *of, row)),
                Function::Compare(compare) => {
                    compare.push(spans, row, (&mut self.table, &mut self.known), |series| {
                        self.heap_bytes += self.cells.add((series, bucket), f64::NAN);
                    })?;
                    None
                }
            };
            let Some(measured) = measured else { continue };
            let mut look_up = |table: &mut Table| {
                values.clear();
                values.extend(leaf.by.iter().map(|by| by.value(spans, row)));
                values.extend(measured.bucket.map(Value::Float));
                table.series(&values)
            };
            let series = match &mut groups {
                Some(groups) => groups.series(row, || look_up(&mut self.table))?,
                None => look_up(&mut self.table)?,
            };
            match &mut numbers {
                Some(numbers) => numbers.push(((series, bucket), measured.value)),
                None => self.heap_bytes += self.cells.add((series, bucket), measured.value),
            }
            if let Some(ids) = leaf.ids {
                let duration_ns = durations.map_or_else(|| spans.duration_ns(row), |durations| durations[row]);
                let number = exemplar::number(start_ns, duration_ns);
                if self.exemplars.wants(number, series) {
                    let key = &self.table.keys()[series as usize];
                    self.exemplars.offer(ids, (spans, row), (series, key), (number, measured.value));
                }
            }
        }
        self.heap_bytes += self.cells.add_all(&numbers.unwrap_or_default());
        Ok(())
    }

    /// Takes in what another state of the same leaf and grid has seen. Order and parts do not matter.
    ///
    /// # Errors
    /// [`crate::eval::Error::TooManySeries`].
    pub fn merge(&mut self, other: Self) -> Result<()> {
        debug_assert!(self.grid == other.grid, "states of one query have one grid");
        if self.table.len() == 0 {
            // Nothing seen yet: no candidate for an exemplar either.
            *self = other;
            return Ok(());
        }
        let series = self.table.merge(&other.table)?;
        self.heap_bytes += self.cells.merge(&other.cells, &series);
        self.exemplars.merge(other.exemplars, &series);
        Ok(())
    }

    /// Bytes that it holds, about.
    pub fn memory(&self) -> usize {
        self.table.bytes()
            + self.cells.table_bytes()
            + self.exemplars.bytes()
            + self.known.bytes()
            + self.heap_bytes.max(0).unsigned_abs()
    }

    /// How many series there are so far; more than the answer will have for comparisons, fewer for quantiles.
    pub fn series(&self) -> usize {
        self.table.len()
    }
}

/// What a span adds.
struct Measured {
    value: f64,
    /// The end of the bucket of values that it falls into.
    bucket: Option<f64>,
}

impl Measured {
    const COUNTED: Self = Self { value: f64::NAN, bucket: None };
}

/// A number as it is aggregated: durations in seconds.
fn number(value: &Value<'_>) -> Option<Measured> {
    let value = match value {
        Value::Int(v) => *v as f64,
        Value::Duration(v) => *v as f64 / 1e9,
        Value::Float(v) if !v.is_nan() => *v,
        _ => return None,
    };
    Some(Measured { value, bucket: None })
}

/// A number and the next power of two, of durations that of their nanoseconds, as seconds. What is not positive has none, as in Tempo.
fn power_of_two(value: &Value<'_>) -> Option<Measured> {
    let (number, unit) = match value {
        Value::Int(v) => (*v as f64, 1.0),
        Value::Duration(v) => (*v as f64, 1e9),
        Value::Float(v) if v.is_finite() => (*v, 1.0),
        _ => return None,
    };
    (number > 0.0).then(|| Measured { value: number / unit, bucket: Some(number.log2().ceil().exp2() / unit) })
}
