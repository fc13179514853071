//! The messages of Jaeger's gRPC APIs, `jaeger.api_v3` and `jaeger.api_v2`.
//! Source: `proto/api_v3/query_service.proto`, `proto/api_v2/{query,model}.proto` of jaeger-idl (Apache License 2.0).

use std::collections::HashMap;

/// `google.protobuf.Timestamp`
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// `google.protobuf.Duration`
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(super) struct Duration {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

const SECOND_NS: i64 = 1_000_000_000;

impl Timestamp {
    pub(super) fn of_ns(ns: i64) -> Self {
        Self { seconds: ns.div_euclid(SECOND_NS), nanos: ns.rem_euclid(SECOND_NS) as i32 }
    }

    /// Nanoseconds since the epoch; the nearest that there is.
    pub(super) fn as_ns(self) -> i64 {
        self.seconds.saturating_mul(SECOND_NS).saturating_add(i64::from(self.nanos))
    }
}

impl Duration {
    pub(super) fn of_ns(ns: i64) -> Self {
        Self { seconds: ns / SECOND_NS, nanos: (ns % SECOND_NS) as i32 }
    }

    /// Nanoseconds; the nearest that there are.
    pub(super) fn as_ns(self) -> i64 {
        self.seconds.saturating_mul(SECOND_NS).saturating_add(i64::from(self.nanos))
    }
}

/// Of both APIs.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct TraceQueryParameters {
    #[prost(string, tag = "1")]
    pub(super) service_name: String,
    #[prost(string, tag = "2")]
    pub(super) operation_name: String,
    #[prost(map = "string, string", tag = "3")]
    pub(super) attributes: HashMap<String, String>,
    #[prost(message, optional, tag = "4")]
    pub(super) start_time_min: Option<Timestamp>,
    #[prost(message, optional, tag = "5")]
    pub(super) start_time_max: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    pub(super) duration_min: Option<Duration>,
    #[prost(message, optional, tag = "7")]
    pub(super) duration_max: Option<Duration>,
    #[prost(int32, tag = "8")]
    pub(super) search_depth: i32,
    #[prost(bool, tag = "9")]
    pub(super) raw_traces: bool,
    /// A structured filter, which is not read here: that there is one is all that matters.
    #[prost(bytes = "vec", optional, tag = "10")]
    pub(super) filter: Option<Vec<u8>>,
}

/// `FindTracesRequest` and `FindTraceSummariesRequest`
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct FindTracesRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) query: Option<TraceQueryParameters>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct GetServicesRequest {}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct GetServicesResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) services: Vec<String>,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct GetOperationsRequest {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) span_kind: String,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Operation {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) span_kind: String,
}

#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct GetDependenciesRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    pub(super) end_time: Option<Timestamp>,
}

