//! What the functions of one query may make. It rides on the session's options, because that is all that a function sees of its query.
//!
//! ```text
//! session ─► options ─► [`Budget`] ◄─ caps: constants folded so far, share of a batch, whether anybody still waits
//! plan, optimized ─► [`Budget::divide`]: so many capped calls share what one batch may hold
//! ```
//! What one call makes lives outside the memory pool until an operator holds it, so a pool cannot refuse it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::{Result, plan_err};

use crate::error::Error;
use crate::interrupt::StopFlag;

/// Bytes that calls with constant arguments may make together, over all of one statement: they live as long as its plan.
const CONSTANTS_BYTES_MAX: u64 = 64 << 20;

/// What the functions of one query share. Clones share it too: it is a meter, not a setting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget {
    stop: StopFlag,
    meter: Arc<Meter>,
}

#[derive(Debug, Default)]
struct Meter {
    constants: AtomicU64,
    calls: AtomicU64,
}

impl Budget {
    pub(crate) fn new(stop: StopFlag) -> Self {
        Self { stop, meter: Arc::default() }
    }

    /// That of the query with these options; one of its own where there is none, as in tests of a function.
    pub(crate) fn of(options: &ConfigOptions) -> Self {
        options.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// From now on so many capped calls share a batch.
    pub(crate) fn divide(&self, calls: u64) {
        self.meter.calls.store(calls, Ordering::Relaxed);
    }

    /// The part of `most` that one call may make of a batch. A handful of calls have all of it each.
    pub(crate) fn share(&self, most: u64) -> u64 {
        most / self.meter.calls.load(Ordering::Relaxed).div_ceil(4).max(1)
    }

    /// Takes what a call with constant arguments makes.
    ///
    /// # Errors
    /// `FunctionCap`: the statement's constants are too large together.
    pub(crate) fn constant(&self, function: &'static str, bytes: u64) -> Result<()> {
        let found = self.meter.constants.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match found > CONSTANTS_BYTES_MAX {
            true => {
                let what = "bytes of constants in one statement";
                Err(Error::FunctionCap { function, what, found, limit: CONSTANTS_BYTES_MAX }.into())
            }
            false => Ok(()),
        }
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// `Stopped`.
    pub(crate) fn check(&self) -> Result<()> {
        if self.stop.is_stopped() { Err(Error::Stopped.into()) } else { Ok(()) }
    }
}

impl ConfigExtension for Budget {
    const PREFIX: &'static str = "telelake";
}

impl ExtensionOptions for Budget {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        plan_err!("there is no setting {key}")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_add_up_and_shares_shrink() {
        let budget = Budget::default();
        let other = budget.clone();
        budget.constant("repeat", CONSTANTS_BYTES_MAX / 2).expect("half of it");
        other.constant("repeat", CONSTANTS_BYTES_MAX / 2).expect("the other half");
        let error = Error::from(budget.constant("repeat", 1).expect_err("one too many"));
        assert_eq!(error.to_string(), "repeat would make 67108865 bytes of constants in one statement, the cap is 67108864");
        assert_eq!(budget.share(100), 100);
        other.divide(4);
        assert_eq!(budget.share(100), 100);
        other.divide(400);
        assert_eq!(budget.share(100), 1);
    }
}
