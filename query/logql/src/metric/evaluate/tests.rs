//! Operators over series that are written down: `a=1 b=2: 5 _ 7`.

use super::{Limits, Value, evaluate};
use crate::metric::{Labels, Plan, StepGrid, StepSeries, Steps};
use crate::parse::parse_sample;

const STEPS: usize = 3;

fn series(text: &str) -> StepSeries {
    let (labels, values) = text.split_once(':').expect("labels: values");
    let labels: Labels = labels.split_whitespace().filter_map(|l| l.split_once('=')).collect();
    let mut steps = Steps::none(STEPS);
    for (at, value) in values.split_whitespace().enumerate() {
        if value != "_" {
            steps.set(at, value.parse().expect("a number"));
        }
    }
    StepSeries { labels, steps }
}

fn run(query: &str, leaves: &[&[&str]], instant: bool) -> Result<(String, Vec<String>), String> {
    let plan = Plan::of(&parse_sample(query).expect("a query"));
    let leaves: Vec<Vec<StepSeries>> = leaves.iter().map(|leaf| leaf.iter().map(|text| series(text)).collect()).collect();
    let grid = StepGrid { start_ns: 0, end_ns: 20, step_ns: 10 };
    let answer = evaluate(&plan, &leaves, grid, Limits { instant, series_max: 5 }).map_err(|e| e.to_string())?;
    let text = match answer.value {
        Value::Scalar(value) => value.to_string(),
        Value::Vector(samples) => samples.iter().map(|(labels, value)| format!("{labels} {value}; ")).collect(),
        Value::Matrix(series) => {
            let values = |s: &StepSeries| {
                (0..STEPS).map(|at| s.steps.get(at).map_or(" _".into(), |v| format!(" {v}"))).collect::<String>()
            };
            series.iter().map(|s| format!("{}{}; ", s.labels, values(s))).collect()
        }
    };
    Ok((text, answer.warnings))
}

#[track_caller]
fn check(query: &str, leaves: &[&[&str]], expected: &str) {
    assert_eq!(run(query, leaves, false).map(|(text, _)| text).as_deref(), Ok(expected), "{query}");
}

#[track_caller]
fn refused(query: &str, leaves: &[&[&str]], expected: &str) {
    let error = run(query, leaves, false).expect_err(query);
    assert!(error.starts_with(expected), "{query}: {error}");
}

const L: &str = r#"max_over_time({a="b"} | unwrap x [1m])"#;
const R: &str = r#"min_over_time({a="b"} | unwrap x [1m])"#;

#[test]
fn groups_become_series() {
    let leaf: &[&[&str]] = &[&["a=1 b=x: 1 2 _", "a=1 b=y: 3 _ _", "a=2: 5 6 NaN"]];
    check(&format!("sum by (a) ({L})"), leaf, "{a=\"1\"} 4 2 _; {a=\"2\"} 5 6 NaN; ");
    check(&format!("avg({L})"), leaf, "{} 3 4 NaN; ");
    check(&format!("count({L}) without (a)"), leaf, "{} 1 1 1; {b=\"x\"} 1 1 _; {b=\"y\"} 1 _ _; ");
    check(&format!("max({L})"), leaf, "{} 5 6 NaN; ");
    check(&format!("stdvar by (a) ({L})"), leaf, "{a=\"1\"} 1 0 _; {a=\"2\"} 0 0 0; ");
    check(&format!("topk(1, {L})"), leaf, "{a=\"2\"} 5 6 NaN; ");
    check(&format!("bottomk by (a) (1, {L})"), leaf, "{a=\"1\", b=\"x\"} 1 2 _; {a=\"2\"} 5 6 NaN; ");
    let (sorted, _) = run(&format!("sort_desc({L})"), leaf, true).unwrap();
    assert_eq!(sorted, "{a=\"2\"} 5; {a=\"1\", b=\"y\"} 3; {a=\"1\", b=\"x\"} 1; ");
}

#[test]
fn numbers_and_series() {
    let leaf: &[&[&str]] = &[&["a=1: 1 2 0"]];
    check(&format!("1 / {L}"), leaf, "{a=\"1\"} 1 0.5 NaN; ");
    check(&format!("{L} % 0"), leaf, "{a=\"1\"} NaN NaN NaN; ");
    check(&format!("1 < {L}"), leaf, "{a=\"1\"} _ 2 _; ");
    check(&format!("1 < bool {L}"), leaf, "{a=\"1\"} 0 1 0; ");
    check("1 + 1", &[], "{} 2 2 2; ");
    check("vector(3) + 1", &[], "{} 4 4 4; ");
    assert_eq!(run("1 + 1", &[], true).unwrap().0, "2");
    assert_eq!(run("vector(1) - 2", &[], true).unwrap().0, "{} -1; ");
}

