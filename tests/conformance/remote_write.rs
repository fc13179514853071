//! Series as a request of remote write 2.0.

use std::collections::HashMap;

use ingest::receive::prometheus::messages::v2::{BucketSpan, Count, Histogram, Request, Sample, TimeSeries, ZeroCount};
use promql::histogram::{self, ResetHint};
use promql::value::{HistogramSample, RawSeries};
use prost::Message;

/// The bytes of a request that carries `series`: floats and histograms of one series in elements of their own, as the protocol has it.
pub(crate) fn request(series: &[RawSeries]) -> Vec<u8> {
    let mut symbols = Symbols::default();
    symbols.of("");
    let mut timeseries = Vec::with_capacity(series.len());
    for one in series {
        let labels_refs: Vec<u32> = one.labels.iter().flat_map(|(name, value)| [symbols.of(name), symbols.of(value)]).collect();
        if !one.times_ms.is_empty() {
            let samples = one.times_ms.iter().zip(&one.floats).enumerate().map(|(at, (timestamp, value))| Sample {
                value: Some(*value),
                timestamp: *timestamp,
                start_timestamp: one.starts_ms.get(at).copied().unwrap_or(0),
            });
            let samples = samples.collect();
            timeseries.push(TimeSeries { labels_refs: labels_refs.clone(), samples, ..TimeSeries::default() });
        }
        if !one.histograms.is_empty() {
            let histograms = one.histograms.iter().map(histogram).collect();
            timeseries.push(TimeSeries { labels_refs, histograms, ..TimeSeries::default() });
        }
    }
    Request { symbols: symbols.texts, timeseries }.encode_to_vec()
}

#[derive(Debug, Default)]
struct Symbols {
    texts: Vec<String>,
    known: HashMap<String, u32>,
}

impl Symbols {
    fn of(&mut self, text: &str) -> u32 {
        if let Some(at) = self.known.get(text) {
            return *at;
        }
        let at = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.known.insert(text.to_owned(), at);
        at
    }
}

fn histogram(sample: &HistogramSample) -> Histogram {
    let h = &*sample.histogram;
    let spans = |spans: &[histogram::BucketSpan]| -> Vec<BucketSpan> {
        spans.iter().map(|span| BucketSpan { offset: span.offset, length: span.length }).collect()
    };
    Histogram {
        count: Some(Count::CountFloat(h.count)),
        sum: h.sum,
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: Some(ZeroCount::ZeroCountFloat(h.zero_count)),
        negative_spans: spans(&h.negative_spans),
        negative_counts: h.negative_counts.clone(),
        positive_spans: spans(&h.positive_spans),
        positive_counts: h.positive_counts.clone(),
        reset_hint: match h.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NotReset => 2,
            ResetHint::Gauge => 3,
        },
        timestamp: sample.time_ms,
        custom_values: h.custom_bounds.clone(),
        start_timestamp: sample.start_ms,
        ..Histogram::default()
    }
}
