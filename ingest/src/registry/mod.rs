//! The active series of every tenant: label set to id, checked for collisions, bounded, forgotten when idle.
//!
//! ```text
//! (metric, labels) ──xxh3, salt 0──► sid ── unknown: new series ── same labels: that series
//!                                     └── other labels: salt 1, 2 ... until free or the same
//! ```
//! A series remembers on which days its row in the `series` table is stored, so that the row is written once a day.
//!
//! # Invariants
//! - Within a process, one id never stands for two label sets.
//! - A series that anybody holds an [`Arc`] of stays registered; so ids never change under a cache.
//! - What a series remembers of stored rows counts until the next delete of its tenant: see [`reliance`].
//! - No more than [`RegistryConfig::series_max`] series a tenant, and [`TENANTS_MAX`] tenants.

pub(crate) mod reliance;
pub mod series;
pub(crate) mod swept;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use catalog::{SeriesId, TenantId};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use reliance::{Reliance, Suspended, Trust};
pub use series::Series;
use swept::{HashedKey, SweptMap};

/// How many tenants a process keeps series of.
pub const TENANTS_MAX: usize = 10_000;

/// How many series a sweep looks at when a new one comes in.
const SWEEP_STEP: usize = 4;

/// Bounds of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Active series of one tenant; samples of further ones are refused until some are idle. About 0.5 KB of memory each.
    pub series_max: usize,
    /// A series without samples for so long is no longer active, e.g. `"1h"`.
    #[serde(with = "humantime_serde")]
    pub series_idle: Duration,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { series_max: 2_000_000, series_idle: Duration::from_secs(3_600) }
    }
}

/// Why a series cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The tenant has too many active series.
    #[error("tenant has reached its limit of {limit} active series")]
    SeriesLimit {
        /// The limit.
        limit: usize,
    },
    /// There are too many tenants.
    #[error("process has reached its limit of {limit} tenants")]
    TenantLimit {
        /// The limit.
        limit: usize,
    },
}

impl RegistryError {
    /// What the caller can do about it.
    pub fn kind(&self) -> catalog::ErrorKind {
        catalog::ErrorKind::TooLarge
    }
}

/// How ids are made: [`SeriesId::of`], but for tests of collisions.
type MakeId = fn(&str, &[(String, String)], u64) -> SeriesId;

fn make_id(metric: &str, labels: &[(String, String)], salt: u64) -> SeriesId {
    SeriesId::of(metric, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())), salt)
}

/// The series of all tenants.
pub struct SeriesRegistry {
    config: RegistryConfig,
    make_id: MakeId,
    tenants: RwLock<HashMap<TenantId, Arc<TenantSeries>>>,
}

impl SeriesRegistry {
    /// No series.
    pub fn new(config: RegistryConfig) -> Arc<Self> {
        Arc::new(Self { config, make_id, tenants: RwLock::default() })
    }

    /// The series of `tenant`.
    ///
    /// # Errors
    /// [`RegistryError::TenantLimit`].
    pub fn tenant(&self, tenant: &TenantId) -> Result<Arc<TenantSeries>, RegistryError> {
        if let Some(known) = self.tenants.read().get(tenant) {
            return Ok(Arc::clone(known));
        }
        let mut tenants = self.tenants.write();
        if tenants.len() >= TENANTS_MAX && !tenants.contains_key(tenant) {
            return Err(RegistryError::TenantLimit { limit: TENANTS_MAX });
        }
        let new = || Arc::new(TenantSeries::new(self.config.clone(), self.make_id));
        Ok(Arc::clone(tenants.entry(tenant.clone()).or_insert_with(new)))
    }

    /// What series of `tenant` remember of stored rows is not relied on until the answer is dropped, and never again. Returns when no
    /// request is under way that does.
    pub(crate) async fn suspend(&self, tenant: &TenantId) -> Option<Suspended> {
        // One that is not known yet may come meanwhile; one too many cannot.
        let tenant = self.tenant(tenant).ok()?;
        Some(tenant.trust.suspend().await)
    }

    /// The bounds.
    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }
}

impl fmt::Debug for SeriesRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesRegistry").field("config", &self.config).finish_non_exhaustive()
    }
}

impl HashedKey for SeriesId {
    fn hash64(&self) -> u64 {
        self.0 as u64
    }
}

/// The active series of one tenant.
pub struct TenantSeries {
    config: RegistryConfig,
    make_id: MakeId,
    trust: Arc<Trust>,
    inner: Mutex<Inner>,
}

struct Inner {
    by_id: SweptMap<SeriesId, Arc<Series>>,
    names: HashSet<Arc<str>>,
    /// At this many names, those that no series has are dropped.
    names_max: usize,
    /// Minute of the last full sweep, so that a tenant at its limit does not sweep with every sample.
    swept_minute: u32,
}

impl TenantSeries {
    fn new(config: RegistryConfig, make_id: MakeId) -> Self {
        let inner = Inner { by_id: SweptMap::new(), names: HashSet::new(), names_max: 1_024, swept_minute: 0 };
        Self { config, make_id, trust: Arc::default(), inner: Mutex::new(inner) }
    }

