//! A query on a grid gives at each step what an instant query at that time gives: random expressions over random series.

use std::sync::Arc;

use promql::eval::{AnswerValue, QueryOptions};
use promql::histogram::{BucketSpan, Histogram, ResetHint};
use promql::labels::Labels;
use promql::parse::{ParseOptions, parse};
use promql::testlang::{InMemory, System};
use promql::value::{Grid, HistogramSample, RawSeries, STALE_BITS, StepSeries};
use proptest::prelude::*;

const STEP_MS: i64 = 47_000;
const STEPS: i64 = 12;

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -5i32..20,
        1 => Just(i32::MAX),
        1 => Just(i32::MIN),
    ]
    .prop_flat_map(|v| prop_oneof![10 => Just(f64::from(v) / 2.0), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 2 => Just(f64::from_bits(STALE_BITS))])
}

/// Samples about every 20 s, with gaps.
fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((1_000i64..60_000, value(), 0u8..8), 0..40).prop_map(|steps| {
        let mut time = 0;
        let mut out = Vec::new();
        for (gap, value, kind) in steps {
            time += gap * if kind == 0 { 12 } else { 1 };
            out.push((time, value));
        }
        out
    })
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let counts = || prop::collection::vec(0u32..9, 0..5);
    let layout = (-1i32..3, -4i32..4, prop::bool::weighted(0.15));
    (layout, counts(), counts(), 0u32..5, -20i32..50).prop_map(|((schema, offset, custom), positive, negative, zero, sum)| {
        let spans = |counts: &[u32]| match u32::try_from(counts.len()) {
            Ok(length) if length > 0 => vec![BucketSpan { offset: if custom { 0 } else { offset }, length }],
            _ => Vec::new(),
        };
        let negative = if custom { Vec::new() } else { negative };
        let zero = if custom { 0 } else { zero };
        let count = positive.iter().chain(&negative).sum::<u32>() + zero;
        let as_floats = |counts: &[u32]| counts.iter().map(|c| f64::from(*c)).collect();
        Histogram {
            schema: if custom { -53 } else { schema },
            zero_threshold: if custom { 0.0 } else { 0.001 },
            zero_count: f64::from(zero),
            count: f64::from(count),
            sum: f64::from(sum) / 2.0,
            positive_spans: spans(&positive),
            positive_counts: as_floats(&positive),
            negative_spans: spans(&negative),
            negative_counts: as_floats(&negative),
            custom_bounds: if custom { vec![-1.0, 0.0, 2.0, 5.0] } else { Vec::new() },
            ..Histogram::default()
        }
    })
}

/// Histograms between and after floats, in about half of the series.
fn histograms() -> impl Strategy<Value = Vec<HistogramSample>> {
    prop::collection::vec((1_000i64..60_000, histogram(), 0u8..8), 0..20).prop_map(|steps| {
        let mut time_ms = 7;
        let mut out = Vec::new();
        for (gap, mut histogram, kind) in steps {
            time_ms += gap * if kind == 0 { 12 } else { 1 };
            if kind == 1 {
                histogram.sum = f64::from_bits(STALE_BITS);
            }
            out.push(HistogramSample { time_ms, start_ms: 0, histogram: Arc::new(histogram) });
        }
        out
    })
}

fn series() -> impl Strategy<Value = Vec<RawSeries>> {
    let names = [("a", "1", "x"), ("a", "2", "x"), ("a", "1", "y"), ("b", "1", "x"), ("b", "2", ""), ("c_total", "1", "x")];
    let of_histograms = [("h", "1", "x"), ("h", "2", "x"), ("b", "3", "x")];
    let floats = prop::collection::vec(samples(), names.len());
    let histograms = prop::collection::vec(histograms(), of_histograms.len());
    (floats, histograms, samples()).prop_map(move |(all, histograms, beside)| {
        let mut out = Vec::new();
        for ((name, i, j), histograms) in of_histograms.into_iter().zip(histograms) {
            let labels = Labels::new([("__name__", name), ("i", i), ("j", j)]);
            let free = |t: i64| histograms.iter().all(|h| h.time_ms != t);
            let beside = beside.iter().filter(|(t, _)| i != "1" && free(*t)).copied();
            let (times_ms, floats) = beside.unzip();
            out.push(RawSeries { labels, times_ms, floats, histograms, ..RawSeries::default() });
        }
        for ((name, i, j), samples) in names.into_iter().zip(all) {
            let labels = Labels::new([("__name__", name), ("i", i), ("j", j)]);
            let (times_ms, floats) = samples.into_iter().unzip();
            out.push(RawSeries { labels, times_ms, floats, ..RawSeries::default() });
        }
        out
    })
}

