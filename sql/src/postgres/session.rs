//! What a session keeps between two messages.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::TenantId;
use parking_lot::Mutex;
use pgwire::api::ClientInfo;
use pgwire::error::{PgWireError, PgWireResult};
use uuid::Uuid;

use super::cancel::CancelKey;
use super::catalog::{Described, Names};
use super::errors::{fatal, told};
use super::settings::Settings;

/// Prepared statements of a session.
const STATEMENTS_MAX: usize = 1_000;
/// Bytes of their texts.
const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Portals of a session, each of which may hold a turn of the tenant and a batch of rows.
const PORTALS_MAX: usize = 64;

/// A session; found among the extensions of its connection once the client was let in.
#[derive(Debug)]
pub(super) struct Session {
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// The database as the client calls it.
    pub(super) database: String,
    /// The user as the client calls itself.
    pub(super) user: String,
    /// What its queries are part of.
    pub(super) flight: Uuid,
    /// Tables and columns.
    pub(super) names: Arc<Names>,
    /// What describes its database.
    pub(super) described: Described,
    /// What SET has set.
    pub(super) settings: Mutex<Settings>,
    /// What of it is kept.
    pub(super) kept: Mutex<Kept>,
    /// Cancels its queries as long as the session lives.
    pub(super) _key: CancelKey,
}

/// The names of a session's statements and portals, to count them.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Bytes of text by name.
    statements: HashMap<String, usize>,
    portals: HashMap<String, ()>,
}

impl Kept {
    /// Notes a prepared statement.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn statement(&mut self, name: &str, bytes: usize) -> PgWireResult<()> {
        let others = self.statements.iter().filter(|(other, _)| *other != name).map(|(_, bytes)| bytes).sum::<usize>();
        if self.statements.len() >= STATEMENTS_MAX && !self.statements.contains_key(name) {
            return Err(told("53400", format!("session has {STATEMENTS_MAX} prepared statements, the limit; close some")));
        }
        if others + bytes > STATEMENT_BYTES_MAX {
            return Err(told(
                "53400",
                format!("prepared statements have more than {STATEMENT_BYTES_MAX} bytes, the limit; close some"),
            ));
        }
        self.statements.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// Notes a portal.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn portal(&mut self, name: &str) -> PgWireResult<()> {
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(name) {
            return Err(told("53400", format!("session has {PORTALS_MAX} portals, the limit; close some")));
        }
        self.portals.insert(name.to_owned(), ());
        Ok(())
    }

    /// Forgets a statement.
    pub(super) fn forget_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Forgets a portal.
    pub(super) fn forget_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// The names of the statements, of which none is kept any more.
    pub(super) fn take_statements(&mut self) -> Vec<String> {
        self.statements.drain().map(|(name, _)| name).collect()
    }

    /// The names of the portals, of which none is kept any more.
    pub(super) fn take_portals(&mut self) -> Vec<String> {
        self.portals.drain().map(|(name, ())| name).collect()
    }
}

/// The session of a connection.
///
/// # Errors
/// The client was not let in yet.
pub(super) fn of<C: ClientInfo + ?Sized>(client: &C) -> Result<Arc<Session>, PgWireError> {
    client.session_extensions().get::<Session>().ok_or_else(|| fatal("08P01", "message before the end of the start-up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for n in 0..PORTALS_MAX {
            assert!(kept.portal(&n.to_string()).is_ok());
        }
        assert!(kept.portal("0").is_ok(), "the same again");
        assert!(kept.portal("more").is_err());
        kept.forget_portal("0");
        assert!(kept.portal("more").is_ok());
        assert!(kept.statement("a", STATEMENT_BYTES_MAX).is_ok());
        assert!(kept.statement("b", 1).is_err());
        assert!(kept.statement("a", 1).is_ok());
        assert!(kept.statement("b", 1).is_ok());
        assert_eq!(kept.take_statements().len(), 2);
    }
}