#[test]
fn series_find_each_other() {
    let leaves: &[&[&str]] = &[&["a=1 b=x: 1 2 3", "a=2 b=y: 4 5 6"], &["a=1 c=z: 10 20 _"]];
    check(&format!("{L} + on (a) {R}"), leaves, "{a=\"1\"} 11 22 _; ");
    check(&format!("{L} + ignoring (b, c) group_left (c) {R}"), leaves, "{a=\"1\", b=\"x\", c=\"z\"} 11 22 _; ");
    check(&format!("{R} > on (a) group_right {L}"), &[leaves[1], leaves[0]], "{a=\"1\", b=\"x\"} 10 20 _; ");
    check(&format!("{L} and on (a) {R}"), leaves, "{a=\"1\", b=\"x\"} 1 2 _; ");
    check(&format!("{L} unless on (a) {R}"), leaves, "{a=\"1\", b=\"x\"} _ _ 3; {a=\"2\", b=\"y\"} 4 5 6; ");
    check(
        &format!("{R} or on (a) {L}"),
        &[leaves[1], leaves[0]],
        "{a=\"1\", b=\"x\"} _ _ 3; {a=\"1\", c=\"z\"} 10 20 _; {a=\"2\", b=\"y\"} 4 5 6; ",
    );
    check(&format!("{L} - {L}"), leaves, "{a=\"1\", b=\"x\"} 0 0 0; {a=\"2\", b=\"y\"} 0 0 0; ");
    refused(&format!("{L} + on () {R}"), leaves, "multiple matches for labels: many-to-one");
    refused(&format!("{R} + on () {L}"), &[leaves[1], leaves[0]], "found duplicate series on the right hand-side");
    refused(&format!("{L} + on () group_right {R}"), leaves, "found duplicate series on the left hand-side");
    let same: &[&[&str]] = &[&["a=1 b=x: 1", "a=1 b=y: 2"], &["a=1 b=z: 3"]];
    refused(&format!("{L} + on (a) group_left (b) {R}"), same, "multiple matches for labels: grouping labels");
    // never at the same step: nobody minds
    let apart: &[&[&str]] = &[&["a=1 b=x: 1 _ _", "a=1 b=y: _ 2 _"], &["a=1 b=z: 3 3 3"]];
    check(&format!("{L} + on (a) {R}"), apart, "{a=\"1\"} 4 5 _; ");
}

#[test]
fn labels_are_replaced() {
    let leaf: &[&[&str]] = &[&["a=foo-bar: 1"]];
    let replace =
        |replacement: &str, pattern: &str| format!("label_replace({L}, \"n\", \"{replacement}\", \"a\", \"{pattern}\")");
    check(&replace("$2-${x}", "(?P<x>.*)-(.*)"), leaf, "{a=\"foo-bar\", n=\"bar-foo\"} 1 _ _; ");
    check(&replace("$1", "foo"), leaf, "{a=\"foo-bar\"} 1 _ _; ");
    check(&format!("label_replace({L}, \"a\", \"\", \"a\", \".*\")"), leaf, "{} 1 _ _; ");
}

#[test]
fn histograms_have_quantiles_and_a_warning() {
    let leaf: &[&[&str]] = &[&["a=1 le=1: 2 0", "a=1 le=2: 4 0", "a=1 le=+Inf: 4 0", "a=1 le=x: 4"]];
    let (text, warnings) = run(&format!("histogram_quantile(0.75, {L})"), leaf, false).unwrap();
    assert_eq!(text, "{a=\"1\"} 1.5 NaN _; ");
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("extension"));
}

#[test]
fn errors_of_lines_and_limits() {
    let failed: &[&[&str]] = &[&["__error__=JSONParserErr a=1: 1"]];
    refused(
        L,
        failed,
        "pipeline error: 'JSONParserErr' for series: '{__error__=\"JSONParserErr\", a=\"1\"}'.\nUse a label filter",
    );
    check(L, &[&["__error__=E __preserve_error__=true: 1"]], "{__error__=\"E\", __preserve_error__=\"true\"} 1 _ _; ");
    let many = ["a=1: 1", "a=2: 1", "a=3: 1", "a=4: 1", "a=5: 1", "a=6: 1"];
    refused(L, &[&many], "maximum number of series (5) reached for a single query");
}

#[test]
fn equal_leaves_are_read_once_and_sums_push_their_grouping_down() {
    let plan = |query: &str| Plan::of(&parse_sample(query).unwrap());
    assert_eq!(plan(&format!("{L} / {L} + {R}")).leaves().len(), 2);
    let pushed = plan(r#"sum by (x) (rate({a="b"}[1m])) / sum(rate({a="b"}[1m]))"#);
    let groupings: Vec<_> = pushed.leaves().iter().map(|l| l.grouping.clone().unwrap().labels).collect();
    assert_eq!(groupings, [vec!["x".to_owned()], vec![]]);
    assert_eq!(plan(&format!("sum by (x) ({L})")).leaves()[0].grouping, None);
}

#[test]
fn the_highest_tree_is_evaluated() {
    let operators = crate::parse::HEIGHT_MAX - 1;
    let sum = format!("vector(1){}", "+vector(1)".repeat(operators));
    check(&sum, &[], &format!("{{}} {0} {0} {0}; ", operators + 1));
}
