//! Whether a reply is what an `eval` expects.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::script::{Expectations, TextMatch, When, raw};
use super::series::{Item, SeriesLine};
use super::{Reply, ReplySample, ReplyValue};
use crate::histogram::{BucketSpan, Histogram};
use crate::labels::Labels;
use crate::value::{RawSeries, is_stale};

/// Relative difference of two numbers that still count as equal.
const EPSILON: f64 = 1e-6;

/// Whether two numbers count as equal.
pub(super) fn floats_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// The filled buckets of one side by their index.
pub(super) fn filled(spans: &[BucketSpan], counts: &[f64]) -> BTreeMap<i32, f64> {
    let mut filled = BTreeMap::new();
    let mut index = 0;
    let mut counts = counts.iter();
    for span in spans {
        index += span.offset;
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                filled.insert(index, *count);
            }
            index += 1;
        }
    }
    filled
}

/// Whether two histograms count as equal; their hints only when the expected literal writes one.
fn histograms_equal(expected: &Histogram, hint_written: bool, actual: &Histogram) -> bool {
    let sides = |h: &Histogram| [filled(&h.positive_spans, &h.positive_counts), filled(&h.negative_spans, &h.negative_counts)];
    let same_buckets = sides(expected)
        .iter()
        .zip(&sides(actual))
        .all(|(e, a)| e.len() == a.len() && e.iter().zip(a).all(|((ei, ec), (ai, ac))| ei == ai && floats_equal(*ec, *ac)));
    same_buckets
        && expected.schema == actual.schema
        && expected.custom_bounds == actual.custom_bounds
        && expected.zero_threshold == actual.zero_threshold
        && floats_equal(expected.count, actual.count)
        && floats_equal(expected.sum, actual.sum)
        && floats_equal(expected.zero_count, actual.zero_count)
        && (!hint_written || expected.reset_hint == actual.reset_hint)
}

/// Checks a query that must succeed.
///
/// # Errors
/// With what differs.
pub(super) fn check_value(expected: &Expectations, when: When, value: &ReplyValue) -> Result<(), String> {
    if let Some(text) = &expected.string {
        return if *value == ReplyValue::String(text.clone()) {
            Ok(())
        } else {
            Err(format!("expected the string {text:?}, got {value:?}"))
        };
    }
    if let Some(number) = expected.scalar {
        return match value {
            ReplyValue::Scalar(actual) if floats_equal(number, *actual) => Ok(()),
            other => Err(format!("expected the scalar {number}, got {other:?}")),
        };
    }
    match (expected.range_vector, when, value) {
        (Some((from, to, step)), _, ReplyValue::Matrix(series)) => check_matrix(expected, from, to, step, series),
        (None, When::Range(from, to, step), ReplyValue::Matrix(series)) => check_matrix(expected, from, to, step, series),
        (None, When::Instant(_), ReplyValue::Vector(samples)) => check_vector(expected, samples),
        (.., other) => Err(format!("a result of another type: {other:?}")),
    }
}

fn check_vector(expected: &Expectations, samples: &[(Labels, ReplySample)]) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (at, (labels, sample)) in samples.iter().enumerate() {
        if !seen.insert(labels) {
            return Err(format!("{labels} is there twice"));
        }
        let position = expected.series.iter().position(|line| line.labels == *labels);
        let position = position.ok_or_else(|| format!("unexpected {labels} {sample:?}"))?;
        if expected.ordered && position != at {
            return Err(format!("{labels} is number {}, expected number {}", at + 1, position + 1));
        }
        let item = only_item(&expected.series[position])?;
        if !item_equals(item, Some(sample)) {
            return Err(format!("{labels}: expected {item:?}, got {sample:?}"));
        }
    }
    match expected.series.iter().find(|line| !seen.contains(&line.labels)) {
        Some(line) => Err(format!("missing {} {:?}", line.labels, line.items)),
        None => Ok(()),
    }
}

fn only_item(line: &SeriesLine) -> Result<&Item, String> {
    match &line.items[..] {
        [item] => Ok(item),
        items => Err(format!("{}: an instant has one item, not {}", line.labels, items.len())),
    }
}

fn item_equals(item: &Item, sample: Option<&ReplySample>) -> bool {
    match (item, sample) {
        (Item::Missing, None) => true,
        (Item::Float(expected), Some(ReplySample::Float(actual))) => floats_equal(*expected, *actual),
        (Item::Histogram { histogram, hint_written }, Some(ReplySample::Histogram(actual))) => {
            histograms_equal(histogram, *hint_written, actual)
        }
        _ => false,
    }
}

