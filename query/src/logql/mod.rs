//! LogQL over the lake: one engine for the Loki API, rules and SQL.
//!
//! ```text
//! request ──► LogqlEngine ──run──► view (snapshot, fresh rows) ──► streams ──► lines ──► stages ──► steps ──► Answer
//! ```
//! The language itself is the crate `logql`; here is what it needs of storage, of DataFusion and of the node.
//!
//! # Invariants
//! - An answer is that of Loki over the same lines.
//! - Streams are resolved before a line is read; blocks of lines that cannot match are not read.

mod answer;
mod config;
mod counts;
mod deletes;
mod entries;
mod error;
mod evaluate;
mod fields;
mod lines;
mod metadata;
mod numbers;
mod patterns;
mod request;
mod resources;
mod rows;
mod runs;
mod streams;
pub(crate) mod table;
mod tail;

pub use answer::{
    Answer, DeleteState, DetectedField, DetectedLabel, Element, Entry, IndexStats, Labels, Pattern, Series, Stats, Stream,
    Tailed, Value,
};
pub use config::LogqlConfig;
pub(crate) use deletes::read_delete;
pub use error::{Error, Result};
pub(crate) use lines::time_of;
pub use tail::Tail;

pub use request::{
    DeleteRequest, Direction, FieldsRequest, InstantQuery, PatternsRequest, RangeQuery, StreamsRequest, TailQuery, TimeNs,
    VolumeBy, VolumeRequest,
};

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::engine::{Engine, Workspace};
use crate::run::{self, Ticket};
use crate::threads::Threads;
use crate::usage::note;
use crate::view::View;
use counts::FileCounts;
use evaluate::Work;
use resources::ResourceCache;
use runs::RunCache;

/// Answers LogQL requests. One per process.
#[derive(Debug, Clone)]
pub struct LogqlEngine {
    engine: Arc<Engine>,
    config: LogqlConfig,
    threads: Threads,
    admission: Arc<Admission>,
    tails: Arc<Admission>,
    counts: Arc<FileCounts>,
    runs: Arc<RunCache>,
    resources: Arc<ResourceCache>,
}

