//! What a Jaeger span means in OTLP, by the rules of the OpenTelemetry collector (`pkg/translator/jaeger`).
//!
//! ```text
//! process        service name, tags ─► resource; hostname ─► host.name, jaeger.version ─► opencensus.exporterversion
//! references     the first CHILD_OF of the trace, else FOLLOWS_FROM ─► parent; the others ─► links with opentracing.ref_type
//! tags           span.kind ─► kind; error, otel.status_code, http.status_code ─► status; w3c.tracestate; otel.scope.name, version
//! logs           events; the field `event` is the name and goes, or `message` is and stays
//! flags          sampled, and debug, which implies it ─► the sampled flag
//! warnings       the attribute @jaeger@warnings, by which Jaeger 2 knows them
//! ```
//! Beyond the collector: `error` may be the text "true", as some clients send it, and a log without `event` gets a name. Binary tags
//! are bytes.

use crate::receive::ReceiveConfig;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::span::{fixed, time};
use crate::receive::spans::{Attributes, Event, Kind, Link, Parent, ReadError, RequestWriter, Scope, Span, Status, Value, times};

/// The attribute of a span's warnings.
const WARNINGS: &str = "@jaeger@warnings";

/// How much of a span is kept before the converter refuses it: one more than it may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    attributes: usize,
    items: usize,
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

    /// How many warnings a span may have.
    pub(super) fn warnings_max(self) -> usize {
        self.attributes
    }

    /// Adds an item to `list`, unless it holds too many already.
    pub(super) fn push<T>(self, list: &mut Vec<T>, item: T) {
        if list.len() <= self.items {
            list.push(item);
        }
    }
}

/// How a span refers to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    /// 0: CHILD_OF; anything else counts as FOLLOWS_FROM.
    pub(super) kind: i32,
}

impl Reference {
    fn is_child_of(&self) -> bool {
        self.kind == 0
    }
}

/// A span as Jaeger's clients send it.
#[derive(Debug, Clone)]
pub(super) struct JaegerSpan<'a> {
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    /// Thrift's own field for the parent; zero is none.
    pub(super) parent_id: [u8; 8],
    pub(super) name: &'a [u8],
    pub(super) references: Vec<Reference>,
    pub(super) flags: u32,
    /// Since the Unix epoch.
    pub(super) start_ns: i128,
    pub(super) duration_ns: i128,
    pub(super) tags: Attributes<'a>,
    /// Times since the Unix epoch in nanoseconds, and fields.
    pub(super) logs: Vec<(i128, Attributes<'a>)>,
    pub(super) warnings: Vec<&'a [u8]>,
}

impl<'a> JaegerSpan<'a> {
    /// One without anything.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            trace_id: None,
            span_id: None,
            parent_id: [0; 8],
            name: &[],
            references: Vec::new(),
            flags: 0,
            start_ns: 0,
            duration_ns: 0,
            tags: limits.tags(),
            logs: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// The request becomes too large.
    pub(super) fn write(mut self, out: &mut RequestWriter, limits: Limits) -> Result<(), ReadError> {
        let mut scope = Scope::default();
        if let Some(name) = self.tags.take_text("otel.scope.name").or_else(|| self.tags.take_text("otel.library.name")) {
            scope.name = name;
            let version = self.tags.take_text("otel.scope.version").or_else(|| self.tags.take_text("otel.library.version"));
            scope.version = version.unwrap_or_default();
        }
        let mut span = self.into_span(limits);
        Ok(out.span(&scope, &mut span)?)
    }

    fn into_span(self, limits: Limits) -> Span<'a> {
        let parent = self.parent();
        let parent_is = |reference: &Reference| {
            reference.is_child_of() && reference.span_id == parent && reference.trace_id == self.trace_id && parent.is_some()
        };
        let links = self.references.iter().filter(|reference| !parent_is(reference));
        let links = links.map(|reference| link(reference, limits)).collect();
        let mut tags = self.tags;
        let kind = kind(&mut tags);
        let (status, status_message) = status(&mut tags, kind);
        let trace_state = tags.take_text("w3c.tracestate").unwrap_or_default();
        if !self.warnings.is_empty() {
            if self.warnings.len() > limits.warnings_max() {
                tags.set_too_many();
            }
            tags.put_str(WARNINGS, Value::Texts(self.warnings));
        }
        let (start_ns, end_ns) = times(self.start_ns, self.duration_ns);
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent: parent.map_or(Parent::None, Parent::Of),
            trace_state,
            sampled: self.flags & 0b11 != 0,
            name: self.name.into(),
            kind,
            start_ns,
            end_ns,
            attributes: tags,
            events: self.logs.into_iter().map(|(time_ns, fields)| event(time_ns, fields)).collect(),
            links,
            status,
            status_message,
        }
    }

    /// The parent by the field for it, or by the references to spans of the trace.
    fn parent(&self) -> Option<[u8; 8]> {
        if self.parent_id != [0; 8] {
            return Some(self.parent_id);
        }
        let of_trace = |reference: &&Reference| reference.trace_id == self.trace_id;
        let mut candidates = self.references.iter().filter(of_trace);
        let child_of = candidates.clone().find(|reference| reference.is_child_of());
        child_of.or_else(|| candidates.next())?.span_id.filter(|id| *id != [0; 8])
    }
}

