//! Why a data point is not taken, and the account of it for the sender.

use std::fmt::Write;

use super::config::OtlpMetricsConfig;
use crate::wire::WireError;

/// The rule that a data point broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reject {
    NoTime,
    TimeOverflow,
    Future,
    TooOld,
    NoValue,
    NoData,
    Temporality,
    Utf8,
    MetricName,
    LabelName,
    NameTooLong,
    ValueTooLong,
    ValueTooDeep,
    TooManyLabels,
    TooManyBuckets,
    Bounds,
    BucketCounts,
    CountMismatch,
    Quantiles,
    Scale,
    BucketIndex,
    CountRange,
    DeltaOrder,
    DeltaNotFinite,
    SeriesLimit(usize),
    TenantLimit(usize),
}

impl Reject {
    fn sentence(self, config: &OtlpMetricsConfig) -> String {
        match self {
            Self::NoTime => "time_unix_nano is 0".to_owned(),
            Self::TimeOverflow => "time_unix_nano is beyond the year 2262".to_owned(),
            Self::Future => format!("time is more than {:?} in the future", config.future_max),
            Self::TooOld => format!("time is more than {:?} in the past", config.past_max.unwrap_or_default()),
            Self::NoValue => "data point has no value".to_owned(),
            Self::NoData => "metric has no data".to_owned(),
            Self::Temporality => "aggregation temporality is not set".to_owned(),
            Self::Utf8 => "a name or value is not valid UTF-8".to_owned(),
            Self::MetricName => "nothing is left of the metric's name after translation".to_owned(),
            Self::LabelName => "nothing is left of an attribute's name after translation".to_owned(),
            Self::NameTooLong => format!("a name is longer than {} bytes", config.name_bytes_max),
            Self::ValueTooLong => format!("a label value is longer than {} bytes", config.label_value_bytes_max),
            Self::ValueTooDeep => format!("an attribute value is nested deeper than {} levels", crate::wire::VALUE_DEPTH_MAX),
            Self::TooManyLabels => format!("series has more than {} labels", config.labels_max),
            Self::TooManyBuckets => format!("data point has more than {} buckets or quantiles", config.buckets_max),
            Self::Bounds => "explicit bounds do not ascend or are not finite".to_owned(),
            Self::BucketCounts => "there is not one bucket count more than explicit bounds".to_owned(),
            Self::CountMismatch => "count is not the sum of the bucket counts".to_owned(),
            Self::Quantiles => "quantiles are not between 0 and 1 or repeat".to_owned(),
            Self::Scale => "scale of the exponential histogram is below -4".to_owned(),
            Self::BucketIndex => "a bucket index does not fit 32 bits".to_owned(),
            Self::CountRange => "a count does not fit 63 bits".to_owned(),
            Self::DeltaOrder => "delta is out of order or a duplicate".to_owned(),
            Self::DeltaNotFinite => "delta is not a finite number".to_owned(),
            Self::SeriesLimit(limit) => format!("tenant has reached its limit of {limit} active series"),
            Self::TenantLimit(limit) => format!("process has reached its limit of {limit} tenants"),
        }
    }
}

/// What ends the reading of one data point: the point is bad, or the whole request is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PointError {
    /// This point is refused; its neighbours are not.
    Reject(Reject),
    /// The request is not protobuf.
    Wire(WireError),
}

impl From<Reject> for PointError {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<WireError> for PointError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// How many data points broke which rule. As many entries as there are rules, at most.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    counts: Vec<(Reject, u64)>,
}

impl Rejected {
    /// `points` data points broke `reject`.
    pub(crate) fn add(&mut self, reject: Reject, points: u64) {
        if points == 0 {
            return;
        }
        match self.counts.iter_mut().find(|(known, _)| *known == reject) {
            Some((_, count)) => *count += points,
            None => self.counts.push((reject, points)),
        }
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// One sentence per rule, or nothing.
    pub(crate) fn reason(mut self, config: &OtlpMetricsConfig) -> Option<String> {
        self.counts.sort();
        let mut reason = String::new();
        for (reject, count) in self.counts {
            let separator = if reason.is_empty() { "" } else { "; " };
            let _ = write!(reason, "{separator}{count} rejected: {}", reject.sentence(config));
        }
        (!reason.is_empty()).then_some(reason)
    }
}
