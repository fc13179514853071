//! The system in memory: the evaluator over series in a map, with what Prometheus' storage does to samples on their way.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Reply, ReplySample, ReplyValue, System};
use crate::annotation::Severity;
use crate::eval::{self, Answer, AnswerValue, EvalError, Matchers, QueryOptions, Select, Source};
use crate::histogram::tell_resets;
use crate::labels::Labels;
use crate::parse::{ParseOptions, parse};
use crate::value::{Grid, HistogramSample, RawSeries, Sample, StepSeries};

/// Samples a query may hold.
const SAMPLES_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    series: BTreeMap<Labels, RawSeries>,
}

impl InMemory {
    /// The options queries run with: those the files of the language assume.
    pub fn options(grid: Grid, is_instant: bool) -> QueryOptions {
        QueryOptions {
            grid,
            is_instant,
            delayed_name_removal: true,
            start_timestamps: true,
            samples_max: SAMPLES_MAX,
            ..QueryOptions::instant(0)
        }
    }

    /// Runs a query.
    ///
    /// # Errors
    /// As the parser, [`eval::lower`] and [`eval::interpret`].
    pub fn query(&self, query: &str, options: &QueryOptions) -> Result<Answer, String> {
        let expr = parse(query, &ParseOptions { experimental: true }).map_err(|e| e.to_string())?;
        let plan = eval::lower(&expr, options).map_err(|e| e.to_string())?;
        eval::interpret(&plan, self, &|| Ok(())).map_err(|e| e.to_string())
    }
}

impl System for InMemory {
    fn clear(&mut self) -> Result<(), String> {
        self.series.clear();
        Ok(())
    }

    fn load(&mut self, series: Vec<RawSeries>) -> Result<(), String> {
        for one in series {
            let known = self
                .series
                .entry(one.labels.clone())
                .or_insert_with(|| RawSeries { labels: one.labels.clone(), ..RawSeries::default() });
            append(known, one);
        }
        Ok(())
    }

    fn instant(&mut self, query: &str, at_ms: i64) -> Result<Reply, String> {
        let options = Self::options(Grid::instant(at_ms), true);
        Ok(reply(query, options.grid, self.query(query, &options)?))
    }

    fn range(&mut self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Reply, String> {
        let options = Self::options(Grid { start_ms, end_ms, step_ms }, false);
        Ok(reply(query, options.grid, self.query(query, &options)?))
    }
}

impl Source for InMemory {
    fn select(&self, select: &Select) -> Result<Vec<RawSeries>, EvalError> {
        let matchers = Matchers::new(&select.matchers)?;
        let wanted = |t: i64| (select.from_ms..=select.to_ms).contains(&t);
        let cut = |series: &RawSeries| {
            let floats =
                series.times_ms.partition_point(|t| *t < select.from_ms)..series.times_ms.partition_point(|t| *t <= select.to_ms);
            RawSeries {
                labels: series.labels.clone(),
                times_ms: series.times_ms[floats.clone()].to_vec(),
                floats: series.floats[floats.clone()].to_vec(),
                starts_ms: if select.starts { series.starts_ms.get(floats).unwrap_or_default().to_vec() } else { Vec::new() },
                histograms: read(series).into_iter().filter(|h| wanted(h.time_ms)).collect(),
                drop_name: false,
            }
        };
        Ok(self.series.values().filter(|s| matchers.match_series(&s.labels)).map(cut).collect())
    }
}

/// Adds samples to a series. At a time that is there already the new one counts.
fn append(known: &mut RawSeries, new: RawSeries) {
    let started = |s: &RawSeries, at: usize| s.starts_ms.get(at).copied().unwrap_or(0);
    let mut floats: BTreeMap<i64, (f64, i64)> = BTreeMap::new();
    let mut histograms: BTreeMap<i64, HistogramSample> = BTreeMap::new();
    for series in [&*known, &new] {
        for (at, (time, value)) in series.times_ms.iter().zip(&series.floats).enumerate() {
            histograms.remove(time);
            floats.insert(*time, (*value, started(series, at)));
        }
        for sample in &series.histograms {
            floats.remove(&sample.time_ms);
            histograms.insert(sample.time_ms, sample.clone());
        }
    }
    known.times_ms = floats.keys().copied().collect();
    known.floats = floats.values().map(|f| f.0).collect();
    known.starts_ms = floats.values().map(|f| f.1).collect();
    if known.starts_ms.iter().all(|s| *s == 0) {
        known.starts_ms.clear();
    }
    known.histograms = histograms.into_values().collect();
}

/// The histograms of a series with their hints as storage gives them back.
fn read(series: &RawSeries) -> Vec<HistogramSample> {
    let mut samples = series.histograms.clone();
    tell_resets(&series.times_ms, &mut samples);
    samples
}

fn reply(query: &str, grid: Grid, answer: Answer) -> Reply {
    let value = match answer.value {
        AnswerValue::Vector(series) => ReplyValue::Vector(series.into_iter().filter_map(sample).collect()),
        AnswerValue::Matrix(series) => ReplyValue::Matrix(series.into_iter().map(|s| raw(grid, s)).collect()),
        AnswerValue::Range(series) => ReplyValue::Matrix(series),
        AnswerValue::Scalar(value) => ReplyValue::Scalar(value),
        AnswerValue::String(text) => ReplyValue::String(text),
    };
    let texts = |severity| answer.annotations.texts(severity, query, 0);
    Reply { value, warnings: texts(Severity::Warning), infos: texts(Severity::Info) }
}

fn sample(series: StepSeries) -> Option<(Labels, ReplySample)> {
    let sample = match series.sample(0)? {
        Sample::Float(value) => ReplySample::Float(value),
        Sample::Histogram(histogram) => ReplySample::Histogram(Arc::clone(histogram)),
    };
    Some((series.labels, sample))
}

fn raw(grid: Grid, series: StepSeries) -> RawSeries {
    let mut raw = RawSeries { labels: series.labels.clone(), ..RawSeries::default() };
    for (at, time_ms) in grid.iter().enumerate() {
        match series.sample(at) {
            None => {}
            Some(Sample::Float(value)) => {
                raw.times_ms.push(time_ms);
                raw.floats.push(value);
            }
            Some(Sample::Histogram(histogram)) => {
                raw.histograms.push(HistogramSample { time_ms, start_ms: 0, histogram: Arc::clone(histogram) });
            }
        }
    }
    raw
}
