//! Rows that are durable in the log and not yet in files, in generations.
//!
//! ```text
//! applied records ─► active ──cut: age, bytes, asked──► frozen, frozen ──flushed, committed, seen in the snapshot──► gone
//!                      └───────────── capture: shared, oldest first ─────────────┘
//! ```
//! A generation covers a run of log records. It is flushed and committed as a whole, so that it lies either in the snapshot or here.
//!
//! # Invariants
//! - Records are applied in the order of their numbers; a frozen generation never changes.
//! - A generation leaves only after the snapshot that readers pin contains its commit.
//! - What a record changes is noted before a capture can show it, and stays known when its rows are in files.
//! - Bytes are reserved before a record queues for the log, so that memory stays bounded however slow disk and store are.

mod changes;
mod coalesce;
mod followers;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use catalog::manifest::WriterId;
use catalog::{Table, TenantId, TimeRange};
use lake::{FreshCapture, FreshGeneration, FreshVersion};
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

pub(crate) use coalesce::Crowded;

use changes::{TenantChanges, times_of};
use followers::Followers;

use crate::config::FlushConfig;

/// The batches of one tenant.
pub(crate) type Tables = HashMap<Table, Vec<RecordBatch>>;

/// The buffer of one log.
#[derive(Debug)]
pub(crate) struct Buffer {
    writer: WriterId,
    config: FlushConfig,
    state: Mutex<State>,
    /// Reserved and buffered bytes.
    bytes: AtomicU64,
    /// Held while batches are merged.
    merging: Mutex<()>,
    followers: Followers,
    /// Told when something was frozen or the active generation got its first row.
    pub(crate) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    active: Option<Generation>,
    frozen: VecDeque<Arc<Generation>>,
    /// Number of the newest applied record.
    applied: u64,
    /// When the rows of records are of. They outlive the rows: those of files are remembered as well.
    changes: TenantChanges,
}

/// A run of log records and their rows.
#[derive(Debug)]
pub(crate) struct Generation {
    /// First record.
    pub(crate) first: u64,
    /// Last record.
    pub(crate) last: u64,
    /// Reserved for its rows.
    pub(crate) bytes: u64,
    /// Rows of all tables.
    pub(crate) rows: u64,
    /// When its first record was applied.
    pub(crate) since: Instant,
    /// The rows.
    pub(crate) tenants: HashMap<TenantId, Tables>,
}

/// Memory that is promised to rows which are on their way to the buffer. Given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    buffer: Arc<Buffer>,
    bytes: u64,
}

impl Reservation {
    /// The rows have arrived; their generation accounts for them.
    pub(crate) fn keep(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.buffer.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// One record's rows, ready to be seen.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The record's number.
    pub(crate) sequence: u64,
    /// Owner.
    pub(crate) tenant: TenantId,
    /// Rows.
    pub(crate) rows: Vec<(Table, RecordBatch)>,
    /// Memory accounted for.
    pub(crate) bytes: u64,
}

impl Buffer {
    /// An empty buffer in front of the log of `writer`.
    pub(crate) fn new(writer: WriterId, config: FlushConfig) -> Arc<Self> {
        Arc::new(Self {
            writer,
            config,
            state: Mutex::default(),
            bytes: AtomicU64::new(0),
            merging: Mutex::default(),
            followers: Followers::default(),
            changed: Notify::new(),
        })
    }

    /// Sets memory aside; `None` when there is no room. A single request may always enter an empty buffer.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let reservation = Reservation { buffer: Arc::clone(self), bytes };
        (before == 0 || before.saturating_add(bytes) <= self.config.buffered_bytes_max).then_some(reservation)
    }

