//! Traces: a request enters the shop and crosses its services; now and then one of them fails.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use super::shop::{SERVICES, attribute, int_attribute, resource, scope, text_attribute};
use super::{Batch, Counts, Source};

/// Between the starts of two traces of a batch.
const STEP_NS: u64 = 500_000;

/// Traces of the whole shop.
#[derive(Debug)]
pub(crate) struct TracesSource {
    random: SmallRng,
    instances: usize,
    /// The trace before, which a new one may link to.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl TracesSource {
    /// `instances` of every service.
    pub(crate) fn new(seed: u64, instances: usize) -> Self {
        Self { random: SmallRng::seed_from_u64(seed ^ 0x7472_6163), instances: instances.max(1), last: None }
    }
}

impl Source for TracesSource {
    fn next(&mut self, now_ns: u64, items_max: usize) -> Batch {
        let mut counts = Counts { requests: 1, ..Counts::default() };
        let mut by_service: Vec<Vec<Span>> = vec![Vec::new(); SERVICES.len()];
        let mut at_ns = now_ns;
        while counts.spans < items_max.max(1) as u64 {
            let mut trace_id = vec![0; 16];
            self.random.fill_bytes(&mut trace_id);
            let mut trace = Trace { random: &mut self.random, trace_id, by_service: &mut by_service, counts: &mut counts };
            let root = trace.call(0, &[], at_ns);
            if let (Some(last), Some(first)) = (&self.last, by_service[0].last_mut())
                && self.random.random_bool(0.05)
            {
                first.links.push(Link { trace_id: last.0.clone(), span_id: last.1.clone(), ..Default::default() });
            }
            self.last = Some(root);
            counts.traces += 1;
            at_ns += STEP_NS;
        }
        let instance = self.random.random_range(0..self.instances);
        let resource_spans =
            by_service.into_iter().enumerate().filter(|(_, spans)| !spans.is_empty()).map(|(service, spans)| ResourceSpans {
                resource: Some(resource(&SERVICES[service], instance)),
                scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..Default::default() }],
                ..Default::default()
            });
        let body = ExportTraceServiceRequest { resource_spans: resource_spans.collect() }.encode_to_vec().into();
        Batch { signal: catalog::Signal::Traces, body, counts }
    }
}

struct Trace<'a> {
    random: &'a mut SmallRng,
    trace_id: Vec<u8>,
    by_service: &'a mut [Vec<Span>],
    counts: &'a mut Counts,
}

impl Trace<'_> {
    /// The server span of `service` and everything below it. Returns the ids of the trace and of that span.
    fn call(&mut self, service: usize, parent: &[u8], start_ns: u64) -> (Vec<u8>, Vec<u8>) {
        let it = &SERVICES[service];
        let (method, route) = it.operations[self.random.random_range(0..it.operations.len())];
        let span_id = self.new_id();
        let mut end_ns = start_ns + self.random.random_range(200_000..3_000_000);
        for callee in it.calls {
            if self.random.random_bool(0.7) {
                let client = self.new_id();
                let called_ns = end_ns;
                end_ns += self.random.random_range(500_000..8_000_000);
                self.call(*callee, &client, called_ns + 50_000);
                let attributes =
                    vec![text_attribute("peer.service", SERVICES[*callee].name), text_attribute("rpc.system", "grpc")];
                let name = format!("call {}", SERVICES[*callee].name);
                let span = self.span(client, &span_id, (called_ns, end_ns), name, SpanKind::Client, attributes);
                self.push(service, span);
            }
        }
        if it.calls.is_empty() && self.random.random_bool(0.5) {
            let query = self.new_id();
            let attributes = vec![
                text_attribute("db.system", "postgresql"),
                text_attribute("db.statement", "SELECT * FROM orders WHERE id = $1"),
                int_attribute("db.rows", self.random.random_range(0..50)),
            ];
            let span = self.span(
                query,
                &span_id,
                (start_ns + 100_000, end_ns),
                "SELECT orders".to_owned(),
                SpanKind::Client,
                attributes,
            );
            self.push(service, span);
        }
        let failed = self.random.random_bool(0.03);
        let status = if failed { 500 } else { 200 };
        let attributes = vec![
            text_attribute("http.request.method", method),
            text_attribute("http.route", route),
            int_attribute("http.response.status_code", status),
            attribute("shop.cart.value", Value::DoubleValue(f64::from(self.random.random_range(100..50_000)) / 100.0)),
            attribute("shop.returning", Value::BoolValue(self.random.random_bool(0.4))),
        ];
        let kind = SpanKind::Server;
        let mut span =
            self.span(span_id.clone(), parent, (start_ns, end_ns + 100_000), format!("{method} {route}"), kind, attributes);
        if failed {
            span.status = Some(Status { code: StatusCode::Error as i32, message: "upstream did not answer".to_owned() });
            span.events.push(Event {
                time_unix_nano: end_ns,
                name: "exception".to_owned(),
                attributes: vec![
                    text_attribute("exception.type", "TimeoutError"),
                    text_attribute("exception.message", "upstream did not answer"),
                ],
                ..Default::default()
            });
        }
        self.push(service, span);
        (self.trace_id.clone(), span_id)
    }

    fn span(
        &self,
        span_id: Vec<u8>,
        parent: &[u8],
        (start_time_unix_nano, end_time_unix_nano): (u64, u64),
        name: String,
        kind: SpanKind,
        attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
    ) -> Span {
        Span {
            trace_id: self.trace_id.clone(),
            span_id,
            parent_span_id: parent.to_vec(),
            name,
            kind: kind as i32,
            start_time_unix_nano,
            end_time_unix_nano,
            attributes,
            ..Default::default()
        }
    }

    fn push(&mut self, service: usize, span: Span) {
        self.counts.spans += 1;
        self.counts.span_events += span.events.len() as u64;
        self.by_service[service].push(span);
    }

    fn new_id(&mut self) -> Vec<u8> {
        let mut id = vec![0; 8];
        self.random.fill_bytes(&mut id);
        id
    }
}
