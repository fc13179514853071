//! What is refused of a tree that the grammar allows.

use super::ParseError;
use crate::ast::{Expr, Grouping, MatchOp, Matcher, MetricExpr, RangeAggregation, RangeOp, VectorOp};
use crate::print::words;
use crate::units::parse_float;

/// Refuses matchers that every stream could fulfil by not having their labels: such a query would read everything.
///
/// # Errors
/// When each of them matches the empty text.
pub fn require_non_empty(matchers: &[Matcher]) -> Result<(), ParseError> {
    if matchers.iter().any(wants_something) {
        return Ok(());
    }
    Err(ParseError::of_query(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, \
         app=~\".*\" does not meet this requirement, but app=~\".+\" will",
    ))
}

fn wants_something(matcher: &Matcher) -> bool {
    // the pattern has been compiled before
    let matches = |value: &str| gosyntax::re2::compile_regex(value).is_ok_and(|regex| regex.is_match(""));
    match matcher.op {
        MatchOp::Equal => !matcher.value.is_empty(),
        MatchOp::NotEqual => matcher.value.is_empty(),
        MatchOp::Regex => !matches(&matcher.value),
        MatchOp::NotRegex => matches(&matcher.value),
    }
}

/// [`require_non_empty`] of every selector.
pub(super) fn selectors(expr: &Expr) -> Result<(), ParseError> {
    match expr {
        Expr::Log(log) => require_non_empty(&log.selector.matchers),
        Expr::Metric(metric) => selectors_of(metric),
    }
}

fn selectors_of(expr: &MetricExpr) -> Result<(), ParseError> {
    match expr {
        MetricExpr::RangeAggregation(r) => require_non_empty(&r.range.log.selector.matchers),
        MetricExpr::VectorAggregation(v) => selectors_of(&v.of),
        MetricExpr::Binary(b) => selectors_of(&b.lhs).and_then(|()| selectors_of(&b.rhs)),
        MetricExpr::LabelReplace(l) => selectors_of(&l.of),
        MetricExpr::HistogramQuantile(h) => selectors_of(&h.of),
        MetricExpr::Vector(_) | MetricExpr::Literal(_) => Ok(()),
    }
}

/// k of an aggregation, as it was written; 0 where there is none to have.
pub(super) fn vector_parameter(op: VectorOp, parameter: Option<&str>) -> Result<u64, ParseError> {
    let word = words::vector_op(op);
    match (op, parameter) {
        (VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk, None) => {
            Err(ParseError::of_query(format!("parameter required for operation {word}")))
        }
        (VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk, Some(text)) => match text.parse::<i64>() {
            Err(_) => Err(ParseError::of_query(format!("invalid parameter {word}({text},"))),
            Ok(k) => u64::try_from(k)
                .ok()
                .filter(|k| *k > 0)
                .ok_or_else(|| ParseError::of_query(format!("invalid parameter (must be greater than 0) {word}({text}"))),
        },
        (_, Some(text)) => Err(ParseError::of_query(format!("unsupported parameter for operation {word}({text},"))),
        (_, None) => Ok(0),
    }
}

pub(super) fn vector_grouping(op: VectorOp, grouping: Option<&Grouping>) -> Result<(), ParseError> {
    match (op, grouping) {
        (VectorOp::ApproxTopk, Some(_)) => Err(ParseError::of_query("grouping not allowed for approx_topk aggregation")),
        (VectorOp::Sort | VectorOp::SortDesc, Some(g)) if !g.labels.is_empty() => {
            Err(ParseError::of_query("sort and sort_desc doesn't allow grouping by "))
        }
        _ => Ok(()),
    }
}

/// φ, as it was written.
pub(super) fn range_parameter(op: RangeOp, parameter: Option<&str>) -> Result<Option<f64>, ParseError> {
    let word = words::range_op(op);
    match (op, parameter) {
        (RangeOp::QuantileOverTime, Some(text)) => parse_float(text)
            .map(Some)
            .map_err(|why| ParseError::of_query(format!("invalid parameter for operation {word}: {why}"))),
        (RangeOp::QuantileOverTime, None) => Err(ParseError::of_query(format!("parameter required for operation {word}"))),
        (_, Some(text)) => Err(ParseError::of_query(format!("parameter {text} not supported for operation {word}"))),
        (_, None) => Ok(None),
    }
}