    /// Accounts for rows that come out of the log at the start, whether there is room or not.
    pub(crate) fn account(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes in memory or on their way.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Makes records visible, ascending by number. Cuts when the active generation is full. Returns the places that have many
    /// small batches by now.
    pub(crate) fn apply(&self, records: Vec<Applied>) -> Vec<Crowded> {
        let mut crowded = Vec::new();
        // Looks at every row: not under the lock.
        let times: Vec<Option<TimeRange>> = records.iter().map(|record| times_of(&record.rows)).collect();
        let mut state = self.state.lock();
        // Under the lock, as `follow` is: who subscribed before gets these rows, who does after can capture them.
        let followed: Vec<(TenantId, Table, RecordBatch)> = match self.followers.is_empty() {
            true => Vec::new(),
            false => {
                records.iter().flat_map(|r| r.rows.iter().map(|(table, rows)| (r.tenant.clone(), *table, rows.clone()))).collect()
            }
        };
        for (record, time) in records.into_iter().zip(times) {
            debug_assert!(record.sequence > state.applied, "records are applied in order");
            state.applied = record.sequence;
            if let Some(time) = time {
                state.changes.record(&record.tenant, record.sequence, time);
            }
            let full = state.active.as_ref().is_some_and(|active| active.bytes >= self.config.bytes_max);
            if full {
                self.freeze_active(&mut state);
            }
            let active = state.active.get_or_insert_with(|| {
                self.changed.notify_one();
                Generation::new(record.sequence)
            });
            active.push(record, &mut crowded);
        }
        if state.active.as_ref().is_some_and(|active| active.bytes >= self.config.bytes_max) {
            self.freeze_active(&mut state);
            crowded.clear();
        }
        self.report(&state);
        drop(state);
        followed.iter().for_each(|(tenant, table, rows)| self.followers.send(tenant, *table, rows));
        crowded
    }

    /// The rows of `table` of `tenant` that become visible from now on.
    pub(crate) fn follow(&self, tenant: &TenantId, table: Table) -> broadcast::Receiver<RecordBatch> {
        let _state = self.state.lock();
        self.followers.subscribe(tenant, table)
    }

    /// Freezes the active generation if it has rows, and returns the number of the newest record that is frozen or older.
    pub(crate) fn cut(&self) -> u64 {
        let mut state = self.state.lock();
        self.freeze_active(&mut state);
        state.applied
    }

    fn freeze_active(&self, state: &mut State) {
        if let Some(active) = state.active.take() {
            state.frozen.push_back(Arc::new(active));
            self.changed.notify_one();
        }
    }

    /// The oldest frozen generation.
    pub(crate) fn oldest_frozen(&self) -> Option<Arc<Generation>> {
        self.state.lock().frozen.front().cloned()
    }

    /// When the active generation got its first record.
    pub(crate) fn active_since(&self) -> Option<Instant> {
        self.state.lock().active.as_ref().map(|active| active.since)
    }

    /// Drops the oldest frozen generation, which is in the snapshot by now.
    pub(crate) fn release(&self, generation: &Generation) {
        let mut state = self.state.lock();
        if state.frozen.front().is_some_and(|front| front.first == generation.first) {
            state.frozen.pop_front();
            self.bytes.fetch_sub(generation.bytes, Ordering::Relaxed);
        }
        self.report(&state);
    }

    /// Everything of `tenant`, oldest first.
    pub(crate) fn capture(&self, tenant: &TenantId) -> FreshCapture {
        let state = self.state.lock();
        let of_tenant = |generation: &Generation| {
            let tables = generation.tenants.get(tenant)?.clone();
            Some(FreshGeneration { writer: self.writer, first: generation.first, tables })
        };
        let frozen = state.frozen.iter().map(AsRef::as_ref);
        FreshCapture { generations: frozen.chain(&state.active).filter_map(of_tenant).collect() }
    }

    /// The newest record with metrics of `tenant`.
    pub(crate) fn newest(&self, tenant: &TenantId) -> FreshVersion {
        FreshVersion { writer: self.writer, record: self.state.lock().changes.newest(tenant) }
    }

    /// The times of metrics of `tenant` in records after `record`, if that is still known.
    pub(crate) fn changes(&self, tenant: &TenantId, record: u64) -> Option<Vec<TimeRange>> {
        self.state.lock().changes.since(tenant, record)
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floats")]
    fn report(&self, state: &State) {
        let generations = state.frozen.iter().map(AsRef::as_ref).chain(&state.active);
        let rows: u64 = generations.map(|generation| generation.rows).sum();
        metrics::gauge!("telelake_buffer_rows").set(rows as f64);
        metrics::gauge!("telelake_buffer_bytes").set(self.bytes() as f64);
        metrics::gauge!("telelake_buffer_frozen_generations").set(state.frozen.len() as f64);
    }
}

impl Generation {
    fn new(first: u64) -> Self {
        Self { first, last: first, bytes: 0, rows: 0, since: Instant::now(), tenants: HashMap::new() }
    }

    fn push(&mut self, record: Applied, crowded: &mut Vec<Crowded>) {
        self.last = record.sequence;
        self.bytes += record.bytes;
        if record.rows.is_empty() {
            return;
        }
        let tables = self.tenants.entry(record.tenant.clone()).or_default();
        for (table, batch) in record.rows {
            self.rows += batch.num_rows() as u64;
            let batches = tables.entry(table).or_default();
            let tier = coalesce::Tier::of(batch.num_rows());
            batches.push(batch);
            // Every so often, not on every push: the count goes over all batches.
            if batches.len().is_multiple_of(coalesce::SMALL_BATCHES_MAX) && tier != coalesce::Tier::Large {
                crowded.push(Crowded { generation: self.first, tenant: record.tenant.clone(), table });
            }
        }
    }
}
