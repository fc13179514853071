//! A lake in memory with rows given as JSON, and fresh rows beside it.
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub, clippy::unwrap_used)]

mod rows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use catalog::env::fixed;
use catalog::manifest::{Catalog, CatalogConfig, Operation};
use catalog::{Env, Level, Table, TenantId, Timestamp};
use datafusion::dataframe::DataFrame;
use lake::{FreshCapture, FreshGeneration, FreshRows, Lake, LakeConfig};
use object_store::memory::InMemory;
use query::{Engine, QueryConfig, QueryLimits, Session};
use serde_json::Value;

pub use rows::{HISTOGRAMS, NEW_YEAR_MS, SERIES, batch, ns, sample, series};

/// Rows in memory that a test puts there.
#[derive(Debug, Default)]
pub struct Buffers {
    tenants: Mutex<HashMap<TenantId, Vec<FreshGeneration>>>,
}

impl FreshRows for Buffers {
    fn capture(&self, tenant: &TenantId) -> FreshCapture {
        FreshCapture { generations: self.tenants.lock().unwrap().get(tenant).cloned().unwrap_or_default() }
    }
}

pub struct World {
    pub lake: Arc<Lake>,
    pub buffers: Arc<Buffers>,
    pub engine: Arc<Engine>,
    pub env: Env,
    clock: Arc<fixed::ManualClock>,
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(QueryConfig { partitions: 3, ..QueryConfig::default() }).await
    }

    pub async fn with(config: QueryConfig) -> Self {
        let (env, clock) = fixed::env(Timestamp::from_millis(NEW_YEAR_MS + 3_600_000), 7);
        let store: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.unwrap();
        let lake = Lake::open(store, catalog, env.clone(), LakeConfig::default());
        let buffers = Arc::new(Buffers::default());
        let engine = Engine::new(Arc::clone(&lake), Arc::clone(&buffers) as Arc<dyn FreshRows>, env.clone(), config).unwrap();
        Self { lake, buffers, engine, env, clock }
    }

    /// Writes rows as files and commits them.
    pub async fn commit(&self, tenant: &TenantId, table: Table, rows: Value) {
        // Ids of files sort by the time they were minted.
        self.clock.advance(std::time::Duration::from_millis(1));
        let files = self.lake.write(tenant, table, Level::L0, vec![batch(table, rows)]).await.unwrap();
        let operations = files.into_iter().map(|file| Operation::AddFile { file: Box::new(file) }).collect();
        self.lake.catalog().commit(operations).await.unwrap();
    }

    /// Moves the clock.
    pub fn advance(&self, by: std::time::Duration) {
        self.clock.advance(by);
    }

    /// Puts rows into memory.
    pub fn buffer(&self, tenant: &TenantId, table: Table, rows: Value) {
        let generation =
            FreshGeneration { writer: self.env.new_uuid(), first: 1, tables: HashMap::from([(table, vec![batch(table, rows)])]) };
        self.buffers.tenants.lock().unwrap().entry(tenant.clone()).or_default().push(generation);
    }

    /// Writes what is in memory as files, in the order in which it came.
    pub async fn flush(&self, tenant: &TenantId) {
        let generations = self.buffers.tenants.lock().unwrap().remove(tenant).unwrap_or_default();
        for (table, batches) in generations.into_iter().flat_map(|generation| generation.tables) {
            self.clock.advance(std::time::Duration::from_millis(1));
            let files = self.lake.write(tenant, table, Level::L0, batches).await.unwrap();
            let operations = files.into_iter().map(|file| Operation::AddFile { file: Box::new(file) }).collect();
            self.lake.catalog().commit(operations).await.unwrap();
        }
    }

    /// Merges all files that can be merged.
    pub async fn compact(&self) {
        let config = lake::compact::CompactConfig::default();
        let language = Arc::new(query::DeleteSelectors);
        let report = lake::compact::Compactor::new(Arc::clone(&self.lake), config, language).force().await.unwrap();
        assert_eq!(report.failures, [""; 0]);
    }

    pub fn session(&self, tenant: &TenantId) -> Session {
        self.engine.session(tenant, QueryLimits::default()).unwrap()
    }

    /// The answer as a table drawn with characters.
    pub async fn sql(&self, tenant: &TenantId, text: &str) -> String {
        draw(&run(&self.session(tenant), text).await.unwrap_or_else(|e| panic!("{text}: {e}")))
    }
}

pub async fn run(session: &Session, text: &str) -> query::Result<Vec<RecordBatch>> {
    let state = session.state();
    let plan = state.create_logical_plan(text).await.map_err(|e| session.explain(e))?;
    DataFrame::new(state, plan).collect().await.map_err(|e| session.explain(e))
}

pub fn draw(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

/// The cells of the drawn table, row by row, without the frame and the header.
pub fn cells(drawn: &str) -> Vec<Vec<String>> {
    let rows = drawn.lines().filter(|line| line.starts_with('|')).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}
