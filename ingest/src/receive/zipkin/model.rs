//! What a Zipkin span means in OTLP, by the rules of the OpenTelemetry collector (`pkg/translator/zipkin/zipkinv2`).
//!
//! ```text
//! localEndpoint    serviceName ─► resource service.name; address, port ─► network.local.address, network.local.port
//! remoteEndpoint   serviceName ─► peer.service; address, port ─► network.peer.address, network.peer.port
//! annotations      events; `name|{attributes}|dropped` as exporters of OTLP write them
//! tags             texts. Names of resource attributes ─► resource; otel.scope.name, version ─► scope; error, otel.status_code ─► status;
//!                  w3c.tracestate; span.kind of a span without kind; otlp.link.N ─► links
//! timestamp        absent: that of the first annotation, else 1970, and otel.zipkin.absentField.startTime
//! debug            the sampled flag
//! ```
//! A span that shares its id with the caller's (`shared`) keeps it. What differs from the collector: `otel.status_code` may be `OK` and
//! `ERROR`, as OpenTelemetry's specification has it, beside `STATUS_CODE_OK`. An `error` with another value than `true` is one too, as Zipkin has
//! it, and the value is the message and stays a tag. The name of the other side is `peer.service`, by which service graphs look for it.

use super::from_otlp;
use crate::receive::ReceiveConfig;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::span::time;
use crate::receive::spans::{Attributes, Event, Kind, Link, Parent, ReadError, RequestWriter, Scope, Span, Status, Value, times};

const NS_PER_US: i128 = 1_000;

/// The attribute of spans that came without a time, by which exporters leave it away again.
const START_ABSENT: &str = "otel.zipkin.absentField.startTime";
/// The tag that says what the local service's name was in OTLP, if not `service.name`.
const NAME_SOURCE: &str = "otlp.service.name.source";

/// How much of a span is kept before the converter refuses it: one more than it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) attributes: usize,
    pub(super) items: usize,
}

impl From<&ReceiveConfig> for Limits {
    fn from(config: &ReceiveConfig) -> Self {
        Self { attributes: config.attributes_max, items: config.span_items_max }
    }
}

impl Limits {
    /// No tags yet.
    pub(super) fn tags<'a>(self) -> Attributes<'a> {
        Attributes::new(self.attributes)
    }

    /// Adds an item to `list`, unless it holds too many already.
    pub(super) fn push<T>(self, list: &mut Vec<T>, item: T) {
        if list.len() <= self.items {
            list.push(item);
        }
    }
}

/// One side of a span. What is empty or zero is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Endpoint<'a> {
    pub(super) service: Text<'a>,
    pub(super) ipv4: Text<'a>,
    pub(super) ipv6: Text<'a>,
    pub(super) port: i64,
}

impl<'a> Endpoint<'a> {
    /// Adds what is known of the network, under the keys for it.
    fn put(self, tags: &mut Attributes<'a>, address_key: &'static str, port_key: &'static str) {
        let address = if self.ipv6.is_empty() { self.ipv4 } else { self.ipv6 };
        if !address.is_empty() {
            tags.put_str(address_key, Value::Text(address));
        }
        if self.port > 0 {
            tags.put_str(port_key, Value::Int(self.port));
        }
    }
}

/// A span of version 2.
#[derive(Debug, Clone)]
pub(super) struct ZipkinSpan<'a> {
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    pub(super) parent: Parent,
    pub(super) name: Text<'a>,
    pub(super) kind: Kind,
    /// Microseconds since the Unix epoch; 0 is absent.
    pub(super) timestamp_us: i128,
    pub(super) duration_us: i128,
    pub(super) local: Endpoint<'a>,
    pub(super) remote: Endpoint<'a>,
    /// Times as `timestamp_us`, and values.
    pub(super) annotations: Vec<(i128, Text<'a>)>,
    pub(super) tags: Attributes<'a>,
    pub(super) debug: bool,
}

impl<'a> ZipkinSpan<'a> {
    /// One without anything.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            trace_id: None,
            span_id: None,
            parent: Parent::None,
            name: Text::default(),
            kind: Kind::Unspecified,
            timestamp_us: 0,
            duration_us: 0,
            local: Endpoint::default(),
            remote: Endpoint::default(),
            annotations: Vec::new(),
            tags: limits.tags(),
            debug: false,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// The request becomes too large.
    pub(super) fn write(mut self, out: &mut RequestWriter, limits: Limits) -> Result<(), ReadError> {
        out.resource(&mut self.take_resource(limits));
        let mut scope = Scope::default();
        if let Some(name) = self.take_either("otel.scope.name", "otel.library.name") {
            scope.name = name;
            scope.version = self.take_either("otel.scope.version", "otel.library.version").unwrap_or_default();
        }
        let mut span = self.into_span(limits);
        Ok(out.span(&scope, &mut span)?)
    }

