//! A node without listeners, and another one over the same bucket: log, buffer, lake and engine as the process puts them together, on
//! memory and under a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use catalog::env::fixed::{self, ManualClock};
use catalog::manifest::{Catalog, CatalogConfig, Operation};
use catalog::{Env, Table, TenantId, Timestamp};
use ingest::wal::SimFs;
use ingest::{Append, IngestConfig, Ingester, RowSink};
use lake::compact::{CompactConfig, Compactor};
use lake::{FreshRows, Lake};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use query::DeleteSelectors;
use query::promql::{PromqlConfig, PromqlEngine};
use query::{Engine, QueryConfig};
use serde_json::Value;
use tokio::runtime::Handle;

use super::rows::{NEW_YEAR_MS, batch};

/// Time and chance, and what moves the time.
pub(crate) type Time = (Env, Arc<ManualClock>);

/// Nodes have one time of day: which of two samples of one time is the newer one is told by when their files were named.
pub(crate) fn time(seed: u64) -> Time {
    fixed::env(Timestamp::from_millis(NEW_YEAR_MS), seed)
}

/// One process.
pub(crate) struct Node {
    pub(crate) engine: Arc<PromqlEngine>,
    pub(crate) lake: Arc<Lake>,
    ingester: Arc<Ingester>,
    compactor: Compactor,
    clock: Arc<ManualClock>,
}

impl Node {
    /// A node over `store`, which others may use.
    pub(crate) async fn open(store: Arc<dyn ObjectStore>, time: &Time, seed: u64, config: PromqlConfig) -> Self {
        let (env, clock) = time.clone();
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.unwrap();
        let lake = Lake::open(store, catalog, env.clone(), lake::LakeConfig::default());
        let mut ingest = IngestConfig::default();
        ingest.wal.dir = Some("/log".into());
        ingest.wal.segment_bytes = 8 << 20;
        let ingester = Ingester::open_on(Arc::new(SimFs::new(seed)), ingest, Arc::clone(&lake) as _, env.clone()).await.unwrap();
        let fresh: Arc<dyn FreshRows> = Arc::clone(&ingester) as _;
        // Three partitions: sums are put together from parts.
        let query = QueryConfig { partitions: 3, ..QueryConfig::default() };
        let engine = Engine::new(Arc::clone(&lake), fresh, env, query).unwrap();
        let engine = PromqlEngine::new(engine, config, Handle::current()).unwrap();
        let compactor = Compactor::new(Arc::clone(&lake), CompactConfig::default(), Arc::new(DeleteSelectors));
        Self { engine, lake, ingester, compactor, clock }
    }

    /// A node by itself.
    pub(crate) async fn alone(config: PromqlConfig) -> Self {
        Self::open(Arc::new(InMemory::new()), &time(7), 7, config).await
    }

    /// Sends rows; they are acknowledged when this returns.
    pub(crate) async fn append(&self, tenant: &TenantId, tables: Vec<(Table, Value)>) {
        let rows = tables.into_iter().map(|(table, rows)| (table, batch(table, rows))).collect();
        self.ingester.append(Append { tenant: tenant.clone(), fingerprint: None, rows }).await.unwrap();
    }

    /// Makes files of what is in memory.
    pub(crate) async fn flush(&self) {
        self.clock.advance(Duration::from_millis(1));
        self.ingester.flush_now().await.unwrap();
    }

    /// Merges what can be merged.
    pub(crate) async fn compact(&self) {
        self.clock.advance(Duration::from_millis(1));
        self.compactor.force().await.unwrap();
    }

    /// Learns what other nodes did.
    pub(crate) async fn refresh(&self) {
        self.lake.catalog().refresh().await.unwrap();
    }

    /// Drops files whose rows all lie before `before_ms`.
    pub(crate) async fn retain(&self, tenant: &TenantId, before_ms: i64) {
        let before = Timestamp::from_millis(before_ms);
        let drop = |table| Operation::RetentionDrop { tenant: tenant.clone(), table, before };
        let drops = [Table::Samples, Table::Histograms].map(drop).to_vec();
        self.lake.catalog().commit(drops).await.unwrap();
    }
}
