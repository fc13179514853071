//! The log's rows and the receivers' memory together, as deletes need them.

use std::sync::Arc;

use catalog::TenantId;
use futures::future::BoxFuture;
use lake::{FreshCapture, FreshRows, Settled};

use crate::ingester::Ingester;
use crate::registry::SeriesRegistry;

/// The rows of an ingester whose receivers share a registry of series.
#[derive(Debug)]
pub struct NodeRows {
    ingester: Arc<Ingester>,
    series: Arc<SeriesRegistry>,
}

impl NodeRows {
    /// The rows of `ingester`, whose series are in `series`.
    pub fn new(ingester: Arc<Ingester>, series: Arc<SeriesRegistry>) -> Self {
        Self { ingester, series }
    }
}

impl FreshRows for NodeRows {
    fn capture(&self, tenant: &TenantId) -> FreshCapture {
        self.ingester.capture(tenant)
    }

    fn settle<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Settled, String>> {
        Box::pin(async move {
            // In this order: whoever left a series' row out because it is stored is in the files that the flush writes.
            let suspended = self.series.suspend(tenant).await;
            self.ingester.settle(tenant).await?;
            Ok(Settled::new(suspended))
        })
    }
}
