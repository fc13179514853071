//! Aggregations in parts: states made over parts of the input and merged in order give what one pass over everything gives.

use promql::annotation::Annotations;
use promql::ast::{AggregateOp, ExprKind};
use promql::eval::operators::Aggregate;
use promql::eval::{Budget, EvalContext};
use promql::labels::Labels;
use promql::parse::{ParseOptions, parse};
use promql::value::{Grid, StepSeries};
use proptest::prelude::*;

const STEPS: usize = 5;
const GRID: Grid = Grid { start_ms: 0, end_ms: (STEPS as i64 - 1) * 1000, step_ms: 1000 };
const QUERIES: &[(&str, Option<f64>)] = &[
    ("sum by (i) (x)", None),
    ("sum (x)", None),
    ("avg by (i) (x)", None),
    ("count without (j) (x)", None),
    ("group by (i, j) (x)", None),
    ("min by (i) (x)", None),
    ("max by (i) (x)", None),
    ("stddev by (i) (x)", None),
    ("stdvar (x)", None),
    ("quantile by (i) (0.3, x)", Some(0.3)),
    ("topk by (i) (2, x)", Some(2.0)),
    ("bottomk by (i) (3, x)", Some(3.0)),
    ("limitk by (j) (2, x)", Some(2.0)),
    ("limit_ratio (0.5, x)", Some(0.5)),
    ("count_values by (i) (\"v\", x)", None),
];

fn series() -> impl Strategy<Value = Vec<StepSeries>> {
    let value = prop_oneof![4 => (-20i32..20).prop_map(|v| Some(f64::from(v) / 4.0)), 1 => Just(None), 1 => Just(Some(1e308))];
    let one = prop::collection::vec(value, STEPS);
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let of = |(number, values): (usize, Vec<Option<f64>>)| {
            let (i, j) = ((number % 3).to_string(), number.to_string());
            let mut series = StepSeries::empty(Labels::new([("__name__", "x"), ("i", &i), ("j", &j)]), STEPS);
            values.into_iter().enumerate().filter_map(|(at, v)| v.map(|v| (at, v))).for_each(|(at, v)| series.set_float(at, v));
            series
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn aggregate(query: &str) -> Aggregate {
    let expr = parse(query, &ParseOptions { experimental: true }).expect("a query");
    let ExprKind::Aggregate(aggregate) = &expr.kind else { panic!("an aggregation") };
    let mut op = Aggregate::new(aggregate, expr.span, aggregate.expr.span, None);
    op.value_label = query.contains("count_values").then(|| "v".to_owned());
    op
}

/// Sorted, since the order of parts may be another one only for the kept ones of topk.
fn shown(mut series: Vec<StepSeries>) -> Vec<StepSeries> {
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}

/// The values at each step by group, in order.
fn values(series: &[StepSeries]) -> Vec<Vec<String>> {
    let at = |step: usize| {
        let there = series.iter().filter(|s| s.present[step]);
        let mut values: Vec<String> = there.map(|s| format!("{} {}", s.labels.get("i"), s.floats[step])).collect();
        values.sort();
        values
    };
    (0..STEPS).map(at).collect()
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #[test]
    fn parts_are_the_whole(series in series(), cuts in prop::collection::vec(0usize..12, 0..3), at in 0..QUERIES.len()) {
        let (query, param) = QUERIES[at];
        let op = aggregate(query);
        // Beyond what floats hold, the order of squares counts.
        let too_large = |s: &StepSeries| s.floats.iter().any(|v| *v > 1e300);
        prop_assume!(!query.starts_with("std") || !series.iter().any(too_large));
        let budget = Budget::new(usize::MAX, usize::MAX);
        let mut cx = EvalContext::new(&budget, &|| Ok(()));
        let params = param.map(|p| vec![p; STEPS]);
        let whole = shown(op.apply(GRID, params.as_deref(), &series, &mut cx).expect("a result"));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(series.len())).chain([0, series.len()]).collect();
        cuts.sort_unstable();
        let mut state = op.begin(GRID, params.as_deref(), &mut cx).expect("a state");
        for pair in cuts.windows(2) {
            let mut part = op.begin(GRID, params.as_deref(), &mut cx).expect("a state");
            part.add(&op, &series[pair[0]..pair[1]], &mut cx).expect("a part");
            state.merge(&op, part, &mut cx);
        }
        let parts = shown(state.finish(&op, &mut cx).expect("a result"));
        prop_assert_eq!(cx.annotations, Annotations::default());
        if matches!(op.op, AggregateOp::TopK | AggregateOp::BottomK) {
            // Of equal values another one may be kept.
            prop_assert_eq!(values(&parts), values(&whole), "{}", query);
            return Ok(());
        }
        prop_assert_eq!(parts.len(), whole.len(), "{}", query);
        for (part, whole) in parts.iter().zip(&whole) {
            prop_assert_eq!((&part.labels, &part.present), (&whole.labels, &whole.present), "{}", query);
            let equal = part.floats.iter().zip(&whole.floats).all(|(a, b)| close(*a, *b));
            prop_assert!(equal, "{}: {:?} {:?}", query, part.floats, whole.floats);
        }
    }
}
