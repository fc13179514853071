//! The way of every request's rows past the generator.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use catalog::{Env, Table, TenantId};

use super::Generator;
use crate::sink::{Append, Appended, RowSink, SinkError};

/// Spans that are counted on the thread of their request: a quarter of a millisecond. More go to a thread for blocking work.
const INLINE_SPANS_MAX: usize = 2_048;

/// Counts the spans of what it hands on, once they are stored.
#[derive(Debug)]
pub struct GeneratingSink {
    inner: Arc<dyn RowSink>,
    generator: Arc<Generator>,
    env: Env,
}

impl GeneratingSink {
    /// A sink before `inner`. What `generator` writes goes to `inner`, not here.
    pub fn new(inner: Arc<dyn RowSink>, generator: Arc<Generator>, env: Env) -> Arc<Self> {
        Arc::new(Self { inner, generator, env })
    }
}

#[async_trait]
impl RowSink for GeneratingSink {
    async fn append(&self, append: Append) -> Result<Appended, SinkError> {
        let counted: Vec<(Table, RecordBatch)> =
            append.rows.iter().filter(|(table, _)| matches!(table, Table::Spans | Table::Resources)).cloned().collect();
        if counted.is_empty() {
            return self.inner.append(append).await;
        }
        let (inner, generator, env) = (Arc::clone(&self.inner), Arc::clone(&self.generator), self.env.clone());
        // A task of its own: a sender that goes away while its rows become durable must not leave them uncounted, since its retry
        // is recognised as stored.
        let work = tokio::spawn(async move {
            let tenant = append.tenant.clone();
            let appended = inner.append(append).await;
            count(generator, tenant, counted, matches!(appended, Ok(Appended::Stored)), &env).await;
            appended
        });
        work.await.unwrap_or_else(|error| Err(SinkError::Log { reason: format!("counting spans failed: {error}") }))
    }
}

/// Learns the resources, and counts the spans if they were `stored`.
async fn count(generator: Arc<Generator>, tenant: TenantId, rows: Vec<(Table, RecordBatch)>, stored: bool, env: &Env) {
    let now = env.now();
    let spans: usize = rows.iter().map(|(_, batch)| batch.num_rows()).sum();
    if spans <= INLINE_SPANS_MAX {
        generator.take(&tenant, &rows, stored, now);
        return;
    }
    let work = tokio::task::spawn_blocking(move || generator.take(&tenant, &rows, stored, now));
    if let Err(error) = work.await {
        tracing::error!(%error, "spans were not counted");
    }
}
