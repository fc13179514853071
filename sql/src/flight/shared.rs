//! Flights of several endpoints: one query whose batches go to whichever endpoint has room.
//!
//! ```text
//! GetFlightInfo, x-endpoints: 3 ─► tickets 1 2 3          nothing runs yet
//! DoGet(2) ─► the query starts ─► batch ─► whoever asks next
//! DoGet(1), DoGet(3) ─────────────────────┘
//! ```
//!
//! # Invariants
//! - A row goes to exactly one endpoint: there is one query, over one view, whatever it computes and wherever its rows lie.
//! - An endpoint is read once. Reading it again is an error, since its rows are gone.
//! - When the query fails, every endpoint that is still read fails with the same error: none ends as if it were whole.
//! - A reader whose client is slow holds one batch, and nobody up.
//! - A flight that nobody reads is forgotten after an hour; there are few per tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use catalog::TenantId;
use futures::StreamExt;
use futures::stream::unfold;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::encode::Batches;
use crate::error::{Error, Result};

/// Shared flights of one tenant that are not read to the end.
const PER_TENANT_MAX: usize = 64;
/// How long a flight waits for its readers.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// The flights of several endpoints.
#[derive(Debug, Default)]
pub(super) struct SharedFlights {
    flights: Mutex<HashMap<Uuid, Entry>>,
}

#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    expires: Instant,
    /// Which endpoints are being read or were.
    taken: Vec<bool>,
    source: Arc<Source>,
}

/// What the endpoints of a flight draw from.
#[derive(Debug, Default)]
pub(super) struct Source {
    running: tokio::sync::Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Nobody asked yet.
    #[default]
    Waiting,
    Running(SchemaRef, Batches),
    /// Every batch is out.
    Done(SchemaRef),
    /// As a kind and a message, for each of the readers.
    Failed(catalog::ErrorKind, String),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting => "Waiting",
            Self::Running(..) => "Running",
            Self::Done(_) => "Done",
            Self::Failed(..) => "Failed",
        })
    }
}

impl SharedFlights {
    /// Announces a flight.
    ///
    /// # Errors
    /// `Unread`: the tenant has too many of them.
    pub(super) fn announce(&self, flight: Uuid, tenant: &TenantId, endpoints: u32) -> Result<()> {
        let mut flights = self.flights.lock();
        let now = Instant::now();
        flights.retain(|_, entry| entry.expires > now);
        if flights.values().filter(|entry| entry.tenant == *tenant).count() >= PER_TENANT_MAX {
            return Err(Error::UnreadFlights { limit: PER_TENANT_MAX });
        }
        let taken = vec![false; endpoints as usize];
        let entry = Entry { tenant: tenant.clone(), expires: now + KEPT_FOR, taken, source: Arc::default() };
        flights.insert(flight, entry);
        Ok(())
    }

    /// Takes an endpoint, counted from 1, for reading.
    ///
    /// # Errors
    /// `Parameter`: it was taken, or the flight is not known any more.
    pub(super) fn take(&self, flight: Uuid, tenant: &TenantId, endpoint: u32) -> Result<Arc<Source>> {
        let wrong =
            |reason: &str| Err(Error::Parameter { name: "ticket", reason: format!("{reason}; ask for the flight again") });
        let mut flights = self.flights.lock();
        let Some(entry) = flights.get_mut(&flight).filter(|entry| entry.tenant == *tenant && entry.expires > Instant::now())
        else {
            return wrong("is of a flight that was read, cancelled or forgotten");
        };
        match entry.taken.get_mut((endpoint as usize).wrapping_sub(1)) {
            Some(taken) if !*taken => *taken = true,
            _ => return wrong("is of an endpoint that was read already, and the endpoints of one flight share its rows"),
        }
        let source = Arc::clone(&entry.source);
        if entry.taken.iter().all(|taken| *taken) {
            flights.remove(&flight);
        }
        Ok(source)
    }

    /// Forgets a flight that nobody has read from; false if there is none.
    pub(super) fn forget(&self, flight: Uuid, tenant: &TenantId) -> bool {
        let mut flights = self.flights.lock();
        let known = flights.get(&flight).is_some_and(|entry| entry.tenant == *tenant);
        known && flights.remove(&flight).is_some()
    }
}

