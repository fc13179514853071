//! `fleet`: the metrics of a fleet as Prometheus would have sent them, recorded as remote-write requests.
//!
//! ```text
//! [series] what exists ─► [model] what moves ─► scrape every 15 s ─► 4 lanes, cut at 2,000 samples ─► snappy ─► corpus
//! ```
//! One seed, one size, one end give the same bytes. Memory is that of the series and one request per lane, whatever the
//! duration.
//!
//! # Invariants
//! - A series belongs to one lane and its samples ascend, because some servers refuse a sample that is older than the newest.
//! - All lanes have the same number of series, so requests fill up in turn and [`crate::corpus`]'s dealing finds the lanes again.
//! - Scrapes are exactly 15 s apart unless `--jitter-ms` says otherwise: kind to every time series database.

mod model;
mod random;
mod series;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::corpus::{Kind, LANES, Recorder};
use random::Random;
use series::Series;

/// Samples of a request, as many as Prometheus puts into one.
const REQUEST_SAMPLES_MAX: usize = 2_000;
/// Between two scrapes.
const INTERVAL_MS: i64 = 15_000;

/// What to record.
#[derive(Debug, clap::Args)]
pub(crate) struct FleetArgs {
    /// Where to.
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    #[arg(long, value_enum, default_value = "s")]
    size: Size,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// When the last scrape happens. Not on a full minute, where windows of whole minutes would begin on a sample: Prometheus 2
    /// counts that sample and Prometheus 3 does not.
    #[arg(long, default_value = "2026-11-20T12:00:07Z", value_parser = humantime::parse_rfc3339)]
    end: SystemTime,
    /// Each scrape of a target is late by up to so many milliseconds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..15_000))]
    jitter_ms: u64,
}

/// How many series, how many scrapes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Size {
    /// 8,000 series, half an hour: 1 M samples.
    S,
    /// 10,000 series, ten hours: 24 M samples.
    M,
    /// 100,000 series, a minute and a half.
    C100k,
    /// 1,000,000 series, one minute.
    C1m,
}

impl Size {
    const fn series_and_scrapes(self) -> (usize, i64) {
        match self {
            Self::S => (8_000, 125),
            Self::M => (10_000, 2_400),
            Self::C100k => (100_000, 6),
            Self::C1m => (1_000_000, 4),
        }
    }
}

/// What was recorded.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Recorded {
    series: usize,
    samples: u64,
    requests: u64,
    /// Times of the first and the last scrape.
    first_ms: i64,
    last_ms: i64,
    /// Bytes of all requests before compression.
    raw_bytes: u64,
    /// And after.
    body_bytes: u64,
}

/// Records a fleet.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn record(args: &FleetArgs) -> Result<Recorded> {
    let context = || format!("writing {}", args.record.display());
    let file = BufWriter::new(File::create(&args.record).with_context(context)?);
    let (series, scrapes) = args.size.series_and_scrapes();
    let last_ms = i64::try_from(args.end.duration_since(SystemTime::UNIX_EPOCH).context("--end is before 1970")?.as_millis())?;
    let plan = Plan { series, scrapes, last_ms, seed: args.seed, jitter_ms: args.jitter_ms };
    let (recorded, file) = plan.write(file).with_context(context)?;
    file.into_inner().map_err(|e| e.into_error()).and_then(|file| file.sync_all()).with_context(context)?;
    Ok(recorded)
}

#[derive(Debug, Clone)]
struct Plan {
    series: usize,
    scrapes: i64,
    last_ms: i64,
    seed: u64,
    jitter_ms: u64,
}

impl Plan {
    fn write<W: Write>(&self, to: W) -> Result<(Recorded, W)> {
        ensure!(self.series.is_multiple_of(LANES), "{} series do not fill {LANES} lanes", self.series);
        let mut random = Random::new(self.seed);
        let Series { labels, mut models } = Series::of_fleet(self.series, &mut random);
        let first_ms = self.last_ms - (self.scrapes - 1) * INTERVAL_MS;
        let mut recorder = Recorder::new(to)?;
        let mut recorded = Recorded { series: self.series, first_ms, last_ms: self.last_ms, ..Recorded::default() };
        let mut lanes = vec![Lane::default(); LANES];
        let mut values = vec![0.0; self.series];
        let mut times_ms = vec![0; self.series];
        for scrape in 0..self.scrapes {
            let mut at = 0;
            for model in &mut models {
                let end = at + model.series();
                model.step(&mut random, &mut values[at..end]);
                let late_ms = if self.jitter_ms == 0 { 0 } else { random.below(self.jitter_ms + 1) };
                times_ms[at..end].fill(first_ms + scrape * INTERVAL_MS + i64::try_from(late_ms)?);
                at = end;
            }
            for (series, labels) in labels.iter().enumerate() {
                let lane = &mut lanes[series % LANES];
                lane.push(labels, values[series], times_ms[series]);
                if lane.samples == REQUEST_SAMPLES_MAX {
                    lane.cut(&mut recorder, &mut recorded)?;
                }
            }
        }
        for lane in lanes.iter_mut().filter(|lane| lane.samples > 0) {
            lane.cut(&mut recorder, &mut recorded)?;
        }
        Ok((recorded, recorder.finish()?))
    }
}

