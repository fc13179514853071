//! Samples and exemplars as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, MapArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMillisecondType};
use catalog::{Table, TimeRange};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool};
use futures::TryStreamExt;
use hashbrown::HashMap;
use lake::{ColumnTest, Predicate, Scalar, ScanSpec, Test};
use promql::ast::Matcher;
use promql::eval::Select;
use promql::labels::Labels;
use promql::parse::ParseOptions;
use promql::value::{RawSeries, is_stale};

use super::answer::{Element, Exemplar, ExemplarSeries, Sample};
use super::config::PromqlConfig;
use super::error::{Error, Result};
use super::request::{ExemplarRequest, NewestRequest, RawRequest};
use super::samples::Samples;
use super::series::{self, Interner};
use crate::run::Ticket;
use crate::scan::deletes::Deletes;
use crate::view::View;

/// Most exemplars of one answer.
const EXEMPLARS_MAX: usize = 100_000;

/// What a request reads with.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) view: Arc<View>,
    pub(super) samples: Arc<Samples>,
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) config: PromqlConfig,
    pub(super) ticket: Ticket,
}

impl Reader {
    async fn read(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64, starts: bool) -> Result<Vec<RawSeries>> {
        let select = Select { matchers: matchers.to_vec(), from_ms, to_ms, starts };
        let memory = MemoryConsumer::new("samples").register(&self.pool);
        let limits = (self.config.series_max, self.config.samples_max);
        self.samples.read(&self.view, &select, limits, &memory, &self.ticket).await
    }
}

/// Every sample of the series that match.
pub(super) async fn raw(reader: &Reader, request: &RawRequest) -> Result<Vec<RawSeries>> {
    reader.read(&request.matchers, request.time.start_ms, request.time.end_ms, true).await
}

