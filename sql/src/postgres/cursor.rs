//! Cursors of SQL: DECLARE begins a query, FETCH takes rows of it, CLOSE ends it. Clients that read more than they can hold use them.
//!
//! A cursor is a query that waits, as a portal is: it holds a turn of the tenant and at most a batch of rows, and its deadline goes on. It
//! ends with its transaction unless it was declared WITH HOLD. Rows come forward only.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use datafusion::sql::sqlparser::ast::{CloseCursor, DeclareType, FetchDirection, Statement as Ast, Value, ValueWithSpan};
use parking_lot::Mutex;
use pgwire::api::ClientInfo;
use pgwire::api::portal::Format;
use pgwire::api::results::{QueryResponse, Tag};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::response::TransactionStatus;

use super::errors::{failed, told};
use super::rows::{Rows, fields, plain_schema};
use super::session::{PORTALS_MAX, Session};
use crate::engine::SqlEngine;

/// A statement about a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CursorStatement {
    Declare {
        name: String,
        /// It outlives its transaction.
        hold: bool,
        /// The query.
        text: String,
    },
    Fetch {
        name: String,
        take: Take,
    },
    /// One cursor, or all.
    Close(Option<String>),
}

/// How many rows are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    Rows(u64),
    All,
    /// Not forward, which no cursor here can.
    Elsewhere,
}

impl CursorStatement {
    /// What `statement` says about a cursor; `None`: nothing.
    pub(super) fn of(statement: &Ast) -> Option<Self> {
        match statement {
            Ast::Declare { stmts } => match stmts.as_slice() {
                [one] if one.declare_type == Some(DeclareType::Cursor) => Some(Self::Declare {
                    name: one.names.first()?.value.clone(),
                    hold: one.hold == Some(true),
                    text: one.for_query.as_ref()?.to_string(),
                }),
                _ => None,
            },
            Ast::Fetch { name, direction, into: None, .. } => {
                Some(Self::Fetch { name: name.value.clone(), take: Take::of(direction) })
            }
            Ast::Close { cursor: CloseCursor::All } => Some(Self::Close(None)),
            Ast::Close { cursor: CloseCursor::Specific { name } } => Some(Self::Close(Some(name.value.clone()))),
            _ => None,
        }
    }
}

impl Take {
    fn of(direction: &FetchDirection) -> Self {
        let rows = |limit: &ValueWithSpan| match &limit.value {
            Value::Number(number, _) => number.to_string().parse().map_or(Self::Elsewhere, Self::Rows),
            _ => Self::Elsewhere,
        };
        match direction {
            FetchDirection::Next => Self::Rows(1),
            FetchDirection::All | FetchDirection::ForwardAll => Self::All,
            FetchDirection::Forward { limit } => limit.as_ref().map_or(Self::Rows(1), rows),
            FetchDirection::Count { limit } => rows(limit),
            _ => Self::Elsewhere,
        }
    }
}

/// The cursors of a session.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<HashMap<String, Cursor>>);

struct Cursor {
    hold: bool,
    rows: Rows,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("hold", &self.hold).finish_non_exhaustive()
    }
}

impl Cursors {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// The columns of the cursor `name`, if there is one.
    pub(super) fn schema(&self, name: &str) -> Option<SchemaRef> {
        self.0.lock().get(name).map(|cursor| Arc::clone(cursor.rows.schema()))
    }

    /// Ends those of a transaction with it.
    pub(super) fn end_transaction(&self) {
        self.0.lock().retain(|_, cursor| cursor.hold);
    }

    /// Ends all.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Ends one, or all.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn close(&self, name: Option<&str>) -> PgWireResult<Tag> {
        match name {
            None => {
                self.clear();
                Ok(Tag::new("CLOSE CURSOR ALL"))
            }
            Some(name) => match self.0.lock().remove(name) {
                Some(_) => Ok(Tag::new("CLOSE CURSOR")),
                None => Err(missing(name)),
            },
        }
    }
}

