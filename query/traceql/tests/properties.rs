//! Compiled queries mean what the naive evaluation says, whatever the trace and the query, and what they tell storage is true.

mod support {
    pub(crate) mod generate;
    pub(crate) mod naive;
}

use proptest::prelude::*;
use support::{generate, naive};
use traceql::ast::{AggregateFunction, Field, FieldExpr, FieldName, Metrics as Query, MetricsFunction, Pipeline, Scope, Stage};
use traceql::eval::{Conditions, Filter, Grid, Metrics, Options, Search, Test};
use traceql::memory::{Span, Trace};
use traceql::spans::{Slot, Slots, Source, Spans};
use traceql::value::Value;

/// Spans of which only that is known which an evaluation says it needs.
struct Needed<'a> {
    trace: Trace<'a>,
    structure: bool,
    items: bool,
}

impl Spans for Needed<'_> {
    fn len(&self) -> usize {
        self.trace.len()
    }
    fn value(&self, slot: Slot, row: usize) -> Value<'_> {
        self.trace.value(slot, row)
    }
    fn items(&self, source: Source, row: usize) -> usize {
        if self.items { self.trace.items(source, row) } else { 0 }
    }
    fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_> {
        self.trace.item(slot, row, item)
    }
    fn start_ns(&self, row: usize) -> i64 {
        self.trace.start_ns(row)
    }
    fn duration_ns(&self, row: usize) -> i64 {
        self.trace.duration_ns(row)
    }
    fn parent(&self, row: usize) -> Option<usize> {
        if self.structure { self.trace.parent(row) } else { None }
    }
    fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        self.trace.all(row, take);
    }
}

/// Whether a span satisfies all of some conditions.
fn satisfies(conditions: &Conditions, spans: &[Span], row: usize) -> bool {
    conditions.all.iter().all(|condition| {
        let mut slots = Slots::default();
        let slot = slots.slot(&condition.field);
        let trace = Trace::new(spans, &slots);
        let values: Vec<Value<'_>> = match Source::of(&condition.field) {
            Source::Row | Source::Trace => vec![trace.value(slot, row)],
            source => (0..trace.items(source, row)).map(|item| trace.item(slot, row, item)).collect(),
        };
        let elements = values.into_iter().flat_map(|value| match value {
            Value::List(elements) => elements,
            one => vec![one],
        });
        elements.into_iter().any(|value| passes(&condition.test, &value))
    })
}