impl LogqlEngine {
    /// LogQL over `engine`; requests are worked on by `threads`, which should not be those that serve them. From now on, SQL over the same
    /// engine has the table function `logql`, with these settings.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(engine: Arc<Engine>, config: LogqlConfig, threads: impl Into<Threads>) -> Result<Arc<Self>> {
        config.validate()?;
        let (runs, resources) = (RunCache::new(config.run_cache_bytes), ResourceCache::new());
        engine.speak_logql(table::Language {
            config: config.clone(),
            partitions: engine.config().target_partitions(),
            runs: Arc::clone(&runs),
            resources: Arc::clone(&resources),
        });
        let admission = Arc::new(Admission::new(config.queries_max, config.queue_max));
        let tails = Arc::new(Admission::new(config.tails_max, 0));
        Ok(Arc::new(Self {
            engine,
            config,
            threads: threads.into(),
            admission,
            tails,
            counts: Arc::new(FileCounts::new()),
            runs,
            resources,
        }))
    }

    /// The settings.
    pub fn config(&self) -> &LogqlConfig {
        &self.config
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Answers a log or metric query over a range.
    ///
    /// # Errors
    /// All kinds.
    pub async fn range(&self, tenant: &TenantId, query: RangeQuery) -> Result<Answer> {
        note(|row| {
            row.set_text(&query.text);
            row.set_time(query.start_ns, query.end_ns);
            row.step_ns = Some(query.step_ns);
        });
        self.answer(tenant, query.timeout, move |work| async move { evaluate::range(&work, &query).await }).await
    }

    /// Answers a metric query at one time.
    ///
    /// # Errors
    /// All kinds.
    pub async fn instant(&self, tenant: &TenantId, query: InstantQuery) -> Result<Answer> {
        note(|row| {
            row.set_text(&query.text);
            row.set_time(query.time_ns, query.time_ns);
        });
        self.answer(tenant, query.timeout, move |work| async move { evaluate::instant(&work, &query).await }).await
    }

    /// The label sets of streams, ascending.
    ///
    /// # Errors
    /// A selector, a limit, storage.
    pub async fn streams(&self, tenant: &TenantId, request: StreamsRequest) -> Result<Vec<Labels>> {
        let streams_max = self.config.streams_max;
        self.read(tenant, move |view| async move { streams::list(&view, &request, streams_max).await }).await
    }

    /// The names of streams' labels, ascending.
    ///
    /// # Errors
    /// As [`LogqlEngine::streams`].
    pub async fn label_names(&self, tenant: &TenantId, request: StreamsRequest) -> Result<Vec<String>> {
        let streams_max = self.config.streams_max;
        self.read(tenant, move |view| async move { streams::names(&view, &request, streams_max).await }).await
    }

    /// The values of the label `name`, ascending.
    ///
    /// # Errors
    /// As [`LogqlEngine::streams`].
    pub async fn label_values(&self, tenant: &TenantId, name: &str, request: StreamsRequest) -> Result<Vec<String>> {
        let (streams_max, name) = (self.config.streams_max, name.to_owned());
        self.read(tenant, move |view| async move { streams::values(&view, &name, &request, streams_max).await }).await
    }

    /// The labels that streams have and how many values each has, by descending cardinality. Labels of ids are left out.
    ///
    /// # Errors
    /// As [`LogqlEngine::streams`].
    pub async fn detected_labels(&self, tenant: &TenantId, request: StreamsRequest) -> Result<Vec<DetectedLabel>> {
        let streams_max = self.config.streams_max;
        self.read(tenant, move |view| async move { streams::detected(&view, &request, streams_max).await }).await
    }

    /// How much the streams of a selector hold.
    ///
    /// # Errors
    /// As [`LogqlEngine::streams`].
    pub async fn index_stats(&self, tenant: &TenantId, request: StreamsRequest) -> Result<IndexStats> {
        let (streams_max, kept) = (self.config.streams_max, Arc::clone(&self.counts));
        self.read(tenant, move |view| async move { counts::stats(&view, &kept, &request, streams_max).await }).await
    }

    /// Bytes of lines, by labels, the largest first: a vector, or a matrix when a step is given.
    ///
    /// # Errors
    /// As [`LogqlEngine::streams`].
    pub async fn volume(&self, tenant: &TenantId, request: VolumeRequest) -> Result<Value> {
        let (streams_max, kept) = (self.config.streams_max, Arc::clone(&self.counts));
        self.read(tenant, move |view| async move { counts::volume(&view, &kept, &request, streams_max).await }).await
    }

    /// The fields of lines.
    ///
    /// # Errors
    /// All kinds.
    pub async fn detected_fields(&self, tenant: &TenantId, request: FieldsRequest) -> Result<Vec<DetectedField>> {
        self.work(tenant, None, move |work| async move { fields::detected(&work, &request).await }).await
    }

    /// The values of the field `name`, in no promised order.
    ///
    /// # Errors
    /// All kinds.
    pub async fn detected_field_values(&self, tenant: &TenantId, name: &str, request: FieldsRequest) -> Result<Vec<String>> {
        let name = name.to_owned();
        self.work(tenant, None, move |work| async move { fields::values(&work, &name, &request).await }).await
    }

    /// The patterns of lines, the most frequent first.
    ///
    /// # Errors
    /// All kinds.
    pub async fn patterns(&self, tenant: &TenantId, request: PatternsRequest) -> Result<Vec<Pattern>> {
        self.work(tenant, None, move |work| async move { patterns::mine(&work, &request).await }).await
    }

    /// Follows what comes in: what is there from `start_ns` on first, then every acknowledged line that matches, within moments.
    ///
    /// # Errors
    /// All kinds; [`Error::Busy`] when there are too many tails.
    pub async fn tail(&self, tenant: &TenantId, query: TailQuery) -> Result<Tail> {
        note(|row| {
            row.set_text(&query.text);
            row.start_ns = Some(query.start_ns);
        });
        let turn = self.tails.turn(tenant, Duration::ZERO).await?;
        let (this, of) = (self.clone(), tenant.clone());
        let work = move || Ok(this.piece(&of, Ticket::new(this.config.timeout))?.1);
        let (engine, threads, tenant) = (Arc::clone(&self.engine), self.threads.clone(), tenant.clone());
        // What is there already is read where queries are: whoever serves the request may be receiving, too.
        let begin = async move { tail::begin(&engine, &threads, &tenant, query, turn, work).await };
        run::run(&self.threads, Ticket::new(self.config.timeout), begin).await
    }

    /// Deletes lines that are acknowledged now: gone from answers when this returns, from files after the next compaction.
    ///
    /// # Errors
    /// A text that is no log query; too many deletes; storage.
    pub async fn delete(&self, tenant: &TenantId, request: DeleteRequest) -> Result<String> {
        let (engine, tenant) = (Arc::clone(&self.engine), tenant.clone());
        let ticket = Ticket::new(self.config.timeout);
        run::run(&self.threads, ticket, async move { deletes::delete(&engine, &tenant, &request).await }).await
    }

    /// The delete requests that are remembered, oldest first.
    ///
    /// # Errors
    /// Storage.
    pub async fn deletes(&self, tenant: &TenantId) -> Result<Vec<DeleteState>> {
        Ok(deletes::list(&self.engine, tenant))
    }

    /// Takes a delete request back: what it hid from answers and is still in files is seen again.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] when it has been processed and not `force`.
    pub async fn cancel_delete(&self, tenant: &TenantId, id: &str, force: bool) -> Result<()> {
        deletes::cancel(&self.engine, tenant, id, force).await
    }

    /// What a piece of work works with, over the newest state.
    fn piece(&self, tenant: &TenantId, ticket: Ticket) -> Result<(Workspace, Work)> {
        let workspace = self.engine.workspace(tenant, self.engine.config().limits.clone())?;
        let (config, partitions) = (self.config.clone(), self.engine.config().target_partitions());
        let (view, context) = (Arc::clone(workspace.view()), Arc::clone(workspace.context()));
        let now_ns = self.engine.env().now().as_nanos();
        let (runs, resources) = (Arc::clone(&self.runs), Arc::clone(&self.resources));
        Ok((workspace, Work { view, context, config, partitions, ticket, now_ns, runs, resources }))
    }

    /// As [`LogqlEngine::work`], with the times in the statistics.
    async fn answer<F, W>(&self, tenant: &TenantId, timeout: Option<Duration>, work: F) -> Result<Answer>
    where
        F: FnOnce(Work) -> W + Send + 'static,
        W: Future<Output = Result<Answer>> + Send + 'static,
    {
        let asked = Instant::now();
        let ((begun, mut answer), done) = self
            .work(tenant, timeout, move |piece| async move {
                let begun = Instant::now();
                Ok((begun, work(piece).await?))
            })
            .await
            .map(|made| (made, Instant::now()))?;
        (answer.stats.queued, answer.stats.total) = (begun - asked, done - asked);
        note(|row| row.rows = Some(answer.rows()));
        Ok(answer)
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
        let (workspace, piece) = self.piece(tenant, ticket.clone())?;
        run::run(&self.threads, ticket, async move { work(piece).await.map_err(|error| error.explained(&workspace)) }).await
    }

    /// Runs `work` over the newest state.
    async fn read<T, F, W>(&self, tenant: &TenantId, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<View>) -> W + Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let ticket = Ticket::new(self.config.timeout);
        let _turn = self.admission.turn(tenant, self.config.timeout).await?;
        let (engine, tenant) = (Arc::clone(&self.engine), tenant.clone());
        let limits = engine.config().limits.clone();
        run::run(&self.threads, ticket, async move { work(engine.view(&tenant, limits)).await }).await
    }
}
