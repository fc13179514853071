//! Actions: preparing and closing statements, cancelling, session options.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt,
};
use arrow_flight::{Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use super::Flight;
use super::caller::Caller;
use super::encode::schema_bytes;
use super::handle::Statement;
use super::question::{SUBSTRAIT, command};
use super::seal::Purpose;
use super::session::{self, CloseResult, Closed, SetRequest};
use crate::error::{Error, Result};

/// The actions, for ListActions.
const ACTIONS: [(&str, &str); 7] = [
    (
        "CreatePreparedStatement",
        "Prepares a statement.\nRequest: ActionCreatePreparedStatementRequest\nResponse: ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "Forgets a prepared statement.\nRequest: ActionClosePreparedStatementRequest\nResponse: none"),
    ("CancelFlightInfo", "Ends the query of a flight.\nRequest: CancelFlightInfoRequest\nResponse: CancelFlightInfoResult"),
    ("CancelQuery", "Ends the query of a flight.\nRequest: ActionCancelQueryRequest\nResponse: ActionCancelQueryResult"),
    ("SetSessionOptions", "Sets `schema`.\nRequest: SetSessionOptionsRequest\nResponse: SetSessionOptionsResult"),
    ("GetSessionOptions", "Tells `catalog` and `schema`.\nRequest: GetSessionOptionsRequest\nResponse: GetSessionOptionsResult"),
    ("CloseSession", "Forgets the session's options.\nRequest: CloseSessionRequest\nResponse: CloseSessionResult"),
];

/// The answer of an action.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Its body; `None`: the action answers nothing.
    pub(super) body: Option<Bytes>,
    /// What the client is to remember.
    pub(super) cookie: Option<MetadataValue<Ascii>>,
}

impl Done {
    fn with(body: Vec<u8>) -> Self {
        Self { body: Some(body.into()), cookie: None }
    }
}

/// The actions, for ListActions.
pub(super) fn list() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, description)| ActionType { r#type: name.to_owned(), description: description.to_owned() })
}

impl Flight {
    /// Does what `action` says.
    ///
    /// # Errors
    /// `Parameter`: its body is not the message that belongs to it. `Unsupported`. What a statement that is prepared runs into.
    pub(super) async fn act(&self, caller: &Caller, headers: &MetadataMap, action: &Action) -> Result<Done> {
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = packed(&action.body)?;
                let result = self.prepare(caller, request).await?;
                Ok(Done::with(result.as_any().encode_to_vec()))
            }
            // Nothing is kept of it, so an old or unknown handle is closed as well.
            "ClosePreparedStatement" => packed::<ActionClosePreparedStatementRequest>(&action.body).map(|_| Done::default()),
            "CancelFlightInfo" => {
                let request: CancelFlightInfoRequest = plain(&action.body)?;
                let status = self.cancel(caller, &request.info.unwrap_or_default());
                Ok(Done::with(CancelFlightInfoResult { status: status.into() }.encode_to_vec()))
            }
            "CancelQuery" => {
                let request: ActionCancelQueryRequest = packed(&action.body)?;
                let info = FlightInfo::decode(request.info).map_err(|_| wrong("its info is no FlightInfo"))?;
                // The numbers of the two messages mean the same.
                let result = self.cancel(caller, &info).into();
                Ok(Done::with(ActionCancelQueryResult { result }.as_any().encode_to_vec()))
            }
            "SetSessionOptions" => {
                let mut options = self.session(headers)?;
                let result = session::set(&mut options, plain::<SetRequest>(&action.body)?);
                Ok(Done { body: Some(result.encode_to_vec().into()), cookie: Some(self.cookie(Some(&options))) })
            }
            "GetSessionOptions" => Ok(Done::with(session::get(&self.session(headers)?).encode_to_vec())),
            "CloseSession" => {
                let result = CloseResult { status: Closed::Closed.into() };
                Ok(Done { body: Some(result.encode_to_vec().into()), cookie: Some(self.cookie(None)) })
            }
            "CreatePreparedSubstraitPlan" => Err(SUBSTRAIT),
            "BeginTransaction" | "EndTransaction" | "BeginSavepoint" | "EndSavepoint" => {
                Err(Error::Unsupported { what: "there are no transactions: statements only read, and each sees one snapshot" })
            }
            _ => Err(Error::Unsupported { what: "this action is not known here; ListActions tells those that are" }),
        }
    }

    async fn prepare(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedStatementRequest,
    ) -> Result<ActionCreatePreparedStatementResult> {
        let mut statement = Statement::new(request.query, &caller.tenant, caller.schema.as_deref());
        let described = self.describe(caller, &statement).await?;
        statement.named = described.placeholders.fields().iter().any(|field| field.name().parse::<u64>().is_err());
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.prepared(statement),
            dataset_schema: schema_bytes(&described.schema)?,
            parameter_schema: schema_bytes(&described.placeholders)?,
        })
    }

    /// Ends what runs for `info`, and what has not begun.
    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> CancelStatus {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        let mut found = false;
        for ticket in tickets {
            let Ok(Command::TicketStatementQuery(ticket)) = command("ticket", &ticket.ticket) else { continue };
            let Ok(statement) = self.open(Purpose::Ticket, &ticket.statement_handle, &caller.tenant) else { continue };
            let Some(flight) = statement.flight_id() else { continue };
            found |= self.shared.forget(flight, &caller.tenant);
            found |= self.engine.cancel_flight(&caller.tenant, flight) > 0;
        }
        if found { CancelStatus::Cancelled } else { CancelStatus::NotCancellable }
    }
}

/// A message of Flight SQL, which comes in an envelope.
fn packed<M: ProstMessageExt>(body: &[u8]) -> Result<M> {
    let any = Any::decode(body).map_err(|_| wrong("is no protobuf Any"))?;
    any.unpack().ok().flatten().ok_or_else(|| wrong("is not the message of this action"))
}

/// A message of Flight, which comes as it is.
fn plain<M: Message + Default>(body: &[u8]) -> Result<M> {
    M::decode(body).map_err(|_| wrong("is not the message of this action"))
}

fn wrong(reason: &str) -> Error {
    Error::Parameter { name: "action body", reason: reason.to_owned() }
}
