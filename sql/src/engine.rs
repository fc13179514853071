//! Runs one statement and streams its answer.
//!
//! ```text
//! caller                         query threads
//! execute ──spawn──────────────► turn ► session ► plan ► verify ──schema──►┐
//!    ◄──────────── QueryStream ◄─── batches, two at most in flight ◄───────┘
//! drop ─────────abort──────────►                      deadline, cancel ─► error
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use catalog::TenantId;
use catalog::manifest::SnapshotId;
use datafusion::common::ParamValues;
use futures::StreamExt;
use query::usage::{self, Asking, Language, Origin, Outcome};
use query::{Engine, Session, SessionExtras, Threads};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::config::SqlConfig;
use crate::edge::{Times, edge_batch, pieces};
use crate::error::{Error, Result};
use crate::plan;
use crate::running::{Listed, Running};
use crate::statement::{self, Checked};
use crate::user_tables::drop_table;
use query::admission::Admission;

/// Ingestions of one tenant that run at the same time.
const INGESTS_MAX: usize = 4;
/// Batches between the query and its reader.
const IN_FLIGHT: usize = 2;

/// SQL over an engine. One per process.
#[derive(Debug)]
pub struct SqlEngine {
    engine: Arc<Engine>,
    pub(crate) config: SqlConfig,
    pub(crate) threads: Threads,
    pub(crate) admission: Arc<Admission>,
    /// Turns of ingestions, each of which holds a row group in memory.
    pub(crate) ingests: Admission,
    running: Arc<Running>,
}

/// What a statement may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// Read.
    #[default]
    Read,
    /// Read, and drop tables that users made.
    DropTables,
}

/// One statement to run.
#[derive(Debug, Clone, Default)]
pub struct SqlRequest {
    /// The statement.
    pub text: String,
    /// Values for its placeholders.
    pub params: Option<ParamValues>,
    /// Read the files as they were at this snapshot; `None`: everything acknowledged until now.
    pub snapshot: Option<SnapshotId>,
    /// Less time than the configuration gives.
    pub timeout: Option<Duration>,
    /// The answer is cut after so many rows.
    pub max_rows: Option<u64>,
    /// Less to scan than the configuration allows.
    pub max_bytes_scanned: Option<u64>,
    /// Run the query and answer with its plan and what each operator did.
    pub explain_analyze: bool,
    /// The schema that names without one belong to; `None`: `public`.
    pub schema: Option<String>,
    /// How times of the answer are typed.
    pub times: Times,
    /// What the query is part of: [`SqlEngine::cancel_flight`] ends all that have it.
    pub flight: Option<Uuid>,
    /// Schemas and functions beside those that every session has; not together with `snapshot`.
    pub extras: Option<Arc<dyn SessionExtras>>,
    /// How it came, for the query log.
    pub origin: Origin,
    /// What it may do.
    pub access: Access,
}

/// What a query used.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct QueryStats {
    /// The query.
    pub query_id: Uuid,
    /// The snapshot that it read.
    pub snapshot: SnapshotId,
    /// Rows of the answer so far.
    pub rows: u64,
    /// Bytes of the answer so far, as Arrow columns.
    pub bytes: u64,
    /// Files that its scans chose.
    pub files_scanned: u64,
    /// Their bytes.
    pub bytes_scanned: u64,
    /// Most bytes of memory that it held.
    pub memory_peak_bytes: u64,
    /// Milliseconds since it came in.
    pub elapsed_ms: u64,
    /// Whether `max_rows` cut the answer.
    pub truncated: bool,
}

