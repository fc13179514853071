//! Recognises a sender's retry: fingerprints of requests that were acknowledged a while ago, or are on their way.
//!
//! ```text
//! claim ──new──► Claim ──stored──► durable ──window over, or too many──► forgotten
//!   │              └─dropped─► forgotten, the next who waits claims it
//!   ├─in flight─► wait for that one's end
//!   └─durable──► duplicate
//! ```
//! The window is kept in the log: every record has its fingerprint, every segment begins with those of its predecessors.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use catalog::{Env, Timestamp};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::DedupConfig;

/// The fingerprints of one log.
#[derive(Debug)]
pub(crate) struct Window {
    config: DedupConfig,
    env: Env,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<u128, Slot>,
    /// Durable fingerprints in the order in which they came; some may be stale.
    order: VecDeque<(Timestamp, u128)>,
}

#[derive(Debug)]
enum Slot {
    Durable(Timestamp),
    /// Closes when the request has come to its end.
    InFlight(watch::Receiver<()>),
}

/// What [`Window::claim`] found.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Nobody has stored this request: the caller does.
    New(Claim),
    /// It is stored.
    Duplicate,
}

/// The right and duty to store a request. Dropped without [`Claim::stored`], the request counts as failed.
#[derive(Debug)]
pub(crate) struct Claim {
    window: Arc<Window>,
    fingerprint: u128,
    stored: bool,
    /// Dropped with the claim, after the slot was changed; that wakes those who wait.
    _end: watch::Sender<()>,
}

impl Window {
    /// An empty window.
    pub(crate) fn new(config: DedupConfig, env: Env) -> Arc<Self> {
        Arc::new(Self { config, env, state: Mutex::default() })
    }

    /// Claims `fingerprint`. Waits while the same request is on its way.
    pub(crate) async fn claim(self: &Arc<Self>, fingerprint: u128) -> Claimed {
        loop {
            let mut end = match self.look(fingerprint) {
                Ok(claimed) => return claimed,
                Err(end) => end,
            };
            // An error means that the sender is gone, which is what we wait for.
            let _ = end.changed().await;
        }
    }

    fn look(self: &Arc<Self>, fingerprint: u128) -> Result<Claimed, watch::Receiver<()>> {
        let now = self.env.now();
        let mut state = self.state.lock();
        match state.slots.get(&fingerprint) {
            Some(Slot::Durable(at)) if now.since(*at) <= self.config.window => return Ok(Claimed::Duplicate),
            Some(Slot::InFlight(end)) => return Err(end.clone()),
            Some(Slot::Durable(_)) | None => {}
        }
        let (end, waiting) = watch::channel(());
        state.slots.insert(fingerprint, Slot::InFlight(waiting));
        Ok(Claimed::New(Claim { window: Arc::clone(self), fingerprint, stored: false, _end: end }))
    }

    /// Remembers requests that the log had at the start.
    pub(crate) fn restore(&self, fingerprints: impl IntoIterator<Item = (u128, Timestamp)>) {
        let mut state = self.state.lock();
        for (fingerprint, at) in fingerprints {
            self.remember(&mut state, fingerprint, at);
        }
    }

    /// The durable fingerprints inside the window, oldest first.
    pub(crate) fn checkpoint(&self) -> Vec<(u128, Timestamp)> {
        let mut state = self.state.lock();
        self.forget_old(&mut state);
        let live = |(at, fingerprint): &(Timestamp, u128)| match state.slots.get(fingerprint) {
            Some(Slot::Durable(newest)) if newest == at => Some((*fingerprint, *at)),
            _ => None,
        };
        state.order.iter().filter_map(live).collect()
    }

    /// At least as many as [`Window::checkpoint`] will return until the next [`Claim::stored`].
    pub(crate) fn len(&self) -> usize {
        self.state.lock().order.len()
    }

