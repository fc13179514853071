//! From lines to samples: families, start times, and `le` as Prometheus writes it.

use super::line::{Kind, Line, Pairs, SampleLine};
use crate::receive::prometheus::batch::Batch;
use crate::receive::prometheus::messages::v2;

/// Samples of one metric that wait for its `_created` line; more are taken with what is known by then.
const WAITING_MAX: usize = 16_384;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    More,
    End,
}

/// What is said of a family before its samples.
#[derive(Debug, Default)]
struct Family {
    name: String,
    kind: Kind,
    help: String,
    unit: String,
}

/// A sample whose metric may still say when it began.
#[derive(Debug)]
struct Waiting {
    /// The name among them.
    labels: Vec<(String, String)>,
    value: f64,
    ts: i64,
    exemplar: Option<Exemplar>,
}

#[derive(Debug)]
struct Exemplar {
    labels: Vec<(String, String)>,
    value: f64,
    ts: i64,
}

/// The samples of one metric: of one family, with labels that agree but for `le` and `quantile`.
#[derive(Debug, Default)]
struct Metric {
    labels: Vec<(String, String)>,
    waiting: Vec<Waiting>,
    /// `(time of the line, start)`, ascending as they came.
    created: Vec<(i64, i64)>,
}

/// Takes lines, fills a batch.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) batch: Batch,
    family: Family,
    metric: Metric,
}

impl Points {
    /// Takes a line.
    pub(super) fn take(&mut self, line: Line<'_>) -> Result<Taken, String> {
        match line {
            Line::Type { family, kind } => self.family(&family).kind = kind,
            Line::Help { family, help } => self.family(&family).help = help.into_owned(),
            Line::Unit { family, unit } => unit.clone_into(&mut self.family(&family).unit),
            Line::Sample(sample) => self.sample(sample)?,
            Line::Nothing => {}
            Line::End => {
                self.release();
                return Ok(Taken::End);
            }
        }
        Ok(Taken::More)
    }

    /// The family that is being described; another name begins another one.
    fn family(&mut self, name: &str) -> &mut Family {
        if self.family.name != name {
            self.release();
            self.family = Family { name: name.to_owned(), ..Family::default() };
        }
        &mut self.family
    }

    fn sample(&mut self, sample: SampleLine<'_>) -> Result<(), String> {
        let SampleLine { name, labels, value, ts, exemplar } = sample;
        // A sample of no family that was described is a family of its own.
        let suffix = match name.strip_prefix(self.family.name.as_str()) {
            Some(suffix) if belongs(self.family.kind, suffix) => suffix,
            _ => {
                self.family(&name);
                ""
            }
        };
        let is_created = suffix == "_created" && starts(self.family.kind);
        let Some(ts) = ts else {
            return Err(format!("{name} has no time; text with times is what can be imported"));
        };
        let own = match self.family.kind {
            Kind::Histogram | Kind::GaugeHistogram => "le",
            Kind::Summary => "quantile",
            _ => "",
        };
        let mut labels = owned(labels);
        labels.sort();
        let group = labels.iter().filter(|(name, _)| name != own);
        if !group.clone().eq(self.metric.labels.iter()) {
            let group = group.cloned().collect();
            self.release();
            self.metric.labels = group;
        }
        if is_created {
            let start = (value * 1000.0).round();
            self.metric.created.push((ts, if start.is_finite() { start as i64 } else { 0 }));
            return Ok(());
        }
        if let Some((_, bound)) = labels.iter_mut().find(|(name, _)| name == own)
            && let Ok(number) = bound.parse::<f64>()
        {
            *bound = open_metrics_float(number);
        }
        labels.push(("__name__".to_owned(), name.into_owned()));
        let exemplar = exemplar.map(|e| Exemplar { labels: owned(e.labels), value: e.value, ts: e.ts.unwrap_or(ts) });
        self.metric.waiting.push(Waiting { labels, value, ts, exemplar });
        if !starts(self.family.kind) || self.metric.waiting.len() >= WAITING_MAX {
            self.put();
        }
        Ok(())
    }

    /// The metric is over.
    fn release(&mut self) {
        self.put();
        self.metric.created.clear();
        self.metric.labels.clear();
    }

    /// Puts what waits into the batch, series by series.
    fn put(&mut self) {
        let mut waiting = std::mem::take(&mut self.metric.waiting);
        // Stable: of one series the times stay as they came.
        waiting.sort_by(|a, b| a.labels.cmp(&b.labels));
        let described = self.family.kind != Kind::Unknown || !self.family.help.is_empty() || !self.family.unit.is_empty();
        for sample in &waiting {
            let pairs = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let start_timestamp = self.metric.start_of(sample.ts);
            self.batch.sample(pairs, v2::Sample { value: Some(sample.value), timestamp: sample.ts, start_timestamp });
            if described {
                self.batch.metadata(self.family.kind as i32, &self.family.help, &self.family.unit);
            }
            if let Some(Exemplar { labels, value, ts }) = &sample.exemplar {
                self.batch.exemplar(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())), *value, *ts);
            }
        }
    }
}

impl Metric {
    /// When the counter of a sample at `ts` began, in milliseconds: as the line of that time says, else the last one before; 0: nobody
    /// says.
    fn start_of(&self, ts: i64) -> i64 {
        let exact = self.created.iter().find(|(at, _)| *at == ts);
        let before = self.created.iter().rev().find(|(at, _)| *at <= ts);
        exact.or(before).map_or(0, |(_, start)| *start)
    }
}

fn owned(pairs: Pairs<'_>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Whether a family of that kind has samples that are named with `suffix`.
fn belongs(kind: Kind, suffix: &str) -> bool {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["_total", "_created", ""],
        Kind::Histogram => &["_bucket", "_count", "_sum", "_created"],
        Kind::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_created"],
        Kind::Summary => &["", "_count", "_sum", "_created"],
        Kind::Info => &["_info", ""],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[""],
    };
    suffixes.contains(&suffix)
}

/// Whether samples of that kind begin somewhere.
fn starts(kind: Kind) -> bool {
    matches!(kind, Kind::Counter | Kind::Histogram | Kind::GaugeHistogram | Kind::Summary)
}

/// A float as OpenMetrics writes it, and Prometheus in `le` and `quantile`: as Go's `%g`, with a point or an exponent.
fn open_metrics_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("that is how it is written");
    let exponent: i32 = exponent.parse().expect("an integer");
    if value == 0.0 {
        return "0.0".to_owned();
    }
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::open_metrics_float;

    #[test]
    fn floats_are_written_as_go_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.5, "0.5"),
            (10.0, "10.0"),
            (123_456.0, "123456.0"),
            (1e5, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(open_metrics_float(value), expected);
        }
    }
}
