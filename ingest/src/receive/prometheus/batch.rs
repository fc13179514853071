//! Collects series into remote write 2.0 requests of a bounded size, for whoever sends them.
//!
//! ```text
//! series(labels) ─► the one that was added last, or a new one ─► samples are pushed onto it ─ full? ─► take() ─► bytes
//! ```

use std::collections::HashMap;

use prost::Message;

use super::messages::v2;
use crate::convert::prometheus::Written;

/// Samples of one request, from which on it is full.
const SAMPLES_MAX: u64 = 20_000;
/// Bytes of text, samples and buckets, from which on a request is full; far below what a receiver takes.
const BYTES_MAX: usize = 4 << 20;

/// A request in the making.
#[derive(Debug, Default)]
pub struct Batch {
    symbols: HashMap<Box<str>, u32>,
    request: v2::Request,
    counts: Written,
    bytes: usize,
    scratch: Vec<u32>,
}

/// A request, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `io.prometheus.write.v2.Request` in protobuf, not compressed.
    pub body: Vec<u8>,
    /// What is in it.
    pub counts: Written,
}

impl Encoded {
    /// The body as remote write sends it: one snappy block.
    pub fn compressed(&self) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&self.body).expect("a batch is far below the 4 GiB that snappy takes")
    }
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if self.request.symbols.is_empty() {
            self.symbols.insert("".into(), 0);
            self.request.symbols.push(String::new());
        }
        if let Some(known) = self.symbols.get(text) {
            return *known;
        }
        let symbol = u32::try_from(self.request.symbols.len()).expect("a batch is full long before");
        self.symbols.insert(text.into(), symbol);
        self.request.symbols.push(text.to_owned());
        self.bytes += text.len() + 2;
        symbol
    }

    fn references<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>) {
        self.scratch.clear();
        for (name, value) in labels {
            let (name, value) = (self.symbol(name), self.symbol(value));
            self.scratch.extend([name, value]);
        }
    }

    /// The series of `labels`, with `__name__` among them: the one before, if it is the same and has samples of that kind.
    fn series<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>, histogram: bool) -> &mut v2::TimeSeries {
        self.references(labels);
        let known = self.request.timeseries.last().is_some_and(|series| {
            let other_kind = if histogram { !series.samples.is_empty() } else { !series.histograms.is_empty() };
            series.labels_refs == self.scratch && !other_kind
        });
        if !known {
            self.bytes += 4 * self.scratch.len() + 8;
            self.request.timeseries.push(v2::TimeSeries { labels_refs: self.scratch.clone(), ..Default::default() });
        }
        self.request.timeseries.last_mut().expect("pushed above")
    }

    /// Adds a float sample.
    pub fn sample<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>, sample: v2::Sample) {
        self.series(labels, false).samples.push(sample);
        self.counts.samples += 1;
        self.bytes += 18;
    }

    /// Adds a histogram sample.
    pub fn histogram<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>, histogram: v2::Histogram) {
        self.bytes += histogram.encoded_len();
        self.series(labels, true).histograms.push(histogram);
        self.counts.histograms += 1;
    }

    /// Adds an exemplar to the series that was added last.
    pub fn exemplar<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>, value: f64, timestamp: i64) {
        self.references(labels);
        let labels_refs = self.scratch.clone();
        if let Some(series) = self.request.timeseries.last_mut() {
            series.exemplars.push(v2::Exemplar { labels_refs, value, timestamp });
            self.counts.exemplars += 1;
            self.bytes += 32;
        }
    }

    /// Says type, help and unit of the series that was added last.
    pub fn metadata(&mut self, kind: i32, help: &str, unit: &str) {
        let metadata = v2::Metadata { r#type: kind, help_ref: self.symbol(help), unit_ref: self.symbol(unit) };
        if let Some(series) = self.request.timeseries.last_mut() {
            series.metadata = Some(metadata);
        }
    }

    /// Whether it is time to [`Batch::take`].
    pub fn is_full(&self) -> bool {
        self.counts.samples + self.counts.histograms >= SAMPLES_MAX || self.bytes >= BYTES_MAX
    }

    /// What was collected, if there is anything; the batch is empty then.
    pub fn take(&mut self) -> Option<Encoded> {
        if self.request.timeseries.is_empty() {
            return None;
        }
        let full = std::mem::take(self);
        Some(Encoded { body: full.request.encode_to_vec(), counts: full.counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_series_and_kind_share_a_message() {
        let mut batch = Batch::new();
        let labels = |job: &'static str| [("__name__", "up"), ("job", job)].into_iter();
        for timestamp in 1..4 {
            batch.sample(labels("a"), v2::Sample { value: Some(1.0), timestamp, start_timestamp: 0 });
        }
        batch.metadata(2, "help", "");
        batch.exemplar([("trace_id", "abc")].into_iter(), 1.0, 3);
        batch.histogram(labels("a"), v2::Histogram::default());
        batch.sample(labels("b"), v2::Sample { value: Some(1.0), timestamp: 1, start_timestamp: 0 });
        let encoded = batch.take().unwrap();
        assert_eq!(encoded.counts, Written { samples: 4, histograms: 1, exemplars: 1 });
        let request = v2::Request::decode(encoded.body.as_slice()).unwrap();
        assert_eq!(request.symbols, ["", "__name__", "up", "job", "a", "help", "trace_id", "abc", "b"]);
        let shapes: Vec<_> = request.timeseries.iter().map(|s| (s.samples.len(), s.histograms.len())).collect();
        assert_eq!(shapes, [(3, 0), (0, 1), (1, 0)]);
        assert_eq!(batch.take(), None);
    }

    #[test]
    fn a_batch_is_full_by_samples_or_by_bytes() {
        let mut batch = Batch::new();
        for n in 0..SAMPLES_MAX {
            assert!(!batch.is_full(), "{n}");
            batch.sample([("__name__", "up")].into_iter(), v2::Sample::default());
        }
        assert!(batch.is_full());
        let mut batch = Batch::new();
        let long = "x".repeat(BYTES_MAX);
        batch.sample([("__name__", long.as_str())].into_iter(), v2::Sample::default());
        assert!(batch.is_full());
    }
}
