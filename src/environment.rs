//! The only place that reads the system's clock and draws real random bits.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use catalog::{Clock, Entropy, Env, Timestamp};
use rand::TryRngCore;
use rand::rngs::OsRng;

/// The system's clock and the operating system's random bits.
pub(crate) fn system() -> Env {
    Env { clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) }
}

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let ns = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        Timestamp::from_nanos(ns)
    }
}

#[derive(Debug)]
struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        OsRng.try_next_u64().expect("the operating system hands out random bits")
    }
}
