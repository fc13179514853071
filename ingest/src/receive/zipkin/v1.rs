//! Spans of version 1, in which everything is an annotation, become spans of version 2.
//!
//! ```text
//! annotations          cs, cr ─► CLIENT   sr, ss ─► SERVER   ms ─► PRODUCER   mr ─► CONSUMER; they are times, not events
//! binary annotations   tags; lc ─► component; sa, ca, ma of the value true ─► the remote endpoint
//! endpoint             of the first annotation that says the kind, else of the first binary annotation, else of the first annotation
//! ```
//! A span that both sides wrote into, as first instrumentations did, has the kind and the service of the first annotation that says one, as
//! the OpenTelemetry collector reads it.

use super::model::{Endpoint, Limits, ZipkinSpan};
use crate::receive::spans::attributes::Text;
use crate::receive::spans::{Kind, Parent, ReadError, RequestWriter, Value};

/// An annotation: when, what, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct Annotation<'a> {
    pub(super) time_us: i128,
    pub(super) value: Text<'a>,
    pub(super) host: Endpoint<'a>,
}

/// A span of version 1.
#[derive(Debug, Clone, Default)]
pub(super) struct V1Span<'a> {
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    pub(super) parent: Parent,
    pub(super) name: Text<'a>,
    /// Microseconds since the Unix epoch; 0 is absent.
    pub(super) timestamp_us: i128,
    /// 0 is absent.
    pub(super) duration_us: i128,
    pub(super) annotations: Vec<Annotation<'a>>,
    pub(super) tags: Vec<(Text<'a>, Value<'a>, Endpoint<'a>)>,
    /// Whether there were more tags than a span may have.
    pub(super) too_many_tags: bool,
    pub(super) debug: bool,
}

impl<'a> V1Span<'a> {
    /// Adds an annotation, unless there are too many already.
    pub(super) fn push_annotation(&mut self, annotation: Annotation<'a>, limits: Limits) {
        limits.push(&mut self.annotations, annotation);
    }

    /// Adds a binary annotation, unless there are too many already.
    pub(super) fn push_tag(&mut self, key: Text<'a>, value: Value<'a>, host: Endpoint<'a>, limits: Limits) {
        if self.tags.len() < limits.attributes {
            self.tags.push((key, value, host));
        } else {
            self.too_many_tags = true;
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// The request becomes too large.
    pub(super) fn write(self, out: &mut RequestWriter, limits: Limits) -> Result<(), ReadError> {
        self.into_v2(limits).write(out, limits)
    }

    fn into_v2(self, limits: Limits) -> ZipkinSpan<'a> {
        let mut span = ZipkinSpan::new(limits);
        let of_kind = self.annotations.iter().find_map(|annotation| Some((kind(&annotation.value)?, annotation)));
        span.kind = of_kind.map_or(Kind::Unspecified, |(kind, _)| kind);
        let named = |host: &&Endpoint<'a>| !host.service.is_empty();
        let kinds = self.annotations.iter().filter(|a| kind(&a.value).is_some()).map(|a| &a.host);
        let tags = self.tags.iter().filter(|tag| !is_address(tag)).map(|(_, _, host)| host);
        let others = self.annotations.iter().map(|a| &a.host);
        span.local = kinds.chain(tags).chain(others).find(named).cloned().unwrap_or_default();
        let times = || self.annotations.iter().map(|a| a.time_us).filter(|us| *us > 0);
        let (first_us, last_us) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        (span.timestamp_us, span.duration_us) = match (self.timestamp_us, self.duration_us) {
            (0, 0) => (first_us, last_us - first_us),
            (0, duration_us) => (first_us, duration_us),
            given => given,
        };
        if self.too_many_tags {
            span.tags.set_too_many();
        }
        for tag in self.tags {
            if is_address(&tag) {
                span.remote = tag.2;
                continue;
            }
            match (&*tag.0, &tag.1) {
                (b"lc", Value::Text(component)) => {
                    if span.local.service.is_empty() {
                        span.local.service = component.clone();
                    }
                    span.tags.put_str("component", tag.1);
                }
                _ => span.tags.put(tag.0, tag.1),
            }
        }
        span.annotations =
            self.annotations.into_iter().filter(|a| kind(&a.value).is_none()).map(|a| (a.time_us, a.value)).collect();
        ZipkinSpan {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent: self.parent,
            name: self.name,
            debug: self.debug,
            ..span
        }
    }
}

fn kind(value: &[u8]) -> Option<Kind> {
    Some(match value {
        b"cs" | b"cr" => Kind::Client,
        b"ss" | b"sr" => Kind::Server,
        b"ms" => Kind::Producer,
        b"mr" => Kind::Consumer,
        _ => return None,
    })
}

/// Whether a binary annotation says where the other side is.
fn is_address((key, value, _): &(Text<'_>, Value<'_>, Endpoint<'_>)) -> bool {
    let said = match value {
        Value::Bool(value) => *value,
        Value::Text(text) => **text == *b"true" || **text == *b"1",
        _ => false,
    };
    said && matches!(&**key, b"sa" | b"ca" | b"ma")
}