fn link<'a>(reference: &Reference, limits: Limits) -> Link<'a> {
    let mut attributes = limits.tags();
    let kind = if reference.is_child_of() { "child_of" } else { "follows_from" };
    attributes.put_str("opentracing.ref_type", Value::text(kind));
    Link { trace_id: reference.trace_id, span_id: reference.span_id, attributes, ..Link::default() }
}

fn event(time_ns: i128, mut fields: Attributes<'_>) -> Event<'_> {
    let name = fields.take_text("event").or_else(|| fields.get_text("message").cloned());
    Event { time_ns: time(time_ns), name: name.unwrap_or_default(), attributes: fields, dropped_attributes: 0 }
}

fn kind(tags: &mut Attributes<'_>) -> Kind {
    match tags.take_text("span.kind").as_deref() {
        Some(b"client") => Kind::Client,
        Some(b"server") => Kind::Server,
        Some(b"producer") => Kind::Producer,
        Some(b"consumer") => Kind::Consumer,
        Some(b"internal") => Kind::Internal,
        _ => Kind::Unspecified,
    }
}

/// `error` decides, then `otel.status_code`, then the status of HTTP.
fn status<'a>(tags: &mut Attributes<'a>, kind: Kind) -> (Status, Text<'a>) {
    let failed = match tags.get("error") {
        Some(Value::Bool(failed)) => *failed,
        Some(Value::Text(text)) => text.eq_ignore_ascii_case(b"true"),
        _ => false,
    };
    let http_message = tags.get_text("http.status_message").cloned();
    if failed {
        tags.take("error");
        tags.take("otel.status_code");
        let message = tags.take_text("otel.status_description").or(http_message);
        return (Status::Error, message.unwrap_or_default());
    }
    if let Some(code) = tags.take_text("otel.status_code") {
        let status = match code.to_ascii_uppercase().as_slice() {
            b"OK" => Status::Ok,
            b"ERROR" => Status::Error,
            _ => Status::Unset,
        };
        return (status, tags.take_text("otel.status_description").unwrap_or_default());
    }
    let code = match tags.get("http.status_code").or_else(|| tags.get("http.response.status_code")) {
        Some(Value::Int(code)) => Some(*code),
        Some(Value::Text(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    match code {
        None | Some(100..400) => (Status::Unset, fixed("")),
        Some(400..500) if kind == Kind::Server => (Status::Unset, fixed("")),
        Some(_) => (Status::Error, http_message.unwrap_or_default()),
    }
}

/// The attributes of the resource that a process with `service` and `tags` is.
pub(super) fn resource<'a>(service: &'a [u8], mut tags: Attributes<'a>, limits: Limits) -> Attributes<'a> {
    let mut resource = limits.tags();
    if tags.are_too_many() {
        resource.set_too_many();
    }
    // `service.name` among the tags counts more, as it comes later.
    if !service.is_empty() {
        resource.put_str("service.name", Value::Text(service.into()));
    }
    if tags.get("host.name").is_none()
        && let Some(host) = tags.take("hostname")
    {
        tags.put_str("host.name", host);
    }
    if tags.get("opencensus.exporterversion").is_none()
        && let Some(version) = tags.take_text("jaeger.version")
    {
        tags.put_str("opencensus.exporterversion", Value::Text([b"Jaeger-", &*version].concat().into()));
    }
    for (key, value) in tags.extract(|_| true) {
        resource.put(key, value);
    }
    resource
}

/// The value of a tag with a type that is not known.
pub(super) fn unknown_type<'a>(kind: i32) -> Value<'a> {
    Value::Text(format!("<Unknown Jaeger TagType \"{kind}\">").into_bytes().into())
}