fn selector() -> impl Strategy<Value = String> {
    let name =
        prop::sample::select(vec!["a", "b", "h", "h", "c_total", "{__name__=~\"a|b\"}", "a{i=\"1\"}", "{j!=\"y\",i=~\".+\"}"]);
    let modifier = prop::sample::select(vec!["", "", "", " offset 1m", " offset -30s", " @ 200", " @ 300 offset 1m"]);
    (name, modifier).prop_map(|(n, m)| format!("{n}{m}"))
}

fn range() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "h", "h", "c_total", "a{j=\"x\"}"]);
    let length = prop::sample::select(vec!["30s", "2m", "5m"]);
    let modifier = prop::sample::select(vec!["", "", "", " offset 1m", " @ 250"]);
    (name, length, modifier).prop_map(|(n, l, m)| format!("{n}[{l}]{m}"))
}

fn of(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

const OVER_TIME: &[&str] = &[
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "resets",
    "changes",
    "deriv",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "stddev_over_time",
    "mad_over_time",
    "present_over_time",
    "absent_over_time",
    "ts_of_max_over_time",
];
const INSTANT: &[&str] =
    &["abs", "ceil", "sgn", "exp", "timestamp", "absent", "sqrt", "hour", "day_of_year", "-", "+", "sort", "round"];
const HISTOGRAM: &[&str] = &[
    "histogram_count(#)",
    "histogram_sum(#)",
    "histogram_avg(#)",
    "histogram_stddev(#)",
    "histogram_quantile(0.6, #)",
    "histogram_fraction(-1, 3, #)",
    "histogram_quantiles(#, \"q\", 0.1, 0.9)",
];
const AGGREGATE: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const PARAMETER: &[&str] = &["quantile(0.7, ", "limit_ratio(0.5, ", "limit_ratio(-0.5, ", "count_values(\"v\", "];
/// Which of equal values these keep depends on the order of the series, which an operator below them may change from step to step.
const CHOICE: &[&str] = &["topk(2, ", "bottomk(1, ", "limitk(2, "];
const GROUPING: &[&str] = &["", " by (i)", " by (i, j)", " without (j)", " without (i)", " by (__name__)"];
const OPERATOR: &[&str] = &["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">=", "> bool", "== bool"];
const MATCHING: &[&str] = &[
    "",
    " ignoring (j)",
    " on (i)",
    " on (i, j)",
    " on (i) group_left ()",
    " ignoring (j) group_right ()",
    " on (i) group_left (j)",
];
const SETS: &[&str] = &["and", "or", "unless", "and on (i)", "or on (j)", "unless ignoring (i)"];

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => selector(),
        4 => (of(OVER_TIME), range()).prop_map(|(f, r)| format!("{f}({r})")),
        1 => (prop::sample::select(vec![0.5, -1.0, 2.0]), range()).prop_map(|(q, r)| format!("quantile_over_time({q}, {r})")),
        1 => range().prop_map(|r| format!("predict_linear({r}, 60)")),
        1 => Just("vector(time())".to_owned()),
    ]
}

/// `topk by (i) (2, v)`, of `topk(2, `.
fn with_parameter(aggregation: &str, grouping: &str, of: &str) -> String {
    let (word, parameter) = aggregation.split_once('(').expect("a parameter");
    format!("{word}{grouping} ({parameter}{of})")
}