/// A `WriteRequest` under construction.
#[derive(Debug, Clone, Default)]
struct Lane {
    body: Vec<u8>,
    samples: usize,
}

impl Lane {
    /// A `TimeSeries` of one sample. Prometheus sends one per sample, too.
    fn push(&mut self, labels: &[u8], value: f64, time_ms: i64) {
        // Sample: double value = 1 (9 bytes), int64 timestamp = 2 (a varint behind its tag).
        let mut sample = [0; 20];
        sample[0] = 0x09;
        sample[1..9].copy_from_slice(&value.to_le_bytes());
        sample[9] = 0x10;
        let sample_length = 10 + varint(time_ms as u64, &mut sample[10..]);
        let mut length = [0; 10];
        let length_length = varint((labels.len() + 2 + sample_length) as u64, &mut length);
        self.body.push(0x0a);
        self.body.extend_from_slice(&length[..length_length]);
        self.body.extend_from_slice(labels);
        self.body.extend_from_slice(&[0x12, sample_length as u8]);
        self.body.extend_from_slice(&sample[..sample_length]);
        self.samples += 1;
    }

    fn cut<W: Write>(&mut self, recorder: &mut Recorder<W>, recorded: &mut Recorded) -> Result<()> {
        let body = snap::raw::Encoder::new().compress_vec(&self.body)?;
        recorder.append(Kind::RemoteWrite, self.samples, &body)?;
        recorded.requests += 1;
        recorded.samples += self.samples as u64;
        recorded.raw_bytes += self.body.len() as u64;
        recorded.body_bytes += body.len() as u64;
        self.body.clear();
        self.samples = 0;
        Ok(())
    }
}

/// Writes a protobuf varint; how many bytes it took.
fn varint(mut value: u64, to: &mut [u8]) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        to[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    to[at] = value as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::corpus::Corpus;

    #[derive(Clone, PartialEq, prost::Message)]
    struct WriteRequest {
        #[prost(message, repeated, tag = "1")]
        timeseries: Vec<TimeSeries>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct TimeSeries {
        #[prost(message, repeated, tag = "1")]
        labels: Vec<Label>,
        #[prost(message, repeated, tag = "2")]
        samples: Vec<Sample>,
    }
    #[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
    struct Label {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(string, tag = "2")]
        value: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Sample {
        #[prost(double, tag = "1")]
        value: f64,
        #[prost(int64, tag = "2")]
        time_ms: i64,
    }

    const PLAN: Plan = Plan { series: 8_200, scrapes: 3, last_ms: 1_763_640_000_000, seed: 7, jitter_ms: 0 };

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let bytes = |seed| Plan { seed, ..PLAN }.write(Vec::new()).expect("written").1;
        assert!(bytes(1) == bytes(1));
        assert!(bytes(1) != bytes(2));
    }

    #[test]
    fn what_is_reported_is_recorded_and_lanes_keep_the_order() {
        use prost::Message;
        let plan = Plan { jitter_ms: 900, ..PLAN };
        let (recorded, bytes) = plan.write(Vec::new()).expect("written");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes).expect("written");
        let corpus = Corpus::open(file.path()).expect("a corpus");
        assert_eq!((corpus.items, corpus.requests.len() as u64), (recorded.samples, recorded.requests));
        assert_eq!(recorded.samples, 3 * 8_200);
        let mut newest: HashMap<Vec<Label>, (usize, i64)> = HashMap::new();
        for (at, request) in corpus.requests.iter().enumerate() {
            assert_eq!(request.kind, Kind::RemoteWrite);
            let raw = snap::raw::Decoder::new().decompress_vec(&corpus.body(request).expect("a body")).expect("snappy");
            for series in WriteRequest::decode(&raw[..]).expect("protobuf").timeseries {
                assert!(series.labels.is_sorted_by_key(|l| l.name.clone()), "{:?}", series.labels);
                let [sample] = &series.samples[..] else { panic!("one sample") };
                let (lane, before_ms) = newest.insert(series.labels, (at % LANES, sample.time_ms)).unwrap_or((at % LANES, 0));
                assert_eq!(lane, at % LANES);
                assert!(before_ms < sample.time_ms);
                assert!((recorded.first_ms..=recorded.last_ms + 900).contains(&sample.time_ms));
            }
        }
        assert_eq!(newest.len(), recorded.series);
    }

    #[test]
    fn a_torn_corpus_is_refused() {
        let (_, bytes) = PLAN.write(Vec::new()).expect("written");
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (length, reason) in [
            (0, "no recorded corpus"),
            (2, "no recorded corpus"),
            (4, "no items"),
            (9, "cut short"),
            (bytes.len() - 1, "cut short"),
        ] {
            std::fs::write(file.path(), &bytes[..length]).expect("written");
            let error = format!("{:#}", Corpus::open(file.path()).expect_err("refused"));
            assert!(error.contains(reason), "{length}: {error}");
        }
    }
}
