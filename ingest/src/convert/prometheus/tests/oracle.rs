//! The rules once more, on decoded messages, without hashes, memory or cleverness.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::requests::{any_request, any_request_2};
use super::*;
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount};

/// Lines, samples written, histograms written, exemplars written, refused.
#[derive(Debug, Default)]
struct Oracle {
    lines: Vec<String>,
    series: BTreeSet<String>,
    metadata: BTreeSet<String>,
    floats: BTreeSet<(String, i64)>,
    histograms: BTreeSet<(String, i64)>,
    written: Written,
    refused: u64,
}

fn name(labels: &[(String, String)]) -> Option<String> {
    let mut names: Vec<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    let metric = labels.iter().find(|(name, _)| name == "__name__").map(|(_, value)| value.as_str()).filter(|m| !m.is_empty());
    if twice || names.contains(&"") {
        return None;
    }
    let mut rest: Vec<_> = labels.iter().filter(|(name, value)| name != "__name__" && !value.is_empty()).collect();
    rest.sort();
    Some(render(metric?, rest.into_iter().map(|(n, v)| (n.as_str(), v.as_str()))))
}

fn in_time(ts: i64) -> bool {
    (i64::MIN / 1_000_000..=NOW + 600_000).contains(&ts)
}

fn start_of(start: i64) -> Option<i64> {
    let in_range = i64::MIN / 1_000_000..=i64::MAX / 1_000_000;
    (start != 0 && in_range.contains(&start)).then_some(start)
}

fn buckets(spans: &[BucketSpan]) -> Vec<i64> {
    let (mut index, mut all) = (0, Vec::new());
    for span in spans {
        index += i64::from(span.offset);
        all.extend((0..i64::from(span.length).min(5_000)).map(|at| index + at));
        index += i64::from(span.length);
    }
    all
}

/// `Histogram.Validate` of Prometheus, and what it stores.
fn checked(series: &str, histogram: &Histogram) -> Option<String> {
    let h = histogram;
    let custom = h.schema == -53;
    let float = matches!(h.count, Some(Count::CountFloat(_)));
    if !custom && !(-4..=52).contains(&h.schema) {
        return None;
    }
    let sides = [
        (&h.positive_spans, &h.positive_deltas, &h.positive_counts),
        (&h.negative_spans, &h.negative_deltas, &h.negative_counts),
    ];
    let mut counts: Vec<Vec<(i64, f64)>> = Vec::new();
    for (spans, deltas, floats) in sides {
        let indexes = buckets(spans);
        let mut last = 0i64;
        let mut values = Vec::new();
        if float {
            values.extend_from_slice(floats);
        } else {
            for delta in deltas {
                last = last.checked_add(*delta)?;
                values.push(last as f64);
            }
        }
        let lengths: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        let negative_gap = spans.iter().enumerate().any(|(at, span)| span.offset < 0 && (at > 0 || custom));
        let beyond = indexes.iter().any(|index| i32::try_from(*index + 1).is_err());
        let end: i64 = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        if lengths != values.len() as u64
            || negative_gap
            || beyond
            || end > i64::from(i32::MAX)
            || values.iter().any(|v| *v < 0.0)
        {
            return None;
        }
        counts.push(indexes.into_iter().zip(values).collect());
    }
    let zero = match h.zero_count {
        Some(ZeroCount::ZeroCountInt(count)) if !float => count as f64,
        Some(ZeroCount::ZeroCountFloat(count)) if float => count,
        _ => 0.0,
    };
    let total = match h.count {
        Some(Count::CountInt(count)) => count as f64,
        Some(Count::CountFloat(count)) => count,
        None => 0.0,
    };
    let any_zero = !matches!(h.zero_count, None | Some(ZeroCount::ZeroCountInt(0)) | Some(ZeroCount::ZeroCountFloat(0.0)));
    if custom {
        let ascending = h.custom_values.windows(2).all(|pair| pair[0] < pair[1]) && h.custom_values.iter().all(|b| b.is_finite());
        let end = buckets(&h.positive_spans).last().map_or(0, |last| last + 1);
        let spans_end: i64 = h.positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        let fits = end.max(spans_end) <= h.custom_values.len() as i64 + 1;
        if !ascending || !fits || any_zero || h.zero_threshold != 0.0 || !h.negative_spans.is_empty() {
            return None;
        }
    } else if !h.custom_values.is_empty() {
        return None;
    }
    if float && (total < 0.0 || zero < 0.0) {
        return None;
    }
    let in_buckets: f64 = counts.iter().flatten().map(|(_, count)| count).sum::<f64>() + zero;
    if !float && (if h.sum.is_nan() { in_buckets > total } else { in_buckets != total }) {
        return None;
    }
    if h.schema > 8 {
        let times = h.schema - 8;
        for side in &mut counts {
            let mut merged: Vec<(i64, f64)> = Vec::new();
            for (index, count) in std::mem::take(side) {
                let index = (index - 1).div_euclid(1 << times) + 1;
                match merged.last_mut() {
                    Some((last, sum)) if *last == index => *sum += count,
                    _ => merged.push((index, count)),
                }
            }
            *side = merged;
        }
    }
    let hint = if (0..=3).contains(&h.reset_hint) { h.reset_hint } else { 0 };
    let times = (h.timestamp, start_of(h.start_timestamp));
    let head = ([h.schema.min(8), hint], h.zero_threshold, h.sum);
    let [positive, negative]: [Vec<(i64, f64)>; 2] = counts.try_into().unwrap();
    Some(if float {
        histogram_line(series, times, head, [total, zero], &h.custom_values, [positive, negative])
    } else {
        let longs = |side: Vec<(i64, f64)>| side.into_iter().map(|(index, count)| (index, count as i64)).collect();
        let counts = [total as i64, zero as i64];
        histogram_line(series, times, head, counts, &h.custom_values, [longs(positive), longs(negative)])
    })
}