fn passes(test: &Test, value: &Value<'_>) -> bool {
    let number = |value: &Value<'_>| match value {
        Value::Int(v) | Value::Duration(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    };
    let compare = |l: &Value<'_>, r: &Value<'_>| match (l, r) {
        (Value::Str(l), Value::Str(r)) => Some(l.cmp(r)),
        (l, r) => number(l).zip(number(r)).and_then(|(l, r)| l.partial_cmp(&r)),
    };
    match test {
        Test::Equal(values) => values.iter().any(|v| v == value || compare(v, value).is_some_and(|o| o.is_eq())),
        Test::Range { min, max } => {
            let above =
                |(end, included): &(Value<'_>, bool)| compare(value, end).is_some_and(|o| o.is_gt() || (*included && o.is_eq()));
            let below =
                |(end, included): &(Value<'_>, bool)| compare(value, end).is_some_and(|o| o.is_lt() || (*included && o.is_eq()));
            min.as_ref().is_none_or(above) && max.as_ref().is_none_or(below)
        }
        Test::Regex { regex, prefix } => {
            matches!(value, Value::Str(text) if regex.is_match(text) && text.starts_with(prefix.as_str()))
        }
        Test::Exists => *value != Value::Nil,
    }
}

fn one_stage(stage: Stage) -> Pipeline {
    Pipeline { stages: vec![stage] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn filters_match_as_they_plainly_should(spans in generate::trace(1..6), expr in generate::filter()) {
        let mut slots = Slots::default();
        let filter = Filter::new(&expr, &mut slots).expect("a filter");
        let trace = Trace::new(&spans, &slots);
        let conditions = Conditions::of(&expr);
        for row in 0..spans.len() {
            let matches = filter.matches(&trace, row);
            prop_assert_eq!(matches, naive::matches(&expr, &spans, row), "{:?}", expr);
            prop_assert!(!matches || conditions.iter().any(|c| satisfies(c, &spans, row)), "{:?} of {:?}", conditions, expr);
        }
    }

    #[test]
    fn spansets_are_selected_as_they_plainly_should(spans in generate::trace(1..9), spansets in generate::spansets()) {
        let search = Search::new(&one_stage(Stage::Spansets(spansets.clone()))).expect("a search");
        let needs = search.needs();
        let trace = Trace::new(&spans, search.slots());
        let needed = Needed { trace, structure: needs.structure, items: needs.items };
        let found = search.evaluate(&needed).expect("spansets");
        prop_assert!(found.len() <= 1);
        let mut rows = found.first().map(|spanset| spanset.rows.clone()).unwrap_or_default();
        prop_assert!(rows.is_sorted_by_key(|row| (spans[*row].start_ns, *row)));
        rows.sort_unstable();
        prop_assert_eq!(&rows, &naive::select(&spansets, &spans), "{:?}", spansets);
        let admitted = |row: usize| search.conditions().iter().any(|c| satisfies(c, &spans, row));
        prop_assert!(rows.is_empty() || (0..spans.len()).any(admitted), "{:?}", search.conditions());
        if !needs.whole_trace {
            prop_assert!(rows.iter().all(|row| admitted(*row)));
            for row in 0..spans.len() {
                let alone = Trace::new(&spans[row..=row], search.slots());
                prop_assert_eq!(search.evaluate(&alone).expect("spansets").len(), usize::from(rows.contains(&row)));
            }
        }
    }

    #[test]
    fn series_do_not_know_the_parts_that_they_came_in(
        spans in generate::trace(1..24),
        parts in prop::collection::vec(0..3_usize, 24),
        function in 0..8_usize,
        by in prop::collection::vec(generate::field(), 0..3),
        exemplars_max in 0..4_usize,
    ) {
        let metrics = Metrics::new(&query(function, by), Options { exemplars_max }).expect("metrics");
        let grid = Grid::range(0, 3_000_000_000, 1_000_000_000);
        let leaf = &metrics.leaves()[0];
        let trace = Trace::new(&spans, leaf.slots());
        let mut whole = leaf.state(&grid);
        whole.evaluate(&trace).expect("counted");
        let mut states: Vec<_> = (0..3).map(|_| leaf.state(&grid)).collect();
        for (row, part) in (0..spans.len()).zip(&parts) {
            states[*part].push(&trace, &[row]).expect("counted");
        }
        let mut merged = states.pop().expect("three");
        states.into_iter().for_each(|state| merged.merge(state).expect("merged"));
        prop_assert_eq!(merged.series(), whole.series());
        let (whole, merged) = (metrics.finish(vec![whole], &grid, 1_000), metrics.finish(vec![merged], &grid, 1_000));
        let (whole, merged) = (whole.expect("series"), merged.expect("series"));
        // By bits: the NaN of exemplars is equal to itself.
        prop_assert_eq!(format!("{whole:?}"), format!("{merged:?}"));
        let exemplars: usize = whole.series.iter().map(|series| series.exemplars.len()).sum();
        prop_assert!(exemplars <= exemplars_max);
        prop_assert!(function == 7 || whole.series.is_empty() || exemplars >= exemplars_max.min(1));
    }
}

/// `{} | function by (...)`.
fn query(function: usize, by: Vec<Field>) -> Query {
    let of = Field { parent: false, name: FieldName::Attribute(Scope::Any, "x".to_owned()) };
    let over_time = |function| MetricsFunction::OverTime { function, of: of.clone(), by: by.clone() };
    let function = match function {
        0 => MetricsFunction::Rate { by },
        1 => over_time(AggregateFunction::Min),
        2 => over_time(AggregateFunction::Max),
        3 => over_time(AggregateFunction::Sum),
        4 => over_time(AggregateFunction::Avg),
        5 => MetricsFunction::Quantile { of, quantiles: vec![0.0, 0.5, 1.0], by },
        6 => MetricsFunction::Histogram { of, by },
        _ => MetricsFunction::Compare { filter: FieldExpr::Field(of), top: 2, window: Some((0, 2_000_000_000)) },
    };
    Query::Of { pipeline: Pipeline { stages: vec![Stage::Coalesce] }, function }
}
