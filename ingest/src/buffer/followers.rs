//! Who follows what comes in: readers that get every batch once it is visible.
//!
//! # Invariants
//! - A batch is sent after a capture can show it, so that whoever subscribes first and captures second misses nothing.
//! - A slow reader never holds up a writer: its oldest batches are dropped, and it is told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use catalog::{Table, TenantId};
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Batches that wait for a slow reader. They are shared with the buffer, so they cost little as long as they are in no file.
const BATCHES_MAX: usize = 256;

/// The readers of one buffer.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// How many entries `senders` has; most nodes are followed by nobody.
    count: AtomicUsize,
    senders: Mutex<HashMap<(TenantId, Table), broadcast::Sender<RecordBatch>>>,
}

impl Followers {
    /// A reader of `table` of `tenant`.
    pub(super) fn subscribe(&self, tenant: &TenantId, table: Table) -> broadcast::Receiver<RecordBatch> {
        let mut senders = self.senders.lock();
        let sender = senders.entry((tenant.clone(), table)).or_insert_with(|| broadcast::channel(BATCHES_MAX).0);
        let receiver = sender.subscribe();
        self.count.store(senders.len(), Ordering::Release);
        receiver
    }

    /// Whether anybody follows anything.
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Gives rows to those who follow them, and forgets those who left.
    pub(super) fn send(&self, tenant: &TenantId, table: Table, batch: &RecordBatch) {
        let mut senders = self.senders.lock();
        let key = (tenant.clone(), table);
        if senders.get(&key).is_some_and(|sender| sender.send(batch.clone()).is_err()) {
            senders.remove(&key);
            self.count.store(senders.len(), Ordering::Release);
        }
    }
}
