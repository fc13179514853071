//! Log lines in the four formats that people grep: JSON, logfmt, access log, Java with stack traces.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};

use super::shop::{SERVICES, Service, int_attribute, resource, scope, text, text_attribute};
use super::{Batch, Counts, Source};

/// (severity number, text), most frequent first.
const LEVELS: [(i32, &str); 5] = [(9, "INFO"), (5, "DEBUG"), (13, "WARN"), (17, "ERROR"), (21, "FATAL")];
/// Upper ends of the levels' shares out of 1000.
const LEVEL_SHARES: [u32; 5] = [780, 930, 975, 999, 1000];
/// Records of one instance in a batch: a sender batches its own lines.
const RECORDS_PER_INSTANCE: usize = 50;
/// Between two lines of a batch.
const STEP_NS: u64 = 100_000;

/// Lines of all instances, in turn.
#[derive(Debug)]
pub(crate) struct LogsSource {
    random: SmallRng,
    instances: usize,
    next: usize,
}

impl LogsSource {
    /// `instances` of every service.
    pub(crate) fn new(seed: u64, instances: usize) -> Self {
        Self { random: SmallRng::seed_from_u64(seed ^ 0x6c6f_6773), instances: instances.max(1) * SERVICES.len(), next: 0 }
    }
}

impl Source for LogsSource {
    fn next(&mut self, now_ns: u64, items_max: usize) -> Batch {
        let mut left = items_max.max(1);
        let mut at_ns = now_ns;
        let mut resource_logs = Vec::new();
        while left > 0 {
            let (service, number) = (&SERVICES[self.next % SERVICES.len()], self.next / SERVICES.len());
            self.next = (self.next + 1) % self.instances;
            let count = left.min(RECORDS_PER_INSTANCE);
            left -= count;
            let log_records = (0..count).map(|_| {
                at_ns += STEP_NS;
                record(service, at_ns, &mut self.random)
            });
            resource_logs.push(ResourceLogs {
                resource: Some(resource(service, number)),
                scope_logs: vec![ScopeLogs { scope: Some(scope()), log_records: log_records.collect(), ..Default::default() }],
                ..Default::default()
            });
        }
        let counts = Counts { requests: 1, log_records: items_max.max(1) as u64, ..Counts::default() };
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec().into();
        Batch { signal: catalog::Signal::Logs, body, counts }
    }
}

fn record(service: &Service, at_ns: u64, random: &mut SmallRng) -> LogRecord {
    let share = random.random_range(0..1000);
    let (severity_number, severity_text) = LEVELS[LEVEL_SHARES.iter().position(|end| share < *end).unwrap_or(0)];
    let mut ids = [0; 24];
    let traced = random.random_bool(0.6);
    if traced {
        random.fill_bytes(&mut ids);
    }
    let trace_id = if traced { ids[..16].to_vec() } else { vec![] };
    let (method, route) = service.operations[random.random_range(0..service.operations.len())];
    let latency_ms = random.random_range(1..900);
    let line = Line { level: severity_text, method, route, latency_ms, at_ns };
    LogRecord {
        time_unix_nano: at_ns,
        observed_time_unix_nano: at_ns + STEP_NS / 2,
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(text(line.write(service.language, random))),
        attributes: vec![
            text_attribute("http.request.method", method),
            text_attribute("http.route", route),
            int_attribute("duration_ms", latency_ms),
        ],
        flags: u32::from(traced),
        trace_id,
        span_id: if traced { ids[16..].to_vec() } else { vec![] },
        ..Default::default()
    }
}

struct Line {
    level: &'static str,
    method: &'static str,
    route: &'static str,
    latency_ms: i64,
    at_ns: u64,
}

impl Line {
    fn write(&self, language: &str, random: &mut SmallRng) -> String {
        let Self { level, method, route, latency_ms, .. } = *self;
        let request: u64 = random.random();
        match language {
            "go" => format!(
                "level={} msg=\"request handled\" method={method} path={route} duration={latency_ms}ms request_id={request:016x}",
                level.to_lowercase()
            ),
            "java" if level == "ERROR" || level == "FATAL" => format!(
                "{level} [http-nio-8080-exec-{}] c.shop.payment.ChargeService - card refused, request {request:016x}\n\
                 java.lang.IllegalStateException: issuer did not answer within {latency_ms} ms\n\
                 \tat com.shop.payment.ChargeService.charge(ChargeService.java:{})\n\
                 \tat com.shop.payment.PaymentResource.post(PaymentResource.java:57)\n\
                 \tat java.base/java.lang.Thread.run(Thread.java:1583)",
                request % 64,
                100 + request % 40
            ),
            "java" => {
                format!(
                    "{level} [http-nio-8080-exec-{}] c.shop.payment.ChargeService - charged in {latency_ms} ms, request {request:016x}",
                    request % 64
                )
            }
            "nodejs" => format!(
                "10.{}.{}.{} - - [{}] \"{method} {route} HTTP/1.1\" {} {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\" {latency_ms}",
                request % 8,
                (request >> 8) % 256,
                (request >> 16) % 256,
                humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(self.at_ns)),
                if level == "ERROR" { 500 } else { 200 },
                (request >> 24) % 20_000
            ),
            _ => format!(
                "{{\"level\":\"{}\",\"msg\":\"request handled\",\"method\":\"{method}\",\"route\":\"{route}\",\"status\":{},\"duration_ms\":{latency_ms},\"request_id\":\"{request:016x}\",\"user\":\"u{}\"}}",
                level.to_lowercase(),
                if level == "ERROR" { 500 } else { 200 },
                request % 5_000
            ),
        }
    }
}