/// The answer of a query, batch by batch. Dropping it ends the query.
#[derive(Debug)]
pub struct QueryStream {
    id: Uuid,
    schema: SchemaRef,
    batches: mpsc::Receiver<Result<RecordBatch>>,
    deadline: Deadline,
    session: Arc<Session>,
    started: Instant,
    counted: Arc<Counted>,
    /// For the query log; gone when the end was seen.
    asking: Option<Asking>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Counted {
    rows: AtomicU64,
    bytes: AtomicU64,
    truncated: AtomicBool,
    /// Whether the answer is whole; a task that dies leaves it unset.
    whole: AtomicBool,
}

/// When a query must be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From now on: what `request` asks for, within what `config` allows.
    pub(crate) fn of(request: &SqlRequest, config: &SqlConfig) -> Self {
        let timeout = request.timeout.unwrap_or(config.timeout).min(config.timeout);
        Self { at: Instant::now() + timeout, timeout }
    }

    /// When a plan that keeps its thread busy is given up: the task of a query minds the deadline itself.
    pub(crate) fn grace(self) -> Instant {
        self.at + Duration::from_millis(250)
    }

    pub(crate) fn passed(self) -> Error {
        Error::Timeout { seconds: self.timeout.as_secs_f64() }
    }
}

impl SqlEngine {
    /// SQL over `engine`; queries run on `threads`, which should not be those that serve requests.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(engine: Arc<Engine>, config: SqlConfig, threads: impl Into<Threads>) -> Result<Arc<Self>> {
        config.validate()?;
        let admission = Arc::new(Admission::new(config.queries_max, config.queue_max));
        let ingests = Admission::new(INGESTS_MAX, config.queue_max);
        let threads = threads.into();
        Ok(Arc::new(Self { engine, config, threads, admission, ingests, running: Arc::default() }))
    }

    /// The settings.
    pub fn config(&self) -> &SqlConfig {
        &self.config
    }

    /// The engine below.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// How many queries run or wait.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Ends the query `id` of `tenant`; false if there is none.
    pub fn cancel(&self, tenant: &TenantId, id: Uuid) -> bool {
        self.running.cancel(tenant, id)
    }

    /// Ends the queries of `tenant` that are part of `flight`; how many there were.
    pub fn cancel_flight(&self, tenant: &TenantId, flight: Uuid) -> usize {
        self.running.cancel_flight(tenant, flight)
    }

    /// Starts a query and waits for its first sign: the schema of its answer, or why there is none.
    ///
    /// # Errors
    /// Everything that can be found out before the first row; later errors are in the stream.
    pub async fn execute(&self, tenant: &TenantId, request: SqlRequest) -> Result<QueryStream> {
        let id = self.engine.env().new_uuid();
        self.execute_as(id, tenant, request).await
    }

    /// [`SqlEngine::execute`] with an id that the caller drew.
    pub async fn execute_as(&self, id: Uuid, tenant: &TenantId, request: SqlRequest) -> Result<QueryStream> {
        let asking = self.ask_as(id, tenant, &request.origin, &request.text);
        let started = usage::scope(asking.as_ref().map(Asking::notes), self.start(id, tenant, request)).await;
        match started {
            Ok(mut stream) => {
                stream.asking = asking;
                Ok(stream)
            }
            Err(error) => {
                log_failure(asking, &error);
                Err(error)
            }
        }
    }

    /// A row of the query log that has just begun, if there is a log.
    pub(crate) fn ask_as(&self, id: Uuid, tenant: &TenantId, origin: &Origin, text: &str) -> Option<Asking> {
        let asking = self.engine.query_log()?.ask_as(id, tenant, Language::Sql, origin.clone());
        asking.note(|row| row.set_text(text));
        Some(asking)
    }

    /// Notes that `text` failed before there was anything to run.
    pub(crate) fn log_refusal(&self, tenant: &TenantId, origin: &Origin, text: &str, error: &Error) {
        log_failure(self.ask_as(self.engine.env().new_uuid(), tenant, origin, text), error);
    }

    async fn start(&self, id: Uuid, tenant: &TenantId, request: SqlRequest) -> Result<QueryStream> {
        let started = Instant::now();
        let checked = statement::check(&request.text)?;
        if checked.drops.is_some() && (request.access == Access::Read || request.explain_analyze) {
            return Err(Error::Statement { statement: "DROP TABLE".to_owned() });
        }
        let deadline = Deadline::of(&request, &self.config);
        let (listed, token) = self.running.list(id, tenant, request.flight);
        let (ready, planned) = oneshot::channel();
        let (sender, batches) = mpsc::channel(IN_FLIGHT);
        let counted = Arc::new(Counted::default());
        let work = Work {
            id,
            tenant: tenant.clone(),
            engine: Arc::clone(&self.engine),
            admission: Arc::clone(&self.admission),
            queue_wait: self.config.queue_wait,
            rows_max: self.config.rows_max,
            result_bytes_max: self.config.result_bytes_max,
            request,
            deadline,
            token,
            counted: Arc::clone(&counted),
            listed,
        };
        metrics::counter!("telelake_sql_queries_total").increment(1);
        let task = self.threads.spawn(work.run(checked, ready, sender));
        match tokio::time::timeout_at(deadline.grace(), planned).await {
            Ok(Ok(Ok((schema, session)))) => {
                Ok(QueryStream { id, schema, batches, deadline, session, started, counted, asking: None, _task: task })
            }
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(Error::Internal { id, message: "the query's task died while planning".to_owned() }),
            Err(_) => Err(deadline.passed()),
        }
    }
}

