//! What a query may not do: hold too many samples or places for them, have too many series or steps, or go on when it should stop.

use std::sync::atomic::{AtomicUsize, Ordering};

use promql::eval::{self, EvalError, QueryOptions};
use promql::labels::Labels;
use promql::parse::{NESTING_MAX, ParseOptions, parse};
use promql::testlang::{InMemory, System};
use promql::value::RawSeries;

const SERIES: usize = 50;
/// Each series has a sample a minute, of another value each time.
const SAMPLES: i64 = 60;

fn memory() -> InMemory {
    let mut memory = InMemory::default();
    let series = |number: usize| RawSeries {
        labels: Labels::new([("__name__", "x"), ("i", &number.to_string()), ("half", &(number % 2).to_string())]),
        times_ms: (1..=SAMPLES).map(|minute| minute * 60_000).collect(),
        floats: (1..=SAMPLES).map(|minute| (minute * 1000) as f64 + number as f64).collect(),
        ..RawSeries::default()
    };
    memory.load((0..SERIES).map(series).collect()).expect("a load");
    memory
}

fn run(query: &str, options: &QueryOptions) -> Result<eval::Answer, EvalError> {
    let expr = parse(query, &ParseOptions { experimental: true }).expect("a query");
    eval::interpret(&eval::lower(&expr, options)?, &memory(), &|| Ok(()))
}

/// The least budget with which it runs.
fn needed(query: &str, options: &QueryOptions) -> usize {
    let (mut low, mut high) = (0, 10_000_000);
    while low < high {
        let samples_max = usize::midpoint(low, high);
        match run(query, &QueryOptions { samples_max, ..options.clone() }) {
            Ok(_) => high = samples_max,
            Err(error) => {
                assert_eq!(error, EvalError::TooManySamples, "{query}");
                low = samples_max + 1;
            }
        }
    }
    low
}

#[test]
fn samples_are_counted_where_they_are_held() {
    let steps = QueryOptions::range(60_000, SAMPLES * 60_000, 60_000);
    let all = SERIES * SAMPLES as usize;
    assert_eq!(needed("x", &steps), all);
    assert_eq!(needed("x * 2", &steps), all + SAMPLES as usize);
    // The window of one series is held beside the results.
    let rate = needed("sum_over_time(x[5m])", &steps);
    assert!((all..all + 10).contains(&rate), "{rate}");
    // Input and state are held at a time, and then input and result.
    for aggregation in ["sum", "avg", "min", "count", "stddev"] {
        let needed = needed(&format!("{aggregation} (x)"), &steps);
        assert!((all + 60..=all + 100).contains(&needed), "{aggregation}: {needed}");
    }
    assert!(needed("quantile (0.5, x)", &steps) > all + all / 8);
    let peak = run("x", &steps).expect("an answer").samples_peak;
    assert_eq!(peak, all);
}

#[test]
fn steps_without_samples_take_memory_too() {
    // Of each series 16 samples are seen, at 100,000 steps.
    let sparse = QueryOptions { lookback_ms: 10, ..QueryOptions::range(0, 999_999, 10) };
    let places = 100_000 * 9 / 32;
    for query in ["x{i=\"7\"}", "count_over_time(x{i=\"7\"}[10ms])", "sum by (i) (x{i=\"7\"})"] {
        let needed = needed(query, &sparse);
        assert!((places..=4 * places).contains(&needed), "{query}: {needed}");
    }
    // 16 values, each a series of its own.
    let values = needed("count_values(\"v\", x{i=\"7\"})", &sparse);
    assert!(values >= 17 * places, "{values}");
    let top = needed("topk(1, x)", &QueryOptions { lookback_ms: 10, ..QueryOptions::range(0, 99_999, 10) });
    assert!(top >= SERIES * places / 10, "{top}");
}

#[test]
fn vectors_have_so_many_series_and_subqueries_so_many_steps() {
    let few = QueryOptions { series_max: SERIES - 1, ..QueryOptions::instant(60_000) };
    assert_eq!(run("x", &few), Err(EvalError::TooManySeries(SERIES - 1)));
    assert_eq!(run("sum(rate(x[5m]))", &QueryOptions { series_max: SERIES, ..few.clone() }).map(|_| ()), Ok(()));
    assert!(run("x{i=\"7\"}", &few).is_ok());
    let short = QueryOptions { subquery_steps_max: 100, ..QueryOptions::instant(60_000) };
    assert!(run("max_over_time(x[100s:1s])", &short).is_ok());
    assert!(matches!(run("max_over_time(x[102s:1s])", &short), Err(EvalError::TooManySteps { max: 100, .. })));
}

