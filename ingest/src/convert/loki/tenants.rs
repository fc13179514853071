//! What is remembered of a tenant that pushes: its active streams, and how much it may push at once.
//!
//! ```text
//! stream id ─► pushed to within the last half hour? ─ no ─► below the limit? ─ no ─► refused
//! lines' bytes ─► in the bucket, which fills with the rate? ─ no ─► refused
//! ```

use std::sync::Arc;
use std::time::Duration;

use catalog::{TenantId, Timestamp};
use hashbrown::HashSet;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::config::LokiConfig;

/// How many tenants are remembered. One that is forgotten begins anew.
const TENANTS_MAX: u64 = 10_000;
/// A stream without lines for so long, and twice that at most, is no longer active.
const IDLE: Duration = Duration::from_secs(1_800);
/// Bytes of Loki's megabyte.
const MB: f64 = 1_048_576.0;

/// The tenants of a process.
#[derive(Debug)]
pub(crate) struct Tenants(Cache<TenantId, Arc<Tenant>>);

impl Tenants {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Cache::new(TENANTS_MAX))
    }

    /// What is remembered of `id`.
    pub(crate) fn get(&self, id: &TenantId) -> Arc<Tenant> {
        self.0.get_with_by_ref(id, Arc::default)
    }
}

/// One tenant.
#[derive(Debug, Default)]
pub(crate) struct Tenant {
    active: Mutex<Active>,
    bucket: Mutex<Option<Bucket>>,
}

/// Two generations: the young one becomes the old one after [`IDLE`], and what was in neither is a new stream.
#[derive(Debug, Default)]
struct Active {
    young: HashSet<i64>,
    old: HashSet<i64>,
    turned: Timestamp,
}

/// Bytes that may be pushed at `at`.
#[derive(Debug)]
struct Bucket {
    bytes: f64,
    at: Timestamp,
}

impl Tenant {
    /// Notes lines of `stream` at `now`; false if that is one stream more than `streams_max`.
    pub(crate) fn activate(&self, stream: i64, streams_max: usize, now: Timestamp) -> bool {
        let mut active = self.active.lock();
        let Active { young, old, turned } = &mut *active;
        let age = now.since(*turned);
        if age >= IDLE || *turned > now {
            let previous = std::mem::take(young);
            *old = if age >= 2 * IDLE { HashSet::new() } else { previous };
            *turned = now;
        }
        if young.contains(&stream) {
            return true;
        }
        if !old.remove(&stream) && young.len() + old.len() >= streams_max {
            return false;
        }
        young.insert(stream);
        true
    }

    /// Takes `bytes` out of the bucket at `now`; false if it has less, and then nothing is taken.
    pub(crate) fn take(&self, bytes: u64, config: &LokiConfig, now: Timestamp) -> bool {
        let (rate, burst) = (config.ingestion_rate_mb * MB, config.ingestion_burst_size_mb * MB);
        if rate <= 0.0 {
            return true;
        }
        let mut bucket = self.bucket.lock();
        let bucket = bucket.get_or_insert(Bucket { bytes: burst, at: now });
        bucket.bytes = (bucket.bytes + now.since(bucket.at).as_secs_f64() * rate).min(burst);
        bucket.at = now;
        let enough = bytes as f64 <= bucket.bytes;
        if enough {
            bucket.bytes -= bytes as f64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + seconds)
    }

    #[test]
    fn idle_streams_make_room() {
        let tenant = Tenant::default();
        let check = |stream: i64, seconds: i64, expected: bool| {
            assert_eq!(tenant.activate(stream, 2, at(seconds)), expected, "{stream} at {seconds}");
        };
        check(1, 0, true);
        check(2, 0, true);
        check(3, 0, false);
        check(1, 1_700, true);
        check(2, 1_900, true); // a turn later: moved
        check(3, 1_900, false); // 1 is in the old half still
        check(3, 3_700, true); // 1 was silent over a whole turn
        check(1, 3_700, false);
        check(1, 9_000, true); // all were
    }

    #[test]
    fn buckets_fill_with_the_rate() {
        let tenant = Tenant::default();
        let config = LokiConfig { ingestion_rate_mb: 1.0, ingestion_burst_size_mb: 2.0, ..LokiConfig::default() };
        let check = |mb: u64, seconds: i64, expected: bool| {
            assert_eq!(tenant.take(mb << 20, &config, at(seconds)), expected, "{mb} at {seconds}");
        };
        check(3, 0, false); // more than ever fits
        check(2, 0, true);
        check(1, 0, false);
        check(1, 1, true);
        check(2, 2, false);
        check(2, 100, true);
        check(1, 100, false);
        assert!(tenant.take(u64::MAX, &LokiConfig::default(), at(0)));
    }
}
