//! OTLP metrics as Prometheus series: `ExportMetricsServiceRequest` bytes become rows of samples, series, histograms,
//! exemplars and metadata.
//!
//! ```text
//! request ─ resource ─ scope ─ metric ─ data point ──hash──► known: push (metric, sid, ts, value, start)
//!                                                    └─ new: translate names, build labels, register the series, remember
//! ```
//! Gauges, sums and summaries become float samples; explicit-bounds histograms the classic `_bucket`, `_count`, `_sum` series;
//! exponential histograms native ones. Names are translated as Prometheus does ([`OtlpMetricsConfig`]). What differs from
//! Prometheus, on purpose:
//! - Delta points are not refused but added up to cumulative ones ([`delta`]); native histograms too.
//! - A data point that breaks a rule is refused alone, with a count and a reason, not its whole request.
//! - A data point without a value, and a histogram whose counts do not add up, are refused; Prometheus stores a zero, or
//!   buckets that contradict the count.
//! - Gauges keep their exemplars; an exemplar without a time has its data point's.
//! - `target_info` covers at most [`TARGET_INFO_STEPS_MAX`] steps before the last data point.
//!
//! # Invariants
//! - A data point seen before (same bytes of resource, scope, name, unit and attributes) costs no allocation.
//! - Within a request a series' row comes once a day; across requests until one that carried it was appended.
//! - Any bytes convert or are a [`DecodeError`]; nothing panics.

pub mod config;
mod delta;
mod exemplars;
mod histogram;
mod labels;
mod naming;
mod native;
mod number;
mod pending;
mod points;
mod reject;
mod request;
mod summary;
mod tenant;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use catalog::{Env, TenantId};
use parking_lot::RwLock;

pub use config::{InvalidMetricsConfig, OtlpMetricsConfig, TranslationStrategy};

use super::{Convert, Converted, DecodeError};
use crate::registry::{RegistryError, SeriesRegistry};
use crate::wire::WireError;
use request::Request;
use tenant::Tenant;

/// The value that ends a series: a NaN that means "no longer there".
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// How many samples of `target_info` one request can add to one resource: two days at the default lookback.
pub const TARGET_INFO_STEPS_MAX: i64 = 1_152;

/// Turns OTLP metrics requests into rows. One per process: it remembers the series of every tenant.
pub struct MetricsConverter {
    config: OtlpMetricsConfig,
    registry: Arc<SeriesRegistry>,
    env: Env,
    /// Of the hashes that stand for bytes; random, so that nobody can aim at a collision.
    seed: u64,
    tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
}

impl MetricsConverter {
    /// A converter that has seen nothing. `config` is valid ([`OtlpMetricsConfig::validate`]).
    pub fn new(config: OtlpMetricsConfig, registry: Arc<SeriesRegistry>, env: Env) -> Arc<Self> {
        let seed = env.entropy.next_u64();
        Arc::new(Self { config, registry, env, seed, tenants: RwLock::default() })
    }

    /// Converts the whole `body` for `tenant`. CPU work only, about 0.1 ms per 1,000 data points that were seen before.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] for bytes that are not the message. Single bad data points are counted in
    /// [`Converted::rejected`] instead.
    pub fn convert(&self, tenant: &TenantId, body: &[u8]) -> Result<Converted, DecodeError> {
        let minute = u32::try_from(self.env.now().as_secs() / 60).unwrap_or(0);
        let tenant = match self.tenant(tenant) {
            Ok(tenant) => tenant,
            Err(refused) => return request::refuse_all(body, refused, &self.config).map_err(malformed),
        };
        tenant.sweep(minute);
        let mut request = Request::new(&self.config, &tenant, self.seed, self.env.now().as_nanos(), body.len());
        request.read(body).map_err(malformed)?;
        request.finish()
    }

    fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, RegistryError> {
        if let Some(known) = self.tenants.read().get(id) {
            return Ok(Arc::clone(known));
        }
        let series = self.registry.tenant(id)?;
        let new = || Arc::new(Tenant::new(series, self.registry.config().series_max));
        Ok(Arc::clone(self.tenants.write().entry(id.clone()).or_insert_with(new)))
    }
}

impl Convert for MetricsConverter {
    fn convert(&self, tenant: &TenantId, body: &[u8]) -> Result<Converted, DecodeError> {
        Self::convert(self, tenant, body)
    }
}

fn malformed(error: WireError) -> DecodeError {
    DecodeError::Malformed { message: "ExportMetricsServiceRequest", reason: error.to_string() }
}

impl fmt::Debug for MetricsConverter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsConverter").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
