//! Equal work that is asked for at the same time is done once.
//!
//! ```text
//! key: who, what, data version      first one ──► starts the work ──┐
//!                                   others    ──► join it           ├──► one outcome, shared
//!                                   one leaves: the work goes on ───┘
//!                                   the last one leaves: it is dropped
//! ```
//! # Invariants
//! - Who joins asks for what the work began after: the key holds the version of the data when one came, and the work takes its view later.
//! - Work lives as long as somebody waits for it, no longer. How long that is, each says for itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

/// Work that several wait for.
pub(super) type Flight<T> = Shared<BoxFuture<'static, T>>;

/// Work that nobody else can join.
pub(super) fn alone<T: Clone>(work: impl Future<Output = T> + Send + 'static) -> Flight<T> {
    work.boxed().shared()
}

/// What is in the air. Cheap to clone.
#[derive(Debug)]
pub(super) struct Flights<K, T: Clone>(Arc<Mutex<Air<K, T>>>);

#[derive(Debug)]
struct Air<K, T: Clone> {
    /// By key: its number, and the work.
    flights: HashMap<K, (u64, WeakShared<BoxFuture<'static, T>>)>,
    next: u64,
}

impl<K: Clone + Eq + Hash + Send + 'static, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// Nothing is in the air.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Air { flights: HashMap::new(), next: 0 })))
    }

    /// The work of `key` that somebody waits for, or else what `begin` begins; and whether it was joined.
    pub(super) fn join<W>(&self, key: K, begin: impl FnOnce() -> W) -> (Flight<T>, bool)
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut air = self.0.lock();
        if let Some(flight) = air.flights.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return (flight, true);
        }
        let number = air.next;
        air.next += 1;
        let landing = Landing { air: Arc::clone(&self.0), key: key.clone(), number };
        let work = begin();
        let flight = async move {
            let _landing = landing;
            work.await
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            air.flights.insert(key, (number, weak));
        }
        (flight, false)
    }
}

/// Takes a flight out of the air when it is done or dropped.
struct Landing<K: Eq + Hash, T: Clone> {
    air: Arc<Mutex<Air<K, T>>>,
    key: K,
    number: u64,
}

impl<K: Eq + Hash, T: Clone> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let mut air = self.air.lock();
        // A newer one may have taken its place.
        if air.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            air.flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    /// Counts what lives.
    struct Alive(Arc<AtomicUsize>);

    impl Alive {
        fn new(count: &Arc<AtomicUsize>) -> Self {
            count.fetch_add(1, Ordering::Relaxed);
            Self(Arc::clone(count))
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn it_lives_as_long_as_somebody_waits() {
        let flights: Flights<u8, u8> = Flights::new();
        let alive = Arc::new(AtomicUsize::new(0));
        let (land, landed) = oneshot::channel::<u8>();
        let begin = |alive: Alive, landed: oneshot::Receiver<u8>| async move {
            let _alive = alive;
            landed.await.unwrap_or(0)
        };
        let (first, joined) = flights.join(1, || begin(Alive::new(&alive), landed));
        assert!(!joined);
        let (second, joined) = flights.join(1, || begin(Alive::new(&alive), oneshot::channel().1));
        assert!(joined && alive.load(Ordering::Relaxed) == 1);
        drop(first);
        assert_eq!(alive.load(Ordering::Relaxed), 1, "the second one still waits");
        let _ = land.send(7);
        assert_eq!(second.clone().await, 7);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
        assert_eq!(flights.0.lock().flights.len(), 0, "it has landed");

        let (only, joined) = flights.join(1, || begin(Alive::new(&alive), oneshot::channel().1));
        assert!(!joined && alive.load(Ordering::Relaxed) == 1);
        drop(only);
        assert_eq!((alive.load(Ordering::Relaxed), flights.0.lock().flights.len()), (0, 0), "nobody waits");
    }
}