impl Source {
    /// The schema and this reader's part of the batches. `start` runs if nobody was here before.
    ///
    /// # Errors
    /// What `start` says, to this reader and to those after it.
    pub(super) async fn read(
        self: Arc<Self>,
        start: impl Future<Output = Result<(SchemaRef, Batches)>>,
    ) -> Result<(SchemaRef, Batches)> {
        let schema = {
            let mut state = self.running.lock().await;
            if matches!(*state, State::Waiting) {
                match start.await {
                    Ok((schema, batches)) => *state = State::Running(schema, batches),
                    Err(error) => {
                        *state = State::Failed(error.kind(), error.public_message());
                        return Err(error);
                    }
                }
            }
            match &*state {
                State::Running(schema, _) | State::Done(schema) => SchemaRef::clone(schema),
                State::Failed(kind, message) => return Err(again(*kind, message)),
                State::Waiting => unreachable!("it was started above"),
            }
        };
        let batches = unfold(Some(self), |source| async move {
            let source: Arc<Self> = source?;
            // A task of its own: who waits here may not be polled for long, because its client is slow, and must not keep the others
            // from the query meanwhile.
            let drawing = Arc::clone(&source);
            let task = AbortOnDropHandle::new(tokio::spawn(async move { drawing.next().await }));
            match task.await {
                Ok(Some(Ok(batch))) => Some((Ok(batch), Some(source))),
                Ok(Some(Err(error))) => Some((Err(error), None)),
                Ok(None) => None,
                Err(_) => Some((Err(again(catalog::ErrorKind::Internal, "internal error")), None)),
            }
        });
        Ok((schema, batches.boxed()))
    }

    async fn next(&self) -> Option<Result<RecordBatch>> {
        let mut state = self.running.lock().await;
        let (schema, next) = match &mut *state {
            State::Running(schema, batches) => (SchemaRef::clone(schema), batches.next().await),
            State::Failed(kind, message) => return Some(Err(again(*kind, message))),
            State::Waiting | State::Done(_) => return None,
        };
        match &next {
            Some(Ok(_)) => {}
            Some(Err(error)) => *state = State::Failed(error.kind(), error.public_message()),
            None => *state = State::Done(schema),
        }
        next
    }
}

fn again(kind: catalog::ErrorKind, message: &str) -> Error {
    Error::Shared { kind, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use futures::TryStreamExt;

    use super::*;

    fn batch(n: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as ArrayRef)]).expect("one column")
    }

    fn tenant() -> TenantId {
        TenantId::parse("a").expect("valid")
    }

    async fn start(batches: Vec<Result<RecordBatch>>) -> Result<(SchemaRef, Batches)> {
        Ok((batch(0).schema(), futures::stream::iter(batches).boxed()))
    }

    #[tokio::test]
    async fn every_row_goes_to_one_endpoint() {
        let (flights, id, a) = (SharedFlights::default(), Uuid::from_u128(1), tenant());
        flights.announce(id, &a, 3).expect("the first");
        let mut streams = Vec::new();
        for endpoint in [2, 3, 1] {
            let source = flights.take(id, &a, endpoint).expect("not taken yet");
            let started = source.read(start((0..100).map(|n| Ok(batch(n))).collect())).await;
            streams.push(started.expect("starts").1);
        }
        assert!(flights.take(id, &a, 2).is_err(), "an endpoint is read once");
        let mut got: Vec<i64> = Vec::new();
        for part in futures::future::join_all(streams.into_iter().map(TryStreamExt::try_collect::<Vec<_>>)).await {
            got.extend(part.expect("no error").iter().map(|b| b.column(0).as_primitive::<Int64Type>().value(0)));
        }
        got.sort_unstable();
        assert_eq!(got, (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_failure_is_everybodys() {
        let (flights, id, a) = (SharedFlights::default(), Uuid::from_u128(1), tenant());
        flights.announce(id, &a, 2).expect("the first");
        let source = |endpoint| flights.take(id, &a, endpoint).expect("not taken yet");
        let batches = vec![Ok(batch(1)), Err(Error::Cancelled)];
        let (_, mut one) = source(1).read(start(batches)).await.expect("starts");
        let (_, two) = source(2).read(start(vec![])).await.expect("has started");
        assert!(one.next().await.is_some_and(|b| b.is_ok()));
        assert!(one.next().await.is_some_and(|b| b.is_err()));
        assert!(one.next().await.is_none());
        let error = two.try_collect::<Vec<_>>().await.expect_err("the query failed");
        assert_eq!((error.kind(), error.to_string()), (catalog::ErrorKind::Cancelled, "query was cancelled".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn unread_flights_are_few_and_forgotten() {
        let (flights, a) = (SharedFlights::default(), tenant());
        for n in 0..PER_TENANT_MAX {
            flights.announce(Uuid::from_u128(n as u128), &a, 2).expect("below the limit");
        }
        let one_more = Uuid::from_u128(1_000);
        assert!(flights.announce(one_more, &a, 2).is_err());
        let other = TenantId::parse("b").expect("valid");
        flights.announce(one_more, &other, 2).expect("another tenant has its own limit");
        assert!(flights.take(one_more, &a, 1).is_err() && !flights.forget(one_more, &a), "of another tenant");
        tokio::time::advance(KEPT_FOR).await;
        assert!(flights.take(one_more, &other, 1).is_err());
        flights.announce(Uuid::from_u128(2_000), &a, 2).expect("the old ones are forgotten");
    }
}
