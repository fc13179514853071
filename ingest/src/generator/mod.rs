//! Metrics of spans, counted as spans are acknowledged: calls, latency and size of every operation, and who calls whom.
//!
//! ```text
//! append of spans ─► [sink] ─► log, synced ── stored ──► [Generator::take] ─┬► [spans]  label set ► calls, size, latency ─┐
//!                     a repetition is not counted again                   └► [graph]  halves of edges ► pairs ► counts ─┴► [entries]
//!
//! every interval: [Generator::write] ─► expired edges ─► entries, some at a time ─► [write] rows of series ─► the inner sink
//! ```
//! Names, labels, buckets and rules are those of Tempo's metrics-generator, and beside them those of the collector's span metrics.
//! Samples are written as a remote write of the same series would: they are ordinary series afterwards.
//!
//! # Invariants
//! - A span is counted once if it is stored, and never if it is not: counting comes behind the acknowledgement of the log, and goes on
//!   when the sender has gone.
//! - Counts only rise while a label set lives. It begins with a sample of 0 that lies before its first count, and ends with a stale marker.
//! - Counts are in memory: after a crash they begin anew, with a new start, and what was counted since the last write is missing from
//!   the series (not from the spans). A node that is told to stop writes them once more.
//! - Every series has the label [`INSTANCE_LABEL`], so that the nodes on one bucket never write the same one.
//! - Memory is bounded: [`GeneratorConfig::series_max`] a tenant, [`ServiceGraphConfig::edges_max`] waiting edges a tenant and
//!   as many sides that are left out, and as many
//!   tenants as the registry of series takes.

mod attributes;
mod batch;
pub mod config;
mod edges;
mod entries;
mod graph;
mod hosts;
mod labels;
mod latency;
mod native;
mod policy;
mod resources;
pub mod sink;
mod size;
mod spans;
mod tenant;
mod weight;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::RecordBatch;
use catalog::{Table, TenantId, Timestamp};
use parking_lot::{Mutex, RwLock};

pub use config::{GeneratorConfig, HostInfoConfig, ServiceGraphConfig, SpanMetricsConfig};
pub use sink::GeneratingSink;

use crate::convert::series::introduced::Introduced;
use crate::registry::{RegistryError, SeriesRegistry};
use crate::sink::{Append, RowSink, SinkError};
use tenant::{Plan, Tenant};

/// The label that tells the node that counted: the name that Tempo's instances use.
pub const INSTANCE_LABEL: &str = "__metrics_gen_instance";

/// Samples of one append: half a millisecond of work under the tenant's lock, a few when their series are new.
const SAMPLES_PER_APPEND: usize = 8_192;

/// What a [`Generator::write`] wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples, those of native histograms and stale markers among them.
    pub samples: u64,
    /// Series that were left out because the registry has no room.
    pub refused: u64,
}

/// Counts spans for all tenants. One per process.
pub struct Generator {
    plan: Arc<Plan>,
    registry: Arc<SeriesRegistry>,
    tenants: RwLock<HashMap<TenantId, Arc<Counting>>>,
    /// The time of the last write in milliseconds, before the first one that of the start: what is counted now was not there then.
    written_ms: AtomicI64,
}

/// A tenant and its lock.
#[derive(Debug)]
struct Counting(Mutex<Tenant>);

