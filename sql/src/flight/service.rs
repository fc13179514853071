//! The methods of the Flight service: each reads its message, asks, and wraps the answer.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{BoxStream, iter, once};
use prost::Message;
use query::namespace::CATALOG;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::caller::Caller;
use super::encode::{messages, schema_bytes};
use super::handle::Statement;
use super::question::{Question, SUBSTRAIT, command};
use super::seal::Purpose;
use super::{Flight, actions, bound};
use crate::Times;
use crate::edge::edge_schema;
use crate::error::{Error, Result};
use crate::statement;

/// What a client gets that needs no token.
const NO_TOKEN: &str = "anonymous";

impl Flight {
    /// The schema of what answers `question`.
    async fn schema(&self, caller: &Caller, question: &Question) -> Result<SchemaRef> {
        match question {
            Question::Statement(statement) => Ok(self.describe(caller, statement).await?.schema),
            Question::About(command) => Ok(self.about(caller, command).await?.schema()),
        }
    }

    async fn info(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<FlightInfo> {
        let question = match self.asked(caller, &descriptor)? {
            Question::Statement(statement) => Question::Statement(self.executed(caller, statement).await?),
            about => about,
        };
        let schema = self.schema(caller, &question).await?;
        let endpoints = match &question {
            Question::Statement(statement) => self.endpoints(caller, statement)?,
            Question::About(_) => vec![FlightEndpoint::new().with_ticket(Ticket::new(descriptor.cmd.clone()))],
        };
        let info = FlightInfo { schema: schema_bytes(&schema)?, ..FlightInfo::new() };
        Ok(info.with_descriptor(descriptor).with_endpoints(endpoints))
    }

    async fn flights(&self, caller: &Caller) -> Result<Vec<FlightInfo>> {
        let info = |schema: &str, name: &str, columns: &arrow::datatypes::Schema| {
            let path = [CATALOG, schema, name].map(str::to_owned).to_vec();
            let schema = schema_bytes(&edge_schema(columns, Times::Nanoseconds))?;
            Ok(FlightInfo { schema, ..FlightInfo::new() }.with_descriptor(FlightDescriptor::new_path(path)))
        };
        let tables = self.every_table(caller).await?;
        tables.iter().map(|table| info(table.schema, &table.name, &table.provider.schema())).collect()
    }

    async fn get(&self, caller: &Caller, ticket: &[u8]) -> Result<BoxStream<'static, Result<FlightData, Status>>> {
        match self.ticketed(caller, ticket)? {
            Question::Statement(statement) => {
                let (schema, batches) = self.rows(caller, &statement).await?;
                messages(&schema, batches, caller.compression)
            }
            Question::About(command) => {
                let batch = self.about(caller, &command).await?;
                let schema = batch.schema();
                messages(&schema, once(async move { Ok::<RecordBatch, Error>(batch) }).boxed(), caller.compression)
            }
        }
    }

    async fn put(&self, caller: &Caller, mut stream: Streaming<FlightData>) -> Result<PutResult> {
        let wrong = |reason: &str| Error::Parameter { name: "DoPut", reason: reason.to_owned() };
        let first = stream.next().await.ok_or_else(|| wrong("has no message"))?.map_err(|e| wrong(e.message()))?;
        let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| wrong("its first message has no descriptor"))?;
        match command("descriptor", &descriptor.cmd)? {
            Command::CommandPreparedStatementQuery(prepared) => {
                let handle = &prepared.prepared_statement_handle;
                let mut statement = self.open(Purpose::Prepared, handle, &caller.tenant)?;
                statement.values = bound::receive(once(async move { Ok(first) }).chain(stream)).await?;
                let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(self.prepared(statement)) };
                Ok(PutResult { app_metadata: result.encode_to_vec().into() })
            }
            Command::CommandStatementUpdate(update) => self.update(caller, update.query).await,
            Command::CommandPreparedStatementUpdate(update) => {
                let handle = &update.prepared_statement_handle;
                let text = self.open(Purpose::Prepared, handle, &caller.tenant)?.text;
                self.update(caller, text).await
            }
            Command::CommandStatementIngest(ingest) => {
                let messages = Box::pin(once(async move { Ok(first) }).chain(stream));
                Ok(updated(self.ingest(caller, &ingest, messages).await?))
            }
            Command::CommandStatementSubstraitPlan(_) => Err(SUBSTRAIT),
            _ => Err(wrong("takes no such command")),
        }
    }
}

