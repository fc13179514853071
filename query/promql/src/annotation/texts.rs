//! Every annotation there is, worded as Prometheus words it.

use super::{Annotation, Detail, Fixed, Severity};
use crate::ast::Span;
use crate::parse::quote;
use crate::print::float;

/// Two histograms are added.
pub const ADDITION: &str = "addition";
/// One histogram is taken from another.
pub const SUBTRACTION: &str = "subtraction";
/// Many histograms are added.
pub const AGGREGATION: &str = "aggregation";

fn warning(span: Span, message: String) -> Annotation {
    Annotation { severity: Severity::Warning, message, span, detail: Detail::None }
}

fn info(span: Span, message: String) -> Annotation {
    Annotation { severity: Severity::Info, message, span, detail: Detail::None }
}

/// `text`, and of which metric it speaks if that is known.
fn of_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {}", quote(metric)) }
}

/// A quantile outside `[0, 1]`.
pub fn invalid_quantile(span: Span, q: f64) -> Annotation {
    warning(span, format!("quantile value should be between 0 and 1, got {}", float(q)))
}

/// A ratio outside `[-1, 1]`, and what it is taken for.
pub fn invalid_ratio(span: Span, ratio: f64, taken: f64) -> Annotation {
    warning(span, format!("ratio value should be between -1 and 1, got {}, capping to {}", float(ratio), float(taken)))
}

/// A bucket of a classic histogram whose `le` is no number.
pub fn bad_bucket_label(span: Span, metric: &str, label: &str) -> Annotation {
    let text = format!("bucket label \"le\" is missing or has a malformed value of {}", quote(label));
    warning(span, of_metric(&text, metric))
}

/// Floats and histograms of one series where only one kind can be.
pub fn mixed_kinds(span: Span, metric: &str) -> Annotation {
    warning(span, format!("encountered a mix of histograms and floats for metric name {}", quote(metric)))
}

/// Floats and histograms in one group.
pub fn mixed_kinds_in_group(span: Span) -> Annotation {
    warning(span, "encountered a mix of histograms and floats for aggregation".to_owned())
}

/// Classic buckets beside a native histogram.
pub fn mixed_classic_native(span: Span, metric: &str) -> Annotation {
    warning(span, of_metric("vector contains a mix of classic and native histograms", metric))
}

/// A gauge where a counter should be.
pub fn not_a_counter(span: Span, metric: &str) -> Annotation {
    warning(span, format!("this native histogram metric is not a counter: {}", quote(metric)))
}

/// A counter where a gauge should be.
pub fn not_a_gauge(span: Span, metric: &str) -> Annotation {
    warning(span, format!("this native histogram metric is not a gauge: {}", quote(metric)))
}

/// Exponential and custom buckets.
pub fn mixed_layouts(span: Span, metric: &str) -> Annotation {
    let text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";
    warning(span, format!("{text} {}", quote(metric)))
}

/// Exponential and custom buckets on the two sides of an operator.
pub fn incompatible_layout(span: Span, operator: &str) -> Annotation {
    warning(span, format!("incompatible bucket layout encountered for binary operator {operator}"))
}

/// `sort` in a range query.
pub fn sort_in_range_query(span: Span) -> Annotation {
    let text = "sort is ineffective for range queries since results are always ordered by labels";
    warning(span, text.to_owned())
}

/// A counter by its use, but not by its name.
pub fn possibly_no_counter(span: Span, metric: &str) -> Annotation {
    let text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
    info(span, format!("{text} {}", quote(metric)))
}

/// A counter by its use, but not by its `__type__`.
pub fn possibly_no_counter_type(span: Span, metric: &str, kind: &str) -> Annotation {
    let text = "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got";
    info(span, format!("{text} {}: {}", quote(kind), quote(metric)))
}

/// Cumulative counts that fell.
pub fn forced_monotonicity(span: Span, metric: &str, fixed: Fixed) -> Annotation {
    let text = "input to histogram_quantile needed to be fixed for monotonicity \
        (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    Annotation { detail: Detail::Fixed(fixed), ..info(span, of_metric(text, metric)) }
}

/// An operator between what it cannot join; `left` and `right` are `float` or `histogram`.
pub fn incompatible_types(span: Span, left: &str, operator: &str, right: &str) -> Annotation {
    let text = "incompatible sample types encountered for binary operator";
    info(span, format!("{text} {}: {left} {operator} {right}", quote(operator)))
}

/// An aggregation that leaves histograms out.
pub fn ignored_in_aggregation(span: Span, aggregation: &str) -> Annotation {
    info(span, format!("ignored histogram in {aggregation} aggregation"))
}

/// A function of a range that leaves histograms out because there are floats.
pub fn ignored_in_range(span: Span, metric: &str) -> Annotation {
    let text = "ignored histograms in a range containing both floats and histograms for metric name";
    info(span, format!("{text} {}", quote(metric)))
}

/// Some observations were NaN, and the quantile lies among them.
pub fn quantile_is_nan(span: Span, metric: &str) -> Annotation {
    info(span, of_metric("input to histogram_quantile has NaN observations, result is NaN", metric))
}

/// Some observations were NaN, and count as the largest ones.
pub fn quantile_is_skewed(span: Span, metric: &str) -> Annotation {
    info(span, of_metric("input to histogram_quantile has NaN observations, result is skewed higher", metric))
}

/// Some observations were NaN, and are in no fraction.
pub fn fraction_without_nan(span: Span, metric: &str) -> Annotation {
    info(span, of_metric("input to histogram_fraction has NaN observations, which are excluded from all fractions", metric))
}

/// One histogram is said to follow a reset, another not to; `operation` is one of the words above.
pub fn reset_collision(span: Span, operation: &str) -> Annotation {
    warning(span, format!("conflicting counter resets during histogram {operation}"))
}

/// Custom bounds differed; `operation` is one of the words above.
pub fn bounds_reconciled(span: Span, operation: &str) -> Annotation {
    info(span, format!("mismatched custom buckets were reconciled during {operation}"))
}

/// A sample that begins before the one before it ends.
pub fn start_overlap(span: Span, metric: &str) -> Annotation {
    let text = "sample has start time that overlaps with previous sample timestamp for metric";
    Annotation { detail: Detail::Occurrences(1), ..warning(span, format!("{text} {}", quote(metric))) }
}
