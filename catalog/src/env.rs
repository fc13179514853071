//! Time and chance, handed in by whoever starts the node.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::time::Timestamp;

/// Where the time of day comes from. The binary hands in the system clock, tests a clock they move.
///
/// Durations (timeouts, flush ages, backoff) are measured with `tokio::time`, which a test pauses as well.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time. May jump either way; nothing relies on it being monotone.
    fn now(&self) -> Timestamp;
}

/// Where randomness comes from. The binary hands in the operating system's, tests a seeded generator.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// The two together, as every long-lived component takes them.
#[derive(Debug, Clone)]
pub struct Env {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Random bits for ids and jitter.
    pub entropy: Arc<dyn Entropy>,
}

impl Env {
    /// The current time of [`Env::clock`].
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new version 7 id: ordered by the clock to the millisecond, random below that.
    pub fn new_uuid(&self) -> Uuid {
        let ms = u64::try_from(self.now().as_millis()).unwrap_or(0);
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&self.entropy.next_u64().to_be_bytes());
        random[8..].copy_from_slice(&self.entropy.next_u64().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid()
    }
}

/// A clock that stands still until it is moved, and a splitmix64 generator: the environment of tests and simulations.
pub mod fixed {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::{Clock, Entropy, Env};
    use crate::time::Timestamp;

    /// A clock that only moves when told to.
    #[derive(Debug)]
    pub struct ManualClock(AtomicI64);

    impl ManualClock {
        /// A clock that stands at `now`.
        pub fn at(now: Timestamp) -> Arc<Self> {
            Arc::new(Self(AtomicI64::new(now.as_nanos())))
        }
        /// Moves to `now`, backwards if need be.
        pub fn set(&self, now: Timestamp) {
            self.0.store(now.as_nanos(), Ordering::SeqCst);
        }
        /// Moves forward by `by`.
        pub fn advance(&self, by: std::time::Duration) {
            self.0.fetch_add(by.as_nanos() as i64, Ordering::SeqCst);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_nanos(self.0.load(Ordering::SeqCst))
        }
    }

    /// splitmix64: the same seed gives the same bits.
    #[derive(Debug)]
    pub struct SeededEntropy(AtomicU64);

    impl SeededEntropy {
        /// A generator that starts at `seed`.
        pub fn new(seed: u64) -> Arc<Self> {
            Arc::new(Self(AtomicU64::new(seed)))
        }
    }

    impl Entropy for SeededEntropy {
        fn next_u64(&self) -> u64 {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    /// An environment that stands at `now` and draws from `seed`, and the handle that moves its clock.
    pub fn env(now: Timestamp, seed: u64) -> (Env, Arc<ManualClock>) {
        let clock = ManualClock::at(now);
        (Env { clock: Arc::clone(&clock) as Arc<dyn Clock>, entropy: SeededEntropy::new(seed) }, clock)
    }
}
