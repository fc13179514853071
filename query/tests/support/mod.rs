//! A lake in memory with rows given as JSON, and fresh rows beside it.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::pretty::pretty_format_batches;
use catalog::env::fixed;
use catalog::manifest::{Catalog, CatalogConfig, Operation};
use catalog::{Env, Level, Table, TenantId, Timestamp, schema};
use datafusion::dataframe::DataFrame;
use lake::{FreshCapture, FreshGeneration, FreshRows, Lake, LakeConfig};
use object_store::memory::InMemory;
use query::{Engine, QueryConfig, QueryLimits, Session};
use serde_json::{Value, json};

/// 2026-01-01 00:00 UTC in milliseconds.
pub const NEW_YEAR_MS: i64 = 1_767_225_600_000;

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
        let language = Arc::new(query::promql::DeleteSelectors);
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

/// Rows of `table` out of JSON objects; required columns that are missing get an empty value.
pub fn batch(table: Table, rows: Value) -> RecordBatch {
    let schema = schema::rows(table);
    let plain = |field: &Field| match field.data_type() {
        DataType::Dictionary(..) => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        _ => field.clone(),
    };
    let reading = Arc::new(Schema::new(schema.fields().iter().map(|f| plain(f)).collect::<Vec<_>>()));
    let mut decoder = arrow::json::ReaderBuilder::new(Arc::clone(&reading)).build_decoder().unwrap();
    let rows: Vec<Value> = rows.as_array().unwrap().iter().map(|row| fill(&schema, row)).collect();
    decoder.serialize(&rows).unwrap();
    let batch = decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(reading));
    let columns: Vec<ArrayRef> =
        batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn fill(schema: &Schema, row: &Value) -> Value {
    let mut row = row.as_object().unwrap().clone();
    for field in schema.fields().iter().filter(|field| !field.is_nullable()) {
        row.entry(field.name().clone()).or_insert_with(|| match field.data_type() {
            DataType::Map(..) => json!({}),
            DataType::Dictionary(..) | DataType::Utf8 => json!(""),
            DataType::FixedSizeBinary(bytes) => json!("00".repeat(*bytes as usize)),
            _ => json!(0),
        });
    }
    Value::Object(row)
}

pub fn sample(metric: &str, sid: i64, second: i64, value: f64) -> Value {
    json!({"metric": metric, "sid": sid, "ts": NEW_YEAR_MS + second * 1_000, "value": value})
}

pub fn series(metric: &str, sid: i64, labels: Value) -> Value {
    json!({"metric": metric, "sid": sid, "ts": NEW_YEAR_MS, "labels": labels})
}

pub fn ns(second: i64) -> i64 {
    (NEW_YEAR_MS + second * 1_000) * 1_000_000
}