    /// For a request that begins now: which of the series' memories it may rely on.
    pub(crate) fn rely(&self) -> Reliance {
        self.trust.rely()
    }

    /// How many series are active.
    pub fn len(&self) -> usize {
        self.inner.lock().by_id.len()
    }

    /// Whether no series is active.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The series of `metric` with `labels` (ascending by name, distinct, no empty values, without `__name__`), registered if it
    /// is new. `minute` is now, in minutes since the epoch.
    ///
    /// # Errors
    /// [`RegistryError::SeriesLimit`] for a new series.
    pub fn resolve(&self, metric: &str, labels: &[(String, String)], minute: u32) -> Result<Arc<Series>, RegistryError> {
        debug_assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "labels ascend by name");
        let canonical = series::canonical(labels);
        let mut inner = self.inner.lock();
        inner.sweep(SWEEP_STEP, minute, self.idle_minutes());
        for salt in 0.. {
            let sid = (self.make_id)(metric, labels, salt);
            match inner.by_id.get(&sid) {
                Some(known) if known.is(metric, &canonical) => {
                    known.touch(minute);
                    return Ok(Arc::clone(known));
                }
                Some(_) => metrics::counter!("telelake_ingest_series_id_collisions_total").increment(1),
                None => return self.register(&mut inner, sid, salt, metric, canonical, minute),
            }
        }
        unreachable!("2^64 salts do not all collide in a bounded registry")
    }

    fn register(
        &self,
        inner: &mut Inner,
        sid: SeriesId,
        salt: u64,
        metric: &str,
        labels: Box<[u8]>,
        minute: u32,
    ) -> Result<Arc<Series>, RegistryError> {
        if inner.by_id.len() >= self.config.series_max {
            if inner.swept_minute != minute {
                inner.swept_minute = minute;
                inner.sweep(usize::MAX, minute, self.idle_minutes());
            }
            if inner.by_id.len() >= self.config.series_max {
                return Err(RegistryError::SeriesLimit { limit: self.config.series_max });
            }
        }
        let metric = inner.name(metric);
        let series = Arc::new(Series::new(sid, salt, metric, labels, minute));
        inner.by_id.insert(sid, Arc::clone(&series));
        Ok(series)
    }

    /// Minutes without a sample after which a series is idle.
    pub(crate) fn idle_minutes(&self) -> u32 {
        u32::try_from(self.config.series_idle.as_secs() / 60).unwrap_or(u32::MAX).max(1)
    }
}

impl Inner {
    /// Removes idle series among the next `count`; those that somebody holds are active by definition.
    fn sweep(&mut self, count: usize, minute: u32, idle_minutes: u32) {
        self.by_id.sweep(count, |_, series| Arc::strong_count(series) > 1 || !series.is_idle(minute, idle_minutes));
    }

    fn name(&mut self, metric: &str) -> Arc<str> {
        if let Some(known) = self.names.get(metric) {
            return Arc::clone(known);
        }
        if self.names.len() >= self.names_max {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.names_max = (2 * self.names.len()).max(1_024);
        }
        let name: Arc<str> = Arc::from(metric);
        self.names.insert(Arc::clone(&name));
        name
    }
}

impl fmt::Debug for TenantSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantSeries").field("series", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn equal_label_sets_are_one_series() {
        let series = TenantSeries::new(RegistryConfig::default(), make_id);
        let a = series.resolve("m", &labels(&[("a", "1"), ("b", "2")]), 5).unwrap();
        let b = series.resolve("m", &labels(&[("a", "1"), ("b", "2")]), 5).unwrap();
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(a.labels().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(a.sid(), SeriesId::of("m", [("a", "1"), ("b", "2")], 0));
    }

    #[test]
    fn colliding_series_get_a_salt_and_keep_it() {
        let one_bucket: MakeId = |_, _, salt| SeriesId(salt as i64);
        let series = TenantSeries::new(RegistryConfig::default(), one_bucket);
        let resolve = |name: &str| series.resolve(name, &labels(&[("l", "v")]), 1).unwrap();
        let (a, b, c) = (resolve("a"), resolve("b"), resolve("c"));
        assert_eq!([a.salt(), b.salt(), c.salt()], [0, 1, 2]);
        assert_eq!([resolve("a").sid(), resolve("b").sid(), resolve("c").sid()], [a.sid(), b.sid(), c.sid()]);
    }

    #[test]
    fn the_limit_is_named_and_idle_series_make_room() {
        let config = RegistryConfig { series_max: 2, series_idle: Duration::from_secs(600) };
        let series = TenantSeries::new(config, make_id);
        let held = series.resolve("held", &[], 0).unwrap();
        series.resolve("idle", &[], 0).unwrap();
        assert_eq!(series.resolve("new", &[], 1).unwrap_err(), RegistryError::SeriesLimit { limit: 2 });
        series.resolve("new", &[], 11).unwrap();
        assert_eq!(series.len(), 2);
        assert_eq!(series.resolve("held", &[], 12).unwrap().sid(), held.sid());
    }
}
