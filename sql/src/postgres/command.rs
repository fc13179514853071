//! Statements that the session answers itself: settings and transactions. None of them reads, none can write.
//!
//! A transaction is only a state that the client is told of: every statement sees the newest state, and there is nothing to undo.

use datafusion::sql::sqlparser::ast::{DiscardObject, Expr, Reset, Set, Statement as Ast, Value};
use futures::{Sink, SinkExt};
use pgwire::api::results::Tag;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::startup::ParameterStatus;

use super::errors::told;
use super::session::Session;
use super::settings::written;

/// A statement that the session answers itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Begins a transaction; how it says so.
    Begin(&'static str),
    Commit,
    Rollback,
    /// Within a transaction: back to where it was sound.
    RollbackTo,
    Set {
        name: String,
        /// `None`: DEFAULT.
        value: Option<String>,
    },
    Show(String),
    ShowAll,
    ResetAll,
    DiscardAll,
    /// A prepared statement, or all.
    Deallocate(Option<String>),
    /// Nothing to do; what is said of it.
    Nothing(&'static str),
}

/// What a command is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is done.
    Done(Tag),
    /// Rows of text, under these names.
    Rows(Vec<String>, Vec<Vec<String>>),
}

impl Command {
    /// The command that `statement` is; `None`: it is none.
    pub(super) fn of(statement: &Ast) -> Option<Self> {
        Some(match statement {
            Ast::StartTransaction { begin, .. } => Self::Begin(if *begin { "BEGIN" } else { "START TRANSACTION" }),
            Ast::Commit { .. } => Self::Commit,
            Ast::Rollback { savepoint: Some(_), .. } => Self::RollbackTo,
            Ast::Rollback { .. } => Self::Rollback,
            Ast::Savepoint { .. } => Self::Nothing("SAVEPOINT"),
            Ast::ReleaseSavepoint { .. } => Self::Nothing("RELEASE"),
            Ast::Set(set) => Self::of_set(set)?,
            Ast::ShowVariable { variable } => {
                let words: Vec<String> = variable.iter().map(|word| word.value.to_ascii_lowercase()).collect();
                match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    ["all"] => Self::ShowAll,
                    ["transaction", "isolation", "level"] => Self::Show("transaction_isolation".to_owned()),
                    ["time", "zone"] => Self::Show("timezone".to_owned()),
                    ["session", "authorization"] => Self::Show("session_authorization".to_owned()),
                    _ => Self::Show(words.join(".")),
                }
            }
            Ast::Reset(reset) => match &reset.reset {
                Reset::ALL => Self::ResetAll,
                Reset::ConfigurationParameter(name) => Self::Set { name: unquoted(&name.to_string()), value: None },
            },
            Ast::Discard { object_type: DiscardObject::ALL } => Self::DiscardAll,
            Ast::Discard { .. } => Self::Nothing("DISCARD"),
            Ast::Deallocate { name, .. } => Self::Deallocate(
                (!name.value.eq_ignore_ascii_case("all") || name.quote_style.is_some()).then(|| name.value.clone()),
            ),
            Ast::UNLISTEN { .. } => Self::Nothing("UNLISTEN"),
            _ => return None,
        })
    }

    fn of_set(set: &Set) -> Option<Self> {
        Some(match set {
            Set::SingleAssignment { variable, values, .. } => {
                let values: Vec<String> = values.iter().map(value).collect();
                let value = Some(values.join(", ")).filter(|_| !is_default(&values));
                Self::Set { name: unquoted(&variable.to_string()), value }
            }
            Set::SetTimeZone { value: zone, .. } => {
                let zone = value(zone);
                Self::Set { name: "TimeZone".to_owned(), value: (!is_default(std::slice::from_ref(&zone))).then_some(zone) }
            }
            Set::SetNames { charset_name, .. } => {
                Self::Set { name: "client_encoding".to_owned(), value: Some(charset_name.value.clone()) }
            }
            Set::SetNamesDefault {} => Self::Set { name: "client_encoding".to_owned(), value: None },
            Set::SetTransaction { .. } | Set::SetRole { .. } | Set::SetSessionAuthorization(_) => Self::Nothing("SET"),
            _ => return None,
        })
    }

    /// Whether it is let in after an error in a transaction.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo)
    }

    /// The names of the columns that it answers with; none: it answers without rows.
    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::Show(name) => vec![written(name)],
            Self::ShowAll => ["name", "setting", "description"].map(str::to_owned).to_vec(),
            _ => Vec::new(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// A setting that cannot be set or is unknown.
    pub(super) async fn run<C>(&self, session: &Session, client: &mut C) -> PgWireResult<Answer>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let done = |tag: &str| Ok(Answer::Done(Tag::new(tag)));
        match self {
            Self::Begin(tag) => {
                client.set_transaction_status(client.transaction_status().to_in_transaction_state());
                done(tag)
            }
            Self::Commit | Self::Rollback => {
                let failed = matches!(client.transaction_status(), TransactionStatus::Error);
                client.set_transaction_status(TransactionStatus::Idle);
                forget_portals(session, client);
                done(if failed || *self == Self::Rollback { "ROLLBACK" } else { "COMMIT" })
            }
            Self::RollbackTo => {
                if matches!(client.transaction_status(), TransactionStatus::Error) {
                    client.set_transaction_status(TransactionStatus::Transaction);
                }
                done("ROLLBACK")
            }
            Self::Set { name, value } => {
                let changed = session.settings.lock().set(name, value.as_deref());
                let changed = changed.map_err(|refused| told(refused.state(), refused.to_string()))?;
                if let Some((name, value)) = changed {
                    client.feed(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value))).await?;
                }
                done(if value.is_some() { "SET" } else { "RESET" })
            }
            Self::Show(name) => match session.settings.lock().get(name) {
                Some(value) => Ok(Answer::Rows(self.columns(), vec![vec![value]])),
                None => Err(told("42704", format!("unrecognized configuration parameter \"{name}\""))),
            },
            Self::ShowAll => {
                let all = session.settings.lock().all();
                let rows = all.into_iter().map(|(name, value)| vec![name, value, String::new()]).collect();
                Ok(Answer::Rows(self.columns(), rows))
            }
            Self::ResetAll => {
                session.settings.lock().reset();
                done("RESET")
            }
            Self::DiscardAll => {
                session.settings.lock().reset();
                session.cursors.clear();
                forget_portals(session, client);
                forget_statements(session, client);
                done("DISCARD ALL")
            }
            Self::Deallocate(Some(name)) => {
                client.portal_store().rm_statement(name);
                session.kept.lock().forget_statement(name);
                done("DEALLOCATE")
            }
            Self::Deallocate(None) => {
                forget_statements(session, client);
                done("DEALLOCATE ALL")
            }
            Self::Nothing(tag) => done(tag),
        }
    }
}

