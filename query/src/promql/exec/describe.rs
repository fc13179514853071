//! Operators in the words of an execution plan.

use promql::ast::MatchOp;
use promql::eval::operators::Aggregate;
use promql::eval::{Node, Operator, Select};
use promql::parse::{format_duration, quote};
use promql::value::Grid;

/// An operator with what tells it from others of its kind.
pub(super) fn node(node: &Node) -> String {
    let steps = node.grid.len();
    match &node.op {
        Operator::Select(op) => select(op),
        Operator::RangeFunction(op) => {
            let range = format_duration(op.window.range_ms);
            format!("RangeFunction: function={}, range={range}, steps={steps}", op.function.signature().name)
        }
        Operator::InstantSelect(op) => format!("InstantSelect: lookback={}, steps={steps}", format_duration(op.lookback_ms)),
        Operator::Aggregate(op) => aggregate(op, node.grid),
        Operator::Text(_) => "Text".to_owned(),
        other => {
            // The name of the variant is the name of the operator.
            let text = format!("{other:?}");
            let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
            format!("{}: steps={steps}", &text[..end])
        }
    }
}

/// An aggregation.
pub(super) fn aggregate(op: &Aggregate, grid: Grid) -> String {
    let word = if op.without { "without" } else { "by" };
    format!("Aggregate: op={:?}, {word}=[{}], steps={}", op.op, op.grouping.join(", "), grid.len())
}

/// What is read from storage.
pub(super) fn select(select: &Select) -> String {
    let matchers = select.matchers.iter().map(|matcher| {
        let op = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        format!("{}{op}{}", matcher.name, quote(&matcher.value))
    });
    let matchers = matchers.collect::<Vec<_>>().join(", ");
    format!("Select: {{{matchers}}}, time_ms=[{}, {}]", select.from_ms, select.to_ms)
}
