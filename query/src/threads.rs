//! Threads of requests: all begin on prompt ones, and what turns out to be long goes on on others, which the system lets wait.
//!
//! ```text
//! request ─► prompt threads ── done within 4 ms of work: nothing else happens
//!              └ longer, or planned with what keeps its thread, or long the last time ─► long threads (lower priority)
//!                   every task of the request moves at its next poll; tasks that it spawns there stay there
//! ```
//! A small question waits for whatever runs on its threads, and one poll of a long query (a sort of all its rows, say) may last half a
//! second. On threads of their own, with a lower priority, the system takes the core away from long queries the moment a small one has something
//! to do. A future does not mind which thread polls it, so nobody has to know in advance what is long; but a statement that
//! was, and is asked again, is taken for long until it has shown that it is not (the query log's
//! notes tell statements apart: where they are off, none is known). The work of all tasks of a request counts
//! together, by the time that their threads have had a core: a small one on a crowded machine is not taken for a long one. Tasks that DataFusion spawns are
//! found through its hook for tracers.
//!
//! # Invariants
//! - A request never moves back, and nothing depends on where it is but how long it waits.
//! - A task that is dropped ends wherever it is; a panic arrives where the task is awaited, as if it had not moved.

mod known;

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::usage;
use known::Known;
pub(crate) use known::Statement;

/// Work that a request may do on prompt threads, over all its tasks: some times what a small question needs, and little beside the time after which a hog of
/// memory is refused and sent again.
const PROMPT_NS: u64 = Duration::from_millis(4).as_nanos() as u64;

tokio::task_local! {
    /// Where the task is that is polled now.
    static PLACE: Place;
}

/// The threads that a node's requests are worked on by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Threads {
    prompt: Handle,
    /// `None`: requests stay where they begin.
    long: Option<Long>,
}

/// Where requests go on that are long, and how it is told that they are.
#[derive(Debug, Clone)]
struct Long {
    /// Of lower priority.
    threads: Handle,
    clock: WorkClock,
    known: Arc<Known>,
}

/// How long the calling thread has had a core so far; where a system does not say so, any clock that goes on.
pub type WorkClock = fn() -> Duration;

impl Threads {
    /// Requests begin on `prompt`, and go on on `long` when they are long by `clock`.
    pub fn new(prompt: Handle, long: Handle, clock: WorkClock) -> Self {
        // An error says that an engine before this one has set it.
        let _ = set_join_set_tracer(&Follow);
        Self { prompt, long: Some(Long { threads: long, clock, known: Arc::new(Known::none()) }) }
    }

    /// Begins a request, for the query that the calling task works for, if for any. It ends when the handle is dropped.
    pub fn spawn<F>(&self, work: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let asked = usage::current();
        let statement = asked.as_ref().and_then(|notes| notes.statement());
        self.spawn_statement(statement, usage::scope(asked, work))
    }

    fn spawn_statement<F>(&self, statement: Option<Statement>, work: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let request = Arc::new(Request::new(self.long.clone(), statement));
        let task = Task::new(Place { request, on_long: false }, work.boxed());
        AbortOnDropHandle::new(self.prompt.spawn(task))
    }

    /// Where requests begin: for work that lasts but is little at a time.
    pub(crate) fn prompt(&self) -> &Handle {
        &self.prompt
    }
}

/// All requests are worked on by one runtime, to their end.
impl From<Handle> for Threads {
    fn from(prompt: Handle) -> Self {
        Self { prompt, long: None }
    }
}

/// Spawns a part of the request that this task works for, on the threads where it is now; it ends when the handle is dropped.
pub(crate) fn spawn_part<F>(work: F) -> AbortOnDropHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    AbortOnDropHandle::new(match place() {
        Some(place) => tokio::spawn(Task::new(place, work.boxed())),
        None => tokio::spawn(work),
    })
}

/// Says that the request that this task works for will keep its threads. It moves at its next [`settle`], or when it waits.
pub(crate) fn will_be_long() {
    if let Some(place) = place() {
        place.request.worked(PROMPT_NS);
    }
}

/// Moves the task now if it is to move: for whoever is going to begin what may keep the thread or spawns more tasks.
pub async fn settle() {
    if place().is_some_and(|place| place.moves_to().is_some()) {
        tokio::task::yield_now().await;
    }
}

fn place() -> Option<Place> {
    PLACE.try_with(Place::clone).ok()
}

