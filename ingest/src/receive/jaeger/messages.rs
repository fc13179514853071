//! The messages of `jaeger.api_v2`, for those who send them and for tests; the receiver itself reads bytes.
//!
//! Field numbers are those of jaeger-idl's `proto/api_v2/model.proto` and `collector.proto`.

use prost::Message;

/// `PostSpansRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct PostSpansRequest {
    /// The spans.
    #[prost(message, optional, tag = "1")]
    pub batch: Option<Batch>,
}

/// `Batch`: spans, and who sent them.
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// The spans.
    #[prost(message, repeated, tag = "1")]
    pub spans: Vec<Span>,
    /// Whose they are, but for those that have a process of their own.
    #[prost(message, optional, tag = "2")]
    pub process: Option<Process>,
}

/// `Process`: a service.
#[derive(Clone, PartialEq, Message)]
pub struct Process {
    /// Its name.
    #[prost(string, tag = "1")]
    pub service_name: String,
    /// What else is known of it.
    #[prost(message, repeated, tag = "2")]
    pub tags: Vec<KeyValue>,
}

/// `Span`.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// The name.
    #[prost(string, tag = "3")]
    pub operation_name: String,
    /// Its parent, and others.
    #[prost(message, repeated, tag = "4")]
    pub references: Vec<SpanRef>,
    /// 1 sampled, 2 debug.
    #[prost(uint32, tag = "5")]
    pub flags: u32,
    /// When it began.
    #[prost(message, optional, tag = "6")]
    pub start_time: Option<prost_types::Timestamp>,
    /// How long it took.
    #[prost(message, optional, tag = "7")]
    pub duration: Option<prost_types::Duration>,
    /// Attributes.
    #[prost(message, repeated, tag = "8")]
    pub tags: Vec<KeyValue>,
    /// Events.
    #[prost(message, repeated, tag = "9")]
    pub logs: Vec<Log>,
    /// Whose it is.
    #[prost(message, optional, tag = "10")]
    pub process: Option<Process>,
    /// What was wrong on the way.
    #[prost(string, repeated, tag = "12")]
    pub warnings: Vec<String>,
}

/// `SpanRef`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpanRef {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// 0 child of, 1 follows from.
    #[prost(int32, tag = "3")]
    pub ref_type: i32,
}

/// `Log`: an event.
#[derive(Clone, PartialEq, Message)]
pub struct Log {
    /// When.
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<prost_types::Timestamp>,
    /// What.
    #[prost(message, repeated, tag = "2")]
    pub fields: Vec<KeyValue>,
}

/// `KeyValue`: a tag.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Which of the values counts: 0 text, 1 bool, 2 int, 3 float, 4 bytes.
    #[prost(int32, tag = "2")]
    pub v_type: i32,
    /// Text.
    #[prost(string, tag = "3")]
    pub v_str: String,
    /// Boolean.
    #[prost(bool, tag = "4")]
    pub v_bool: bool,
    /// Integer.
    #[prost(int64, tag = "5")]
    pub v_int64: i64,
    /// Float.
    #[prost(double, tag = "6")]
    pub v_float64: f64,
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub v_binary: Vec<u8>,
}
