//! Statements that were long when they were asked last: they are going to be long again.
//!
//! A slot holds the number of one statement, and a newer one takes it over: what is lost so is only the time in which the older one is found out again.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a statement is known by: equal ones have equal numbers, and different ones different numbers, but for one pair in many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statement(pub(crate) u64);

/// How many are remembered at most: 8 KiB.
const SLOTS: usize = 1024;

/// The long ones among the statements of a node.
#[derive(Debug)]
pub(super) struct Known {
    slots: Box<[AtomicU64]>,
}

impl Known {
    pub(super) fn none() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn holds(&self, statement: Statement) -> bool {
        self.slot(statement).load(Ordering::Relaxed) == statement.0
    }

    pub(super) fn remember(&self, statement: Statement) {
        self.slot(statement).store(statement.0, Ordering::Relaxed);
    }

    pub(super) fn forget(&self, statement: Statement) {
        // Whoever has the slot now keeps it.
        let _ = self.slot(statement).compare_exchange(statement.0, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn slot(&self, statement: Statement) -> &AtomicU64 {
        &self.slots[(statement.0 % SLOTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_statement_takes_a_slot_over_and_an_older_one_cannot_clear_it() {
        let known = Known::none();
        let (older, newer) = (Statement(7), Statement(7 + SLOTS as u64));
        assert!(!known.holds(older));
        known.remember(older);
        assert!(known.holds(older) && !known.holds(newer));
        known.remember(newer);
        assert!(known.holds(newer) && !known.holds(older));
        known.forget(older);
        assert!(known.holds(newer));
        known.forget(newer);
        assert!(!known.holds(newer));
    }
}
