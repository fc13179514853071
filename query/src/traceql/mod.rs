//! TraceQL over the lake: one engine for the Tempo, Jaeger and Zipkin APIs, rules and SQL.
//!
//! ```text
//! request ──► TraceqlEngine ──run──► view (snapshot, fresh rows) ──► spans by trace ──► spansets or series ──► answer
//! ```
//! The language itself is the crate `traceql`; here is what it needs of storage, of DataFusion and of the node.
//!
//! # Invariants
//! - An answer is the logical one of the language, whatever lies in files or in memory; storage may only save work.

mod answer;
mod conditions;
mod config;
mod dependencies;
mod error;
mod evaluate;
mod metrics;
mod read;
mod request;
mod search;
mod spans;
pub(crate) mod table;
mod tags;
mod traces;

pub use answer::{
    AnyValue, Attributes, Dependency, Event, Exemplar, Link, MetricSeries, MetricsAnswer, Resource, Scope, SearchAnswer,
    SearchStats, ServiceStats, Span, SpanMatch, SpansetMatch, TagValues, Tags, Trace, TraceMatch, TracePart,
};
pub use config::TraceqlConfig;
pub use error::{Error, Result};
pub use request::{
    MetricsRequest, SearchRequest, SpanId, TagScope, TagValuesRequest, TagsRequest, TraceId, TracesRequest, Window,
};

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use tokio::sync::mpsc;

use crate::admission::Admission;
use crate::engine::Engine;
use crate::run::{self, Ticket};
use crate::threads::Threads;
use crate::usage::{Row, note};
use evaluate::Work;

/// Answers TraceQL requests. One per process.
#[derive(Debug, Clone)]
pub struct TraceqlEngine {
    engine: Arc<Engine>,
    config: TraceqlConfig,
    threads: Threads,
    admission: Arc<Admission>,
}

impl TraceqlEngine {
    /// TraceQL over `engine`; requests are worked on by `threads`, which should not be those that serve them.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(engine: Arc<Engine>, config: TraceqlConfig, threads: impl Into<Threads>) -> Result<Arc<Self>> {
        config.validate()?;
        let admission = Arc::new(Admission::new(config.queries_max, config.queue_max));
        let partitions = engine.config().target_partitions();
        engine.speak_traceql(table::Language { config: config.clone(), partitions });
        Ok(Arc::new(Self { engine, config, threads: threads.into(), admission }))
    }

    /// The settings.
    pub fn config(&self) -> &TraceqlConfig {
        &self.config
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Searches. `progress` is told what is known so far, each time as a whole, before the answer is complete; slow listeners miss some.
    ///
    /// # Errors
    /// All kinds.
    pub async fn search(
        &self,
        tenant: &TenantId,
        request: SearchRequest,
        progress: Option<mpsc::Sender<SearchAnswer>>,
    ) -> Result<SearchAnswer> {
        note(|row| {
            row.set_text(&request.text);
            noted_time(row, request.time);
        });
        let found = self
            .work(tenant, request.timeout, move |work| async move { search::search(&work, &request, progress).await })
            .await?;
        note(|row| row.rows = Some(found.traces.len() as u64));
        Ok(found)
    }

    /// The traces with these ids that exist, in the order asked for.
    ///
    /// # Errors
    /// [`Error::TraceTooLarge`]; storage.
    pub async fn traces(&self, tenant: &TenantId, request: TracesRequest) -> Result<Vec<Trace>> {
        note(|row| {
            row.set_text(&request.ids.iter().map(hex::encode).collect::<Vec<_>>().join(","));
            noted_time(row, request.time);
        });
        let found = self.work(tenant, None, move |work| async move { traces::traces(&work, &request).await }).await?;
        note(|row| row.rows = row.rows.or(Some(found.len() as u64)));
        Ok(found)
    }

    /// A trace by its id; of one with more than [`TraceqlConfig::trace_spans_max`] spans that many. `time` is where to look first.
    ///
    /// # Errors
    /// Storage.
    pub async fn trace_part(&self, tenant: &TenantId, id: TraceId, time: Option<Window>) -> Result<Option<TracePart>> {
        note(|row| {
            row.set_text(&hex::encode(id));
            noted_time(row, time);
        });
        let found = self.work(tenant, None, move |work| async move { traces::part(&work, id, time).await }).await?;
        note(|row| row.rows = Some(u64::from(found.is_some())));
        Ok(found)
    }

    /// Names of attributes.
    ///
    /// # Errors
    /// Limits, storage; never a filter.
    pub async fn tags(&self, tenant: &TenantId, request: TagsRequest) -> Result<Tags> {
        self.work(tenant, None, move |work| async move { tags::names(&work, &request).await }).await
    }

    /// Values of an attribute or intrinsic.
    ///
    /// # Errors
    /// A tag that is no field, limits, storage; never a filter.
    pub async fn tag_values(&self, tenant: &TenantId, request: TagValuesRequest) -> Result<TagValues> {
        self.work(tenant, None, move |work| async move { tags::values(&work, &request).await }).await
    }

    /// Series. `progress` as in [`TraceqlEngine::search`].
    ///
    /// # Errors
    /// All kinds.
    pub async fn metrics(
        &self,
        tenant: &TenantId,
        request: MetricsRequest,
        progress: Option<mpsc::Sender<MetricsAnswer>>,
    ) -> Result<MetricsAnswer> {
        note(|row| {
            row.set_text(&request.text);
            row.set_time(request.start_ns, request.end_ns);
            row.step_ns = (!request.instant && request.step_ns > 0).then_some(request.step_ns);
        });
        let found = self
            .work(tenant, request.timeout, move |work| async move { metrics::metrics(&work, &request, progress).await })
            .await?;
        note(|row| row.rows = Some(found.series.len() as u64));
        Ok(found)
    }

    /// Which service calls which, by the spans that start in `time`, ascending.
    ///
    /// # Errors
    /// Limits, storage.
    pub async fn dependencies(&self, tenant: &TenantId, time: Window) -> Result<Vec<Dependency>> {
        self.work(tenant, None, move |work| async move { dependencies::dependencies(&work, time).await }).await
    }

    /// Runs `work` over the newest state when it is the tenant's turn.
    async fn work<T, F, W>(&self, tenant: &TenantId, timeout: Option<Duration>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Work) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let timeout = run::time_of(timeout, self.config.timeout);
        let ticket = Ticket::new(timeout);
        let _turn = self.admission.turn(tenant, timeout).await?;
        let session = self.engine.session(tenant, self.engine.config().limits.clone())?;
        let piece = Work {
            view: Arc::clone(session.view()),
            context: session.context().task_ctx(),
            config: self.config.clone(),
            partitions: self.engine.config().target_partitions(),
            ticket: ticket.clone(),
        };
        run::run(&self.threads, ticket, async move { work(piece).await.map_err(|error| error.explained(&session)) }).await
    }
}

/// Notes the time that is asked for; what has none asks for all of it.
fn noted_time(row: &mut Row, time: Option<Window>) {
    if let Some(Window { start_ns, end_ns }) = time {
        row.set_time(start_ns, end_ns);
    }
}
