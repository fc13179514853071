//! Native histograms: float counts in exponential or custom buckets, and their algebra.
//! Source of the rules: Prometheus `model/histogram/float_histogram.go`, docs `specs/native_histograms.md`.

/// Schema number of histograms with custom bounds.
pub const CUSTOM_BUCKETS: i32 = -53;

/// Whether a counter was reset before this histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ResetHint {
    /// Compare with the one before.
    #[default]
    Unknown,
    /// It was.
    Reset,
    /// It was not.
    NotReset,
    /// A gauge: there is no such thing.
    Gauge,
}

/// A run of neighbouring buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BucketSpan {
    /// Of the first span: the index of its first bucket. Else: how many buckets lie between this span and the one before.
    pub offset: i32,
    /// How many buckets it has.
    pub length: u32,
}

/// One histogram. Counts are absolute per bucket: neither cumulative nor differenced.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// -4 to 8: base 2^(2^-schema). [`CUSTOM_BUCKETS`]: bounds are in [`Histogram::custom_bounds`].
    pub schema: i32,
    /// Counter reset before it.
    pub reset_hint: ResetHint,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations. With [`crate::value::STALE_BITS`] the histogram is a stale marker.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<BucketSpan>,
    /// Their counts.
    pub positive_counts: Vec<f64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<BucketSpan>,
    /// Their counts.
    pub negative_counts: Vec<f64>,
    /// Ascending upper bounds of custom buckets, +Inf not among them.
    pub custom_bounds: Vec<f64>,
}