    fn remember(&self, state: &mut State, fingerprint: u128, at: Timestamp) {
        // Milliseconds, as in the log, so that a fingerprint is the same one after a restart.
        let at = Timestamp::from_millis(at.as_millis());
        if let Some(Slot::Durable(known)) = state.slots.get(&fingerprint)
            && *known >= at
        {
            return; // A checkpoint repeats what a record said.
        }
        state.slots.insert(fingerprint, Slot::Durable(at));
        state.order.push_back((at, fingerprint));
        self.forget_old(state);
    }

    fn forget_old(&self, state: &mut State) {
        let now = self.env.now();
        while let Some(&(at, fingerprint)) = state.order.front() {
            if now.since(at) <= self.config.window && state.order.len() <= self.config.entries_max {
                return;
            }
            state.order.pop_front();
            if matches!(state.slots.get(&fingerprint), Some(Slot::Durable(newest)) if *newest == at) {
                state.slots.remove(&fingerprint);
            }
        }
    }
}

impl Claim {
    /// The request is durable since `at`.
    pub(crate) fn stored(mut self, at: Timestamp) {
        self.stored = true;
        let mut state = self.window.state.lock();
        self.window.remember(&mut state, self.fingerprint, at);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.stored {
            self.window.state.lock().slots.remove(&self.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog::env::fixed;
    use futures::FutureExt;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn window(entries_max: usize) -> (Arc<Window>, Arc<fixed::ManualClock>) {
        let (env, clock) = fixed::env(START, 1);
        (Window::new(DedupConfig { window: Duration::from_secs(600), entries_max }, env), clock)
    }

    fn claim(window: &Arc<Window>, fingerprint: u128) -> Option<Claim> {
        match window.claim(fingerprint).now_or_never().expect("nobody else has it") {
            Claimed::New(claim) => Some(claim),
            Claimed::Duplicate => None,
        }
    }

    #[test]
    fn a_stored_request_is_a_duplicate_for_a_while() {
        let (window, clock) = window(10);
        claim(&window, 7).expect("new").stored(START);
        assert!(claim(&window, 7).is_none());
        clock.advance(Duration::from_secs(600));
        assert!(claim(&window, 7).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(claim(&window, 7).is_some());
    }

    #[test]
    fn a_failed_request_is_new_again() {
        let (window, _clock) = window(10);
        drop(claim(&window, 7));
        assert!(claim(&window, 7).is_some());
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let (window, _clock) = window(2);
        for fingerprint in 1..=3 {
            claim(&window, fingerprint).expect("new").stored(START);
        }
        assert_eq!(window.checkpoint().iter().map(|entry| entry.0).collect::<Vec<_>>(), [2, 3]);
        assert!(claim(&window, 1).is_some());
        assert!(claim(&window, 2).is_none());
    }

    #[test]
    fn a_checkpoint_restores_the_window() {
        let (window, _clock) = window(10);
        window.restore([(1, START), (2, START), (1, START)]);
        let (other, _clock) = self::window(10);
        other.restore(window.checkpoint());
        assert_eq!(other.checkpoint(), [(1, START), (2, START)]);
        assert!(claim(&other, 2).is_none());
    }

    #[tokio::test]
    async fn who_comes_second_waits_for_the_first() {
        for succeeds in [true, false] {
            let (window, _clock) = window(10);
            let first = claim(&window, 7).expect("new");
            let others: Vec<_> = (0..3)
                .map(|_| {
                    let window = Arc::clone(&window);
                    tokio::spawn(async move {
                        match window.claim(7).await {
                            Claimed::New(claim) => {
                                claim.stored(START);
                                1
                            }
                            Claimed::Duplicate => 0,
                        }
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            if succeeds {
                first.stored(START);
            } else {
                drop(first);
            }
            let mut stored = i32::from(succeeds);
            for other in others {
                stored += other.await.expect("no panic");
            }
            assert_eq!(stored, 1);
        }
    }
}