impl QueryStream {
    /// The query's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The schema of the batches: plain types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch; `None` at the end. After an error nothing more comes.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        let next = self.receive().await;
        match &next {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                self.note_size();
                log_failure(self.asking.take(), error);
            }
            None => {
                self.note_size();
                self.asking.take().into_iter().for_each(|asking| asking.end(Outcome::Ok));
            }
        }
        next
    }

    /// Notes what of the answer was made.
    fn note_size(&self) {
        if let Some(asking) = &self.asking {
            asking.note(|row| {
                row.rows = Some(self.counted.rows.load(Ordering::Relaxed));
                row.result_bytes = Some(self.counted.bytes.load(Ordering::Relaxed));
            });
        }
    }

    async fn receive(&mut self) -> Option<Result<RecordBatch>> {
        match tokio::time::timeout_at(self.deadline.grace(), self.batches.recv()).await {
            Ok(None) if !self.counted.whole.swap(true, Ordering::Relaxed) => {
                Some(Err(Error::Internal { id: self.id, message: "the query's task died".to_owned() }))
            }
            Ok(next) => next,
            Err(_) => {
                self.batches.close();
                self.session.stop_flag().stop();
                Some(Err(self.deadline.passed()))
            }
        }
    }

    /// What was used until now.
    pub fn stats(&self) -> QueryStats {
        let (files_scanned, bytes_scanned) = self.session.view().opened();
        QueryStats {
            query_id: self.id,
            snapshot: self.session.view().snapshot().id(),
            rows: self.counted.rows.load(Ordering::Relaxed),
            bytes: self.counted.bytes.load(Ordering::Relaxed),
            files_scanned,
            bytes_scanned,
            memory_peak_bytes: self.session.memory_peak(),
            elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            truncated: self.counted.truncated.load(Ordering::Relaxed),
        }
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.session.stop_flag().stop();
        self.note_size();
    }
}

/// Ends a row of the query log with an error.
fn log_failure(asking: Option<Asking>, error: &Error) {
    if let Some(asking) = asking {
        asking.fail(error.outcome(), &error.public_message());
    }
}

type Planned = Result<(SchemaRef, Arc<Session>)>;

/// A query on its runtime.
struct Work {
    id: Uuid,
    tenant: TenantId,
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    queue_wait: Duration,
    rows_max: u64,
    result_bytes_max: u64,
    request: SqlRequest,
    deadline: Deadline,
    token: CancellationToken,
    counted: Arc<Counted>,
    listed: Listed,
}