impl Oracle {
    fn seen(&mut self, series: &str, ts: i64) {
        self.series.insert(format!("series {series} {}", ts.div_euclid(86_400_000)));
    }

    fn sample(&mut self, series: &str, ts: i64, start: i64, value: f64) -> bool {
        let at = (series.to_owned(), ts);
        let good = in_time(ts) && !self.histograms.contains(&at);
        if good {
            self.lines.push(sample_line(series, ts, start_of(start), value));
            self.seen(series, ts);
            self.floats.insert(at);
            self.written.samples += 1;
        }
        self.refused += u64::from(!good);
        good
    }

    fn histogram(&mut self, series: &str, histogram: &Histogram) -> bool {
        let (ts, at) = (histogram.timestamp, (series.to_owned(), histogram.timestamp));
        let line = checked(series, histogram).filter(|_| in_time(ts) && !self.floats.contains(&at));
        let good = line.is_some();
        if let Some(line) = line {
            self.lines.push(line);
            self.seen(series, ts);
            self.histograms.insert(at);
            self.written.histograms += 1;
        }
        self.refused += u64::from(!good);
        good
    }

    fn exemplar(&mut self, series: &str, labels: &[(String, String)], value: f64, ts: i64, beside: Option<i64>) {
        let runes: usize = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        let ts = if ts == 0 { beside } else { Some(ts) };
        let Some(ts) = ts.filter(|ts| in_time(*ts) && runes <= 128) else { return };
        let is_id = |(name, value): &&(String, String)| name == "trace_id" && value.len() == 32;
        let trace = labels.iter().find(is_id).map_or("-", |(_, value)| value);
        let mut rest: Vec<_> = labels.iter().filter(|label| !is_id(label)).cloned().collect();
        rest.sort();
        self.lines.push(format!("exemplar {series} {ts} {:x} {trace} - {rest:?}", value.to_bits()));
        self.seen(series, ts);
        self.written.exemplars += 1;
    }

    fn metadata(&mut self, name: &str, kind: i32, unit: &str, help: &str) {
        let types = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
        let kind = usize::try_from(kind).ok().and_then(|kind| types.get(kind)).unwrap_or(&"unknown");
        self.metadata.insert(format!("metadata {name} {kind} {unit:?} {help:?}"));
    }

    fn finish(self) -> (Vec<String>, Written, u64) {
        let mut lines = self.lines;
        lines.extend(self.series);
        lines.extend(self.metadata);
        lines.sort();
        (lines, self.written, self.refused)
    }
}

fn pairs(labels: &[v1::Label]) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
}

