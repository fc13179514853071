//! Whose turn it is: a few queries of each tenant run, a few more wait, the rest are refused at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use catalog::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::SqlConfig;
use crate::error::{Error, Result};

/// Tenants whose lanes are kept although nobody uses them.
const IDLE_LANES_MAX: usize = 1_024;

/// The turns of all tenants.
#[derive(Debug)]
pub struct Admission {
    config: SqlConfig,
    lanes: Mutex<HashMap<TenantId, Arc<Lane>>>,
}

#[derive(Debug)]
struct Lane {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A turn; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// Counts one waiting query for as long as it lives.
struct Waiting(Arc<Lane>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Nobody is running.
    pub fn new(config: SqlConfig) -> Self {
        Self { config, lanes: Mutex::default() }
    }

    /// A turn for `tenant`, as soon as there is one.
    ///
    /// # Errors
    /// `Busy` when too many wait already, or the wait was too long.
    pub async fn turn(&self, tenant: &TenantId) -> Result<Turn> {
        let lane = self.lane(tenant);
        let turns = Arc::clone(&lane.turns);
        if let Ok(permit) = Arc::clone(&turns).try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let waiting = lane.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = Waiting(lane);
        let busy = || {
            metrics::counter!("telelake_sql_refused_total").increment(1);
            Error::Busy { running: self.config.queries_max, waiting }
        };
        if waiting >= self.config.queue_max {
            return Err(busy());
        }
        let permit = tokio::time::timeout(self.config.queue_wait, turns.acquire_owned()).await;
        drop(guard);
        match permit {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            _ => Err(busy()),
        }
    }

    fn lane(&self, tenant: &TenantId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if lanes.len() > IDLE_LANES_MAX {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.turns.available_permits() < self.config.queries_max);
        }
        let new = || Arc::new(Lane { turns: Arc::new(Semaphore::new(self.config.queries_max)), waiting: AtomicUsize::new(0) });
        Arc::clone(lanes.entry(tenant.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_runs_one_waits_the_third_is_refused() {
        let config = SqlConfig { queries_max: 1, queue_max: 1, queue_wait: Duration::from_secs(5), ..SqlConfig::default() };
        let admission = Arc::new(Admission::new(config));
        let tenant = TenantId::anonymous();
        let first = admission.turn(&tenant).await.expect("free");
        let second = tokio::spawn({
            let (admission, tenant) = (Arc::clone(&admission), tenant.clone());
            async move { admission.turn(&tenant).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(admission.turn(&tenant).await, Err(Error::Busy { waiting: 1, .. })));
        assert!(admission.turn(&TenantId::parse("other").expect("valid")).await.is_ok(), "tenants do not wait for each other");
        drop(first);
        assert!(second.await.expect("no panic").is_ok());
        let _held = admission.turn(&tenant).await.expect("given back");
        assert!(admission.turn(&tenant).await.is_err(), "waited too long");
    }
}