impl Flight {
    /// `statement`, or if it drops a table what tells so, once it has: clients take a statement for executed that has a flight, and some of them
    /// read no answer of such a one.
    async fn executed(&self, caller: &Caller, statement: Statement) -> Result<Statement> {
        match statement::check(&statement.text) {
            Ok(checked) if checked.drops.is_some() => {
                self.update(caller, statement.text.clone()).await?;
                Ok(Statement { text: checked.statement.to_string(), ..statement })
            }
            // What is wrong with others is found when they are planned.
            _ => Ok(statement),
        }
    }

    /// Runs a statement that should change something: drops a table, or is refused.
    async fn update(&self, caller: &Caller, text: String) -> Result<PutResult> {
        if statement::check(&text)?.drops.is_none() {
            return Err(Error::Unsupported { what: "the statement reads and is no update; ask for it with GetFlightInfo" });
        }
        let mut done = self.engine.execute(&caller.tenant, caller.request(text)).await?;
        while let Some(batch) = done.next().await {
            batch?;
        }
        Ok(updated(0))
    }
}

fn updated(record_count: i64) -> PutResult {
    PutResult { app_metadata: DoPutUpdateResult { record_count }.encode_to_vec().into() }
}

/// What a client presents from now on: the password of Basic is the token.
fn bearer(headers: &MetadataMap) -> Result<MetadataValue<Ascii>> {
    let wrong = |reason: &str| Error::Parameter { name: "authorization", reason: reason.to_owned() };
    let presented = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = match presented.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
            // Clients in Go write base64 without its padding.
            let pair =
                STANDARD_NO_PAD.decode(pair.trim().trim_end_matches('=')).ok().and_then(|pair| String::from_utf8(pair).ok());
            let pair = pair.ok_or_else(|| wrong("is no base64 of user:password"))?;
            pair.split_once(':')
                .map(|(_, password)| password.to_owned())
                .ok_or_else(|| wrong("has no colon between user and password"))?
        }
        _ => String::new(),
    };
    let token = if token.is_empty() { NO_TOKEN } else { &token };
    format!("Bearer {token}").parse().map_err(|_| wrong("the token is no ASCII text"))
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Flight {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Result<Response<Self::HandshakeStream>, Status> {
        let bearer = bearer(request.metadata())?;
        let payload = Bytes::copy_from_slice(bearer.as_bytes());
        let answer = HandshakeResponse { protocol_version: 0, payload };
        let mut response = Response::new(once(async move { Ok(answer) }).boxed());
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = Caller::read(self, &request)?;
        let flights = self.flights(&caller).await?;
        Ok(Response::new(iter(flights.into_iter().map(Ok)).boxed()))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = Caller::read(self, &request)?;
        Ok(Response::new(self.info(&caller, request.into_inner()).await?))
    }

    /// Queries run while they are read, so that every flight is ready at once.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let caller = Caller::read(self, &request)?;
        let info = self.info(&caller, request.into_inner()).await?;
        Ok(Response::new(PollInfo { info: Some(info), progress: Some(1.0), ..PollInfo::default() }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = Caller::read(self, &request)?;
        let question = self.asked(&caller, request.get_ref())?;
        let schema = schema_bytes(&*self.schema(&caller, &question).await?)?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = Caller::read(self, &request)?;
        Ok(Response::new(self.get(&caller, &request.get_ref().ticket).await?))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = Caller::read(self, &request)?;
        let result = self.put(&caller, request.into_inner()).await?;
        Ok(Response::new(once(async move { Ok(result) }).boxed()))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = Caller::read(self, &request)?;
        let done = self.act(&caller, request.metadata(), request.get_ref()).await?;
        let mut response = Response::new(iter(done.body.map(|body| Ok(arrow_flight::Result { body }))).boxed());
        if let Some(cookie) = done.cookie {
            response.metadata_mut().insert("set-cookie", cookie);
        }
        Ok(response)
    }

    async fn list_actions(&self, _request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(iter(actions::list().map(Ok)).boxed()))
    }

    async fn do_exchange(&self, _request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Error::Unsupported { what: "DoExchange is not supported; ask with GetFlightInfo and DoGet" }.into())
    }
}