fn check_matrix(expected: &Expectations, from: i64, to: i64, step: i64, series: &[RawSeries]) -> Result<(), String> {
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err(format!("not sorted by labels: {:?}", series.iter().map(|s| &s.labels).collect::<Vec<_>>()));
    }
    let steps = ((to - from) / step + 1).max(0) as usize;
    for line in &expected.series {
        if line.items.len() > steps {
            return Err(format!("{}: {} items for {steps} steps", line.labels, line.items.len()));
        }
        let actual = series.iter().find(|s| s.labels == line.labels).ok_or_else(|| format!("missing {}", line.labels))?;
        check_samples(line, from, step, actual)?;
    }
    match series.iter().find(|s| !expected.series.iter().any(|line| line.labels == s.labels)) {
        Some(extra) => Err(format!("unexpected {} {:?} {:?}", extra.labels, extra.times_ms, extra.floats)),
        None => Ok(()),
    }
}

fn check_samples(line: &SeriesLine, from: i64, step: i64, actual: &RawSeries) -> Result<(), String> {
    let wanted = raw(line.labels.clone(), &line.items, &[], from, step);
    let histogram_times = |s: &RawSeries| s.histograms.iter().map(|h| h.time_ms).collect::<Vec<_>>();
    let wrong = || Err(format!("{}: expected {}, got {}", line.labels, shown(&wanted), shown(actual)));
    if wanted.times_ms != actual.times_ms || histogram_times(&wanted) != histogram_times(actual) {
        return wrong();
    }
    if !wanted.floats.iter().zip(&actual.floats).all(|(e, a)| floats_equal(*e, *a)) {
        return wrong();
    }
    let histograms = line.items.iter().filter(|i| matches!(i, Item::Histogram { .. }));
    let equal = histograms
        .zip(&actual.histograms)
        .all(|(item, sample)| item_equals(item, Some(&ReplySample::Histogram(Arc::clone(&sample.histogram)))));
    if equal { Ok(()) } else { wrong() }
}

fn shown(series: &RawSeries) -> String {
    let floats: Vec<String> = series.times_ms.iter().zip(&series.floats).map(|(t, v)| format!("{v}@{t}")).collect();
    let histograms: Vec<String> = series.histograms.iter().map(|h| format!("{:?}@{}", h.histogram, h.time_ms)).collect();
    format!("[{}]", floats.into_iter().chain(histograms).collect::<Vec<_>>().join(" "))
}

/// Checks warnings and infos.
///
/// # Errors
/// With what differs.
pub(super) fn check_annotations(expected: &Expectations, reply: &Reply) -> Result<(), String> {
    for (kind, wanted, none, texts) in [
        ("warning", &expected.warnings, expected.no_warning, &reply.warnings),
        ("info", &expected.infos, expected.no_info, &reply.infos),
    ] {
        if none && !texts.is_empty() {
            return Err(format!("expected no {kind}, got {texts:?}"));
        }
        if let Some(missing) = wanted.iter().find(|m| !texts.iter().any(|t| matches(m, t))) {
            return Err(format!("no {kind} is {missing:?}: {texts:?}"));
        }
        if let Some(extra) = texts.iter().find(|t| !wanted.is_empty() && !wanted.iter().any(|m| matches(m, t))) {
            return Err(format!("unexpected {kind} {extra:?}, expected {wanted:?}"));
        }
    }
    Ok(())
}

/// Whether a text is as it must be.
pub(super) fn matches(wanted: &TextMatch, text: &str) -> bool {
    match wanted {
        TextMatch::Any => true,
        TextMatch::Exact(exact) => exact == text,
        TextMatch::Regex(pattern) => regex::Regex::new(pattern).is_ok_and(|r| r.is_match(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_within_a_millionth() {
        let stale = f64::from_bits(crate::value::STALE_BITS);
        for (a, b, equal) in [
            (1.0, 1.0 + 1e-9, true),
            (1.0, 1.00001, false),
            (f64::NAN, f64::NAN, true),
            (f64::NAN, stale, false),
            (stale, stale, true),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::MAX, false),
            (f64::MAX, f64::MAX * 0.9999999, true),
            (0.0, 1e-300, false),
            (0.0, -0.0, true),
        ] {
            assert_eq!(floats_equal(a, b), equal, "{a} {b}");
            assert_eq!(floats_equal(b, a), equal, "{b} {a}");
        }
    }

    #[test]
    fn empty_buckets_do_not_count() {
        let a = Histogram {
            positive_spans: vec![BucketSpan { offset: 0, length: 4 }],
            positive_counts: vec![0.0, 1.0, 0.0, 2.0],
            ..Histogram::default()
        };
        let spans = vec![BucketSpan { offset: 1, length: 1 }, BucketSpan { offset: 1, length: 1 }];
        let b = Histogram { positive_spans: spans, positive_counts: vec![1.0, 2.0], ..Histogram::default() };
        assert!(histograms_equal(&a, false, &b));
        assert!(!histograms_equal(&a, false, &Histogram { sum: 1.0, ..b.clone() }));
        let gauge = Histogram { reset_hint: crate::histogram::ResetHint::Gauge, ..b };
        assert!(histograms_equal(&a, false, &gauge) && !histograms_equal(&a, true, &gauge));
    }
}
