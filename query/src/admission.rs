//! Whose turn it is: a few queries of each tenant run, a few more wait, the rest are refused at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use catalog::TenantId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tenants whose lanes are kept although nobody uses them.
const IDLE_LANES_MAX: usize = 1_024;

/// The turns of all tenants.
#[derive(Debug)]
pub struct Admission {
    queries_max: usize,
    queue_max: usize,
    lanes: Mutex<HashMap<TenantId, Arc<Lane>>>,
}

/// There is no turn: too many wait already, or the wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// Queries of the tenant that may run at the same time.
    pub running: usize,
    /// Others that were waiting.
    pub waiting: usize,
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
    /// Nobody is running. Of each tenant `queries_max` queries run and `queue_max` wait.
    pub fn new(queries_max: usize, queue_max: usize) -> Self {
        Self { queries_max, queue_max, lanes: Mutex::default() }
    }

    /// A turn for `tenant`, as soon as there is one, but no later than after `wait`.
    ///
    /// # Errors
    /// [`Busy`]
    pub async fn turn(&self, tenant: &TenantId, wait: Duration) -> Result<Turn, Busy> {
        let lane = self.lane(tenant);
        let turns = Arc::clone(&lane.turns);
        if let Ok(permit) = Arc::clone(&turns).try_acquire_owned() {
            return Ok(Turn { _permit: permit });
        }
        let waiting = lane.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = Waiting(lane);
        let busy = Busy { running: self.queries_max, waiting };
        if waiting >= self.queue_max {
            return Err(busy);
        }
        let permit = tokio::time::timeout(wait, turns.acquire_owned()).await;
        drop(guard);
        match permit {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            _ => Err(busy),
        }
    }

    fn lane(&self, tenant: &TenantId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if lanes.len() > IDLE_LANES_MAX {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.turns.available_permits() < self.queries_max);
        }
        let new = || Arc::new(Lane { turns: Arc::new(Semaphore::new(self.queries_max)), waiting: AtomicUsize::new(0) });
        Arc::clone(lanes.entry(tenant.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_runs_one_waits_the_third_is_refused() {
        const WAIT: Duration = Duration::from_secs(5);
        let admission = Arc::new(Admission::new(1, 1));
        let tenant = TenantId::anonymous();
        let first = admission.turn(&tenant, WAIT).await.expect("free");
        let second = tokio::spawn({
            let (admission, tenant) = (Arc::clone(&admission), tenant.clone());
            async move { admission.turn(&tenant, WAIT).await }
        });
        tokio::task::yield_now().await;
        assert!(matches!(admission.turn(&tenant, WAIT).await, Err(Busy { running: 1, waiting: 1 })));
        assert!(
            admission.turn(&TenantId::parse("other").expect("valid"), WAIT).await.is_ok(),
            "tenants do not wait for each other"
        );
        drop(first);
        assert!(second.await.expect("no panic").is_ok());
        let _held = admission.turn(&tenant, WAIT).await.expect("given back");
        assert!(admission.turn(&tenant, WAIT).await.is_err(), "waited too long");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_in_the_order_of_arrival() {
        const WAIT: Duration = Duration::from_secs(60);
        let admission = Arc::new(Admission::new(1, 3));
        let tenant = TenantId::anonymous();
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = admission.turn(&tenant, WAIT).await.expect("free");
        let mut waiting = Vec::new();
        for number in 0..3 {
            let (admission, tenant, order) = (Arc::clone(&admission), tenant.clone(), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let _turn = admission.turn(&tenant, WAIT).await.expect("in time");
                order.lock().push(number);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }));
            tokio::task::yield_now().await;
        }
        assert!(matches!(admission.turn(&tenant, WAIT).await, Err(Busy { waiting: 3, .. })));
        // Who goes away makes room for another one.
        waiting.remove(1).abort();
        tokio::task::yield_now().await;
        let (late, lanes) = (tenant.clone(), Arc::clone(&admission));
        let late = tokio::spawn(async move { lanes.turn(&late, WAIT).await.is_ok() });
        tokio::task::yield_now().await;
        drop(first);
        assert!(late.await.expect("no panic"));
        assert_eq!(*order.lock(), [0, 2]);
    }
}
