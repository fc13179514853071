//! One incarnation of a node: everything below the listeners, on a bucket with faults and a simulated disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Result;
use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{Clock, Entropy, Env, Table, TenantId, TimeRange, Timestamp};
use futures::TryStreamExt;
use ingest::wal::SimFs;
use ingest::{Append, IngestConfig, Ingester, RowSink};
use lake::compact::{CompactBudget, CompactConfig, Compactor};
use lake::gc::{self, GcConfig};
use lake::store::{FaultStore, Faults};
use lake::{FreshRows, Lake, ScanSpec};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use query::DeleteSelectors;
use tokio::time::Instant;

use crate::{Batch, rows};

/// The time of day that moves with tokio's paused clock.
#[derive(Debug)]
pub(crate) struct FollowingClock {
    start: Timestamp,
    since: Instant,
    skew_ns: AtomicI64,
}

impl FollowingClock {
    /// Stands at `start` now. Call it inside the runtime.
    pub(crate) fn starting_at(start: Timestamp) -> Arc<Self> {
        Arc::new(Self { start, since: Instant::now(), skew_ns: AtomicI64::new(0) })
    }
}

impl Clock for FollowingClock {
    fn now(&self) -> Timestamp {
        let now = self.start.saturating_add(self.since.elapsed());
        Timestamp::from_nanos(now.as_nanos() + self.skew_ns.load(Ordering::Relaxed))
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) faults: FaultStore,
    pub(crate) lake: Arc<Lake>,
    pub(crate) ingester: Arc<Ingester>,
    compactor: Compactor,
    tenant: TenantId,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Node {
    /// Opens the catalog, recovers the log.
    pub(crate) async fn open(
        bucket: &Arc<InMemory>,
        faults: Faults,
        disk: SimFs,
        clock: Arc<FollowingClock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let env = Env { clock, entropy: Arc::clone(&entropy) };
        let faults = FaultStore::new(Arc::clone(bucket) as Arc<dyn ObjectStore>, entropy, faults);
        let store: Arc<dyn ObjectStore> = Arc::new(faults.clone());
        let config = CatalogConfig {
            checkpoint_entries: 5,
            // Short, so that gc has work within a life; longer than any read of the simulation.
            time_travel: Duration::from_secs(60),
            delete_grace: Duration::from_secs(60),
            ..CatalogConfig::default()
        };
        let catalog = Catalog::open(Arc::clone(&store), env.clone(), config).await?;
        let lake = Lake::open(store, catalog, env.clone(), lake::LakeConfig::default());
        let mut config = IngestConfig::default();
        config.wal.dir = Some("/log".into());
        config.wal.segment_bytes = 64 << 10;
        config.flush.age_max = Duration::from_secs(5);
        let ingester = Ingester::open_on(Arc::new(disk), config, Arc::clone(&lake) as _, env).await?;
        let compactor = Compactor::new(Arc::clone(&lake), CompactConfig::default(), Arc::new(DeleteSelectors));
        Ok(Self { faults, lake, ingester, compactor, tenant: TenantId::anonymous() })
    }

    /// Compacts whatever is due.
    pub(crate) async fn compact(&self) -> Result<()> {
        self.compactor.run_once(CompactBudget::default()).await?;
        Ok(())
    }

    /// Deletes what no snapshot can need.
    pub(crate) async fn collect(&self) -> Result<()> {
        gc::run_once(&self.lake, &GcConfig { orphan_age: Duration::from_secs(600), ..GcConfig::default() }).await?;
        Ok(())
    }

    /// Sends a batch as a receiver would; `Ok` is the acknowledgement.
    pub(crate) async fn send(&self, batch: Batch) -> Result<()> {
        let append = Append {
            tenant: self.tenant.clone(),
            fingerprint: Some((u128::from(batch.table.code()) << 64) | batch.first as u128),
            rows: vec![(batch.table, rows::numbered(batch.table, batch.first, batch.count))],
        };
        self.ingester.append(append).await?;
        Ok(())
    }

    /// The numbers of all rows of `table`, as a query sees them: fresh rows first, then a snapshot.
    pub(crate) async fn read(&self, table: Table) -> Result<Vec<i64>> {
        let fresh = self.ingester.capture(&self.tenant);
        let snapshot = self.lake.catalog().pin();
        let mut numbers: Vec<i64> = fresh.batches(&snapshot, table).flat_map(|batch| rows::numbers(table, batch)).collect();
        for file in snapshot.files(&self.tenant, table, TimeRange::ALL) {
            let spec = ScanSpec::all([rows::number_column(table)]);
            let batches: Vec<_> = self.lake.scan(file, spec)?.try_collect().await?;
            numbers.extend(batches.iter().flat_map(|batch| rows::numbers(table, batch)));
        }
        Ok(numbers)
    }
}
