//! Whole metric queries over a few lines of our own.

use logql::interpret::{StoredLine, Stream, interpret};
use logql::metric::{Limits, StepGrid, Value};
use logql::parse::parse_sample;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000_000;

fn stream(app: &str, lines: &[(i64, &str)]) -> Stream {
    let line = |(at_s, text): &(i64, &str)| StoredLine {
        time_ns: at_s * SECOND,
        text: (*text).to_owned(),
        metadata: vec![("trace".to_owned(), format!("t{at_s}"))],
    };
    Stream { labels: vec![("app".to_owned(), app.to_owned())], lines: lines.iter().map(line).collect() }
}

/// Ten lines of two streams, one of them broken.
fn streams() -> Vec<Stream> {
    vec![
        stream(
            "shop",
            &[
                (10, "level=info took=20ms size=1KiB user=ann"),
                (20, "level=warn took=1.5s size=2KiB user=bob"),
                (40, "level=info took=30ms size=3KiB user=ann"),
                (60, "level=error took=oops size=4KiB user=cid"),
                (90, "level=info took=10ms size=5KiB user=bob"),
            ],
        ),
        stream(
            "auth",
            &[(15, "level=info user=ann"), (30, "level=info user=ann"), (45, "level=warn user=dan"), (60, ""), (75, "x")],
        ),
    ]
}

/// The labels of a series, and its value at each step.
type Row = (String, Vec<Option<f64>>);

fn rows(query: &str, grid: StepGrid, instant: bool) -> Result<Vec<Row>, String> {
    let expr = parse_sample(query).map_err(|e| e.to_string())?;
    let limits = Limits { instant, series_max: 100 };
    let answer = interpret(&expr, &streams(), grid, limits, 0).map_err(|e| e.to_string())?;
    Ok(match answer.value {
        Value::Scalar(value) => vec![(String::new(), vec![Some(value)])],
        Value::Vector(samples) => samples.iter().map(|(labels, value)| (labels.to_string(), vec![Some(*value)])).collect(),
        Value::Matrix(series) => {
            let values = |s: &logql::metric::StepSeries| (0..grid.len()).map(|at| s.steps.get(at)).collect();
            series.iter().map(|s| (s.labels.to_string(), values(s))).collect()
        }
    })
}

/// The answer at `at_s` seconds, one sample per line.
fn at(query: &str, at_s: i64) -> String {
    match rows(query, StepGrid::instant(at_s * SECOND), true) {
        Ok(rows) => rows.iter().map(|(labels, values)| format!("{labels} {}\n", values[0].unwrap_or(f64::NAN))).collect(),
        Err(error) => error,
    }
}

