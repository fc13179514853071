//! What is known of a query while it is at work, found in the scope of its task.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::Either;
use parking_lot::Mutex;

use super::row::Row;
use crate::threads::Statement;

tokio::task_local! {
    /// The query that the task works for.
    static CURRENT: Arc<Notes>;
}

/// The row of a query at work.
#[derive(Debug)]
pub struct Notes {
    pub(super) row: Mutex<Row>,
    pub(super) meter: Arc<Meter>,
}

impl Notes {
    /// What the query is known by when it is asked again: who asks what, in which language. Over which time does not matter, where the text does not say it.
    /// `None`: it has no text, or nobody has noted it yet.
    pub(crate) fn statement(&self) -> Option<Statement> {
        let row = self.row.lock();
        let mut hasher = DefaultHasher::new();
        (row.tenant.as_str(), row.language as u8, &row.text, row.text_bytes).hash(&mut hasher);
        (row.text_bytes > 0).then(|| Statement(hasher.finish()))
    }
}

/// What a query chose to read. Views count on it from any thread, also from those without a scope.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// Counts files that are going to be opened.
    pub(crate) fn opened(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Files and bytes so far.
    pub(super) fn total(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// The query that this task works for; who spawns takes it along with [`scope`].
pub fn current() -> Option<Arc<Notes>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// What counts the files of the query that this task works for.
pub(crate) fn meter() -> Option<Arc<Meter>> {
    CURRENT.try_with(|notes| Arc::clone(&notes.meter)).ok()
}

/// Notes something about the query that this task works for; nothing when it works for none that is logged.
pub fn note(write: impl FnOnce(&mut Row)) {
    // An error says that there is no scope.
    let _ = CURRENT.try_with(|notes| write(&mut notes.row.lock()));
}

/// `work` in the scope of a query.
pub fn scope<F: Future>(notes: Option<Arc<Notes>>, work: F) -> impl Future<Output = F::Output> {
    match notes {
        Some(notes) => Either::Left(CURRENT.scope(notes, work)),
        None => Either::Right(work),
    }
}

/// Does something that does not wait in the scope of a query: polls the body of its answer, say.
pub fn scoped<T>(notes: &Arc<Notes>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(Arc::clone(notes), work)
}