impl Work {
    async fn run(self, checked: Checked, ready: oneshot::Sender<Planned>, sender: mpsc::Sender<Result<RecordBatch>>) {
        let (id, deadline, token) = (self.id, self.deadline, self.token.clone());
        let started = Instant::now();
        let mut ready = Some(ready);
        let outcome = {
            let work = self.answer(checked, &mut ready, &sender);
            tokio::select! {
                outcome = work => outcome,
                () = token.cancelled() => Err(Error::Cancelled),
                () = tokio::time::sleep_until(deadline.at) => Err(deadline.passed()),
            }
        };
        metrics::histogram!("telelake_sql_query_seconds").record(started.elapsed().as_secs_f64());
        self.counted.whole.store(true, Ordering::Relaxed);
        // Whoever is told of the end finds it ended.
        drop(self.listed);
        let error = match outcome {
            Ok(()) => return,
            // Stopped inside an operator: say by whom.
            Err(Error::Query(query::Error::Stopped)) if token.is_cancelled() => Error::Cancelled,
            Err(Error::Query(query::Error::Stopped)) => deadline.passed(),
            Err(error) => error,
        };
        metrics::counter!("telelake_sql_errors_total", "kind" => format!("{:?}", error.kind())).increment(1);
        if matches!(error.kind(), catalog::ErrorKind::Internal | catalog::ErrorKind::Corrupt | catalog::ErrorKind::Unavailable) {
            tracing::error!(query = %id, tenant = %self.tenant, %error, "query failed");
        }
        match ready.take() {
            Some(ready) => drop(ready.send(Err(error))),
            // The reader may be gone, or be slow: it has until the grace after the deadline.
            None => drop(sender.send_timeout(Err(error), Duration::from_secs(5)).await),
        }
    }

    async fn answer(
        &self,
        checked: Checked,
        ready: &mut Option<oneshot::Sender<Planned>>,
        sender: &mpsc::Sender<Result<RecordBatch>>,
    ) -> Result<()> {
        let _turn = self.admission.turn(&self.tenant, self.queue_wait).await?;
        let session = Arc::new(plan::session(&self.engine, &self.tenant, &self.request).await?);
        session.stop_flag().stop_at(self.deadline.at);
        self.listed.attach(session.stop_flag());
        if let Some(dropping) = &checked.drops {
            drop_table(&self.engine, &self.tenant, dropping).await?;
        }
        let planned = plan::plan(&session, &self.request, checked).await?;
        let schema = Arc::clone(&planned.schema);
        let mut stream = planned.execute().await.map_err(|e| session.explain(e))?;
        if let Some(ready) = ready.take()
            && ready.send(Ok((Arc::clone(&schema), Arc::clone(&session)))).is_err()
        {
            return Ok(()); // the client is gone
        }
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|e| session.explain(e))?;
            for piece in pieces(batch) {
                let piece = edge_batch(&piece, &schema).map_err(|e| Error::Encode { reason: e.to_string() })?;
                let (piece, last) = self.admit(piece)?;
                if piece.num_rows() > 0 && sender.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
                if last {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Counts a batch against the limits; what of it still belongs to the answer, and whether that was all.
    fn admit(&self, batch: RecordBatch) -> Result<(RecordBatch, bool)> {
        let before = self.counted.rows.load(Ordering::Relaxed);
        let room = self.request.max_rows.map_or(u64::MAX, |max| max.saturating_sub(before));
        let cut = batch.num_rows() as u64 > room;
        let batch = if cut { batch.slice(0, room as usize) } else { batch };
        if cut {
            self.counted.truncated.store(true, Ordering::Relaxed);
        }
        let rows = before + batch.num_rows() as u64;
        self.counted.rows.store(rows, Ordering::Relaxed);
        if rows > self.rows_max {
            return Err(Error::Answer { what: "rows", name: "sql.rows_max", limit: self.rows_max });
        }
        let size = |column: &Arc<dyn Array>| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
        let bytes: u64 = batch.columns().iter().map(size).sum();
        let bytes = self.counted.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if bytes > self.result_bytes_max {
            return Err(Error::Answer { what: "bytes", name: "sql.result_bytes_max", limit: self.result_bytes_max });
        }
        Ok((batch, cut))
    }
}
