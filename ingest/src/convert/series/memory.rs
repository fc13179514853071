//! What is remembered of a tenant's requests, so that the next one is converted by lookups.
//!
//! ```text
//! resource bytes ─xxh3-128─┐
//! scope bytes ─────────────┼─ + kind, name, unit ─xxh3-128─► context ─┐
//! attribute bytes ─────────┴──────────────────────xxh3-128─► attrs ───┴─► Entry: the series
//! ```
//! The bytes themselves are not kept. Two 128-bit hashes with a random seed stand for them: a tenant would have to find a
//! collision without seeing hashes or seed, and would mix up two series of its own. By chance, 1e8 data points meet
//! with a probability of 1e-23.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;

use crate::registry::series::StoredDays;
use crate::registry::swept::{HashedKey, SweptMap};
use crate::registry::{Series, TenantSeries};

/// What a data point is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PointKey {
    /// Of resource, scope and metric.
    pub(crate) context: u128,
    /// Of the attributes (and of bounds or quantiles).
    pub(crate) attrs: u128,
}

impl HashedKey for PointKey {
    #[inline]
    fn hash64(&self) -> u64 {
        self.context as u64 ^ self.attrs as u64
    }
}

/// The key of a metric family's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FamilyKey(pub(crate) u128);

impl HashedKey for FamilyKey {
    fn hash64(&self) -> u64 {
        self.0 as u64
    }
}

/// The series that a data point becomes.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// None: a resource without `target_info`.
    Nothing,
    /// One.
    One(Arc<Series>),
    /// Those of a histogram or summary, in an order of their module's. Never empty.
    Many(Arc<[Arc<Series>]>),
}

impl Entry {
    fn is_idle(&self, minute: u32, idle_minutes: u32) -> bool {
        match self {
            Self::Nothing => true,
            Self::One(series) => series.is_idle(minute, idle_minutes),
            Self::Many(series) => series[0].is_idle(minute, idle_minutes),
        }
    }
}

/// Type, unit and help of a metric, and whether their row is stored.
#[derive(Debug)]
pub(crate) struct FamilyRow {
    pub(crate) stored: StoredDays,
    touched: AtomicU32,
}

impl FamilyRow {
    pub(crate) fn new(minute: u32) -> Arc<Self> {
        Arc::new(Self { stored: StoredDays::default(), touched: AtomicU32::new(minute) })
    }
    pub(crate) fn touch(&self, minute: u32) {
        if self.touched.load(Ordering::Relaxed) != minute {
            self.touched.store(minute, Ordering::Relaxed);
        }
    }
}

/// Lookups by hash.
#[derive(Debug)]
pub(crate) struct Memo {
    pub(crate) points: SweptMap<PointKey, Entry>,
    pub(crate) families: SweptMap<FamilyKey, Arc<FamilyRow>>,
}

/// Metric families of one tenant whose metadata is remembered; of more, it is stored again with every request.
const FAMILIES_MAX: usize = 100_000;

/// Entries that a request looks at to find idle ones. A million entries are passed in 4,000 requests.
pub(crate) const SWEEP_STEP: usize = 256;

/// One tenant's memory of one protocol's requests.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) series: Arc<TenantSeries>,
    pub(crate) memo: RwLock<Memo>,
    series_max: usize,
}

impl Memory {
    /// Remembers nothing yet.
    pub(crate) fn new(series: Arc<TenantSeries>, series_max: usize) -> Self {
        let memo = Memo { points: SweptMap::new(), families: SweptMap::new() };
        Self { series, memo: RwLock::new(memo), series_max }
    }

    /// Forgets what is idle, a few entries at a time. Skipped when another request is converting.
    pub(crate) fn sweep(&self, minute: u32) {
        let idle = self.series.idle_minutes();
        if let Some(mut memo) = self.memo.try_write() {
            memo.points.sweep(SWEEP_STEP, |_, entry| !entry.is_idle(minute, idle));
            memo.families.sweep(SWEEP_STEP, |_, f| minute.saturating_sub(f.touched.load(Ordering::Relaxed)) < idle);
        }
    }

    /// Remembers `entry`; when there is no room it is looked up the slow way next time.
    pub(crate) fn remember(&self, key: PointKey, entry: Entry) {
        let mut memo = self.memo.write();
        // Twice: a histogram has an entry for its last layout as well.
        if memo.points.len() < self.series_max.saturating_mul(2) {
            memo.points.insert(key, entry);
        }
    }

    /// Remembers a metric family.
    pub(crate) fn remember_family(&self, key: FamilyKey, family: Arc<FamilyRow>) {
        let mut memo = self.memo.write();
        if memo.families.len() < FAMILIES_MAX {
            memo.families.insert(key, family);
        }
    }
}
