//! One who asks: joins others who ask the same at the same time, and waits as long as its own time allows.
//!
//! ```text
//! question ─► key with the data's version ─► flight ─► turn, view, evaluation ─► answer, cut to one's own limit
//! ```
//! The work has the time that the configuration gives; who has less leaves earlier. If the work's time is over before that of somebody
//! who joined late, that one asks again.

use std::sync::Arc;
use std::time::Duration;

use catalog::TenantId;
use promql::value::Grid;
use tokio::time::Instant;

use super::PromqlEngine;
use super::answer::Answer;
use super::error::{Error, Result};
use super::evaluate::{Evaluated, Question};
use super::flights::{self, Flight};
use super::request::{Reuse, StatsWanted};
use crate::run::{self, GRACE, Ticket};
use crate::usage::{Cache, note};
use crate::version::DataVersion;

/// What makes two questions one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FlightKey {
    tenant: TenantId,
    text: String,
    grid: Grid,
    is_instant: bool,
    lookback: Option<Duration>,
    reuse: Reuse,
    /// When the question came: an answer to it shows no less.
    version: DataVersion,
}

/// What all who joined get: the answer, and when its evaluation began.
pub(super) type Landed = Result<Arc<(Evaluated, Instant)>, Arc<Error>>;

impl PromqlEngine {
    /// The answer to `question`.
    pub(super) async fn answer(&self, tenant: &TenantId, question: Question) -> Result<Answer> {
        note(|row| {
            let Grid { start_ms, end_ms, step_ms } = question.grid;
            row.set_text(&question.text);
            row.set_time(start_ms.saturating_mul(1_000_000), end_ms.saturating_mul(1_000_000));
            row.step_ns = (!question.is_instant).then(|| step_ms.saturating_mul(1_000_000));
        });
        let asked = Instant::now();
        let timeout = run::time_of(question.timeout, self.config.timeout);
        let deadline = asked + timeout;
        loop {
            // The work knows better why it ends when its time is as long as ours.
            let patience = if timeout < self.config.timeout { deadline } else { deadline + 2 * GRACE };
            let (flight, joined) = self.flight(tenant, &question, timeout);
            if joined {
                metrics::counter!("telelake_promql_coalesced_total").increment(1);
            }
            let Ok(landed) = tokio::time::timeout_at(patience, flight).await else {
                return Err(Error::Timeout { after: timeout });
            };
            match landed {
                Ok(shared) => {
                    let (evaluated, begun) = Arc::unwrap_or_clone(shared);
                    // Who joined late did not wait for the start.
                    let answer = evaluated.answer(question.limit, asked, begun.max(asked));
                    note(|row| {
                        row.rows = Some(answer.value.len() as u64);
                        row.cache = if joined { Some(Cache::Shared) } else { row.cache };
                    });
                    return Ok(answer);
                }
                Err(error) if joined && matches!(*error, Error::Timeout { .. }) && Instant::now() < deadline => {}
                Err(error) => return Err(Error::of_shared(error)),
            }
        }
    }

    /// The work for `question`, others' or our own, and whether it is others'.
    fn flight(&self, tenant: &TenantId, question: &Question, timeout: Duration) -> (Flight<Landed>, bool) {
        let version = self.engine.version(tenant).filter(|_| question.stats == StatsWanted::None);
        let Some(version) = version else {
            // What it costs is one's own to know.
            return (flights::alone(self.begin(tenant, question, timeout)), false);
        };
        let Question { text, grid, is_instant, lookback, reuse, .. } = question.clone();
        let key = FlightKey { tenant: tenant.clone(), text, grid, is_instant, lookback, reuse, version };
        self.flights.join(key, || self.begin(tenant, question, self.config.timeout))
    }

    fn begin(&self, tenant: &TenantId, question: &Question, timeout: Duration) -> impl Future<Output = Landed> + use<> {
        let (engine, tenant, question) = (self.clone(), tenant.clone(), question.clone());
        async move { engine.work(tenant, question, timeout).await.map(Arc::new).map_err(Arc::new) }
    }

    async fn work(self, tenant: TenantId, question: Question, timeout: Duration) -> Result<(Evaluated, Instant)> {
        let ticket = Ticket::new(timeout);
        // The time in the queue is the query's own.
        let _turn = self.admission.turn(&tenant, timeout).await?;
        let begun = Instant::now();
        let (engine, work) = (self.clone(), ticket.clone());
        let evaluated = run::run(&self.threads, ticket, async move { engine.evaluate(&tenant, &question, work).await }).await?;
        Ok((evaluated, begun))
    }
}
