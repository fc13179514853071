//! Spans become the protobuf bytes of an `ExportTraceServiceRequest`.
//!
//! ```text
//! resource(attributes) ─► span(scope, span) ─► span(..) ─► resource(..) ─► .. ─► finish()
//! ```
//! Spans that follow each other with equal resources and scopes share a block. Nothing is sorted, so that the request written is no larger
//! than the one that was read, but for what OTLP says more verbosely.

use prost::encoding::{WireType, encode_key, encode_varint};

use super::attributes::{Attributes, Text, Value};
use super::span::{Event, Link, Parent, Span};
use crate::receive::ReceiveConfig;
use crate::receive::body::BodyError;
use crate::receive::otlp::json::insert_length;

/// The request written may be so many times as large as the largest body. Honest ones are about as large as what was sent.
pub(crate) const OTLP_FACTOR_MAX: u64 = 2;

/// The instrumentation scope of a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) version: Text<'a>,
}

/// Writes one request.
#[derive(Debug)]
pub(crate) struct RequestWriter {
    out: Vec<u8>,
    bytes_max: u64,
    /// Where the open blocks begin.
    resource_at: Option<usize>,
    scope_at: Option<usize>,
    /// What they are about.
    resource: Vec<u8>,
    scope: Vec<u8>,
    scratch: Vec<u8>,
}

impl RequestWriter {
    /// An empty request with the limits of `config`.
    pub(crate) fn new(config: &ReceiveConfig) -> Self {
        Self {
            out: Vec::new(),
            bytes_max: config.decompressed_bytes_max.saturating_mul(OTLP_FACTOR_MAX),
            resource_at: None,
            scope_at: None,
            resource: Vec::new(),
            scope: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The spans that follow are of the resource with `attributes`.
    pub(crate) fn resource(&mut self, attributes: &mut Attributes<'_>) {
        self.scratch.clear();
        put_attributes(&mut self.scratch, 1, attributes);
        if self.resource_at.is_some() && self.scratch == self.resource {
            return;
        }
        self.close_resource();
        std::mem::swap(&mut self.scratch, &mut self.resource);
        self.resource_at = Some(open(&mut self.out, 1));
        bytes(&mut self.out, 1, &self.resource);
    }

    /// Adds a span of the current resource.
    ///
    /// # Errors
    /// The request becomes too large.
    pub(crate) fn span(&mut self, scope: &Scope<'_>, span: &mut Span<'_>) -> Result<(), BodyError> {
        debug_assert!(self.resource_at.is_some(), "a resource comes before its spans");
        self.scratch.clear();
        text(&mut self.scratch, 1, &scope.name);
        text(&mut self.scratch, 2, &scope.version);
        if self.scope_at.is_none() || self.scratch != self.scope {
            self.close_scope();
            std::mem::swap(&mut self.scratch, &mut self.scope);
            self.scope_at = Some(open(&mut self.out, 2));
            if !self.scope.is_empty() {
                bytes(&mut self.out, 1, &self.scope);
            }
        }
        message(&mut self.out, 2, |out| put_span(out, span));
        if self.out.len() as u64 > self.bytes_max {
            return Err(BodyError::TooLarge { what: "request body as OTLP", limit: self.bytes_max });
        }
        Ok(())
    }

    /// The request's bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.close_resource();
        self.out
    }

    fn close_resource(&mut self) {
        self.close_scope();
        if let Some(at) = self.resource_at.take() {
            insert_length(&mut self.out, at);
        }
    }

    fn close_scope(&mut self) {
        if let Some(at) = self.scope_at.take() {
            insert_length(&mut self.out, at);
        }
    }
}

fn put_span(out: &mut Vec<u8>, span: &mut Span<'_>) {
    if let Some(id) = span.trace_id {
        bytes(out, 1, &id);
    }
    if let Some(id) = span.span_id {
        bytes(out, 2, &id);
    }
    text(out, 3, &span.trace_state);
    match span.parent {
        Parent::None => {}
        Parent::Of(id) => bytes(out, 4, &id),
        Parent::Bad => bytes(out, 4, &[0]),
    }
    text(out, 5, &span.name);
    varint(out, 6, span.kind as u64);
    fixed64(out, 7, span.start_ns);
    fixed64(out, 8, span.end_ns);
    put_attributes(out, 9, &mut span.attributes);
    for event in &mut span.events {
        message(out, 11, |out| put_event(out, event));
    }
    for link in &mut span.links {
        message(out, 13, |out| put_link(out, link));
    }
    message(out, 15, |out| {
        text(out, 2, &span.status_message);
        varint(out, 3, span.status as u64);
    });
    if span.sampled {
        fixed32(out, 16, 1);
    }
}

fn put_event(out: &mut Vec<u8>, event: &mut Event<'_>) {
    fixed64(out, 1, event.time_ns);
    text(out, 2, &event.name);
    put_attributes(out, 3, &mut event.attributes);
    varint(out, 4, u64::from(event.dropped_attributes));
}

fn put_link(out: &mut Vec<u8>, link: &mut Link<'_>) {
    if let Some(id) = link.trace_id {
        bytes(out, 1, &id);
    }
    if let Some(id) = link.span_id {
        bytes(out, 2, &id);
    }
    text(out, 3, &link.trace_state);
    put_attributes(out, 4, &mut link.attributes);
    varint(out, 5, u64::from(link.dropped_attributes));
}

/// One `KeyValue` each. Of too many, one more than allowed, all of them empty, which the converter refuses.
fn put_attributes(out: &mut Vec<u8>, field: u32, attributes: &mut Attributes<'_>) {
    if attributes.are_too_many() {
        return (0..=attributes.count_max()).for_each(|_| bytes(out, field, &[]));
    }
    attributes.keep_last();
    for (key, value) in attributes.iter() {
        message(out, field, |out| {
            text(out, 1, key);
            message(out, 2, |out| put_value(out, value));
        });
    }
}

/// An `AnyValue`. Zero and empty text are values as well, so that they are written.
fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => bytes(out, 1, text),
        Value::Bool(value) => key_and_varint(out, 2, u64::from(*value)),
        Value::Int(value) => key_and_varint(out, 3, *value as u64),
        Value::Double(value) => key_and_fixed64(out, 4, value.to_bits()),
        Value::Texts(texts) => message(out, 5, |out| {
            for text in texts {
                message(out, 1, |out| bytes(out, 1, text));
            }
        }),
        Value::Bytes(value) => bytes(out, 7, value),
    }
}

/// A nested message: what `write` writes, its length in front.
fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let start = open(out, field);
    write(out);
    insert_length(out, start);
}

fn open(out: &mut Vec<u8>, field: u32) -> usize {
    encode_key(field, WireType::LengthDelimited, out);
    out.len()
}

fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Text; nothing when it is empty.
fn text(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    if !text.is_empty() {
        bytes(out, field, text);
    }
}

/// A number; nothing when it is zero. So with the two below.
fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        key_and_varint(out, field, value);
    }
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        key_and_fixed64(out, field, value);
    }
}

fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    encode_key(field, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn key_and_varint(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_key(field, WireType::Varint, out);
    encode_varint(value, out);
}

fn key_and_fixed64(out: &mut Vec<u8>, field: u32, bits: u64) {
    encode_key(field, WireType::SixtyFourBit, out);
    out.extend_from_slice(&bits.to_le_bytes());
}
