//! What a descriptor or ticket asks for.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{Any, Command};
use prost::Message;

use super::caller::Caller;
use super::handle::Statement;
use super::seal::Purpose;
use super::{Flight, plain};
use crate::error::{Error, Result};

/// A question that DoGet answers.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// Rows of a statement.
    Statement(Statement),
    /// Something about the server or its catalog. The command is its own ticket.
    About(Command),
}

impl Flight {
    /// The question in a descriptor.
    ///
    /// # Errors
    /// `Parameter`: it is none. `Unsupported`: it is one that is not answered here.
    pub(super) fn asked(&self, caller: &Caller, descriptor: &FlightDescriptor) -> Result<Question> {
        match DescriptorType::try_from(descriptor.r#type) {
            Ok(DescriptorType::Path) => table(caller, &descriptor.path).map(Question::Statement),
            _ if plain::is_json(&descriptor.cmd) => plain::read(&descriptor.cmd, caller).map(Question::Statement),
            Ok(DescriptorType::Cmd) => self.commanded(caller, command("descriptor", &descriptor.cmd)?),
            _ => Err(wrong("descriptor", "has neither a command nor a path")),
        }
    }

    /// The question in a ticket.
    ///
    /// # Errors
    /// As [`Flight::asked`].
    pub(super) fn ticketed(&self, caller: &Caller, ticket: &[u8]) -> Result<Question> {
        if plain::is_json(ticket) {
            return plain::read(ticket, caller).map(Question::Statement);
        }
        match command("ticket", ticket)? {
            Command::TicketStatementQuery(ticket) => {
                Ok(Question::Statement(self.open(Purpose::Ticket, &ticket.statement_handle, &caller.tenant)?))
            }
            other => self.commanded(caller, other),
        }
    }

    fn commanded(&self, caller: &Caller, command: Command) -> Result<Question> {
        match command {
            Command::CommandStatementQuery(query) => {
                Ok(Question::Statement(Statement::new(query.query, &caller.tenant, caller.schema.as_deref())))
            }
            Command::CommandPreparedStatementQuery(prepared) => {
                let handle = &prepared.prepared_statement_handle;
                Ok(Question::Statement(self.open(Purpose::Prepared, handle, &caller.tenant)?))
            }
            Command::CommandGetCatalogs(_)
            | Command::CommandGetDbSchemas(_)
            | Command::CommandGetTables(_)
            | Command::CommandGetTableTypes(_)
            | Command::CommandGetSqlInfo(_)
            | Command::CommandGetXdbcTypeInfo(_)
            | Command::CommandGetPrimaryKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_) => Ok(Question::About(command)),
            Command::CommandStatementSubstraitPlan(_) => Err(SUBSTRAIT),
            Command::CommandStatementUpdate(_)
            | Command::CommandPreparedStatementUpdate(_)
            | Command::CommandStatementIngest(_) => {
                Err(Error::Unsupported { what: "updates are sent with DoPut, and this server refuses them: its SQL only reads" })
            }
            other => Err(Error::Parameter { name: "command", reason: format!("{} has no rows", short(other.type_url())) }),
        }
    }
}

/// Plans come as SQL.
pub(super) const SUBSTRAIT: Error = Error::Unsupported { what: "Substrait plans are not supported; send SQL" };

/// A command of Flight SQL.
///
/// # Errors
/// `Parameter`: the bytes are none. `name` says where they were.
pub(super) fn command(name: &'static str, bytes: &[u8]) -> Result<Command> {
    let any = Any::decode(bytes).map_err(|_| wrong(name, "is no command of Flight SQL and no JSON"))?;
    Command::try_from(any).map_err(|_| wrong(name, "holds a damaged command"))
}

fn table(caller: &Caller, path: &[String]) -> Result<Statement> {
    if path.is_empty() || path.len() > 3 || path.iter().any(|part| part.is_empty() || part.len() > 256) {
        return Err(wrong("path", "must be a table, a schema and a table, or a catalog, a schema and a table"));
    }
    let quoted: Vec<_> = path.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    Ok(Statement::new(format!("SELECT * FROM {}", quoted.join(".")), &caller.tenant, caller.schema.as_deref()))
}

fn wrong(name: &'static str, reason: &str) -> Error {
    Error::Parameter { name, reason: reason.to_owned() }
}

/// The last part of a message's type, for an error.
fn short(type_url: &str) -> String {
    type_url.rsplit(['/', '.']).next().unwrap_or_default().chars().take(64).collect()
}
