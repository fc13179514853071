//! What comes back.

use std::sync::Arc;
use std::time::Duration;

use promql::annotation::Annotations;
use promql::histogram::Histogram;
use promql::labels::Labels;
use promql::value::{Grid, RawSeries, StepSeries, is_stale};

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its value.
    pub value: Value,
    /// What the query wants to say besides.
    pub annotations: Annotations,
    /// Whether the request's limit cut the answer.
    pub truncated: bool,
    /// What it cost.
    pub stats: Stats,
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar {
        /// The query's time.
        time_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// The query's time.
        time_ms: i64,
        /// The text.
        value: String,
    },
    /// One sample per series, in the order that the query asks for.
    Vector(Vec<Element>),
    /// Many samples per series, ascending by labels.
    Matrix(Vec<Series>),
}

impl Value {
    /// How many series it has; a number or a text is one.
    pub fn len(&self) -> usize {
        match self {
            Self::Scalar { .. } | Self::String { .. } => 1,
            Self::Vector(elements) => elements.len(),
            Self::Matrix(series) => series.len(),
        }
    }

    /// Whether it has no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One sample of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Whose.
    pub labels: Labels,
    /// When. The query's time, but for federation.
    pub time_ms: i64,
    /// What.
    pub sample: Sample,
}

/// A number or a histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
}

/// One series of a matrix. Held as columns; read it with [`Series::floats`] and [`Series::histograms`].
#[derive(Debug, Clone, PartialEq)]
pub struct Series(Points);

#[derive(Debug, Clone, PartialEq)]
enum Points {
    Steps(Grid, Arc<StepSeries>),
    Raw(RawSeries),
}

impl Series {
    /// A series on the steps of `grid`.
    pub fn of_steps(grid: Grid, series: StepSeries) -> Self {
        Self::shared(grid, Arc::new(series))
    }

    /// The same, of a series that others hold too.
    pub(crate) const fn shared(grid: Grid, series: Arc<StepSeries>) -> Self {
        Self(Points::Steps(grid, series))
    }

    /// A series as storage has it; stale markers do not show.
    pub fn of_raw(series: RawSeries) -> Self {
        Self(Points::Raw(series))
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        match &self.0 {
            Points::Steps(_, series) => &series.labels,
            Points::Raw(series) => &series.labels,
        }
    }

    /// Times in milliseconds and numbers, ascending by time.
    pub fn floats(&self) -> Box<dyn Iterator<Item = (i64, f64)> + '_> {
        match &self.0 {
            Points::Steps(grid, series) => {
                let present = series.present.iter().zip(&series.floats).enumerate();
                Box::new(present.filter(|(_, (present, _))| **present).map(|(at, (_, value))| (grid.time_ms(at), *value)))
            }
            Points::Raw(series) => {
                let all = series.times_ms.iter().copied().zip(series.floats.iter().copied());
                Box::new(all.filter(|(_, value)| !is_stale(*value)))
            }
        }
    }

    /// Times in milliseconds and histograms, ascending by time.
    pub fn histograms(&self) -> Box<dyn Iterator<Item = (i64, &Histogram)> + '_> {
        match &self.0 {
            Points::Steps(grid, series) => {
                let all = series.histograms.iter().flatten().enumerate();
                Box::new(all.filter_map(|(at, histogram)| Some((grid.time_ms(at), histogram.as_deref()?))))
            }
            Points::Raw(series) => {
                let live = series.histograms.iter().filter(|sample| !is_stale(sample.histogram.sum));
                Box::new(live.map(|sample| (sample.time_ms, &*sample.histogram)))
            }
        }
    }
}

/// What a query cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// From the request to the start of the work.
    pub queued: Duration,
    /// Parsing, planning, choosing files and series.
    pub prepared: Duration,
    /// Reading and evaluating.
    pub evaluated: Duration,
    /// All of it.
    pub total: Duration,
    /// Samples that the query looked at, counted once per step that looks.
    pub samples: u64,
    /// The most samples held at once.
    pub samples_peak: u64,
    /// Samples by step with its time in milliseconds; empty unless asked for.
    pub samples_per_step: Vec<(i64, u64)>,
}

/// Some items, and whether a limit cut them.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more.
    pub truncated: bool,
}

impl<T> Listed<T> {
    /// The first `limit` of `items`; 0: all.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let truncated = limit > 0 && items.len() > limit;
        if truncated {
            items.truncate(limit);
        }
        Self { items, truncated }
    }
}

/// The exemplars of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct ExemplarSeries {
    /// The series.
    pub labels: Labels,
    /// Ascending by time.
    pub exemplars: Vec<Exemplar>,
}

/// One exemplar.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Its labels, `trace_id` and `span_id` among them.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// When.
    pub time_ms: i64,
}

/// What a sender says of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metadata {
    /// `counter`, `gauge`, ...
    pub kind: String,
    /// What it is.
    pub help: String,
    /// Its unit.
    pub unit: String,
}

/// How many series there are, and what makes them so many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Distinct pairs of label and value.
    pub label_pairs: u64,
    /// Samples and histograms that are not in files yet.
    pub fresh_samples: u64,
    /// Time of the oldest and the newest row, milliseconds.
    pub time_ms: Option<(i64, i64)>,
    /// Series by metric, most first.
    pub series_by_metric: Vec<(String, u64)>,
    /// Values by label, most first.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of values by label, most first: the length of each series' value.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `label=value`, most first.
    pub series_by_pair: Vec<(String, u64)>,
}
