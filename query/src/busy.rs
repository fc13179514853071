//! Work that keeps its thread: it goes on beside the threads of queries, and half of the cores are its share.
//!
//! ```text
//! join's filter, batch after batch in one poll ── for 10 ms: on ── longer: its worker is handed to others,
//!                                                                  and each batch waits for one of the turns
//! ```
//! A join whose filter lets nothing through returns to the runtime after hours, and as many of them as there are threads would be all that
//! runs. The runtime can be told to put another thread in the place of one that is kept; what is kept takes turns then.
//!
//! # Invariants
//! - A turn is held for one batch and not across anything that waits.
//! - On a runtime of one thread there is nothing to hand over to: work goes on where it is.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::FairMutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

/// Longest stretch on a thread of queries.
const STRETCH_MAX: Duration = Duration::from_millis(10);
/// Between two batches of one stretch.
const PAUSE_MAX: Duration = Duration::from_millis(2);

/// The turns of a node. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    turns: Vec<FairMutex<()>>,
    next: AtomicUsize,
}

thread_local! {
    /// When the stretch of this thread began, and when its last batch ended.
    static STRETCH: Cell<Option<(Instant, Instant)>> = const { Cell::new(None) };
}

impl Turns {
    /// For a node whose queries run on so many cores.
    pub(crate) fn new(cores: usize) -> Self {
        let turns = (0..(cores / 2).max(1)).map(|_| FairMutex::new(())).collect();
        Self(Arc::new(Shared { turns, next: AtomicUsize::new(0) }))
    }

    /// Does the work of one batch: at once, or in turn when this thread has been kept for long.
    pub(crate) fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        let now = Instant::now();
        let begun = match STRETCH.get() {
            Some((begun, last)) if now - last < PAUSE_MAX => begun,
            _ => now,
        };
        let done = if now - begun > STRETCH_MAX && has_other_threads() {
            tokio::task::block_in_place(|| {
                let at = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.turns.len();
                let _turn = self.0.turns[at].lock();
                work()
            })
        } else {
            work()
        };
        STRETCH.set(Some((begun, Instant::now())));
        done
    }
}

fn has_other_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads, two tasks that never yield: a third still gets its turn.
    #[test]
    fn what_keeps_its_thread_keeps_nobody_else() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let turns = Turns::new(2);
        let begun = Instant::now();
        let busy = || {
            let turns = turns.clone();
            runtime.spawn(async move {
                while begun.elapsed() < Duration::from_millis(1_500) {
                    turns.take(|| std::thread::sleep(Duration::from_micros(200)));
                }
            })
        };
        let hogs = [busy(), busy()];
        std::thread::sleep(Duration::from_millis(50));
        let small = runtime.spawn(async move { begun.elapsed() });
        let waited = runtime.block_on(small).expect("it runs");
        assert!(waited < Duration::from_millis(1_400), "it ran after {waited:?}, when the others were done");
        for hog in hogs {
            runtime.block_on(hog).expect("it ends");
        }
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_goes_on() {
        let turns = Turns::new(1);
        for _ in 0..100 {
            turns.take(|| std::thread::sleep(Duration::from_micros(200)));
        }
    }
}
