//! One request at work: on the threads of queries, for as long as somebody waits, and not for longer than it may.

use std::time::Duration;

use tokio::time::Instant;

use crate::interrupt::StopFlag;
use crate::threads::Threads;

/// A task that keeps its thread busy is given up that long after its deadline.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// How a request ended before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nobody waits any more.
    Canceled,
    /// It had `after`, and that is over.
    TimedOut {
        /// How long it had.
        after: Duration,
    },
}

/// When a request must be done, and whether anybody still waits. Cheap to clone; busy loops look at it.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    deadline: Instant,
    timeout: Duration,
    stop: StopFlag,
}

impl Ticket {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, timeout, stop: StopFlag::default() }
    }

    /// Of work that ends with something else: when `stop` is raised, and no later than after `timeout`.
    pub(crate) fn stopped_by(stop: StopFlag, timeout: Duration) -> Self {
        Self { deadline: Instant::now() + timeout, timeout, stop }
    }

    /// Whether to go on. Cheap: looked at from busy loops.
    ///
    /// # Errors
    /// Which end came.
    pub(crate) fn check(&self) -> Result<(), Ended> {
        if self.stop.is_stopped() {
            return Err(Ended::Canceled);
        }
        if Instant::now() >= self.deadline { Err(self.passed()) } else { Ok(()) }
    }

    fn passed(&self) -> Ended {
        Ended::TimedOut { after: self.timeout }
    }
}

/// Raises the flag when the waiting ends, however it ends.
struct StopOnDrop(StopFlag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Runs `work` on `threads` until it is done, its time is up, or the caller goes away.
pub(crate) async fn run<T, E, F>(threads: &Threads, ticket: Ticket, work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Ended> + From<crate::Error> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let _stop = StopOnDrop(ticket.stop.clone());
    let deadline = ticket.deadline;
    let bounded = async move { tokio::time::timeout_at(deadline, work).await };
    let task = threads.spawn(bounded);
    match tokio::time::timeout_at(deadline + GRACE, task).await {
        Ok(Ok(Ok(outcome))) => outcome,
        Ok(Ok(Err(_))) | Err(_) => Err(E::from(ticket.passed())),
        Ok(Err(died)) => Err(E::from(crate::Error::Internal { message: format!("a query's task died: {died}") })),
    }
}

/// The time a request has: what it asks for, but no more than `most`.
pub(crate) fn time_of(asked: Option<Duration>, most: Duration) -> Duration {
    asked.unwrap_or(most).min(most)
}
