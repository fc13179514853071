//! What operations and operators are called in the text of a query.

use crate::ast::{BinaryOp, CompareOp, Conversion, LineFilterOp, MatchOp, RangeOp, VectorOp};

/// Operations on windows.
pub(crate) const RANGE_OPS: [(RangeOp, &str); 15] = [
    (RangeOp::CountOverTime, "count_over_time"),
    (RangeOp::Rate, "rate"),
    (RangeOp::RateCounter, "rate_counter"),
    (RangeOp::BytesOverTime, "bytes_over_time"),
    (RangeOp::BytesRate, "bytes_rate"),
    (RangeOp::AvgOverTime, "avg_over_time"),
    (RangeOp::SumOverTime, "sum_over_time"),
    (RangeOp::MinOverTime, "min_over_time"),
    (RangeOp::MaxOverTime, "max_over_time"),
    (RangeOp::StddevOverTime, "stddev_over_time"),
    (RangeOp::StdvarOverTime, "stdvar_over_time"),
    (RangeOp::QuantileOverTime, "quantile_over_time"),
    (RangeOp::FirstOverTime, "first_over_time"),
    (RangeOp::LastOverTime, "last_over_time"),
    (RangeOp::AbsentOverTime, "absent_over_time"),
];

/// Operations on the samples of a step.
pub(crate) const VECTOR_OPS: [(VectorOp, &str); 12] = [
    (VectorOp::Sum, "sum"),
    (VectorOp::Avg, "avg"),
    (VectorOp::Max, "max"),
    (VectorOp::Min, "min"),
    (VectorOp::Count, "count"),
    (VectorOp::Stddev, "stddev"),
    (VectorOp::Stdvar, "stdvar"),
    (VectorOp::Bottomk, "bottomk"),
    (VectorOp::Topk, "topk"),
    (VectorOp::Sort, "sort"),
    (VectorOp::SortDesc, "sort_desc"),
    (VectorOp::ApproxTopk, "approx_topk"),
];

/// Operators between expressions.
pub(crate) const BINARY_OPS: [(BinaryOp, &str); 15] = [
    (BinaryOp::Or, "or"),
    (BinaryOp::And, "and"),
    (BinaryOp::Unless, "unless"),
    (BinaryOp::Add, "+"),
    (BinaryOp::Sub, "-"),
    (BinaryOp::Mul, "*"),
    (BinaryOp::Div, "/"),
    (BinaryOp::Mod, "%"),
    (BinaryOp::Pow, "^"),
    (BinaryOp::Equal, "=="),
    (BinaryOp::NotEqual, "!="),
    (BinaryOp::Greater, ">"),
    (BinaryOp::GreaterEqual, ">="),
    (BinaryOp::Less, "<"),
    (BinaryOp::LessEqual, "<="),
];

/// Conversions of `unwrap` that are named.
pub(crate) const CONVERSIONS: [(Conversion, &str); 3] =
    [(Conversion::Bytes, "bytes"), (Conversion::Duration, "duration"), (Conversion::DurationSeconds, "duration_seconds")];

fn word<T: PartialEq + Copy>(list: &[(T, &'static str)], op: T) -> &'static str {
    list.iter().find(|(o, _)| *o == op).map_or("", |(_, word)| word)
}

pub(crate) fn range_op(op: RangeOp) -> &'static str {
    word(&RANGE_OPS, op)
}

pub(crate) fn vector_op(op: VectorOp) -> &'static str {
    word(&VECTOR_OPS, op)
}

pub(crate) fn binary_op(op: BinaryOp) -> &'static str {
    word(&BINARY_OPS, op)
}

/// Empty for the conversion that is not named.
pub(crate) fn conversion(conversion: Conversion) -> &'static str {
    word(&CONVERSIONS, conversion)
}

pub(crate) fn match_op(op: MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    }
}

pub(crate) fn compare_op(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Equal => "==",
        CompareOp::NotEqual => "!=",
        CompareOp::Greater => ">",
        CompareOp::GreaterEqual => ">=",
        CompareOp::Less => "<",
        CompareOp::LessEqual => "<=",
    }
}

pub(crate) fn line_filter_op(op: LineFilterOp) -> &'static str {
    match op {
        LineFilterOp::Contains => "|=",
        LineFilterOp::NotContains => "!=",
        LineFilterOp::Matches => "|~",
        LineFilterOp::NotMatches => "!~",
        LineFilterOp::Pattern => "|>",
        LineFilterOp::NotPattern => "!>",
    }
}