#[test]
fn lines_are_counted_under_their_labels() {
    assert_eq!(at(r#"count_over_time({app="shop"} | drop trace [1m])"#, 60), "{app=\"shop\"} 4\n");
    assert_eq!(at(r#"count_over_time({app="shop"} | drop trace [1m] offset 30s)"#, 60), "{app=\"shop\"} 2\n");
    assert_eq!(at(r#"sum by (app) (count_over_time({app=~".+"}[50s]))"#, 60), "{app=\"auth\"} 4\n{app=\"shop\"} 3\n");
    assert_eq!(at(r#"sum(bytes_over_time({app="auth"}[1m]))"#, 60), "{} 57\n");
    assert_eq!(
        at(r#"sum by (user) (rate({app="shop"} | logfmt [100s]))"#, 90),
        "{user=\"ann\"} 0.02\n{user=\"bob\"} 0.02\n{user=\"cid\"} 0.01\n"
    );
    assert_eq!(at(r#"topk(1, sum by (level) (count_over_time({app=~".+"} | logfmt [2m])))"#, 90), "{level=\"info\"} 5\n");
}

#[test]
fn values_are_unwrapped_and_their_label_goes() {
    assert_eq!(at(r#"max_over_time({app="shop"} | logfmt | unwrap bytes(size) [2m]) by (app)"#, 90), "{app=\"shop\"} 5120\n");
    let kept = at(r#"sum_over_time({app="shop"} | logfmt | keep app, size | unwrap bytes(size) [2m])"#, 90);
    assert_eq!(kept, "{app=\"shop\"} 15360\n");
    let quick = r#"sum(sum_over_time({app="shop"} | logfmt | unwrap duration(took) | __error__="" [2m]))"#;
    assert_eq!(at(quick, 90), "{} 1.56\n");
    assert_eq!(
        at(r#"last_over_time({app="shop"} | logfmt | unwrap bytes(size) | level="info" [2m]) by (user)"#, 90),
        "{user=\"ann\"} 3072\n{user=\"bob\"} 5120\n"
    );
}

/// A sum asks for no label, so that of the line only the label that is unwrapped is there.
#[test]
fn errors_of_lines_end_the_query() {
    let error = at(r#"sum(sum_over_time({app="shop"} | logfmt | drop trace | unwrap duration(took) [2m]))"#, 90);
    assert!(
        error.starts_with(
            "pipeline error: 'SampleExtractionErr' for series: '{__error__=\"SampleExtractionErr\", \
             __error_details__=\"time: invalid duration \\\"oops\\\"\", app=\"shop\", took=\"oops\"}'.\n"
        ),
        "{error}"
    );
    let stage = at(r#"count_over_time({app="shop"} | json | line_format "{{" [1m])"#, 60);
    assert!(stage.starts_with("parse error : stage '| line_format \"{{\"' : invalid line template"), "{stage}");
}

const QUERIES: [&str; 10] = [
    r#"sum by (app) (count_over_time({app=~".+"}[40s]))"#,
    r#"rate({app="shop"} | logfmt | keep app, user [25s] offset 10s)"#,
    r#"quantile_over_time(0.5, {app="shop"} | logfmt | unwrap bytes(size) [1m]) by (app)"#,
    r#"rate_counter({app="shop"} | logfmt | drop user, level, took, trace | unwrap bytes(size) [1m])"#,
    r#"absent_over_time({app="auth"}[7s])"#,
    r#"avg_over_time({app="shop"} | logfmt | unwrap bytes(size) [35s]) by (level) > 2000"#,
    r#"topk(1, sum by (user) (count_over_time({app=~".+"} | logfmt [30s])))"#,
    r#"sum(count_over_time({app="shop"}[30s])) / sum(count_over_time({app="auth"}[30s]))"#,
    r#"stddev_over_time({app="shop"} | logfmt | unwrap bytes(size) [1m]) by () or vector(3)"#,
    r#"sum by (app) (count_over_time({app="auth"}[1m])) unless sum by (app) (count_over_time({app="auth"} | user="x" [1m]))"#,
];

proptest! {
    /// A step is the same whatever other steps there are.
    #[test]
    fn a_range_is_many_instants(query in prop::sample::select(&QUERIES[..]), start in 0..60_i64, steps in 0..12_i64, step in 1..30_i64) {
        let grid = StepGrid { start_ns: start * SECOND, end_ns: (start + steps * step) * SECOND, step_ns: step * SECOND };
        let range = rows(query, grid, false).unwrap();
        for at in 0..grid.len() {
            let instant = rows(query, StepGrid::instant(grid.time_ns(at)), true).unwrap();
            let seen: Vec<_> = range.iter().filter_map(|(labels, values)| Some((labels.clone(), values[at]?))).collect();
            prop_assert_eq!(instant.len(), seen.len());
            for ((labels, value), expected) in seen.iter().zip(&instant) {
                prop_assert_eq!(labels, &expected.0);
                let other = expected.1[0].unwrap();
                prop_assert!((value - other).abs() <= 1e-9 * other.abs(), "{} {}", value, other);
            }
        }
    }
}
