//! One `eval` and its re-runs: with every selector fixed to the time of evaluation, which must give the same at any time, and as a range
//! around that time, whose middle must be the same.

use super::compare::{check_annotations, check_value, matches};
use super::script::{Eval, Expectations, When};
use super::series::{Item, SeriesLine};
use super::{Reply, ReplyValue, System};
use crate::ast::{At, DurationExpr, DurationExprKind, DurationValue, Expr, ExprKind, Function};
use crate::parse::{ParseOptions, parse};
use crate::value::RawSeries;

const MINUTE_MS: i64 = 60_000;

/// Runs an `eval` in all its ways.
///
/// # Errors
/// With what is wrong.
pub(super) fn judge(eval: &Eval, system: &mut dyn System) -> Result<(), String> {
    let run = |system: &mut dyn System, query: &str, when: When| match when {
        When::Instant(at) => system.instant(query, at),
        When::Range(start, end, step) => system.range(query, start, end, step),
    };
    let reply = run(system, &eval.query, eval.when);
    check(eval, &reply)?;
    let When::Instant(at_ms) = eval.when else { return Ok(()) };
    for (query, time) in fixed(&eval.query, at_ms)? {
        check(eval, &run(system, &query, When::Instant(time))).map_err(|e| format!("as {query} at {time} ms: {e}"))?;
    }
    if eval.expected.fail.is_none() {
        as_range(eval, at_ms, system)?;
    }
    Ok(())
}

fn check(eval: &Eval, reply: &Result<Reply, String>) -> Result<(), String> {
    match (reply, &eval.expected.fail) {
        (Err(text), Some(wanted)) if matches(wanted, text) => Ok(()),
        (Err(text), Some(wanted)) => Err(format!("failed with {text:?}, expected {wanted:?}")),
        (Err(text), None) => Err(format!("failed: {text}")),
        (Ok(reply), Some(_)) => Err(format!("did not fail: {:?}", reply.value)),
        (Ok(reply), None) => {
            check_annotations(&eval.expected, reply)?;
            check_value(&eval.expected, eval.when, &reply.value)
        }
    }
}

/// The query with every selector fixed to `at_ms`, and the times at which it must be the same. Nothing when it depends on the time anyway.
fn fixed(query: &str, at_ms: i64) -> Result<Vec<(String, i64)>, String> {
    let mut expr = parse(query, &ParseOptions { experimental: true }).map_err(|e| e.to_string())?;
    if depends_on_time(&expr) {
        return Ok(Vec::new());
    }
    fix(&mut expr, at_ms);
    let times = if at_ms == 0 { vec![-1000, 0, 1000] } else { vec![-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms] };
    let text = expr.to_string();
    Ok(times.into_iter().map(|time| (text.clone(), time)).collect())
}

/// Fixes selectors and outermost subqueries. What lies in a subquery that is fixed moves with its steps.
fn fix(expr: &mut Expr, at_ms: i64) {
    let set = |at: &mut Option<At>| {
        if !matches!(at, Some(At::Time(_))) {
            *at = Some(At::Time(at_ms));
        }
    };
    match &mut expr.kind {
        ExprKind::Vector(selector) => set(&mut selector.at),
        ExprKind::Subquery(subquery) => set(&mut subquery.at),
        // Its second argument is no selector of samples.
        ExprKind::Call(call) if call.function == Function::Info => call.args.iter_mut().take(1).for_each(|a| fix(a, at_ms)),
        _ => expr.children_mut().for_each(|child| fix(child, at_ms)),
    }
}

fn calls(expr: &Expr, wanted: &[Function]) -> bool {
    let mut found = false;
    expr.visit(&mut |e| found |= matches!(&e.kind, ExprKind::Call(call) if wanted.contains(&call.function)));
    found
}

/// Functions of the query's own times.
const OF_QUERY: [Function; 4] = [Function::Start, Function::End, Function::Range, Function::Step];

/// Whether a call or a duration speaks of the query's own times.
fn speaks_of_query(expr: &Expr) -> bool {
    let mut found = calls(expr, &OF_QUERY);
    expr.visit(&mut |e| {
        found |= match &e.kind {
            ExprKind::Vector(selector) => computed(&selector.offset),
            ExprKind::Matrix(matrix) => computed(&matrix.range),
            ExprKind::Subquery(subquery) => {
                computed(&subquery.range) || computed(&subquery.offset) || subquery.step.as_ref().is_some_and(computed)
            }
            _ => false,
        }
    });
    found
}

fn computed(duration: &DurationValue) -> bool {
    fn of_query(duration: &DurationExpr) -> bool {
        match &duration.kind {
            DurationExprKind::Step | DurationExprKind::Range => true,
            DurationExprKind::Number(_) => false,
            DurationExprKind::Sign(_, inner) => of_query(inner),
            DurationExprKind::Min(a, b) | DurationExprKind::Max(a, b) | DurationExprKind::Binary(_, a, b) => {
                of_query(a) || of_query(b)
            }
        }
    }
    matches!(duration, DurationValue::Computed(expr) if of_query(expr))
}

fn depends_on_time(expr: &Expr) -> bool {
    const OF_TIME: [Function; 11] = [
        Function::Time,
        Function::Timestamp,
        Function::PredictLinear,
        Function::DayOfMonth,
        Function::DayOfWeek,
        Function::DayOfYear,
        Function::DaysInMonth,
        Function::Hour,
        Function::Minute,
        Function::Month,
        Function::Year,
    ];
    calls(expr, &OF_TIME) || calls(expr, &OF_QUERY)
}

/// The same query over three steps: the middle one is the instant.
fn as_range(eval: &Eval, at_ms: i64, system: &mut dyn System) -> Result<(), String> {
    let Expectations { range_vector, string, ordered, scalar, series, .. } = &eval.expected;
    let expr = parse(&eval.query, &ParseOptions { experimental: true }).map_err(|e| e.to_string())?;
    if range_vector.is_some() || string.is_some() || speaks_of_query(&expr) {
        return Ok(());
    }
    let (start, end) = (at_ms - MINUTE_MS, at_ms + MINUTE_MS);
    let here = |e: String| format!("as a range around {at_ms} ms: {e}");
    let reply = system.range(&eval.query, start, end, MINUTE_MS).map_err(|e| here(format!("failed: {e}")))?;
    let ReplyValue::Matrix(found) = reply.value else { return Err(here(format!("a result of another type: {:?}", reply.value))) };
    if *ordered {
        let sorted = found.is_sorted_by(|a, b| a.labels < b.labels);
        return if sorted { Ok(()) } else { Err(here("not sorted by labels".into())) };
    }
    let middle: Vec<RawSeries> =
        found.into_iter().map(|s| at(s, at_ms)).filter(|s| s.floats.len() + s.histograms.len() > 0).collect();
    let lines = match scalar {
        Some(value) => vec![SeriesLine { labels: crate::labels::Labels::default(), items: vec![Item::Float(*value)] }],
        None => series.clone(),
    };
    let expected = Expectations { series: lines, ..Expectations::default() };
    check_value(&expected, When::Range(at_ms, at_ms, MINUTE_MS), &ReplyValue::Matrix(middle)).map_err(here)
}

/// What a series has at one time.
fn at(mut series: RawSeries, time_ms: i64) -> RawSeries {
    let place = series.times_ms.iter().position(|t| *t == time_ms);
    series.times_ms = place.map(|_| time_ms).into_iter().collect();
    series.floats = place.map(|at| series.floats[at]).into_iter().collect();
    series.starts_ms.clear();
    series.histograms.retain(|h| h.time_ms == time_ms);
    series
}
