//! The query log on its way into the lake: rows of [`Table::QueryLog`] of the tenant that asked, through the write-ahead log like any others, so that
//! they survive a crash, are compacted, and go by their own retention.
//!
//! ```text
//! query::usage ─ queue ─► [write] once a second, a batch per tenant ─► sink: log, buffer ─► files
//! ```
//! What is not in the write-ahead log yet is lost by kill -9: up to a second. A query does not wait for its own row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::{Table, TenantId};
use ingest::{Append, RowSink};
use query::usage::{self, QueuedRows, Row};
use tokio_util::sync::CancellationToken;

/// Between two writes.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Rows of one write.
const ROWS_MAX: usize = 8_192;

/// Writes what is queued, once a second, until `answered`: nobody asks any more by then, and what still waits is written. What the sink refuses is
/// dropped and counted.
pub(crate) async fn write(mut queries: QueuedRows, sink: Arc<dyn RowSink>, answered: CancellationToken) {
    loop {
        let rows = tokio::select! {
            rows = queries.take(ROWS_MAX) => rows,
            () = answered.cancelled() => return store(queries.take_waiting(), &sink).await,
        };
        if rows.is_empty() {
            return;
        }
        store(rows, &sink).await;
        tokio::select! {
            () = tokio::time::sleep(WRITE_EVERY) => {}
            () = answered.cancelled() => {}
        }
    }
}

async fn store(rows: Vec<Row>, sink: &Arc<dyn RowSink>) {
    let mut tenants: HashMap<TenantId, Vec<Row>> = HashMap::new();
    for row in rows {
        tenants.entry(row.tenant.clone()).or_default().push(row);
    }
    for (tenant, rows) in tenants {
        match append(&tenant, &rows, sink).await {
            Ok(()) => metrics::counter!("telelake_query_log_rows_total").increment(rows.len() as u64),
            Err(reason) => {
                metrics::counter!("telelake_query_log_dropped_total").increment(rows.len() as u64);
                tracing::warn!(%tenant, rows = rows.len(), %reason, "rows of the query log could not be stored");
            }
        }
    }
}

async fn append(tenant: &TenantId, rows: &[Row], sink: &Arc<dyn RowSink>) -> Result<(), String> {
    let batch = usage::batch(rows).map_err(|e| e.to_string())?;
    let append = Append { tenant: tenant.clone(), fingerprint: None, rows: vec![(Table::QueryLog, batch)] };
    sink.append(append).await.map(drop).map_err(|e| e.to_string())
}
