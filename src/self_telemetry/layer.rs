//! `tracing`'s events and spans on their way to the queue.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tokio::sync::mpsc;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::text::{Fields, text};
use super::{Item, WRITING, dropped};

/// A push that was taken sooner than that is no news: its span is not kept.
const QUICK_PUSH: Duration = Duration::from_millis(100);

/// The end of the queue that `tracing` fills.
#[derive(Debug)]
pub(crate) struct Own(pub(super) mpsc::Sender<Item>);

/// A span that is open.
struct Open {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent: Vec<u8>,
    started: SystemTime,
    clock: Instant,
    fields: Fields,
}

impl Own {
    fn send(&self, item: Item) {
        if self.0.try_send(item).is_err() {
            dropped(1);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Own {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::INFO || is_writing() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.attributes.push(text("target", event.metadata().target()));
        let (trace_id, span_id) = context
            .event_span(event)
            .and_then(|span| span.extensions().get::<Open>().map(|open| (open.trace_id.to_vec(), open.span_id.to_vec())))
            .unwrap_or_default();
        let record = LogRecord {
            time_unix_nano: nanos(SystemTime::now()),
            severity_number: severity(level),
            severity_text: level.to_string(),
            body: text("", &fields.message).value,
            attributes: fields.attributes,
            trace_id,
            span_id,
            ..Default::default()
        };
        self.send(Item::Log(Box::new(record)));
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if *span.metadata().level() > Level::INFO || is_writing() {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let remote = fields.take("traceparent").and_then(|header| parse_traceparent(&header));
        let local = span.parent().and_then(|parent| parent.extensions().get::<Open>().map(|open| (open.trace_id, open.span_id)));
        let (trace_id, parent) = match local.or(remote) {
            Some((trace_id, span_id)) => (trace_id, span_id.to_vec()),
            None => (rand::random(), Vec::new()),
        };
        let open = Open { trace_id, span_id: rand::random(), parent, started: SystemTime::now(), clock: Instant::now(), fields };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut open) = span.extensions_mut().remove::<Open>() else { return };
        let took = open.clock.elapsed();
        let status = open.fields.int("http.response.status_code");
        let is_push = open.fields.take("push").is_some();
        if is_push && took < QUICK_PUSH && status.is_some_and(|status| status < 400) {
            return;
        }
        let name = open.fields.take("otel.name").unwrap_or_else(|| span.metadata().name().to_owned());
        let kind = if status.is_some() { SpanKind::Server } else { SpanKind::Internal };
        let failed = status.is_some_and(|status| status >= 500) || open.fields.take("error").is_some();
        let code = if failed { StatusCode::Error } else { StatusCode::Unset };
        let closed = Span {
            trace_id: open.trace_id.to_vec(),
            span_id: open.span_id.to_vec(),
            parent_span_id: open.parent,
            name,
            kind: kind.into(),
            start_time_unix_nano: nanos(open.started),
            end_time_unix_nano: nanos(open.started + took),
            attributes: open.fields.attributes,
            status: Some(Status { code: code.into(), ..Default::default() }),
            ..Default::default()
        };
        self.send(Item::Span(Box::new(closed)));
    }
}

fn is_writing() -> bool {
    WRITING.try_with(|()| ()).is_ok()
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// OTLP's number of a level.
fn severity(level: Level) -> i32 {
    match level {
        Level::ERROR => 17,
        Level::WARN => 13,
        _ => 9,
    }
}

/// Trace and span of a W3C `traceparent` header. A header that breaks the format is as good as none.
fn parse_traceparent(header: &str) -> Option<([u8; 16], [u8; 8])> {
    let mut parts = header.split('-');
    let (version, trace, span, _flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
    hex::decode_to_slice(trace, &mut trace_id).ok()?;
    hex::decode_to_slice(span, &mut span_id).ok()?;
    (version.len() == 2 && version != "ff" && trace_id != [0; 16] && span_id != [0; 8]).then_some((trace_id, span_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_as_w3c_has_it() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (trace_id, span_id) = parse_traceparent(good).expect("valid");
        assert_eq!((trace_id[0], trace_id[15], span_id[0], span_id[7]), (0x0a, 0x9c, 0xb7, 0x31));
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-zzf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse_traceparent(bad), None, "{bad}");
        }
    }
}
