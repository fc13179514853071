//! Pins: snapshots that somebody in this process still reads.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;

use super::snapshot::{Snapshot, SnapshotId};

/// Which snapshots are read right now, and how often each.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<BTreeMap<SnapshotId, usize>>);

impl Pins {
    /// Pins what `newest` returns. It runs under the lock, so that gc sees either the pin or a snapshot from before it.
    pub(super) fn pin(self: &Arc<Self>, newest: impl FnOnce() -> Arc<Snapshot>) -> PinnedSnapshot {
        let mut counts = self.0.lock();
        let snapshot = newest();
        *counts.entry(snapshot.id()).or_default() += 1;
        let pin = Arc::new(Pin { pins: Arc::clone(self), id: snapshot.id() });
        PinnedSnapshot { snapshot, _pin: pin }
    }

    /// The oldest snapshot that is pinned.
    pub(super) fn oldest(&self) -> Option<SnapshotId> {
        self.0.lock().keys().next().copied()
    }
}

struct Pin {
    pins: Arc<Pins>,
    id: SnapshotId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.0.lock();
        if let Some(count) = counts.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.id);
            }
        }
    }
}

/// A snapshot whose files gc leaves alone in this process while this, or a clone of it, lives.
#[derive(Clone)]
pub struct PinnedSnapshot {
    snapshot: Arc<Snapshot>,
    _pin: Arc<Pin>,
}

impl PinnedSnapshot {
    /// The snapshot without the pin.
    pub fn shared(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
}

impl Deref for PinnedSnapshot {
    type Target = Snapshot;
    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl fmt::Debug for PinnedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedSnapshot({})", self.snapshot.id())
    }
}
