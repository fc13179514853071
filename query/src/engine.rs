//! The engine: makes sessions, each of which sees one consistent view of one tenant and nothing else.

use std::sync::{Arc, OnceLock};

use catalog::manifest::SnapshotId;
use catalog::{Env, TenantId, Timestamp};
use datafusion::catalog::TableFunction;
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::prelude::{SessionConfig, SessionContext};
use lake::{FreshRows, Lake};

use crate::budget::Budget;
use crate::busy::Turns;
use crate::config::{QueryConfig, QueryLimits};
use crate::error::{Error, Result};
use crate::functions::Functions;
use crate::interrupt::{Interruptible, StopFlag};
use crate::logql::table::LogqlFunction;
use crate::memory::{NodePool, QueryPool};
use crate::namespace::{Namespace, SCHEMA, SessionExtras};
use crate::promql::table::PromqlFunction;
use crate::scan::lookup::DictionaryCache;
use crate::stores::NoStores;
use crate::traceql::table::{TraceFunction, TraceqlFunction};
use crate::usage::QueryLog;
use crate::view::View;
use crate::{logql, promql, traceql};
use datafusion::catalog::information_schema::INFORMATION_SCHEMA;

/// Answers queries over a lake and the rows that are not in files yet. One per process.
#[derive(Debug)]
pub struct Engine {
    lake: Arc<Lake>,
    fresh: Arc<dyn FreshRows>,
    env: Env,
    config: QueryConfig,
    functions: Functions,
    memory: Arc<NodePool>,
    /// One for all queries, so that its quota is that of the node.
    spills: Arc<DiskManager>,
    turns: Turns,
    dictionaries: Arc<DictionaryCache>,
    promql: OnceLock<Arc<promql::table::Language>>,
    logql: OnceLock<Arc<logql::table::Language>>,
    traceql: OnceLock<Arc<traceql::table::Language>>,
    usage: OnceLock<Arc<QueryLog>>,
}

/// The session of one query: a DataFusion context that knows one view.
pub struct Session {
    context: SessionContext,
    view: Arc<View>,
    pool: Arc<QueryPool>,
    started: Timestamp,
    stop: StopFlag,
}

/// Where operators run that no statement made: one view and memory of the node, without tables, functions and a planner, which are most of what a
/// session costs.
pub(crate) struct Workspace {
    context: Arc<TaskContext>,
    view: Arc<View>,
    pool: Arc<QueryPool>,
}