#[test]
fn queries_as_high_as_they_may_be_fit_a_small_stack() {
    const HEIGHT: usize = NESTING_MAX - 2;
    let cases = [
        (HEIGHT, "label_join(", ", \"k\", \"\", \"i\")"),
        (HEIGHT, "histogram_quantile(0.9, ", ")"),
        (HEIGHT, "abs(", ")"),
        (HEIGHT, "absent(", ")"),
        (HEIGHT, "sum by (i) (", ")"),
        (HEIGHT / 2, "-(", ")"),
        (HEIGHT / 2, "(x + on (i) ", ")"),
        (HEIGHT / 2, "max_over_time(", "[1s:1s])"),
    ];
    let answer = |(times, open, close): (usize, &str, &str)| {
        let query = format!("{}x{}", open.repeat(times), close.repeat(times));
        let steps = QueryOptions::range(60_000, 120_000, 60_000);
        std::thread::scope(|scope| {
            let run = || run(&query, &steps).map(|_| ());
            std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, run).expect("a thread").join().expect("an end")
        })
    };
    for case in cases {
        assert_eq!(answer(case), Ok(()), "{case:?}");
    }
}

#[test]
fn labels_do_not_grow_without_end() {
    let instant = QueryOptions::instant(60_000);
    for (open, close) in
        [("label_join(", ", \"i\", \"\", \"i\", \"i\")"), ("label_replace(", ", \"i\", \"$1$1\", \"i\", \"(.*)\")")]
    {
        let nested = |times: usize| format!("{}x{}", open.repeat(times), close.repeat(times));
        assert!(run(&nested(10), &instant).is_ok());
        let error = run(&nested(60), &instant).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "value of label \"i\" would be longer than 1048576 bytes");
        // Half a megabyte for each of the series.
        let little = QueryOptions { samples_max: 100_000, ..instant.clone() };
        assert_eq!(run(&nested(18), &little), Err(EvalError::TooManySamples));
    }
}

#[test]
fn whoever_says_stop_is_heard() {
    let memory = memory();
    let steps = QueryOptions::range(60_000, SAMPLES * 60_000, 1_000);
    for query in [
        "x",
        "rate(x[5m])",
        "quantile_over_time(0.5, x[1h])",
        "sum by (half) (x)",
        "topk(3, x)",
        "count_values(\"v\", x)",
        "x + on (i) x",
        "x and x",
        "abs(-x)",
        "label_replace(x, \"j\", \"$1\", \"i\", \"(.)\")",
        "histogram_quantile(0.5, label_replace(x, \"le\", \"$1\", \"i\", \"(.)\"))",
        "max_over_time(x[5m:1s])",
        "absent(x)",
    ] {
        let expr = parse(query, &ParseOptions { experimental: true }).expect("a query");
        let plan = eval::lower(&expr, &steps).expect("a plan");
        let asked = AtomicUsize::new(0);
        let count = || {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        eval::interpret(&plan, &memory, &count)
            .map(|_| ())
            .unwrap_or_else(|error| assert!(matches!(error, EvalError::Failed(_))));
        let times = asked.load(Ordering::Relaxed);
        assert!(times >= SERIES, "{query}: asked {times} times");
        // At whichever time it is said.
        for at in [0, 1, times / 2, times - 1] {
            let asked = AtomicUsize::new(0);
            let stop = || if asked.fetch_add(1, Ordering::Relaxed) >= at { Err(EvalError::Canceled) } else { Ok(()) };
            assert_eq!(eval::interpret(&plan, &memory, &stop), Err(EvalError::Canceled), "{query} at {at}");
            assert_eq!(asked.load(Ordering::Relaxed), at + 1, "{query}: nothing is asked after a stop");
        }
    }
}

#[test]
fn one_series_with_long_windows_can_be_stopped() {
    let mut memory = InMemory::default();
    let labels = Labels::new([("__name__", "x")]);
    let count = 100_000;
    let series = RawSeries { labels, times_ms: (1..=count).collect(), floats: vec![1.0; 100_000], ..RawSeries::default() };
    memory.load(vec![series]).expect("a load");
    let expr = parse("first_over_time(x[100s])", &ParseOptions { experimental: true }).expect("a query");
    let plan = eval::lower(&expr, &QueryOptions::range(1, count, 10)).expect("a plan");
    let asked = AtomicUsize::new(0);
    let check = || {
        asked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    eval::interpret(&plan, &memory, &check).expect("an answer");
    assert!(asked.load(Ordering::Relaxed) > 100);
}
