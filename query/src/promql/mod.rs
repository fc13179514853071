//! PromQL over the lake: one engine for the Prometheus API, rules and SQL.
//!
//! ```text
//! request ──► PromqlEngine ──run──► view (snapshot, fresh rows) ──► series ──► samples ──► operators ──► Answer
//!                                                                   [series]    [select]    [exec]
//! ```
//! The language itself is the crate `promql`; here is what it needs of storage, of DataFusion and of the node.
//!
//! # Invariants
//! - An answer is that of Prometheus 3.14 over the same samples.
//! - Labels are resolved before a sample is read; samples flow by number and meet their labels at the end.
//! - The same text asked twice at the same time is evaluated once, and a step that was evaluated before is not evaluated again as long as
//!   nothing that it read has changed. The answers are those that would be given without that.

mod answer;
mod asking;
mod cardinality;
mod config;
mod deletes;
mod error;
mod evaluate;
mod exec;
mod flights;
mod kept;
mod metadata;
mod request;
mod results;
mod samples;
mod series;
mod stored;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{TenantId, TimeRange};
use promql::labels::Labels;
use promql::value::RawSeries;

pub use answer::{Answer, Cardinality, Element, Exemplar, ExemplarSeries, Listed, Metadata, Sample, Series, Stats, Value};
pub use config::PromqlConfig;
pub(crate) use deletes::read_delete;
pub use error::{Error, ErrorType, Result};
pub use request::{
    DeleteRequest, ExemplarRequest, InstantQuery, MetadataRequest, NewestRequest, RangeQuery, RawRequest, Reuse, SeriesRequest,
    StatsWanted, TimeMs,
};

use crate::admission::Admission;
use crate::engine::Engine;
use crate::run::{self, Ticket};
use crate::threads::Threads;
use crate::view::View;
use asking::{FlightKey, Landed};
use flights::Flights;
use metadata::MetadataCache;
use results::ResultCache;
use samples::Samples;
use stored::Reader;
use table::Language;

/// Answers PromQL requests. One per process.
#[derive(Debug, Clone)]
pub struct PromqlEngine {
    engine: Arc<Engine>,
    config: PromqlConfig,
    threads: Threads,
    metadata: Arc<MetadataCache>,
    samples: Arc<Samples>,
    results: Arc<ResultCache>,
    flights: Arc<Flights<FlightKey, Landed>>,
    admission: Arc<Admission>,
}