impl Generator {
    /// A generator that has counted nothing. `config` is valid ([`GeneratorConfig::validate`]); `instance` tells this node from others
    /// and is the same after a restart; `seed` is random, so that nobody can aim at collisions; `now` is where the first series begin.
    pub fn new(config: GeneratorConfig, registry: Arc<SeriesRegistry>, instance: &str, seed: u64, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            plan: Arc::new(Plan::new(config, instance, seed)),
            registry,
            tenants: RwLock::default(),
            written_ms: AtomicI64::new(now.as_millis()),
        })
    }

    /// The settings.
    pub fn config(&self) -> &GeneratorConfig {
        &self.plan.config
    }

    /// Learns the resources among `rows`, and counts the spans if they were `stored`. CPU work: some 0.2 µs a span.
    ///
    /// Spans may come in any order, those of one trace from several requests and protocols. `now` is the time of arrival.
    pub fn take(&self, tenant: &TenantId, rows: &[(Table, RecordBatch)], stored: bool, now: Timestamp) {
        let counting = match self.tenant(tenant) {
            Ok(counting) => counting,
            Err(error) => {
                let spans =
                    rows.iter().filter(|(table, _)| *table == Table::Spans).map(|(_, batch)| batch.num_rows() as u64).sum();
                metrics::counter!("telelake_generator_dropped_spans_total", "reason" => "tenants").increment(spans);
                tracing::debug!(%tenant, %error, "spans are not counted");
                return;
            }
        };
        let mut state = counting.0.lock();
        let since_ms = self.written_ms.load(Ordering::Acquire);
        // Resources first: spans of the same request point to them.
        for (_, batch) in rows.iter().filter(|(table, _)| *table == Table::Resources) {
            state.learn(batch);
        }
        if stored {
            for (_, batch) in rows.iter().filter(|(table, _)| *table == Table::Spans) {
                state.count(batch, since_ms, now);
            }
        }
    }

    /// Writes the current value of every series to `sink`, which must not count spans itself, with the time `now`. A clock that went
    /// back makes all counters begin anew, since their start would lie in the future.
    ///
    /// # Errors
    /// The first refusal of the sink. Nothing is lost: the next write has the values of then, and the beginnings that are still missing.
    pub async fn write(&self, sink: &dyn RowSink, now: Timestamp) -> Result<Written, SinkError> {
        let now_ms = now.as_millis();
        let before_ms = self.written_ms.swap(now_ms, Ordering::AcqRel);
        if now_ms < before_ms {
            tracing::warn!(back_ms = before_ms - now_ms, "the clock went back: metrics of spans begin anew");
            self.tenants.read().values().for_each(|counting| counting.0.lock().begin_anew());
            return Ok(Written::default());
        }
        let tenants: Vec<_> = self.tenants.read().iter().map(|(id, tenant)| (id.clone(), Arc::clone(tenant))).collect();
        let (mut written, mut series) = (Written::default(), 0);
        let mut failed = None;
        for (id, counting) in tenants {
            match self.write_tenant(&id, &counting, sink, before_ms, now).await {
                Ok(of_tenant) => {
                    written.samples += of_tenant.samples;
                    written.refused += of_tenant.refused;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
            series += counting.0.lock().series();
        }
        metrics::gauge!("telelake_generator_series").set(series as f64);
        metrics::counter!("telelake_generator_samples_total").increment(written.samples);
        metrics::counter!("telelake_generator_refused_series_total").increment(written.refused);
        match failed {
            None => Ok(written),
            Some(error) => {
                metrics::counter!("telelake_generator_write_failures_total").increment(1);
                Err(error)
            }
        }
    }

    async fn write_tenant(
        &self,
        id: &TenantId,
        counting: &Counting,
        sink: &dyn RowSink,
        before_ms: i64,
        now: Timestamp,
    ) -> Result<Written, SinkError> {
        let mut written = Written::default();
        let mut at = counting.0.lock().begin_write(before_ms, now);
        loop {
            // The lock is not held across the append: receivers count on.
            let Some(part) = counting.0.lock().part(at, now, SAMPLES_PER_APPEND) else { return Ok(written) };
            let (samples, next) = (part.samples, part.next);
            written.refused += part.refused;
            let done = part.done;
            if samples > 0 {
                let (rows, series, reliance) =
                    part.rows.finish().map_err(|e| SinkError::Log { reason: format!("rows cannot be built: {e}") })?;
                let mut introduced: Introduced = part.introduced;
                introduced.series(series, reliance);
                sink.append(Append { tenant: id.clone(), fingerprint: None, rows }).await?;
                introduced.stored();
                written.samples += samples;
            }
            counting.0.lock().confirm(&done, now);
            at = next;
        }
    }

    fn tenant(&self, id: &TenantId) -> Result<Arc<Counting>, RegistryError> {
        if let Some(known) = self.tenants.read().get(id) {
            return Ok(Arc::clone(known));
        }
        let series = self.registry.tenant(id)?;
        let new = || Arc::new(Counting(Mutex::new(Tenant::new(Arc::clone(&self.plan), series))));
        Ok(Arc::clone(self.tenants.write().entry(id.clone()).or_insert_with(new)))
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("config", &self.plan.config).finish_non_exhaustive()
    }
}
