//! One request at work: on the threads of queries, for as long as somebody waits, and not for longer than it may.

use std::time::Duration;

use promql::eval::EvalError;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::error::{Error, Result};
use crate::interrupt::StopFlag;

/// A task that keeps its thread busy is given up that long after its deadline.
pub(super) const GRACE: Duration = Duration::from_millis(250);

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
    /// `Canceled` when nobody waits, `TimedOut` when the deadline has passed.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        if self.stop.is_stopped() {
            return Err(EvalError::Canceled);
        }
        if Instant::now() >= self.deadline { Err(EvalError::TimedOut) } else { Ok(()) }
    }

    fn passed(&self) -> Error {
        Error::Timeout { after: self.timeout }
    }
}

/// Raises the flag when the waiting ends, however it ends.
struct StopOnDrop(StopFlag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Runs `work` on `runtime` until it is done, its time is up, or the caller goes away.
pub(crate) async fn run<T, F>(runtime: &Handle, ticket: Ticket, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let _stop = StopOnDrop(ticket.stop.clone());
    let deadline = ticket.deadline;
    let bounded = async move { tokio::time::timeout_at(deadline, work).await };
    let task = AbortOnDropHandle::new(runtime.spawn(bounded));
    match tokio::time::timeout_at(deadline + GRACE, task).await {
        Ok(Ok(Ok(outcome))) => outcome,
        Ok(Ok(Err(_))) | Err(_) => Err(ticket.passed()),
        Ok(Err(died)) => Err(Error::from(crate::Error::Internal { message: format!("a query's task died: {died}") })),
    }
}

/// The time a request has: what it asks for, but no more than `most`.
pub(crate) fn time_of(asked: Option<Duration>, most: Duration) -> Duration {
    asked.unwrap_or(most).min(most)
}
