//! Whether what a series remembers of its stored rows may be relied on.
//!
//! ```text
//! epoch 4 ── requests rely on marks of epoch 4 ──┬── a delete: requests rely on nothing, and leave no marks ──┬── epoch 5: no marks yet
//!                                                └─ waits until those of epoch 4 are acknowledged             └─ it is committed
//! ```
//! A row of the `series` table that was stored before a delete may go with it. So a request that is acknowledged after the delete must
//! not have left its series' rows out because of one stored before. The same goes for rows of `streams` ([`crate::convert::ids`]).
//!
//! # Invariants
//! - A request holds its [`Reliance`] from before its first look at a mark until it is acknowledged, or has failed.
//! - [`Trust::suspend`] returns when no request is left that relies on a mark made before.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Gives out [`Reliance`]s. One per tenant.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    state: Mutex<State>,
    /// Told when nobody relies on a mark any longer.
    idle: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Series begin in epoch 0, without marks.
    epoch: u32,
    /// How many deletes are under way.
    suspended: usize,
    /// How many requests rely on marks.
    relying: usize,
}

/// What a request relies on.
#[derive(Debug)]
pub(crate) struct Reliance {
    trust: Arc<Trust>,
    /// Marks of this epoch are good; `None`: no mark is.
    epoch: Option<u32>,
}

impl Reliance {
    /// The epoch whose marks are good.
    #[inline]
    pub(crate) fn epoch(&self) -> Option<u32> {
        self.epoch
    }
}

impl Drop for Reliance {
    fn drop(&mut self) {
        if self.epoch.is_some() {
            let mut state = self.trust.state.lock();
            state.relying -= 1;
            if state.relying == 0 {
                self.trust.idle.notify_waiters();
            }
        }
    }
}

impl Trust {
    /// For a request that begins now.
    pub(crate) fn rely(self: &Arc<Self>) -> Reliance {
        let mut state = self.state.lock();
        let epoch = (state.suspended == 0).then_some(state.epoch);
        state.relying += usize::from(epoch.is_some());
        Reliance { trust: Arc::clone(self), epoch }
    }

    /// No request relies on a mark from now on, until the answer is dropped. Returns once those that do are done.
    pub(crate) async fn suspend(self: &Arc<Self>) -> Suspended {
        self.state.lock().suspended += 1;
        let suspended = Suspended(Arc::clone(self));
        loop {
            let idle = self.idle.notified();
            if self.state.lock().relying == 0 {
                return suspended;
            }
            idle.await;
        }
    }
}

/// Marks are not relied on while this lives. Those that were made before never are again.
#[derive(Debug)]
pub(crate) struct Suspended(Arc<Trust>);

impl Drop for Suspended {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.suspended -= 1;
        state.epoch = state.epoch.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_delete_waits_for_those_who_rely_on_marks() {
        let trust = Arc::new(Trust::default());
        let before = trust.rely();
        assert_eq!(before.epoch(), Some(0));
        let mut one = Box::pin(trust.suspend());
        let mut other = Box::pin(trust.suspend());
        assert!(one.as_mut().now_or_never().is_none(), "a request is under way");
        assert!(other.as_mut().now_or_never().is_none(), "for the second one as well");
        let meanwhile = trust.rely();
        assert_eq!(meanwhile.epoch(), None);
        drop(before);
        let one = one.now_or_never().expect("nobody relies on marks");
        let other = other.now_or_never().expect("nobody relies on marks");
        drop(one);
        assert_eq!(trust.rely().epoch(), None, "the other one is under way");
        drop(other);
        assert_eq!(trust.rely().epoch(), Some(2));
    }

    #[test]
    fn a_delete_that_is_given_up_leaves_nothing_suspended() {
        let trust = Arc::new(Trust::default());
        let before = trust.rely();
        let mut given_up = Box::pin(trust.suspend());
        assert!(given_up.as_mut().now_or_never().is_none());
        drop(given_up);
        let mut next = Box::pin(trust.suspend());
        assert!(next.as_mut().now_or_never().is_none(), "the request is still under way");
        drop(before);
        drop(next.now_or_never().expect("nobody is left"));
        assert_eq!(trust.rely().epoch(), Some(2));
    }
}
