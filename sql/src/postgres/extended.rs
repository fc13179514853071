//! The extended protocol: statements are prepared and described, portals bind values and are executed, in whole or by so many rows.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::portal::{Format, Portal, PortalExecutionState};
use pgwire::api::query::{ExtendedQueryHandler, send_describe_response, send_execution_response, send_partial_query_response};
use pgwire::api::results::{DescribePortalResponse, FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, Sync as PgSync, TARGET_TYPE_BYTE_PORTAL,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery, TransactionStatus};

use super::command::{Answer, Command, forget_portals, sound};
use super::cursor::{self, CursorStatement};
use super::errors::{failed, told};
use super::session::{self, Session};
use super::statements::Todo;
use super::{Postgres, params, rows};

/// Answers messages of the extended protocol.
#[derive(Debug)]
pub(super) struct Extended {
    parser: Arc<Describer>,
}

/// Prepares statements.
#[derive(Debug)]
pub(super) struct Describer(Arc<Postgres>);

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    todo: Todo,
    /// The columns of its answer, as they will leave; of a cursor, as it was when this was prepared.
    schema: SchemaRef,
    /// The types of its placeholders, `$1` first.
    placeholders: Vec<DataType>,
}

impl Extended {
    pub(super) fn new(postgres: Arc<Postgres>) -> Self {
        Self { parser: Arc::new(Describer(postgres)) }
    }
}

impl Prepared {
    fn command(command: Command) -> Self {
        let columns = command.columns().into_iter().map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        Self { todo: Todo::Command(command), schema, placeholders: Vec::new() }
    }
}

impl Describer {
    async fn describe(&self, session: &Session, text: String, hints: &[Option<Type>]) -> PgWireResult<Prepared> {
        let engine = &self.0.engine;
        let describe = |params| engine.describe(&session.tenant, session.request(text.clone(), params));
        let guessed = describe(None).await.map_err(|e| failed(&e))?;
        let placeholders = params::numbered(&guessed.placeholders)?;
        // What the client says of its values decides what the columns made of them are.
        let schema = match params::announced(hints, &placeholders) {
            Some(nulls) => describe(Some(nulls)).await.map_err(|e| failed(&e))?.schema,
            None => guessed.schema,
        };
        Ok(Prepared { todo: Todo::Query(text), schema: rows::plain_schema(&schema), placeholders })
    }

    async fn describe_cursor(
        &self,
        session: &Session,
        statement: CursorStatement,
        hints: &[Option<Type>],
    ) -> PgWireResult<Prepared> {
        let (schema, placeholders) = match &statement {
            // The values are the query's, the rows are those of FETCH.
            CursorStatement::Declare { text, .. } => {
                (Arc::new(Schema::empty()), self.describe(session, text.clone(), hints).await?.placeholders)
            }
            CursorStatement::Fetch { name, .. } => {
                (session.cursors.schema(name).ok_or_else(|| cursor::missing(name))?, Vec::new())
            }
            CursorStatement::Close(_) => (Arc::new(Schema::empty()), Vec::new()),
        };
        Ok(Prepared { todo: Todo::Cursor(statement), schema, placeholders })
    }
}

#[async_trait]
impl QueryParser for Describer {
    type Statement = Arc<Prepared>;

    async fn parse_sql<C>(&self, client: &C, sql: &str, types: &[Option<Type>]) -> PgWireResult<Option<Self::Statement>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let session = session::of(client)?;
        let mut statements = self.0.read(&session, sql.to_owned()).await?;
        if statements.len() > 1 {
            return Err(told("42601", "cannot insert multiple commands into a prepared statement"));
        }
        match statements.pop() {
            None => Ok(None),
            Some(Todo::Command(command)) => Ok(Some(Arc::new(Prepared::command(command)))),
            Some(Todo::Cursor(statement)) => {
                sound(client, None)?;
                Ok(Some(Arc::new(self.describe_cursor(&session, statement, types).await?)))
            }
            Some(Todo::Query(text)) => {
                sound(client, None)?;
                Ok(Some(Arc::new(self.describe(&session, text, types).await?)))
            }
        }
    }

    fn get_parameter_types(&self, statement: &Self::Statement) -> PgWireResult<Vec<Type>> {
        Ok(statement.placeholders.iter().map(params::wire_type).collect())
    }

    fn get_result_schema(&self, statement: &Self::Statement, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        rows::fields(&statement.schema, format.unwrap_or(&Format::UnifiedText))
    }
}

#[async_trait]
impl ExtendedQueryHandler for Extended {
    type Statement = Arc<Prepared>;
    type QueryParser = Describer;