/// The newest sample of each series that matches one of the selectors, if it is young enough and no stale marker.
pub(super) async fn newest(reader: &Reader, request: &NewestRequest) -> Result<Vec<Element>> {
    let lookback = request.lookback.unwrap_or(reader.config.lookback);
    let lookback_ms = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX);
    let from_ms = request.time_ms.saturating_sub(lookback_ms).saturating_add(1);
    let mut found: BTreeMap<Labels, Element> = BTreeMap::new();
    for matchers in &request.selectors {
        for series in reader.read(matchers, from_ms, request.time_ms, false).await? {
            if let Some(element) = newest_of(series) {
                found.insert(element.labels.clone(), element);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn newest_of(mut series: RawSeries) -> Option<Element> {
    let histogram = series.histograms.pop();
    let float = series.times_ms.last().copied().zip(series.floats.last().copied());
    let labels = series.labels;
    match (float, histogram) {
        (Some((time_ms, value)), histogram) if histogram.as_ref().is_none_or(|h| h.time_ms < time_ms) => {
            (!is_stale(value)).then_some(Element { labels, time_ms, sample: Sample::Float(value) })
        }
        (_, Some(sample)) => (!is_stale(sample.histogram.sum)).then_some(Element {
            labels,
            time_ms: sample.time_ms,
            sample: Sample::Histogram(sample.histogram),
        }),
        _ => None,
    }
}

/// The exemplars of the series that an expression's selectors match.
pub(super) async fn exemplars(view: &View, request: &ExemplarRequest, config: &PromqlConfig) -> Result<Vec<ExemplarSeries>> {
    let expr = promql::parse::parse(&request.text, &ParseOptions { experimental: config.experimental })?;
    let selectors: Vec<Vec<Matcher>> = expr.selectors().iter().map(|selector| selector.matchers.clone()).collect();
    if selectors.is_empty() {
        return Ok(Vec::new());
    }
    let time: TimeRange = request.time.into();
    let found = series::resolve(view, &selectors, time, config.series_max).await?;
    let places: HashMap<i64, usize> = found.iter().enumerate().map(|(at, series)| (series.id(), at)).collect();
    let mut gathered: Vec<Vec<Exemplar>> = vec![Vec::new(); found.len()];
    let mut count = 0;
    for batch in batches(view, &found, time).await? {
        let exemplars = Exemplars::new(&batch)
            .ok_or_else(|| Error::Query(crate::Error::Internal { message: "exemplars lack a column".to_owned() }))?;
        for row in 0..batch.num_rows() {
            let Some(place) = places.get(&exemplars.ids.value(row)) else { continue };
            let time_ms = exemplars.times.value(row);
            if time_ms < request.time.start_ms || time_ms > request.time.end_ms {
                continue;
            }
            count += 1;
            if count > EXEMPLARS_MAX {
                let (found, limit) = (count as u64, EXEMPLARS_MAX as u64);
                return Err(Error::Limit { name: "of one answer", what: "exemplars", found, limit });
            }
            gathered[*place].push(exemplars.read(row, time_ms));
        }
    }
    let mut interner = Interner::default();
    let named = found.iter().zip(gathered).filter(|(_, exemplars)| !exemplars.is_empty());
    let mut out: Vec<ExemplarSeries> = named
        .map(|(series, mut exemplars)| {
            exemplars.sort_by_key(|exemplar| exemplar.time_ms);
            exemplars.dedup();
            ExemplarSeries { labels: interner.labels(series), exemplars }
        })
        .collect();
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

/// The stored exemplars that may belong to `found`.
async fn batches(view: &View, found: &[lake::series::Series], time: TimeRange) -> Result<Vec<arrow::array::RecordBatch>> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let ids = found.iter().map(|series| Scalar::Int(series.id())).collect();
    let predicate = Predicate { all: vec![ColumnTest { column: "sid".to_owned(), test: Test::In(ids) }] };
    let files = view.lake().prune(&view.files(Table::Exemplars, time), &predicate, time);
    view.open(&files)?;
    let deletes = Deletes::load(view, Table::Exemplars, time).await?;
    let mut out = Vec::new();
    for file in files {
        let added = view.added(&file);
        let mut spec = ScanSpec::all(["sid", "ts", "value", "trace_id", "span_id", "labels"]);
        (spec.time, spec.predicate) = (time, predicate.clone());
        for batch in view.lake().scan(file, spec)?.try_collect::<Vec<_>>().await? {
            out.push(deletes.apply(batch, added)?);
        }
    }
    out.extend(view.fresh(Table::Exemplars));
    Ok(out)
}

/// The columns of one batch.
struct Exemplars<'a> {
    ids: &'a arrow::array::Int64Array,
    times: &'a arrow::array::TimestampMillisecondArray,
    values: &'a arrow::array::Float64Array,
    trace_ids: &'a arrow::array::FixedSizeBinaryArray,
    span_ids: &'a arrow::array::FixedSizeBinaryArray,
    labels: &'a MapArray,
}

impl<'a> Exemplars<'a> {
    fn new(batch: &'a arrow::array::RecordBatch) -> Option<Self> {
        let column = |name: &str| batch.column_by_name(name);
        Some(Self {
            ids: column("sid")?.as_primitive_opt::<Int64Type>()?,
            times: column("ts")?.as_primitive_opt::<TimestampMillisecondType>()?,
            values: column("value")?.as_primitive_opt::<Float64Type>()?,
            trace_ids: column("trace_id")?.as_fixed_size_binary_opt()?,
            span_ids: column("span_id")?.as_fixed_size_binary_opt()?,
            labels: column("labels")?.as_map_opt()?,
        })
    }

    fn read(&self, row: usize, time_ms: i64) -> Exemplar {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        let entries = self.labels.value(row);
        let (keys, values) = (entries.column(0).as_string_opt::<i32>(), entries.column(1).as_string_opt::<i32>());
        if let (Some(keys), Some(values)) = (keys, values) {
            let texts = keys.iter().zip(values.iter());
            pairs.extend(texts.filter_map(|(key, value)| Some((Arc::from(key?), Arc::from(value?)))));
        }
        for (name, ids) in [("trace_id", self.trace_ids), ("span_id", self.span_ids)] {
            if ids.is_valid(row) {
                let hex: String = ids.value(row).iter().map(|byte| format!("{byte:02x}")).collect();
                pairs.push((Arc::from(name), Arc::from(hex)));
            }
        }
        Exemplar { labels: Labels::new(pairs), value: self.values.value(row), time_ms }
    }
}
