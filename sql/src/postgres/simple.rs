//! The simple protocol: a text with statements, answered one after the other, in text.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{Sink, SinkExt};
use pgwire::api::portal::Format;
use pgwire::api::query::{SimpleQueryHandler, send_execution_response, send_query_response, send_ready_for_query};
use pgwire::api::results::Response;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, DEFAULT_NAME, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::EmptyQueryResponse;
use pgwire::messages::simplequery::Query;

use super::command::{Answer, sound};
use super::cursor::{self, CursorStatement};
use super::errors::failed;
use super::session::{self, Session};
use super::statements::Todo;
use super::{Postgres, rows};

/// Answers texts.
#[derive(Debug)]
pub(super) struct Simple(pub(super) Arc<Postgres>);

#[async_trait]
impl SimpleQueryHandler for Simple {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let session = session::of(client)?;
        client.portal_store().rm_portal(DEFAULT_NAME);
        session.kept.lock().forget_portal(DEFAULT_NAME);
        let statements = self.0.read(&session, query.query).await?;
        if statements.is_empty() {
            client.feed(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        // One after the other, each with its answer: a statement holds its turn no longer than it takes.
        for todo in statements {
            self.answer(&session, client, todo).await?;
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        let status = client.transaction_status();
        send_ready_for_query(client, status).await
    }

    /// Never called: [`Self::on_query`] answers itself.
    async fn do_query<C>(&self, _: &mut C, _: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        Ok(Vec::new())
    }
}

impl Simple {
    async fn answer<C>(&self, session: &Arc<Session>, client: &mut C, todo: Todo) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match todo {
            Todo::Command(command) => {
                sound(client, Some(&command))?;
                match command.run(session, client).await? {
                    Answer::Done(tag) => send_execution_response(client, tag).await,
                    Answer::Rows(names, texts) => {
                        send_query_response(client, rows::texts(&names, texts, &Format::UnifiedText)?, true).await
                    }
                }
            }
            Todo::Cursor(statement) => {
                sound(client, None)?;
                match statement {
                    CursorStatement::Declare { name, hold, text } => {
                        let tag = cursor::declare(&self.0.engine, session, client, (&name, hold, &text), None).await?;
                        send_execution_response(client, tag).await
                    }
                    CursorStatement::Fetch { name, take } => {
                        send_query_response(client, cursor::fetch(session, &name, take, &Format::UnifiedText)?, true).await
                    }
                    CursorStatement::Close(name) => {
                        send_execution_response(client, session.cursors.close(name.as_deref())?).await
                    }
                }
            }
            Todo::Query(text) => {
                sound(client, None)?;
                let query = self.0.engine.execute(&session.tenant, session.request(text, None)).await.map_err(|e| failed(&e))?;
                let schema = rows::plain_schema(query.schema());
                let fields = rows::fields(&schema, &Format::UnifiedText)?;
                send_query_response(client, rows::Rows::new(query, schema).take(None, fields, drop), true).await
            }
        }
    }
}