impl Engine {
    /// An engine. Does no I/O.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(lake: Arc<Lake>, fresh: Arc<dyn FreshRows>, env: Env, config: QueryConfig) -> Result<Arc<Self>> {
        config.validate()?;
        let memory = NodePool::new(config.node_memory_bytes_max);
        let dictionaries = DictionaryCache::new(config.dictionary_cache_bytes);
        let spills = Arc::new(spills(&config).map_err(Error::from)?);
        let turns = Turns::new(config.target_partitions());
        let (promql, logql, traceql, usage) = (OnceLock::new(), OnceLock::new(), OnceLock::new(), OnceLock::new());
        let functions = Functions::new();
        Ok(Arc::new(Self {
            lake,
            fresh,
            env,
            functions,
            memory,
            spills,
            turns,
            dictionaries,
            config,
            promql,
            logql,
            traceql,
            usage,
        }))
    }

    /// The settings.
    pub fn config(&self) -> &QueryConfig {
        &self.config
    }

    /// Time and chance.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Whoever takes queries in notes them in `log` from now on. Once is enough: the first log stays.
    pub fn log_queries(&self, log: Arc<QueryLog>) {
        let _known = self.usage.set(log);
    }

    /// Where queries are noted, if they are.
    pub fn query_log(&self) -> Option<&Arc<QueryLog>> {
        self.usage.get()
    }

    /// Sessions have the table function `promql` from now on. Once is enough: the first language stays.
    pub(crate) fn speak_promql(&self, language: promql::table::Language) {
        let _known = self.promql.set(Arc::new(language));
    }

    /// Sessions have the table function `logql` from now on. Once is enough: the first language stays.
    pub(crate) fn speak_logql(&self, language: logql::table::Language) {
        let _known = self.logql.set(Arc::new(language));
    }

    /// Sessions have the table functions `traceql` and `trace` from now on. Once is enough: the first language stays.
    pub(crate) fn speak_traceql(&self, language: traceql::table::Language) {
        let _known = self.traceql.set(Arc::new(language));
    }

    /// The lake that it reads.
    pub fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// The rows that are not in files.
    pub fn fresh(&self) -> &Arc<dyn FreshRows> {
        &self.fresh
    }

    /// Bytes that running queries hold now.
    pub fn memory_used(&self) -> u64 {
        self.memory.used() as u64
    }

    /// What a query of `tenant` sees that starts now: everything that was acknowledged before.
    pub fn view(&self, tenant: &TenantId, limits: QueryLimits) -> Arc<View> {
        View::newest(tenant.clone(), Arc::clone(&self.lake), &*self.fresh, limits, Arc::clone(&self.dictionaries))
    }

    /// A session for one query of `tenant` over the newest state.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn session(&self, tenant: &TenantId, limits: QueryLimits) -> Result<Session> {
        self.session_over(self.view(tenant, limits))
    }

    /// A session as [`Engine::session`] makes it, which has `extras` beside the tenant's tables.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn session_with(&self, tenant: &TenantId, limits: QueryLimits, extras: Arc<dyn SessionExtras>) -> Result<Session> {
        self.session_of(self.view(tenant, limits), Some(extras))
    }

    /// A session over the files as they were at `snapshot`; rows that were not in files then are not seen.
    ///
    /// # Errors
    /// `NotFound` when that snapshot is no longer kept or does not exist yet.
    pub async fn session_at(&self, tenant: &TenantId, limits: QueryLimits, snapshot: SnapshotId) -> Result<Session> {
        let view = View::at(tenant.clone(), Arc::clone(&self.lake), snapshot, limits, Arc::clone(&self.dictionaries)).await?;
        self.session_over(view)
    }

    /// A session over what `view` shows.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub(crate) fn session_over(&self, view: Arc<View>) -> Result<Session> {
        self.session_of(view, None)
    }

    /// A place for the operators of one query of `tenant` over the newest state.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub(crate) fn workspace(&self, tenant: &TenantId, limits: QueryLimits) -> Result<Workspace> {
        let view = self.view(tenant, limits);
        let (pool, runtime) = self.runtime_of(&view)?;
        let (scalars, of_lists, aggregates, windows) = Default::default();
        let config = self.session_config(None);
        let context = TaskContext::new(None, String::new(), config, scalars, of_lists, aggregates, windows, runtime);
        Ok(Workspace { context: Arc::new(context), view, pool })
    }

    /// The memory of one query, and the surroundings in which it is taken.
    fn runtime_of(&self, view: &View) -> Result<(Arc<QueryPool>, Arc<RuntimeEnv>)> {
        let pool = QueryPool::new(view.limits().memory_bytes_max, Arc::clone(&self.memory));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&pool) as Arc<dyn MemoryPool>)
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .with_object_store_registry(Arc::new(NoStores))
            .build()
            .map_err(Error::from)?;
        Ok((pool, Arc::new(RuntimeEnv { disk_manager: Arc::clone(&self.spills), ..runtime })))
    }

    fn session_of(&self, view: Arc<View>, extras: Option<Arc<dyn SessionExtras>>) -> Result<Session> {
        let (pool, runtime) = self.runtime_of(&view)?;
        let stop = StopFlag::default();
        let mut config = self.session_config(extras.as_deref());
        config.options_mut().extensions.insert(Budget::new(stop.clone()));
        let mut builder = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_physical_optimizer_rule(Arc::new(Interruptible { stop: stop.clone(), turns: self.turns.clone() }))
            .with_catalog_list(Arc::new(Namespace::new(Arc::clone(&view), extras.clone())));
        if let Some(planner) = extras.as_ref().and_then(|extras| extras.type_planner()) {
            builder = builder.with_type_planner(planner);
        }
        let started = self.env.now();
        let languages = self.languages(&view, &stop, started);
        let state = self.functions.install(builder, languages).map_err(Error::from)?;
        let context = SessionContext::new_with_state(state);
        if let Some(extras) = &extras {
            extras.install(&context).map_err(Error::from)?;
        }
        Ok(Session { context, view, pool, started, stop })
    }

    /// The languages that are spoken, as table functions of one session.
    fn languages(&self, view: &Arc<View>, stop: &StopFlag, started: Timestamp) -> Vec<TableFunction> {
        let promql = self.promql.get().map(|language| {
            let function = PromqlFunction::new(Arc::clone(view), Arc::clone(language), stop.clone());
            TableFunction::new(promql::table::NAME.to_owned(), Arc::new(function))
        });
        let logql = self.logql.get().map(|language| {
            let function = LogqlFunction::new(Arc::clone(view), Arc::clone(language), stop.clone(), started.as_nanos());
            TableFunction::new(logql::table::NAME.to_owned(), Arc::new(function))
        });
        let traceql = self.traceql.get().map(|language| {
            let function = TraceqlFunction::new(Arc::clone(view), Arc::clone(language), stop.clone());
            let trace = TableFunction::new(traceql::table::TRACE.to_owned(), Arc::new(TraceFunction(Arc::clone(view))));
            [TableFunction::new(traceql::table::NAME.to_owned(), Arc::new(function)), trace]
        });
        promql.into_iter().chain(logql).chain(traceql.into_iter().flatten()).collect()
    }

    fn session_config(&self, extras: Option<&dyn SessionExtras>) -> SessionConfig {
        let described = extras.is_some_and(|extras| extras.schema_names().iter().any(|name| name == INFORMATION_SCHEMA));
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(Namespace::name(extras), SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(!described)
            .with_target_partitions(self.config.target_partitions())
            .with_batch_size(self.config.batch_rows);
        let options = config.options_mut();
        options.execution.enable_recursive_ctes = false;
        options.execution.collect_statistics = false;
        options.execution.time_zone = Some("UTC".to_owned());
        config
    }
}