/// Closes every portal of the session, and every cursor that ends with its transaction.
pub(super) fn forget_portals<C>(session: &Session, client: &C)
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    session.kept.lock().take_portals();
    session.cursors.end_transaction();
    client.portal_store().clear_portals();
}

fn forget_statements<C>(session: &Session, client: &C)
where
    C: ClientPortalStore,
    C::PortalStore: PortalStore,
{
    let names = session.kept.lock().take_statements();
    names.iter().for_each(|name| client.portal_store().rm_statement(name));
}

/// Refuses what may not run after an error in a transaction.
///
/// # Errors
/// The transaction is to be ended first.
pub(super) fn sound<C: ClientInfo>(client: &C, command: Option<&Command>) -> PgWireResult<()> {
    let failed = matches!(client.transaction_status(), TransactionStatus::Error);
    match failed && !command.is_some_and(Command::ends_transaction) {
        true => Err(told("25P02", "current transaction is aborted, commands ignored until end of transaction block")),
        false => Ok(()),
    }
}

/// What a value of SET says, without quotes.
fn value(expr: &Expr) -> String {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) | Value::EscapedStringLiteral(text) => text.clone(),
            other => other.to_string(),
        },
        other => unquoted(&other.to_string()),
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches('"').to_owned()
}

fn is_default(values: &[String]) -> bool {
    matches!(values, [only] if only.eq_ignore_ascii_case("default"))
}