    fn take_either(&mut self, key: &str, old_key: &str) -> Option<Text<'a>> {
        let old = self.tags.take_text(old_key);
        self.tags.take_text(key).or(old)
    }

    /// The attributes of the resource: the local service, and the tags that OTLP's exporters make of a resource.
    fn take_resource(&mut self, limits: Limits) -> Attributes<'a> {
        let mut resource = limits.tags();
        let source = self.tags.take_text(NAME_SOURCE);
        let service = std::mem::take(&mut self.local.service);
        if !service.is_empty() {
            let key = source.unwrap_or(Text::Borrowed(b"service.name"));
            resource.put(key, Value::Text(service));
        }
        for (key, value) in self.tags.extract(from_otlp::is_of_resource) {
            resource.put(key, value);
        }
        resource
    }

    fn into_span(self, limits: Limits) -> Span<'a> {
        let mut tags = self.tags;
        let trace_state = tags.take_text("w3c.tracestate").unwrap_or_default();
        let kind = if self.kind == Kind::Unspecified { kind_of_tag(&mut tags) } else { self.kind };
        let (status, status_message) = status(&mut tags);
        let links = links(&mut tags, limits);
        self.local.put(&mut tags, "network.local.address", "network.local.port");
        let mut remote = self.remote;
        let peer = std::mem::take(&mut remote.service);
        if !peer.is_empty() {
            tags.put_str("peer.service", Value::Text(peer));
        }
        remote.put(&mut tags, "network.peer.address", "network.peer.port");
        let mut timestamp_us = self.timestamp_us;
        if timestamp_us == 0 {
            timestamp_us = self.annotations.iter().map(|(time_us, _)| *time_us).filter(|us| *us > 0).min().unwrap_or(0);
            tags.put_str(START_ABSENT, Value::Bool(true));
        }
        let (start_ns, end_ns) = times(timestamp_us * NS_PER_US, self.duration_us * NS_PER_US);
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent: if self.span_id.is_some_and(|id| self.parent == Parent::Of(id)) { Parent::None } else { self.parent },
            trace_state,
            sampled: self.debug,
            name: self.name,
            kind,
            start_ns,
            end_ns,
            attributes: tags,
            events: self.annotations.into_iter().map(|(time_us, value)| event(time_us, value, limits)).collect(),
            links,
            status,
            status_message,
        }
    }
}

fn event(time_us: i128, value: Text<'_>, limits: Limits) -> Event<'_> {
    let time_ns = time(time_us * NS_PER_US);
    match from_otlp::event(&value, limits) {
        Some(event) => Event { time_ns, ..event },
        None => Event { time_ns, name: value, attributes: limits.tags(), dropped_attributes: 0 },
    }
}

/// The links that exporters of OTLP write as tags. What is none stays a tag.
fn links<'a>(tags: &mut Attributes<'a>, limits: Limits) -> Vec<Link<'a>> {
    let mut links = Vec::new();
    for n in 0..from_otlp::LINKS_MAX {
        let key = format!("otlp.link.{n}");
        let Some(text) = tags.get_text(&key) else { break };
        if let Some(link) = from_otlp::link(text, limits) {
            links.push(link);
            tags.take(&key);
        }
    }
    links
}

/// The kind of a span whose own kind is not said, by the tag that OTLP's exporters write for what Zipkin has no kind for.
fn kind_of_tag(tags: &mut Attributes<'_>) -> Kind {
    let kind = match tags.get_text("span.kind").map(|text| text.to_ascii_lowercase()).as_deref() {
        Some(b"internal") => Kind::Internal,
        Some(b"client") => Kind::Client,
        Some(b"server") => Kind::Server,
        Some(b"producer") => Kind::Producer,
        Some(b"consumer") => Kind::Consumer,
        _ => return Kind::Unspecified,
    };
    tags.take("span.kind");
    kind
}

fn status<'a>(tags: &mut Attributes<'a>) -> (Status, Text<'a>) {
    let mut found = (Status::Unset, Text::default());
    if let Some(code) = tags.take_text("otel.status_code") {
        found.0 = match code.to_ascii_uppercase().as_slice() {
            b"OK" | b"STATUS_CODE_OK" => Status::Ok,
            b"ERROR" | b"STATUS_CODE_ERROR" => Status::Error,
            _ => Status::Unset,
        };
        found.1 = tags.take_text("otel.status_description").unwrap_or_default();
    }
    match tags.get("error") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) => {
            tags.take("error");
            found.0 = Status::Error;
        }
        Some(Value::Text(text)) if text.eq_ignore_ascii_case(b"false") => {}
        Some(Value::Text(text)) if text.is_empty() || text.eq_ignore_ascii_case(b"true") => {
            tags.take("error");
            found.0 = Status::Error;
        }
        Some(value) => {
            found.0 = Status::Error;
            if let (true, Value::Text(text)) = (found.1.is_empty(), value) {
                found.1 = text.clone();
            }
        }
    }
    found
}

/// An id of at most `2 * N` hexadecimal digits; a short one has zeros in front. `None`: it is no such id.
pub(super) fn hex_id<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.is_empty() || digits.len() > 2 * N {
        return None;
    }
    let mut padded = [b'0'; 32];
    let padded = padded.get_mut(..2 * N)?;
    padded[2 * N - digits.len()..].copy_from_slice(digits.as_bytes());
    let mut id = [0; N];
    hex::decode_to_slice(padded, &mut id).ok()?;
    Some(id)
}

/// What `digits` say of a parent; nothing is none.
pub(super) fn hex_parent(digits: &str) -> Parent {
    match hex_id(digits) {
        _ if digits.is_empty() => Parent::None,
        Some(id) => Parent::Of(id),
        None => Parent::Bad,
    }
}