/// There is no such cursor.
pub(super) fn missing(name: &str) -> PgWireError {
    told("34000", format!("cursor \"{name}\" does not exist"))
}

/// Begins the query of a new cursor.
///
/// # Errors
/// The name is taken; there are too many; there is no transaction that it could end with; the query is refused.
pub(super) async fn declare<C: ClientInfo>(
    engine: &SqlEngine,
    session: &Session,
    client: &C,
    (name, hold, text): (&str, bool, &str),
    values: Option<ParamValues>,
) -> PgWireResult<Tag> {
    if !hold && matches!(client.transaction_status(), TransactionStatus::Idle) {
        return Err(told("25P01", "DECLARE CURSOR can only be used in transaction blocks, or WITH HOLD"));
    }
    if session.cursors.schema(name).is_some() {
        return Err(told("42P03", format!("cursor \"{name}\" already exists")));
    }
    if session.cursors.len() >= PORTALS_MAX {
        return Err(told("53400", format!("session has {PORTALS_MAX} cursors, the limit; close some")));
    }
    let query = engine.execute(&session.tenant, session.request(text.to_owned(), values)).await.map_err(|e| failed(&e))?;
    let schema = plain_schema(query.schema());
    session.cursors.0.lock().insert(name.to_owned(), Cursor { hold, rows: Rows::new(query, schema) });
    Ok(Tag::new("DECLARE CURSOR"))
}

/// The next rows of a cursor. It is nobody's while they are sent; after an error it is gone.
///
/// # Errors
/// There is none of that name; rows are wanted that are not ahead; formats for another number of columns.
pub(super) fn fetch(session: &Arc<Session>, name: &str, take: Take, format: &Format) -> PgWireResult<QueryResponse> {
    let left = match take {
        Take::Rows(rows) => Some(rows),
        Take::All => None,
        Take::Elsewhere => {
            return Err(told("55000", "cursor can only scan forward: FETCH NEXT, FORWARD, ALL, or a number of rows"));
        }
    };
    let schema = session.cursors.schema(name).ok_or_else(|| missing(name))?;
    let fields = fields(&schema, format)?;
    let cursor = session.cursors.0.lock().remove(name).ok_or_else(|| missing(name))?;
    let (session, name, hold) = (Arc::clone(session), name.to_owned(), cursor.hold);
    let back = move |rows| drop(session.cursors.0.lock().insert(name, Cursor { hold, rows }));
    let mut response = cursor.rows.take(left, fields, back);
    response.set_command_tag("FETCH");
    Ok(response)
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<CursorStatement>) {
        let statement = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("a statement").remove(0);
        assert_eq!(CursorStatement::of(&statement), expected, "{text}");
    }

    #[test]
    fn statements() {
        let declare = |hold| CursorStatement::Declare { name: "c".to_owned(), hold, text: "SELECT 1".to_owned() };
        check("DECLARE c CURSOR FOR SELECT 1", Some(declare(false)));
        check("DECLARE \"c\" NO SCROLL CURSOR WITH HOLD FOR SELECT 1", Some(declare(true)));
        let fetch = |take| CursorStatement::Fetch { name: "c".to_owned(), take };
        check("FETCH FORWARD 100 FROM c", Some(fetch(Take::Rows(100))));
        check("FETCH 3 FROM \"c\"", Some(fetch(Take::Rows(3))));
        check("FETCH NEXT FROM c", Some(fetch(Take::Rows(1))));
        check("FETCH ALL FROM c", Some(fetch(Take::All)));
        check("FETCH BACKWARD 3 FROM c", Some(fetch(Take::Elsewhere)));
        check("FETCH ABSOLUTE 1 FROM c", Some(fetch(Take::Elsewhere)));
        check("CLOSE c", Some(CursorStatement::Close(Some("c".to_owned()))));
        check("CLOSE ALL", Some(CursorStatement::Close(None)));
        check("SELECT 1", None);
    }
}