/// What the tasks of one request share.
#[derive(Debug)]
struct Request {
    worked_ns: AtomicU64,
    long: Option<Long>,
    statement: Option<Statement>,
    /// It was long the last time.
    is_expected_long: bool,
}

impl Request {
    fn new(long: Option<Long>, statement: Option<Statement>) -> Self {
        let is_expected_long = long.as_ref().zip(statement).is_some_and(|(long, statement)| long.known.holds(statement));
        Self { worked_ns: AtomicU64::new(0), long, statement, is_expected_long }
    }

    fn has_worked_long(&self) -> bool {
        self.worked_ns.load(Ordering::Relaxed) >= PROMPT_NS
    }

    fn worked(&self, ns: u64) {
        let before = self.worked_ns.fetch_add(ns, Ordering::Relaxed);
        if before < PROMPT_NS && before.saturating_add(ns) >= PROMPT_NS && self.long.is_some() {
            metrics::counter!("telelake_queries_long_total").increment(1);
        }
    }
}

/// The next time, it is known what this one was.
impl Drop for Request {
    fn drop(&mut self) {
        let Some((long, statement)) = self.long.as_ref().zip(self.statement) else { return };
        match self.has_worked_long() {
            true => long.known.remember(statement),
            false if self.is_expected_long => long.known.forget(statement),
            false => {}
        }
    }
}

/// Where a task is.
#[derive(Debug, Clone)]
struct Place {
    request: Arc<Request>,
    on_long: bool,
}

impl Place {
    /// The threads that it should be on and is not.
    fn moves_to(&self) -> Option<&Handle> {
        let long = self.request.long.as_ref().filter(|_| !self.on_long)?;
        (self.request.is_expected_long || self.request.has_worked_long()).then_some(&long.threads)
    }

    /// What is to be asked how long a poll works; nothing when that decides nothing any more.
    fn clock(&self) -> Option<WorkClock> {
        self.request.long.as_ref().filter(|_| !self.request.has_worked_long()).map(|long| long.clock)
    }
}

/// A task of a request.
struct Task<T> {
    place: Place,
    at: At<T>,
}

enum At<T> {
    /// Polled by this task.
    Here(BoxFuture<'static, T>),
    /// Polled by a task of the long threads; this one waits for it.
    Moved(AbortOnDropHandle<T>),
}

impl<T: Send + 'static> Task<T> {
    fn new(place: Place, work: BoxFuture<'static, T>) -> Self {
        Self { place, at: At::Here(work) }
    }

    /// Goes on on `long`.
    fn move_to(&mut self, long: &Handle) {
        let place = Place { request: Arc::clone(&self.place.request), on_long: true };
        // What stands in for the work is replaced before anybody can poll it.
        let pending = At::Here(std::future::pending().boxed());
        self.at = match std::mem::replace(&mut self.at, pending) {
            At::Here(work) => At::Moved(AbortOnDropHandle::new(long.spawn(Task::new(place, work)))),
            moved @ At::Moved(_) => moved,
        };
    }
}

impl<T: Send + 'static> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        if let (At::Here(_), Some(long)) = (&this.at, this.place.moves_to().cloned()) {
            this.move_to(&long);
        }
        match &mut this.at {
            At::Here(work) => {
                let timed = this.place.clock().map(|clock| (clock, clock()));
                let polled = PLACE.sync_scope(this.place.clone(), || work.poll_unpin(cx));
                if let Some((clock, begun)) = timed {
                    this.place.request.worked(u64::try_from((clock() - begun).as_nanos()).unwrap_or(u64::MAX));
                }
                polled
            }
            At::Moved(task) => match std::task::ready!(task.poll_unpin(cx)) {
                Ok(done) => Poll::Ready(done),
                Err(died) => match died.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The long threads end with the process, and so will this task.
                    Err(_) => Poll::Pending,
                },
            },
        }
    }
}

/// Makes tasks that DataFusion spawns tasks of the request that spawns them.
struct Follow;

impl JoinSetTracer for Follow {
    fn trace_future(&self, work: BoxFuture<'static, Box<dyn Any + Send>>) -> BoxFuture<'static, Box<dyn Any + Send>> {
        match place() {
            Some(place) => Task::new(place, work).boxed(),
            None => work,
        }
    }

    fn trace_block(
        &self,
        work: Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>,
    ) -> Box<dyn FnOnce() -> Box<dyn Any + Send> + Send> {
        work
    }
}

#[cfg(test)]
mod tests;
