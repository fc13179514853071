//! Why a series, a sample or a histogram is not taken, and the account of it for the sender.

use std::fmt::Write;

use super::config::RemoteWriteConfig;
use crate::registry::RegistryError;

/// Bytes of a series that are shown as an example.
const EXAMPLE_BYTES_MAX: usize = 256;

/// The rule that was broken. The texts of histograms are those of Prometheus' `model/histogram`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    Utf8,
    NoName,
    EmptyLabelName,
    DuplicateLabel,
    LabelReferences,
    ExemplarReferences,
    NoSample,
    BothKinds,
    TooManyLabels,
    NameTooLong,
    ValueTooLong,
    Future,
    TooOld,
    TimeRange,
    OtherKind,
    Schema,
    SpanOffset,
    SpanBuckets,
    NegativeBucket,
    NegativeCount,
    CountMismatch,
    CountTooSmall,
    CountRange,
    BucketIndex,
    TooManyBuckets,
    CustomBounds,
    CustomOrder,
    CustomFinite,
    CustomZero,
    CustomNegative,
    ExponentialBounds,
    SeriesLimit(usize),
    TenantLimit(usize),
    ClusterLimit(usize),
}

impl Refusal {
    /// Whether Prometheus' remote write 1.0 leaves such a series out and says nothing about it.
    pub(crate) fn is_left_out(self) -> bool {
        matches!(self, Self::Utf8 | Self::NoName | Self::EmptyLabelName | Self::DuplicateLabel)
    }

    /// The rule's name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::NoName => "metric_name",
            Self::EmptyLabelName => "label_name",
            Self::DuplicateLabel => "duplicate_label",
            Self::LabelReferences | Self::ExemplarReferences => "references",
            Self::NoSample | Self::BothKinds => "message",
            Self::TooManyLabels => "labels",
            Self::NameTooLong | Self::ValueTooLong => "label_bytes",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::TimeRange => "time_range",
            Self::OtherKind => "duplicate",
            Self::SeriesLimit(_) => "series",
            Self::TenantLimit(_) => "tenants",
            Self::ClusterLimit(_) => "clusters",
            _ => "histogram",
        }
    }

    fn sentence(self, config: &RemoteWriteConfig) -> String {
        match self {
            Self::Utf8 => "a label is not valid UTF-8".to_owned(),
            Self::NoName => "series has no metric name".to_owned(),
            Self::EmptyLabelName => "series has a label without a name".to_owned(),
            Self::DuplicateLabel => "series has a label twice".to_owned(),
            Self::LabelReferences => "labels_refs is odd or outside of the symbols table".to_owned(),
            Self::ExemplarReferences => "labels_refs of an exemplar is odd or outside of the symbols table".to_owned(),
            Self::NoSample => "TimeSeries must contain at least one sample or histogram".to_owned(),
            Self::BothKinds => "TimeSeries must contain either samples or histograms, not both".to_owned(),
            Self::TooManyLabels => format!("series has more than {} labels", config.labels_max),
            Self::NameTooLong => format!("a name is longer than {} bytes", config.name_bytes_max),
            Self::ValueTooLong => format!("a label value is longer than {} bytes", config.label_value_bytes_max),
            Self::Future => format!("out of bounds: timestamp is more than {:?} in the future", config.future_max),
            Self::TooOld => {
                format!("out of bounds: timestamp is more than {:?} in the past", config.past_max.unwrap_or_default())
            }
            Self::TimeRange => "out of bounds: timestamp is outside the years 1677 to 2262".to_owned(),
            Self::OtherKind => "duplicate sample for timestamp: a float and a histogram; the first one is kept".to_owned(),
            Self::Schema => "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets \
                             (9 to 52 are reduced to 8), or -53 for custom buckets"
                .to_owned(),
            Self::SpanOffset => "histogram has a span whose offset is negative".to_owned(),
            Self::SpanBuckets => "histogram spans specify different number of buckets than provided".to_owned(),
            Self::NegativeBucket => "histogram has a bucket whose observation count is negative".to_owned(),
            Self::NegativeCount => "histogram's observation count is negative".to_owned(),
            Self::CountMismatch => "histogram's observation count should equal the number of observations found in the \
                                    buckets (in absence of NaN)"
                .to_owned(),
            Self::CountTooSmall => {
                "histogram's observation count should be at least the number of observations found in the buckets".to_owned()
            }
            Self::CountRange => "a histogram's count does not fit 63 bits".to_owned(),
            Self::BucketIndex => "a histogram's bucket index does not fit 32 bits".to_owned(),
            Self::TooManyBuckets => format!("histogram has more than {} buckets or spans", config.buckets_max),
            Self::CustomBounds => "histogram custom bounds are too few".to_owned(),
            Self::CustomOrder => "histogram custom bounds must be in strictly increasing order".to_owned(),
            Self::CustomFinite => "histogram custom bounds must be finite".to_owned(),
            Self::CustomZero => "custom buckets: must have zero count and zero threshold of 0".to_owned(),
            Self::CustomNegative => "custom buckets: must not have negative spans or buckets".to_owned(),
            Self::ExponentialBounds => "histogram with exponential schema must not have custom bounds".to_owned(),
            Self::SeriesLimit(limit) => format!("tenant has reached its limit of {limit} active series"),
            Self::TenantLimit(limit) => format!("process has reached its limit of {limit} tenants"),
            Self::ClusterLimit(limit) => format!("tenant has reached its limit of {limit} clusters of replicas"),
        }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::SeriesLimit { limit } => Self::SeriesLimit(limit),
            RegistryError::TenantLimit { limit } => Self::TenantLimit(limit),
        }
    }
}

/// What was refused of one request. As many entries as there are rules, at most.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    refusal: Refusal,
    count: u64,
    example: String,
}

impl Refused {
    /// `count` samples broke the rule; `example` says in which series, and is asked for the first time only.
    pub(crate) fn add(&mut self, refusal: Refusal, count: u64, example: impl FnOnce() -> String) {
        match self.entries.iter_mut().find(|entry| entry.refusal == refusal) {
            Some(entry) => entry.count += count,
            None => {
                let mut example = example();
                if example.len() > EXAMPLE_BYTES_MAX {
                    let end = (0..=EXAMPLE_BYTES_MAX).rev().find(|at| example.is_char_boundary(*at)).unwrap_or(0);
                    example.truncate(end);
                    example.push_str("...");
                }
                self.entries.push(Entry { refusal, count, example });
            }
        }
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.entries.iter().map(|entry| entry.count).sum()
    }

    /// What the sender is told: one sentence per rule, `None` when there is nothing to say. Counts all of it in our own metrics.
    pub(crate) fn finish(mut self, config: &RemoteWriteConfig, keeps_silent: bool) -> Option<String> {
        self.entries.sort_by_key(|entry| entry.refusal);
        let mut text = String::new();
        for Entry { refusal, count, example } in self.entries {
            let silent = keeps_silent && refusal.is_left_out();
            let what = if silent { "left_out" } else { "refused" };
            metrics::counter!("telelake_ingest_records_off_total", "signal" => "metrics", "what" => what, "rule" => refusal.name())
                .increment(count);
            if !silent {
                let separator = if text.is_empty() { "" } else { "; " };
                let _ = write!(text, "{separator}{count} refused: {}", refusal.sentence(config));
                if !example.is_empty() {
                    let _ = write!(text, ", such as {example}");
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}
