//! The messages of remote write, for those who send them and for tests; the receiver itself reads bytes.
//!
//! Field numbers are those of Prometheus' `prompb/types.proto`, `prompb/remote.proto` and `prompb/io/prometheus/write/v2/types.proto`.

/// Remote write 1.0.
pub mod v1 {
    use prost::Message;

    pub use super::{BucketSpan, Count, Histogram, ZeroCount};

    /// `prometheus.WriteRequest`.
    #[derive(Clone, PartialEq, Message)]
    pub struct WriteRequest {
        /// Series, each with its labels in full.
        #[prost(message, repeated, tag = "1")]
        pub timeseries: Vec<TimeSeries>,
        /// Types and texts of metric families.
        #[prost(message, repeated, tag = "3")]
        pub metadata: Vec<MetricMetadata>,
    }

    /// A series and some of its samples.
    #[derive(Clone, PartialEq, Message)]
    pub struct TimeSeries {
        /// Ascending by name, `__name__` among them.
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        /// Float samples.
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        /// Exemplars.
        #[prost(message, repeated, tag = "3")]
        pub exemplars: Vec<Exemplar>,
        /// Native histogram samples.
        #[prost(message, repeated, tag = "4")]
        pub histograms: Vec<Histogram>,
    }

    /// One label.
    #[derive(Clone, PartialEq, Eq, Message)]
    pub struct Label {
        /// Its name.
        #[prost(string, tag = "1")]
        pub name: String,
        /// Its value.
        #[prost(string, tag = "2")]
        pub value: String,
    }

    /// One float sample.
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Sample {
        /// The value.
        #[prost(double, tag = "1")]
        pub value: f64,
        /// Milliseconds since the Unix epoch.
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
    }

    /// One exemplar.
    #[derive(Clone, PartialEq, Message)]
    pub struct Exemplar {
        /// Its own labels.
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        /// The value.
        #[prost(double, tag = "2")]
        pub value: f64,
        /// Milliseconds since the Unix epoch.
        #[prost(int64, tag = "3")]
        pub timestamp: i64,
    }

    /// What a sender says of a metric family.
    #[derive(Clone, PartialEq, Eq, Message)]
    pub struct MetricMetadata {
        /// 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gaugehistogram, 5 summary, 6 info, 7 stateset.
        #[prost(int32, tag = "1")]
        pub r#type: i32,
        /// The family.
        #[prost(string, tag = "2")]
        pub metric_family_name: String,
        /// What it means.
        #[prost(string, tag = "4")]
        pub help: String,
        /// Its unit.
        #[prost(string, tag = "5")]
        pub unit: String,
    }
}

/// Remote write 2.0.
pub mod v2 {
    use prost::Message;

    pub use super::{BucketSpan, Count, Histogram, ZeroCount};

    /// `io.prometheus.write.v2.Request`.
    #[derive(Clone, PartialEq, Message)]
    pub struct Request {
        /// All text of the request; the first is empty.
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        /// Series.
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<TimeSeries>,
    }

    /// A series and some of its samples.
    #[derive(Clone, PartialEq, Message)]
    pub struct TimeSeries {
        /// Symbols of names and values by turns.
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        /// Float samples.
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        /// Native histogram samples.
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
        /// Exemplars.
        #[prost(message, repeated, tag = "4")]
        pub exemplars: Vec<Exemplar>,
        /// What the sender says of the metric.
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<Metadata>,
    }

    /// One float sample.
    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Sample {
        /// The value. Written even if it is 0, which proto3 does not ask for: else -0 would become 0.
        #[prost(double, optional, tag = "1")]
        pub value: Option<f64>,
        /// Milliseconds since the Unix epoch.
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
        /// When the counter began to count, in milliseconds since the Unix epoch; 0: unknown.
        #[prost(int64, tag = "3")]
        pub start_timestamp: i64,
    }

    /// One exemplar.
    #[derive(Clone, PartialEq, Message)]
    pub struct Exemplar {
        /// Symbols of names and values by turns.
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        /// The value.
        #[prost(double, tag = "2")]
        pub value: f64,
        /// Milliseconds since the Unix epoch.
        #[prost(int64, tag = "3")]
        pub timestamp: i64,
    }

    /// What a sender says of a metric.
    #[derive(Clone, Copy, PartialEq, Eq, Message)]
    pub struct Metadata {
        /// 0 unspecified, 1 counter, 2 gauge, 3 histogram, 4 gaugehistogram, 5 summary, 6 info, 7 stateset.
        #[prost(int32, tag = "1")]
        pub r#type: i32,
        /// The symbol of what it means.
        #[prost(uint32, tag = "3")]
        pub help_ref: u32,
        /// The symbol of its unit.
        #[prost(uint32, tag = "4")]
        pub unit_ref: u32,
    }
}

use prost::{Message, Oneof};

/// A native histogram. 1.0 and 2.0 share it, but for `start_timestamp`, which 1.0 has not.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// All observations; tells integer histograms from float ones.
    #[prost(oneof = "Count", tags = "1, 2")]
    pub count: Option<Count>,
    /// Sum of all observations.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// -4 to 8 (higher ones are reduced), or -53 for custom bounds.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Breadth of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub zero_count: Option<ZeroCount>,
    /// Runs of negative buckets.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Integer counts, each as the difference to the one before.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Float counts, absolute.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Runs of positive buckets.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Integer counts, each as the difference to the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Float counts, absolute.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// 0 unknown, 1 reset, 2 not reset, 3 gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Upper bounds of custom buckets.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    /// When it began to count, in milliseconds since the Unix epoch; 0: unknown. Of 2.0.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

/// A run of buckets.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BucketSpan {
    /// Gap to the run before, or the index of the first bucket.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Buckets in the run.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// A histogram's count.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Count {
    /// Of an integer histogram.
    #[prost(uint64, tag = "1")]
    CountInt(u64),
    /// Of a float histogram.
    #[prost(double, tag = "2")]
    CountFloat(f64),
}

/// A histogram's zero count.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum ZeroCount {
    /// Of an integer histogram.
    #[prost(uint64, tag = "6")]
    ZeroCountInt(u64),
    /// Of a float histogram.
    #[prost(double, tag = "7")]
    ZeroCountFloat(f64),
}
