//! Requests go through the converter, the sink and the generator; what is written is read back from its rows.

mod graph;
mod options;
mod sizes;
mod spans;
mod writing;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use async_trait::async_trait;
use catalog::Env;
use catalog::env::fixed::{self, ManualClock};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use super::*;
use crate::convert::{Convert, LogRules, Resources, SpansConverter};
use crate::receive::ReceiveConfig;
use crate::registry::RegistryConfig;
use crate::sink::Appended;

const START_MS: i64 = 1_760_000_000_000;
const MS: u64 = 1_000_000;

/// A sink that keeps what it gets, or refuses.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    appends: Mutex<Vec<Append>>,
    answer: Mutex<Option<Result<Appended, SinkError>>>,
}

#[async_trait]
impl RowSink for Shelf {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        let answer = self.answer.lock().clone().unwrap_or(Ok(Appended::Stored));
        if matches!(answer, Ok(Appended::Stored)) {
            self.appends.lock().push(append);
        }
        answer
    }
}

/// A node's worth of the way in.
pub(super) struct Rig {
    env: Env,
    clock: Arc<ManualClock>,
    shelf: Arc<Shelf>,
    sink: Arc<GeneratingSink>,
    generator: Arc<Generator>,
    converter: SpansConverter,
    names: Mutex<BTreeMap<i64, String>>,
}

/// Samples by series, in the order in which they were written: milliseconds since the start, value, start.
type Samples = BTreeMap<String, Vec<(i64, f64, Option<i64>)>>;

impl Rig {
    pub(super) fn new(config: GeneratorConfig) -> Self {
        config.validate().expect("a valid configuration");
        let (env, clock) = fixed::env(Timestamp::from_millis(START_MS), 1);
        let registry = SeriesRegistry::new(RegistryConfig::default());
        let generator = Generator::new(config, registry, "node-1", 7, env.now());
        let shelf = Arc::new(Shelf::default());
        let sink = GeneratingSink::new(Arc::clone(&shelf) as _, Arc::clone(&generator), env.clone());
        let limits = Arc::new(ReceiveConfig::default());
        let converter = SpansConverter::new(Arc::clone(&limits), env.clone(), Resources::new(&limits, LogRules::default()));
        Self { env, clock, shelf, sink, generator, converter, names: Mutex::default() }
    }

    fn advance(&self, ms: u64) {
        self.clock.advance(std::time::Duration::from_millis(ms));
    }

    fn answer(&self, answer: Option<Result<Appended, SinkError>>) {
        *self.shelf.answer.lock() = answer;
    }

    /// Sends spans of one resource.
    async fn send(&self, resource: &[(&str, &str)], spans: Vec<Span>) -> Result<Appended, SinkError> {
        let resource = Resource { attributes: resource.iter().map(|(k, v)| attribute(k, v)).collect(), ..Default::default() };
        let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() }],
        };
        let tenant = TenantId::anonymous();
        let mut converted = self.converter.convert(&tenant, &request.encode_to_vec()).expect("a request");
        assert_eq!(converted.rejected, 0, "{:?}", converted.reason);
        let rows = std::mem::take(&mut converted.rows);
        let appended = self.sink.append(Append { tenant, fingerprint: None, rows }).await;
        if matches!(appended, Ok(Appended::Stored)) {
            converted.confirm();
        }
        appended
    }

    async fn of(&self, service: &str, spans: Vec<Span>) {
        self.send(&[("service.name", service)], spans).await.expect("stored");
    }

    /// Writes, and gives the samples of this write.
    async fn write(&self) -> Samples {
        self.shelf.appends.lock().clear();
        self.generator.write(&*self.shelf, self.env.now()).await.expect("written");
        self.samples()
    }

    /// Writes 15 seconds later; the newest value of every series whose name begins with `prefix`, without the node's label.
    async fn values(&self, prefix: &str) -> BTreeMap<String, f64> {
        self.advance(15_000);
        let samples = self.write().await;
        samples.iter().filter(|(n, _)| n.starts_with(prefix)).map(|(n, s)| (plain(n), s.last().expect("a sample").1)).collect()
    }

    fn samples(&self) -> Samples {
        let mut names = self.names.lock();
        let mut samples = Samples::new();
        for append in &*self.shelf.appends.lock() {
            assert_eq!(append.fingerprint, None);
            for (table, batch) in &append.rows {
                assert_eq!(batch.schema(), catalog::schema::rows(*table));
                let Some(sids) = batch.column_by_name("sid") else { continue };
                let sids = sids.as_primitive::<Int64Type>();
                let times = batch.column_by_name("ts").expect("a time").as_primitive_opt::<TimestampMillisecondType>();
                for row in 0..batch.num_rows() {
                    match table {
                        Table::Series => drop(names.insert(sids.value(row), name_of(batch, row))),
                        Table::Samples => {
                            let value = batch.column_by_name("value").expect("values").as_primitive::<Float64Type>().value(row);
                            let starts =
                                batch.column_by_name("start_ts").expect("starts").as_primitive::<TimestampMillisecondType>();
                            let start = starts.is_valid(row).then(|| starts.value(row) - START_MS);
                            let name = names.get(&sids.value(row)).expect("a series' row comes with its first sample").clone();
                            samples.entry(name).or_default().push((times.expect("ms").value(row) - START_MS, value, start));
                        }
                        _ => {}
                    }
                }
            }
        }
        samples
    }

    /// The batches of a table in the last write.
    fn written(&self, table: Table) -> Vec<RecordBatch> {
        let appends = self.shelf.appends.lock();
        appends.iter().flat_map(|a| &a.rows).filter(|(t, _)| *t == table).map(|(_, batch)| batch.clone()).collect()
    }
}

/// `metric{name="value",...}` of a row of `series`.
fn name_of(batch: &RecordBatch, row: usize) -> String {
    let metrics = batch.column_by_name("metric").expect("names").as_any_dictionary();
    let metric = metrics.values().as_string::<i32>().value(metrics.normalized_keys()[row]).to_owned();
    let labels = batch.column_by_name("labels").expect("labels").as_map().value(row);
    let (keys, values) = (labels.column(0).as_string::<i32>().clone(), labels.column(1).as_string::<i32>().clone());
    let labels: Vec<String> = (0..keys.len()).map(|at| format!("{}={:?}", keys.value(at), values.value(at))).collect();
    format!("{metric}{{{}}}", labels.join(","))
}

/// Without the label of the node, which every series has.
fn plain(name: &str) -> String {
    let own = format!("{INSTANCE_LABEL}=\"node-1\"");
    assert!(name.contains(&own), "{name}");
    name.replace(&format!("{own},"), "").replace(&format!(",{own}"), "").replace(&own, "")
}

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

/// A span of `duration_ms`; ids 0 are none.
pub(super) fn span(name: &str, kind: i32, (trace, id, parent): (u8, u8, u8), duration_ms: u64) -> Span {
    let start = START_MS as u64 * MS;
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + duration_ms * MS,
        ..Default::default()
    }
}

pub(super) fn failed(mut span: Span) -> Span {
    span.status = Some(Status { code: 2, message: "no".to_owned() });
    span
}

pub(super) fn with(mut span: Span, attributes: &[(&str, &str)]) -> Span {
    span.attributes.extend(attributes.iter().map(|(k, v)| attribute(k, v)));
    span
}

pub(super) fn map<const N: usize>(pairs: [(&str, f64); N]) -> BTreeMap<String, f64> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