/// Messages of the third API alone.
pub(super) mod v3 {
    use super::{Operation, Timestamp};

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct GetTraceRequest {
        #[prost(string, tag = "1")]
        pub(in super::super) trace_id: String,
        #[prost(message, optional, tag = "2")]
        pub(in super::super) start_time: Option<Timestamp>,
        #[prost(message, optional, tag = "3")]
        pub(in super::super) end_time: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct GetOperationsResponse {
        #[prost(message, repeated, tag = "1")]
        pub(in super::super) operations: Vec<Operation>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct DependenciesResponse {
        #[prost(message, repeated, tag = "1")]
        pub(in super::super) dependencies: Vec<Dependency>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct Dependency {
        #[prost(string, tag = "1")]
        pub(in super::super) parent: String,
        #[prost(string, tag = "2")]
        pub(in super::super) child: String,
        #[prost(uint64, tag = "3")]
        pub(in super::super) call_count: u64,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct FindTraceSummariesResponse {
        #[prost(message, repeated, tag = "1")]
        pub(in super::super) summaries: Vec<TraceSummary>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct TraceSummary {
        #[prost(string, tag = "1")]
        pub(in super::super) trace_id: String,
        #[prost(string, tag = "2")]
        pub(in super::super) root_service_name: String,
        #[prost(string, tag = "3")]
        pub(in super::super) root_operation_name: String,
        #[prost(fixed64, tag = "4")]
        pub(in super::super) min_start_time_unix_nano: u64,
        #[prost(fixed64, tag = "5")]
        pub(in super::super) max_end_time_unix_nano: u64,
        #[prost(int32, tag = "6")]
        pub(in super::super) span_count: i32,
        #[prost(int32, tag = "7")]
        pub(in super::super) error_span_count: i32,
        #[prost(int32, tag = "8")]
        pub(in super::super) orphan_span_count: i32,
        #[prost(message, repeated, tag = "9")]
        pub(in super::super) services: Vec<ServiceSummary>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct ServiceSummary {
        #[prost(string, tag = "1")]
        pub(in super::super) name: String,
        #[prost(int32, tag = "2")]
        pub(in super::super) span_count: i32,
        #[prost(int32, tag = "3")]
        pub(in super::super) error_span_count: i32,
    }
}

/// Messages of the second API alone.
pub(super) mod v2 {
    use super::{Duration, Operation, Timestamp};

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct GetTraceRequest {
        #[prost(bytes = "vec", tag = "1")]
        pub(in super::super) trace_id: Vec<u8>,
        #[prost(message, optional, tag = "2")]
        pub(in super::super) start_time: Option<Timestamp>,
        #[prost(message, optional, tag = "3")]
        pub(in super::super) end_time: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct SpansResponseChunk {
        #[prost(message, repeated, tag = "1")]
        pub(in super::super) spans: Vec<Span>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct GetOperationsResponse {
        #[prost(string, repeated, tag = "1")]
        pub(in super::super) operation_names: Vec<String>,
        #[prost(message, repeated, tag = "2")]
        pub(in super::super) operations: Vec<Operation>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct GetDependenciesResponse {
        #[prost(message, repeated, tag = "1")]
        pub(in super::super) dependencies: Vec<DependencyLink>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct DependencyLink {
        #[prost(string, tag = "1")]
        pub(in super::super) parent: String,
        #[prost(string, tag = "2")]
        pub(in super::super) child: String,
        #[prost(uint64, tag = "3")]
        pub(in super::super) call_count: u64,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct KeyValue {
        #[prost(string, tag = "1")]
        pub(in super::super) key: String,
        /// 0 text, 1 flag, 2 int, 3 float, 4 bytes.
        #[prost(int32, tag = "2")]
        pub(in super::super) v_type: i32,
        #[prost(string, tag = "3")]
        pub(in super::super) v_str: String,
        #[prost(bool, tag = "4")]
        pub(in super::super) v_bool: bool,
        #[prost(int64, tag = "5")]
        pub(in super::super) v_int64: i64,
        #[prost(double, tag = "6")]
        pub(in super::super) v_float64: f64,
        #[prost(bytes = "vec", tag = "7")]
        pub(in super::super) v_binary: Vec<u8>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct Log {
        #[prost(message, optional, tag = "1")]
        pub(in super::super) timestamp: Option<Timestamp>,
        #[prost(message, repeated, tag = "2")]
        pub(in super::super) fields: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct SpanRef {
        #[prost(bytes = "vec", tag = "1")]
        pub(in super::super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(in super::super) span_id: Vec<u8>,
        /// 0 child of, 1 follows from.
        #[prost(int32, tag = "3")]
        pub(in super::super) ref_type: i32,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct Process {
        #[prost(string, tag = "1")]
        pub(in super::super) service_name: String,
        #[prost(message, repeated, tag = "2")]
        pub(in super::super) tags: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, ::prost::Message)]
    pub(in super::super) struct Span {
        #[prost(bytes = "vec", tag = "1")]
        pub(in super::super) trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        pub(in super::super) span_id: Vec<u8>,
        #[prost(string, tag = "3")]
        pub(in super::super) operation_name: String,
        #[prost(message, repeated, tag = "4")]
        pub(in super::super) references: Vec<SpanRef>,
        #[prost(uint32, tag = "5")]
        pub(in super::super) flags: u32,
        #[prost(message, optional, tag = "6")]
        pub(in super::super) start_time: Option<Timestamp>,
        #[prost(message, optional, tag = "7")]
        pub(in super::super) duration: Option<Duration>,
        #[prost(message, repeated, tag = "8")]
        pub(in super::super) tags: Vec<KeyValue>,
        #[prost(message, repeated, tag = "9")]
        pub(in super::super) logs: Vec<Log>,
        #[prost(message, optional, tag = "10")]
        pub(in super::super) process: Option<Process>,
    }
}