/// Whether operation, grouping and `unwrap` go together.
pub(super) fn range_aggregation(aggregation: &RangeAggregation) -> Result<(), ParseError> {
    use RangeOp::{
        AbsentOverTime, AvgOverTime, BytesOverTime, BytesRate, CountOverTime, FirstOverTime, LastOverTime, MaxOverTime,
        MinOverTime, QuantileOverTime, Rate, StddevOverTime, StdvarOverTime,
    };
    let op = aggregation.op;
    let word = words::range_op(op);
    let grouped = matches!(
        op,
        AvgOverTime
            | StddevOverTime
            | StdvarOverTime
            | QuantileOverTime
            | MaxOverTime
            | MinOverTime
            | FirstOverTime
            | LastOverTime
    );
    if aggregation.grouping.is_some() && !grouped {
        return Err(ParseError::of_query(format!("grouping not allowed for {word} aggregation")));
    }
    let counts_lines = matches!(op, CountOverTime | BytesOverTime | BytesRate);
    let either = matches!(op, Rate | AbsentOverTime);
    match &aggregation.range.unwrap {
        Some(_) if counts_lines => Err(ParseError::of_query(format!("invalid aggregation {word} with unwrap"))),
        None if !counts_lines && !either => Err(ParseError::of_query(format!("invalid aggregation {word} without unwrap"))),
        _ => Ok(()),
    }
}

/// The pattern of `label_replace`, which takes whole values.
pub(super) fn label_replace_pattern(pattern: &str) -> Result<(), ParseError> {
    match gosyntax::re2::compile_search(&format!("^(?:{pattern})$")) {
        Ok(_) => Ok(()),
        Err(why) => Err(ParseError::of_query(format!("invalid regex in label_replace: {why}"))),
    }
}

/// The pattern of `regexp`: its named groups become labels.
pub(super) fn regexp_stage(pattern: &str) -> Result<(), ParseError> {
    let refused = |why: String| ParseError::of_query(format!("invalid regexp parser: {why}"));
    gosyntax::re2::compile_search(pattern).map_err(refused)?;
    let mut names = gosyntax::re2::group_names(pattern).map_err(refused)?;
    if names.is_empty() {
        return Err(refused("at least one named capture must be supplied".to_owned()));
    }
    // Go's names of groups are letters, digits and `_`, so that only a digit in front keeps one from being a label's
    if let Some(name) = names.iter().find(|name| name.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(refused(format!("invalid extracted label name '{name}'")));
    }
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(refused(format!("duplicate extracted label name '{}'", pair[0]))),
        None => Ok(()),
    }
}

/// The text of `pattern`: at least one name, none twice, something between each two captures.
pub(super) fn pattern_stage(pattern: &str) -> Result<(), ParseError> {
    let refused = |why: String| Err(ParseError::of_query(format!("invalid pattern parser: {why}")));
    let mut names = Vec::new();
    let mut behind_capture = None;
    let mut at = 0;
    while let Some(open) = pattern[at..].find('<').map(|open| at + open) {
        let Some(name) = capture_name(&pattern[open..]) else {
            at = open + 1;
            continue;
        };
        if behind_capture == Some(open) {
            return refused(format!("found consecutive capture '<{name}>': invalid expression"));
        }
        at = open + name.len() + 2;
        behind_capture = Some(at);
        if name != "_" {
            names.push(name);
        }
    }
    if names.is_empty() {
        return refused("at least one capture is required".to_owned());
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refused(format!("duplicate capture name ({}): invalid expression", pair[0])),
        None => Ok(()),
    }
}

/// The name in the `<name>` at the start of `text`.
fn capture_name(text: &str) -> Option<&str> {
    let name = text[1..].split_once('>')?.0;
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}