impl PromqlEngine {
    /// PromQL over `engine`; requests are worked on by `threads`, which should not be those that serve them. From now on, SQL over the
    /// same engine has the table function `promql`, with these settings and the same memory of samples.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(engine: Arc<Engine>, config: PromqlConfig, threads: impl Into<Threads>) -> Result<Arc<Self>> {
        config.validate()?;
        let samples = Samples::new(config.sample_cache_bytes);
        let (partitions, shared) = (engine.config().target_partitions(), Arc::clone(&samples));
        engine.speak_promql(Language { config: config.clone(), samples: shared, partitions });
        let admission = Arc::new(Admission::new(config.queries_max, config.queue_max));
        let metadata = Arc::new(MetadataCache::new());
        let (results, flights) = (Arc::new(ResultCache::new(config.result_cache_bytes)), Arc::new(Flights::new()));
        Ok(Arc::new(Self { engine, config, threads: threads.into(), metadata, samples, results, flights, admission }))
    }

    /// The settings.
    pub fn config(&self) -> &PromqlConfig {
        &self.config
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Evaluates an expression at one time.
    ///
    /// # Errors
    /// All kinds.
    pub async fn instant(&self, tenant: &TenantId, query: InstantQuery) -> Result<Answer> {
        self.answer(tenant, query.into()).await
    }

    /// Evaluates an expression at every step of a range.
    ///
    /// # Errors
    /// All kinds.
    pub async fn range(&self, tenant: &TenantId, query: RangeQuery) -> Result<Answer> {
        self.answer(tenant, query.into()).await
    }

    /// How an expression would be evaluated: the physical plan, one operator a line.
    ///
    /// # Errors
    /// As [`PromqlEngine::range`].
    pub fn explain(&self, tenant: &TenantId, query: RangeQuery) -> Result<String> {
        self.describe(tenant, &query.into(), Ticket::new(self.config.timeout))
    }

    /// The label sets of series, ascending. Series whose samples in the time asked for are all deleted are not listed.
    ///
    /// # Errors
    /// A limit, a pattern, storage.
    pub async fn series(&self, tenant: &TenantId, request: SeriesRequest) -> Result<Listed<Labels>> {
        let series_max = self.config.series_max;
        self.read(tenant, move |view| async move { series::list(&view, &request, series_max).await }).await
    }

    /// The names of labels, ascending, `__name__` among them.
    ///
    /// # Errors
    /// As [`PromqlEngine::series`].
    pub async fn label_names(&self, tenant: &TenantId, request: SeriesRequest) -> Result<Listed<String>> {
        let series_max = self.config.series_max;
        self.read(tenant, move |view| async move { series::names(&view, &request, series_max).await }).await
    }

    /// The values of the label `name`, ascending.
    ///
    /// # Errors
    /// As [`PromqlEngine::series`].
    pub async fn label_values(&self, tenant: &TenantId, name: &str, request: SeriesRequest) -> Result<Listed<String>> {
        let (series_max, name) = (self.config.series_max, name.to_owned());
        self.read(tenant, move |view| async move { series::values(&view, &name, &request, series_max).await }).await
    }

    /// The exemplars of the series that an expression selects, ascending by labels.
    ///
    /// # Errors
    /// [`Error::Parse`]; as [`PromqlEngine::series`].
    pub async fn exemplars(&self, tenant: &TenantId, request: ExemplarRequest) -> Result<Vec<ExemplarSeries>> {
        let config = self.config.clone();
        self.read(tenant, move |view| async move { stored::exemplars(&view, &request, &config).await }).await
    }

    /// What senders say of metrics, by metric; newest first.
    ///
    /// # Errors
    /// Storage.
    pub async fn metadata(&self, tenant: &TenantId, request: MetadataRequest) -> Result<BTreeMap<String, Vec<Metadata>>> {
        let cache = Arc::clone(&self.metadata);
        self.read(tenant, move |view| async move { cache.list(&view, &request).await }).await
    }

    /// How many series there are today, and what makes them so many; at most `limit` entries per list.
    ///
    /// # Errors
    /// Storage.
    pub async fn cardinality(&self, tenant: &TenantId, limit: usize) -> Result<Cardinality> {
        let now = self.engine.env().now();
        let today = TimeRange::new(now, now);
        self.read(tenant, move |view| async move { cardinality::count(&view, today, limit).await }).await
    }

    /// Samples as they are stored, stale markers among them, ascending by labels.
    ///
    /// # Errors
    /// [`Error::Samples`] when they are more than a query may hold; as [`PromqlEngine::series`].
    pub async fn raw(&self, tenant: &TenantId, request: RawRequest) -> Result<Vec<RawSeries>> {
        self.stored(tenant, move |reader| async move { stored::raw(&reader, &request).await }).await
    }

    /// The newest sample of each series, ascending by labels; series that ended have none.
    ///
    /// # Errors
    /// As [`PromqlEngine::raw`].
    pub async fn newest(&self, tenant: &TenantId, request: NewestRequest) -> Result<Vec<Element>> {
        self.stored(tenant, move |reader| async move { stored::newest(&reader, &request).await }).await
    }

    /// Deletes the samples, histograms and exemplars of series that are acknowledged when it begins: answers leave them out at once, and
    /// compaction leaves them out of files. What comes later is seen.
    ///
    /// # Errors
    /// Too many deletes of the tenant; the manifest's.
    pub async fn delete_series(&self, tenant: &TenantId, request: DeleteRequest) -> Result<()> {
        let ticket = Ticket::new(self.config.timeout);
        let (engine, tenant) = (Arc::clone(&self.engine), tenant.clone());
        run::run(&self.threads, ticket, async move { deletes::delete(&engine, &tenant, &request).await }).await
    }

    /// Runs `work` over the newest state.
    async fn read<T, F, W>(&self, tenant: &TenantId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<View>) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let ticket = Ticket::new(self.config.timeout);
        let (engine, tenant) = (Arc::clone(&self.engine), tenant.clone());
        let limits = engine.config().limits.clone();
        run::run(&self.threads, ticket, async move { work(engine.view(&tenant, limits)).await }).await
    }

    /// Runs `work` over the newest state, with what it needs to read samples.
    async fn stored<T, F, W>(&self, tenant: &TenantId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Reader) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let ticket = Ticket::new(self.config.timeout);
        let _turn = self.admission.turn(tenant, self.config.timeout).await?;
        let session = self.engine.session(tenant, self.engine.config().limits.clone())?;
        let reader = Reader {
            view: Arc::clone(session.view()),
            samples: Arc::clone(&self.samples),
            pool: Arc::clone(&session.context().runtime_env().memory_pool),
            config: self.config.clone(),
            ticket: ticket.clone(),
        };
        let work = async move { work(reader).await.map_err(|error| error.explained(&session)) };
        run::run(&self.threads, ticket, work).await
    }
}