    fn query_parser(&self) -> Arc<Self::QueryParser> {
        Arc::clone(&self.parser)
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME).to_owned();
        session::of(client)?.kept.lock().statement(&name, message.query.len())?;
        match StoredStatement::parse(client, &message, self.query_parser()).await? {
            Some(statement) => client.portal_store().put_statement(Arc::new(statement)),
            None => client.portal_store().put_empty_statement(&name),
        }
        client.feed(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?;
        Ok(())
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statement = message.statement_name.as_deref().unwrap_or(DEFAULT_NAME);
        let name = message.portal_name.as_deref().unwrap_or(DEFAULT_NAME);
        session::of(client)?.kept.lock().portal(name)?;
        match client.portal_store().get_statement(statement) {
            Some(Entry::Value(statement)) => {
                let portal = Portal::try_new(&message, statement)?;
                // Said now, not when it is executed: values and formats are the bind's.
                params::values(&portal, &portal.statement.statement.placeholders)?;
                rows::fields(&portal.statement.statement.schema, &portal.result_column_format)?;
                client.portal_store().put_portal(Arc::new(portal));
            }
            Some(Entry::Empty) if message.parameters.is_empty() => client.portal_store().put_empty_portal(name),
            Some(Entry::Empty) => return Err(told("08P01", "bind message supplies parameters, but the statement is empty")),
            None => return Err(PgWireError::StatementNotFound(statement.to_owned())),
        }
        client.feed(PgWireBackendMessage::BindComplete(BindComplete::new())).await?;
        Ok(())
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let session = session::of(client)?;
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        match client.portal_store().get_portal(name) {
            Some(Entry::Value(portal)) => self.execute(&session, client, &portal, message.max_rows.max(0) as usize).await?,
            Some(Entry::Empty) => client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?,
            None => return Err(PgWireError::PortalNotFound(name.to_owned())),
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        Ok(())
    }

    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        // In Postgres a cursor is a portal, and clients ask for its columns as of one.
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        let is_cursor = message.target_type == TARGET_TYPE_BYTE_PORTAL && client.portal_store().get_portal(name).is_none();
        match session::of(client)?.cursors.schema(name).filter(|_| is_cursor) {
            Some(schema) => {
                let fields = rows::fields(&schema, &Format::UnifiedText)?;
                send_describe_response(client, &DescribePortalResponse::new(fields)).await
            }
            None => self._on_describe(client, message).await,
        }
    }

    async fn on_sync<C>(&self, client: &mut C, _: PgSync) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        // Outside of a transaction this ends one, and portals end with it: they hold turns.
        if matches!(status, TransactionStatus::Idle) {
            forget_portals(&*session::of(client)?, client);
        }
        client.send(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(status))).await?;
        Ok(())
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let session = session::of(client)?;
        let name = message.name.as_deref().unwrap_or(DEFAULT_NAME);
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            session.kept.lock().forget_statement(name);
            client.portal_store().rm_statement(name);
        } else {
            session.kept.lock().forget_portal(name);
            client.portal_store().rm_portal(name);
        }
        client.feed(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?;
        Ok(())
    }

    /// Never called: [`Self::on_execute`] streams itself. pgwire's would hold all rows before it sends the first.
    async fn do_query<C>(&self, _: &mut C, _: &Portal<Self::Statement>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Self::Statement>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(Response::EmptyQuery)
    }
}

impl Extended {
    /// Runs a portal, or goes on with it: at most `rows_max` rows, 0 for all.
    async fn execute<C>(
        &self,
        session: &Arc<Session>,
        client: &mut C,
        portal: &Portal<Arc<Prepared>>,
        rows_max: usize,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Arc<Prepared>>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let state = portal.state();
        let mut state = state.lock().await;
        let mut rows = match std::mem::replace(&mut *state, PortalExecutionState::Finished) {
            PortalExecutionState::Initial => match self.start(session, client, portal).await? {
                Some(rows) => rows,
                None => return Ok(()),
            },
            PortalExecutionState::Suspended(rows) => rows,
            PortalExecutionState::Finished => return send_execution_response(client, Tag::new("SELECT").with_rows(0)).await,
        };
        if send_partial_query_response(client, &mut rows, rows_max).await? {
            *state = PortalExecutionState::Suspended(rows);
        }
        Ok(())
    }

    /// The rows of a portal that was not executed yet; `None`: it was a command, and is answered.
    async fn start<C>(
        &self,
        session: &Arc<Session>,
        client: &mut C,
        portal: &Portal<Arc<Prepared>>,
    ) -> PgWireResult<Option<QueryResponse>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Arc<Prepared>>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        match &prepared.todo {
            Todo::Command(command) => {
                sound(client, Some(command))?;
                match command.run(session, client).await? {
                    Answer::Done(tag) => send_execution_response(client, tag).await.map(|()| None),
                    Answer::Rows(names, texts) => rows::texts(&names, texts, &portal.result_column_format).map(Some),
                }
            }
            Todo::Cursor(statement) => {
                sound(client, None)?;
                let tag = match statement {
                    CursorStatement::Declare { name, hold, text } => {
                        let values = params::values(portal, &prepared.placeholders)?;
                        cursor::declare(&self.parser.0.engine, session, client, (name, *hold, text), values).await?
                    }
                    CursorStatement::Fetch { name, take } => {
                        return cursor::fetch(session, name, *take, &portal.result_column_format).map(Some);
                    }
                    CursorStatement::Close(name) => session.cursors.close(name.as_deref())?,
                };
                send_execution_response(client, tag).await.map(|()| None)
            }
            Todo::Query(text) => {
                sound(client, None)?;
                let values = params::values(portal, &prepared.placeholders)?;
                let request = session.request(text.clone(), values);
                let query = self.parser.0.engine.execute(&session.tenant, request).await.map_err(|e| failed(&e))?;
                let fields = rows::fields(&prepared.schema, &portal.result_column_format)?;
                Ok(Some(rows::Rows::new(query, Arc::clone(&prepared.schema)).take(None, fields, drop)))
            }
        }
    }
}