fn vector() -> impl Strategy<Value = String> {
    let choice = (of(CHOICE), of(GROUPING), leaf()).prop_map(|(c, g, v)| with_parameter(c, g, &v));
    prop_oneof![8 => leaf(), 1 => choice].prop_recursive(4, 24, 2, |inner| {
        let scalar =
            prop_oneof![Just("2".to_owned()), Just("time()".to_owned()), inner.clone().prop_map(|v| format!("scalar({v})")),];
        prop_oneof![
            (of(INSTANT), inner.clone()).prop_map(|(f, v)| format!("{f}({v})")),
            (of(HISTOGRAM), inner.clone()).prop_map(|(f, v)| f.replacen('#', &v, 1)),
            (of(AGGREGATE), of(GROUPING), inner.clone()).prop_map(|(a, g, v)| format!("{a}{g} ({v})")),
            (of(PARAMETER), of(GROUPING), inner.clone()).prop_map(|(p, g, v)| with_parameter(p, g, &v)),
            (inner.clone(), of(OPERATOR), of(MATCHING), inner.clone()).prop_map(|(l, o, m, r)| format!("({l}) {o}{m} ({r})")),
            (inner.clone(), of(OPERATOR), inner.clone()).prop_map(|(l, o, r)| {
                let fill = if o.ends_with("bool") { "" } else { " fill (1)" };
                format!("({l}) {o}{fill} ({r})")
            }),
            (inner.clone(), of(SETS), inner.clone()).prop_map(|(l, s, r)| format!("({l}) {s} ({r})")),
            (inner.clone(), of(OPERATOR), scalar.clone()).prop_map(|(l, o, r)| format!("({l}) {o} {r}")),
            (scalar, of(OPERATOR), inner.clone()).prop_map(|(l, o, r)| format!("{l} {o} ({r})")),
            (of(OVER_TIME), inner.clone(), of(&["[3m:30s]", "[5m:]", "[2m:45s] offset 1m", "[3m:1m] @ 260"]))
                .prop_map(|(f, v, s)| format!("{f}(({v}){s})")),
            inner.clone().prop_map(|v| format!("label_replace({v}, \"k\", \"$1-x\", \"i\", \"(.*)\")")),
            inner.clone().prop_map(|v| format!("label_join({v}, \"j\", \"-\", \"i\", \"j\")")),
            inner.prop_map(|v| format!("clamp({v}, -1, 3)")),
        ]
    })
}

/// What a vector has at one step, in a form that can be compared.
///
/// With names removed late, series with and without their name that take turns become one, which is named like the first of them: so names
/// are not compared then.
fn at(series: &[StepSeries], step: usize, with_names: bool) -> Vec<(String, String)> {
    let shown = |s: &StepSeries| {
        let value = if s.present[step] {
            let value = s.floats[step];
            Some(if value.is_nan() { "NaN".to_owned() } else { format!("{value:?}") })
        } else {
            // What is known of resets depends on which samples before were read.
            s.histogram(step).map(|h| format!("{:?}", Histogram { reset_hint: ResetHint::default(), ..(**h).clone() }))
        };
        let labels = if with_names { s.labels.clone() } else { s.labels.without_metadata() };
        value.map(|v| (labels.to_string(), v))
    };
    let mut out: Vec<_> = series.iter().filter_map(shown).collect();
    out.sort();
    out
}

fn check(series: Vec<RawSeries>, query: &str, delayed_name_removal: bool) -> Result<(), TestCaseError> {
    let parsed = parse(query, &ParseOptions { experimental: true });
    prop_assert!(parsed.is_ok(), "{}: {:?}", query, parsed);
    let mut memory = InMemory::default();
    memory.load(series).expect("a load");
    let start_ms = 60_000;
    let grid = Grid { start_ms, end_ms: start_ms + (STEPS - 1) * STEP_MS, step_ms: STEP_MS };
    let options = |grid, is_instant| QueryOptions { grid, is_instant, delayed_name_removal, ..QueryOptions::instant(0) };
    let over_steps = memory.query(query, &options(grid, false));
    let mut failed = false;
    for (step, time_ms) in grid.iter().enumerate() {
        let instant = memory.query(query, &options(Grid::instant(time_ms), true));
        failed |= instant.is_err();
        let (Ok(over_steps), Ok(instant)) = (&over_steps, &instant) else { continue };
        let AnswerValue::Matrix(over_steps) = &over_steps.value else { panic!("a matrix") };
        let AnswerValue::Vector(instant) = &instant.value else { panic!("a vector") };
        let at = |series, step| at(series, step, !delayed_name_removal);
        prop_assert_eq!(at(over_steps, step), at(instant, 0), "{} at {} ms", query, time_ms);
    }
    // Series that take turns under one label set are an error of a range query for some functions, though at no time both are there.
    let same_labels = over_steps.as_ref().is_err_and(|e| e.contains("same labelset"));
    prop_assert!(over_steps.is_err() == failed || same_labels, "{}: {:?}, instants failed: {}", query, over_steps, failed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_range_query_is_its_instants(series in series(), query in vector(), delayed in any::<bool>()) {
        check(series, &query, delayed)?;
    }
}
