//! Rows that are acknowledged but not in files yet.
//!
//! ```text
//! log     ..... 41 | 42 43 44 45 | 46 47 48 ...
//! files   ─────────┤ generation 1│ generation 2 (still filling)
//!          snapshot's mark = 41    newest acknowledged = 48
//! ```
//!
//! A generation is flushed and committed as a whole, so that it lies either in the snapshot or in memory. The reader captures the
//! generations FIRST and pins a snapshot SECOND; then it drops the generations that the snapshot has. So no row
//! is missed (a generation leaves memory only after its commit) and none is seen twice.

use std::collections::HashMap;
use std::fmt;

use arrow::array::RecordBatch;
use catalog::manifest::WriterId;
use catalog::{Snapshot, Table, TenantId, TimeRange};
use futures::future::BoxFuture;
use tokio::sync::broadcast;

/// The source of rows that are not in files yet. `ingest` implements it, `query` reads it, the binary introduces them.
pub trait FreshRows: Send + Sync + fmt::Debug {
    /// Everything of `tenant` that is in memory now. Cheap: batches are shared, not copied. Take it before pinning a snapshot.
    fn capture(&self, tenant: &TenantId) -> FreshCapture;

    /// Turns everything acknowledged so far into files; the snapshot has them when this returns. Waits as long as the store is down.
    ///
    /// From then on, rows of `tenant` need no dictionary row of these files: they bring their own along, at least until the answer is
    /// dropped. So rows of dictionaries can be deleted that are in files when a commit made meanwhile takes effect.
    ///
    /// # Errors
    /// Why it cannot, in words.
    fn settle<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Settled, String>> {
        let _ = tenant;
        Box::pin(async { Ok(Settled::default()) })
    }

    /// How far metrics of `tenant` have come: every [`FreshRows::capture`] after this call has them. `None` from a source that cannot tell
    /// what changes; nobody keeps answers over it then.
    fn newest(&self, tenant: &TenantId) -> Option<FreshVersion> {
        let _ = tenant;
        None
    }

    /// The rows of `table` of `tenant` that become visible from now on, batch by batch as they were acknowledged; a reader that is slow loses
    /// the oldest and is told. `None` from a source that cannot tell.
    fn follow(&self, tenant: &TenantId, table: Table) -> Option<broadcast::Receiver<RecordBatch>> {
        let _ = (tenant, table);
        None
    }

    /// The times of metrics of `tenant` that came after `record` of the log, be they in memory still or in files by now. `None` when that
    /// is not known any more.
    fn changes(&self, tenant: &TenantId, record: u64) -> Option<Vec<TimeRange>> {
        let _ = (tenant, record);
        None
    }
}

/// Holds the promise of [`FreshRows::settle`] while it lives.
#[derive(Default)]
pub struct Settled(Option<Box<dyn Send + Sync>>);

impl Settled {
    /// The promise holds until `guard` is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Some(Box::new(guard)))
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settled").field(&self.0.is_some()).finish()
    }
}

/// How far the rows of one tenant have come in one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FreshVersion {
    /// Whose log. What it commits to the manifest is known from here already.
    pub writer: WriterId,
    /// The newest record with rows of the tenant; 0 when there is none.
    pub record: u64,
}

/// No buffers: a reader without an ingester.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFreshRows;

impl FreshRows for NoFreshRows {
    fn capture(&self, _tenant: &TenantId) -> FreshCapture {
        FreshCapture::default()
    }

    fn newest(&self, _tenant: &TenantId) -> Option<FreshVersion> {
        Some(FreshVersion { writer: WriterId::nil(), record: 0 })
    }

    fn changes(&self, _tenant: &TenantId, _record: u64) -> Option<Vec<TimeRange>> {
        Some(Vec::new())
    }
}

/// What [`FreshRows::capture`] saw.
#[derive(Debug, Clone, Default)]
pub struct FreshCapture {
    /// Oldest first.
    pub generations: Vec<FreshGeneration>,
}

/// The rows of one tenant out of one generation of one writer's buffer.
#[derive(Debug, Clone)]
pub struct FreshGeneration {
    /// Whose log.
    pub writer: WriterId,
    /// The generation's first log record. It is in a snapshot if that snapshot's mark of `writer` is `first` or beyond.
    pub first: u64,
    /// Batches in the schema [`catalog::schema::rows`], unsorted.
    pub tables: HashMap<Table, Vec<RecordBatch>>,
}

impl FreshCapture {
    /// The batches of `table` that are not in the files of `snapshot`.
    pub fn batches<'a>(&'a self, snapshot: &'a Snapshot, table: Table) -> impl Iterator<Item = &'a RecordBatch> + 'a {
        self.generations
            .iter()
            .filter(|g| snapshot.mark(g.writer).is_none_or(|mark| mark.committed < g.first))
            .filter_map(move |g| g.tables.get(&table))
            .flatten()
    }
}
