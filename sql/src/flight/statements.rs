//! Statements: what they will answer with, and their rows.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightEndpoint, Ticket};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{once, unfold};
use prost::Message;

use super::Flight;
use super::bound::Rows;
use super::caller::Caller;
use super::encode::Batches;
use super::handle::Statement;
use crate::engine::{QueryStream, SqlEngine, SqlRequest};
use crate::error::{Error, Result};
use crate::plan::Described;

impl Flight {
    /// What `statement` answers with.
    ///
    /// # Errors
    /// Everything that planning finds.
    pub(super) async fn describe(&self, caller: &Caller, statement: &Statement) -> Result<Described> {
        let runs = Runs::of(caller, statement)?;
        self.engine.describe(&caller.tenant, runs.request(0)?).await
    }

    /// The endpoints of a flight of `statement`: as many as the caller wants, over one query.
    ///
    /// # Errors
    /// Too many flights of several endpoints wait.
    pub(super) fn endpoints(&self, caller: &Caller, statement: &Statement) -> Result<Vec<FlightEndpoint>> {
        let flight = self.engine.engine().env().new_uuid();
        let endpoint = |number| {
            let handle = self.ticket(statement.clone(), flight, number);
            FlightEndpoint::new().with_ticket(Ticket::new(ticket_bytes(handle)))
        };
        if caller.endpoints == 1 {
            return Ok(vec![endpoint(0)]);
        }
        self.shared.announce(flight, &caller.tenant, caller.endpoints)?;
        Ok((1..=caller.endpoints).map(endpoint).collect())
    }

    /// The rows of `statement`, or this endpoint's part of them.
    ///
    /// # Errors
    /// Everything that can be found out before the first row; later errors are in the stream.
    pub(super) async fn rows(&self, caller: &Caller, statement: &Statement) -> Result<(SchemaRef, Batches)> {
        let runs = Runs::of(caller, statement)?;
        match (statement.endpoint, statement.flight_id()) {
            (1.., Some(flight)) => {
                let source = self.shared.take(flight, &caller.tenant, statement.endpoint)?;
                source.read(runs.start(Arc::clone(&self.engine))).await
            }
            _ => runs.start(Arc::clone(&self.engine)).await,
        }
    }
}

fn ticket_bytes(statement_handle: Bytes) -> Vec<u8> {
    TicketStatementQuery { statement_handle }.as_any().encode_to_vec()
}

/// The runs of a statement, one for each row of values that is bound to it.
struct Runs {
    caller: Caller,
    statement: Statement,
    rows: Rows,
}

impl Runs {
    fn of(caller: &Caller, statement: &Statement) -> Result<Self> {
        let rows = Rows::read(&statement.values, statement.named)?;
        Ok(Self { caller: caller.clone(), statement: statement.clone(), rows })
    }

    /// The request of run number `run`.
    fn request(&self, run: usize) -> Result<SqlRequest> {
        let mut request = self.caller.request(self.statement.text.clone());
        request.params = self.rows.values(run)?;
        request.schema = (!self.statement.schema.is_empty()).then(|| self.statement.schema.clone());
        request.flight = self.statement.flight_id();
        request.max_rows = request.max_rows.into_iter().chain(self.statement.max_rows).min();
        Ok(request)
    }

    /// Starts the first run; the others follow when it is done, one after the other.
    async fn start(self, engine: Arc<SqlEngine>) -> Result<(SchemaRef, Batches)> {
        if self.rows.runs() == 0 {
            let described = engine.describe(&self.caller.tenant, self.request(0)?).await?;
            return Ok((described.schema, futures::stream::empty().boxed()));
        }
        let first = engine.execute(&self.caller.tenant, self.request(0)?).await?;
        let schema = SchemaRef::clone(first.schema());
        if self.rows.runs() == 1 {
            return Ok((schema, batches(first)));
        }
        let expected = SchemaRef::clone(&schema);
        let runs = Arc::new(self);
        let later = futures::stream::iter(1..runs.rows.runs()).then(move |run| {
            let (engine, runs, expected) = (Arc::clone(&engine), Arc::clone(&runs), SchemaRef::clone(&expected));
            async move {
                let stream = engine.execute(&runs.caller.tenant, runs.request(run)?).await?;
                match *stream.schema() == expected {
                    true => Ok(stream),
                    false => Err(Error::Encode { reason: "the rows of values give different columns".to_owned() }),
                }
            }
        });
        let later = later.flat_map(|started| match started {
            Ok(stream) => batches(stream),
            Err(error) => once(async move { Err(error) }).boxed(),
        });
        Ok((schema, batches(first).chain(later).boxed()))
    }
}

fn batches(stream: QueryStream) -> Batches {
    unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        match stream.next().await? {
            Ok(batch) => Some((Ok(batch), Some(stream))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