/// Where sorts and aggregations of all queries spill.
fn spills(config: &QueryConfig) -> datafusion::common::Result<DiskManager> {
    let builder = match &config.spill_dir {
        Some(dir) => DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![dir.clone()]))
            .with_max_temp_directory_size(config.spill_bytes_max),
        None => DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
    };
    builder.build()
}

impl Session {
    /// DataFusion's context. It can plan anything; who takes SQL from strangers checks the statement first.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The state to plan with: as the context's, but `now()` is the node's clock at the start of the session.
    pub fn state(&self) -> SessionState {
        let mut state = self.context.state();
        let now = arrow::temporal_conversions::timestamp_ns_to_datetime(self.started.as_nanos());
        state.execution_props_mut().query_execution_start_time = now.map(|now| now.and_utc());
        state
    }

    /// What it sees.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Ends what runs in the session, however busy it is.
    pub fn stop_flag(&self) -> &StopFlag {
        &self.stop
    }

    /// Most bytes that the query held at once so far.
    pub fn memory_peak(&self) -> u64 {
        self.pool.peak() as u64
    }

    /// An error of this session's DataFusion, with the limit named that was hit.
    pub fn explain(&self, error: datafusion::common::DataFusionError) -> Error {
        self.pool.explain(Error::from(error))
    }
}

impl Workspace {
    /// What operators ask for: memory, the size of batches.
    pub(crate) fn context(&self) -> &Arc<TaskContext> {
        &self.context
    }

    /// What they see.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// An error of the operators, with the limit named that was hit.
    pub(crate) fn explain(&self, error: datafusion::common::DataFusionError) -> Error {
        self.pool.explain(Error::from(error))
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?})", self.view)
    }
}
