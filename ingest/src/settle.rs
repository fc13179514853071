//! The log's rows and the receivers' memory together, as deletes need them.
//!
//! A delete that this node carries out waits for its receivers ([`NodeRows`]); of another node's delete they are told when it is seen in
//! the manifest ([`follow_deletes`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{Catalog, Table, TenantId, TimeRange};
use futures::future::BoxFuture;
use lake::{FreshCapture, FreshRows, FreshVersion, Settled};
use tokio::sync::broadcast;

use crate::convert::SeenIds;
use crate::ingester::Ingester;
use crate::registry::SeriesRegistry;

/// The rows of an ingester whose receivers share a registry of series, and what they remember of streams.
#[derive(Debug)]
pub struct NodeRows {
    ingester: Arc<Ingester>,
    series: Arc<SeriesRegistry>,
    streams: Arc<SeenIds>,
}

impl NodeRows {
    /// The rows of `ingester`, whose series are in `series` and whose stored streams in `streams`.
    pub fn new(ingester: Arc<Ingester>, series: Arc<SeriesRegistry>, streams: Arc<SeenIds>) -> Self {
        Self { ingester, series, streams }
    }
}

impl FreshRows for NodeRows {
    fn capture(&self, tenant: &TenantId) -> FreshCapture {
        self.ingester.capture(tenant)
    }

    fn settle<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Settled, String>> {
        Box::pin(async move {
            // In this order: whoever left a series' row out because it is stored is in the files that the flush writes.
            let suspended = (self.series.suspend(tenant).await, self.streams.suspend(tenant).await);
            self.ingester.settle(tenant).await?;
            Ok(Settled::new(suspended))
        })
    }

    fn newest(&self, tenant: &TenantId) -> Option<FreshVersion> {
        self.ingester.newest(tenant)
    }

    fn follow(&self, tenant: &TenantId, table: Table) -> Option<broadcast::Receiver<RecordBatch>> {
        self.ingester.follow(tenant, table)
    }

    fn changes(&self, tenant: &TenantId, record: u64) -> Option<Vec<TimeRange>> {
        self.ingester.changes(tenant, record)
    }
}

/// Makes receivers forget which rows of series and streams are stored whenever the manifest has a new delete of the tenant. Ends with
/// `catalog`.
pub async fn follow_deletes(catalog: Arc<Catalog>, series: Arc<SeriesRegistry>, streams: Arc<SeenIds>) {
    let mut newest = catalog.subscribe();
    let mut seen = catalog.snapshot().id();
    while newest.changed().await.is_ok() {
        let snapshot = catalog.snapshot();
        let tenants: BTreeSet<&TenantId> = snapshot.deletes_after(seen).map(|delete| &delete.tenant).collect();
        for tenant in tenants {
            drop((series.suspend(tenant).await, streams.suspend(tenant).await));
        }
        seen = snapshot.id();
    }
}
