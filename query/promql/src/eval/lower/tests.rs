use super::*;
use crate::eval::operators::{InstantSelect, RangeFunction};
use crate::parse::{ParseOptions, parse};

fn plan(query: &str, options: &QueryOptions) -> Result<Plan, EvalError> {
    lower(&parse(query, &ParseOptions { experimental: true }).expect("a query"), options)
}

/// A node on a line: operator, what matters of it, its steps in seconds; inputs indented.
fn shown(node: &Node, depth: usize, out: &mut String) {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let what = match &node.op {
        Operator::Select(s) => format!("Select [{}, {}]", seconds(s.from_ms), seconds(s.to_ms)),
        Operator::InstantSelect(InstantSelect { time, what, .. }) => format!("InstantSelect {what:?} {time:?}"),
        Operator::RangeFunction(RangeFunction { function, window, .. }) => {
            format!("RangeFunction {function:?} {}", seconds(window.range_ms))
        }
        Operator::Subquery(s) => format!("Subquery {} steps from {}", s.grid.len(), seconds(s.grid.start_ms)),
        Operator::Scalar(s) => format!("Scalar {s:?}"),
        op => format!("{op:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    };
    out.push_str(&format!("{}{what} x{}\n", "  ".repeat(depth), node.grid.len()));
    node.inputs.iter().for_each(|input| shown(input, depth + 1, out));
}

#[track_caller]
fn check(query: &str, options: &QueryOptions, expected: &str) {
    let mut out = String::new();
    shown(&plan(query, options).expect("a plan").root, 0, &mut out);
    let lines: Vec<&str> =
        expected.lines().map(|l| l.strip_prefix("        ").unwrap_or(l)).filter(|l| !l.trim().is_empty()).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), lines, "{query}\n{out}");
}

fn minutes(steps: i64) -> QueryOptions {
    QueryOptions { delayed_name_removal: true, ..QueryOptions::range(0, (steps - 1) * 60_000, 60_000) }
}

#[test]
fn what_is_the_same_at_each_step_is_evaluated_once() {
    check(
        "x @ 600 + rate(y[2m] offset 1m)",
        &minutes(3),
        "
        DropNames x3
          VectorBinary x3
            Repeat x3
              InstantSelect Value Reference { at_ms: Some(600000), offset_ms: 0 } x1
                Select [300.001, 600] x1
            RangeFunction Rate 120 x3
              Select [-179.999, 60] x3",
    );
    check(
        "timestamp(x @ 60)",
        &minutes(3),
        "
        DropNames x3
          Repeat x3
            InstantSelect Time Reference { at_ms: Some(60000), offset_ms: 0 } x1
              Select [-239.999, 60] x1",
    );
    // The time of the step is another one each time.
    check(
        "timestamp(-x @ 60)",
        &minutes(2),
        "
        DropNames x2
          Map x2
            Repeat x2
              Map x1
                InstantSelect Value Reference { at_ms: Some(60000), offset_ms: 0 } x1
                  Select [-239.999, 60] x1",
    );
    check(
        "vector(1) + time()",
        &minutes(2),
        "
        DropNames x2
          VectorScalar x2
            Repeat x2
              Scalar Constant(1.0) x1
            Scalar Time x2",
    );
}

#[test]
fn subqueries_have_steps_of_their_own() {
    check(
        "max_over_time(x[3m:] offset 30s)",
        &minutes(3),
        "
        DropNames x3
          RangeFunction MaxOverTime 180 x3
            Subquery 5 steps from -180 x3
              InstantSelect Value Reference { at_ms: None, offset_ms: 0 } x5
                Select [-479.999, 60] x5",
    );
    // Multiples of the step, later than the left edge.
    check(
        "sum_over_time(x[50s:20s])",
        &QueryOptions::instant(100_000),
        "
        Unite x1
          RangeFunction SumOverTime 50 x1
            Subquery 3 steps from 60 x1
              InstantSelect Value Reference { at_ms: None, offset_ms: 0 } x3
                Select [-239.999, 100] x3",
    );
    let steps = QueryOptions { subquery_steps_max: 100, ..QueryOptions::instant(0) };
    assert_eq!(plan("max_over_time(x[101m:1m])", &steps).unwrap_err().to_string(), "subquery would have 101 steps, limit is 100");
    assert!(plan("max_over_time(x[100m:1m])", &steps).is_ok());
}

#[test]
fn durations_may_depend_on_the_query() {
    let selected = |query: &str, options: &QueryOptions| {
        let mut out = String::new();
        shown(&plan(query, options).expect("a plan").root, 0, &mut out);
        out.lines().find_map(|l| l.trim().strip_prefix("Select ").map(str::to_owned)).expect("a selector")
    };
    assert_eq!(selected("x offset step()", &minutes(3)), "[-359.999, 60] x3");
    assert_eq!(selected("rate(x[range() * 2])", &minutes(3)), "[-239.999, 120] x3");
    assert_eq!(selected("x offset (step() + 1)", &QueryOptions::instant(0)), "[-300.999, -1] x1");
    assert_eq!(selected("rate(x[1m] anchored)", &minutes(1)), "[-359.999, 0] x1");
    assert_eq!(selected("rate(x[1m] smoothed)", &minutes(1)), "[-359.999, 300] x1");
    for (query, error) in [
        ("rate(x[step()])", "7:13: duration must be greater than 0"),
        ("rate(x[5m / step()])", "7:18: division by zero"),
        ("x offset (5m % step())", "10:21: modulo by zero"),
        ("x offset (2 ^ 9000)", "10:18: duration is out of range"),
    ] {
        assert_eq!(plan(query, &QueryOptions::instant(0)).unwrap_err().to_string(), error, "{query}");
    }
}

#[test]
fn range_queries_have_vectors_and_scalars() {
    let error = |query: &str| plan(query, &minutes(2)).unwrap_err().to_string();
    assert_eq!(error("x[5m]"), "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector");
    assert_eq!(error("\"x\""), "invalid expression type \"string\" for range query, must be Scalar or instant Vector");
    assert!(plan("x[5m]", &QueryOptions::instant(0)).is_ok());
}

#[test]
fn extensions_make_sense_for_some_functions_only() {
    let error = |query: &str| plan(query, &QueryOptions::instant(0)).unwrap_err().to_string();
    assert_eq!(error("deriv(x[1m] smoothed)"), "smoothed modifier can only be used with: delta, increase, rate - not with deriv");
}