fn oracle_1(request: &v1::WriteRequest) -> (Vec<String>, Written, u64) {
    let mut oracle = Oracle::default();
    for series in &request.timeseries {
        let Some(name) = name(&pairs(&series.labels)) else {
            oracle.refused += (series.samples.len() + series.histograms.len()) as u64;
            continue;
        };
        let mut newest = None;
        for sample in &series.samples {
            if oracle.sample(&name, sample.timestamp, 0, sample.value) {
                newest = newest.max(Some(sample.timestamp));
            }
        }
        for histogram in &series.histograms {
            if oracle.histogram(&name, histogram) {
                newest = newest.max(Some(histogram.timestamp));
            }
        }
        for exemplar in &series.exemplars {
            oracle.exemplar(&name, &pairs(&exemplar.labels), exemplar.value, exemplar.timestamp, newest);
        }
    }
    for metadata in request.metadata.iter().filter(|metadata| !metadata.metric_family_name.is_empty()) {
        oracle.metadata(&metadata.metric_family_name, metadata.r#type, &metadata.unit, &metadata.help);
    }
    oracle.finish()
}

fn resolved(request: &v2::Request, references: &[u32]) -> Option<Vec<(String, String)>> {
    if references.len() % 2 == 1 {
        return None;
    }
    let text = |reference: &u32| request.symbols.get(*reference as usize).cloned();
    references.chunks(2).map(|pair| Some((text(&pair[0])?, text(&pair[1])?))).collect()
}

fn oracle_2(request: &v2::Request) -> (Vec<String>, Written, u64) {
    let mut oracle = Oracle::default();
    for series in &request.timeseries {
        let items = (series.samples.len() + series.histograms.len()) as u64;
        let one_kind = series.samples.is_empty() != series.histograms.is_empty();
        let Some(name) = resolved(request, &series.labels_refs).and_then(|labels| name(&labels)).filter(|_| one_kind) else {
            oracle.refused += items.max(1);
            continue;
        };
        let mut newest = None;
        for sample in &series.samples {
            if oracle.sample(&name, sample.timestamp, sample.start_timestamp, sample.value()) {
                newest = newest.max(Some(sample.timestamp));
            }
        }
        for histogram in &series.histograms {
            if oracle.histogram(&name, histogram) {
                newest = newest.max(Some(histogram.timestamp));
            }
        }
        for exemplar in &series.exemplars {
            let labels = resolved(request, &exemplar.labels_refs).unwrap();
            oracle.exemplar(&name, &labels, exemplar.value, exemplar.timestamp, newest);
        }
        if let (Some(metadata), Some(_)) = (series.metadata, newest) {
            let text = |reference: u32| request.symbols[reference as usize].clone();
            let (help, unit) = (text(metadata.help_ref), text(metadata.unit_ref));
            if metadata.r#type != 0 || !help.is_empty() || !unit.is_empty() {
                oracle.metadata(name.split('{').next().unwrap(), metadata.r#type, &unit, &help);
            }
        }
    }
    oracle.finish()
}

/// `metadata` lines once: two spellings of one type are two families to the converter.
fn once(mut lines: Vec<String>) -> Vec<String> {
    lines.dedup_by(|a, b| a == b && a.starts_with("metadata"));
    lines
}

proptest! {
    #[test]
    fn requests_become_what_the_naive_converter_says(requests in prop::collection::vec(any_request(), 1..4)) {
        let converter = converter(RemoteWriteConfig::default());
        for request in &requests {
            // Not confirmed: the dictionary rows come again. The memory of series stays.
            let mut names = BTreeMap::new();
            let taken = converter.v1(request);
            // As it arrives: an encoder of proto3 makes 0 of -0.
            let (lines_, written, refused) = oracle_1(&v1::WriteRequest::decode(request.encode_to_vec().as_slice()).unwrap());
            prop_assert_eq!(once(lines(&taken, &mut names)), lines_);
            prop_assert_eq!(taken.written, written);
            prop_assert_eq!(taken.converted.rejected, refused);
        }
    }

    #[test]
    fn requests_of_2_0_become_what_the_naive_converter_says(requests in prop::collection::vec(any_request_2(), 1..4)) {
        let converter = converter(RemoteWriteConfig::default());
        for request in &requests {
            let mut names = BTreeMap::new();
            let taken = converter.v2(request);
            let (lines_, written, refused) = oracle_2(&v2::Request::decode(request.encode_to_vec().as_slice()).unwrap());
            prop_assert_eq!(once(lines(&taken, &mut names)), lines_);
            prop_assert_eq!(taken.written, written);
            prop_assert_eq!(taken.converted.rejected, refused);
            prop_assert_eq!(taken.converted.reason.is_some(), refused > 0);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let converter = converter(RemoteWriteConfig::default());
        for message in [Message::V1, Message::V2] {
            let _ = converter.convert(&TenantId::anonymous(), message, &bytes);
        }
    }

    #[test]
    fn damaged_requests_never_panic(
        first in any_request(),
        second in any_request_2(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let converter = converter(RemoteWriteConfig::default());
        for (message, mut bytes) in [(Message::V1, first.encode_to_vec()), (Message::V2, second.encode_to_vec())] {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(if cut { at } else { bytes.len() });
            }
            if let Ok(mut taken) = converter.convert(&TenantId::anonymous(), message, &bytes) {
                taken.converted.confirm();
                converter.convert(&TenantId::anonymous(), message, &bytes).unwrap();
            }
        }
    }
}
