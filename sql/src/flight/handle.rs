//! Handles of prepared statements and tickets: a statement with everything that it takes to run it, signed.

use std::time::Duration;

use bytes::Bytes;
use catalog::TenantId;
use uuid::Uuid;

use super::Flight;
use super::seal::Purpose;
use crate::error::{Error, Result};

/// How long a prepared statement can be used.
const PREPARED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long after GetFlightInfo its tickets can be used.
const TICKET_FOR: Duration = Duration::from_secs(60 * 60);

/// A statement that the client holds.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Statement {
    /// SQL.
    #[prost(string, tag = "1")]
    pub(super) text: String,
    /// Rows of values for its placeholders, as an Arrow stream; empty: none.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) values: Bytes,
    /// Whether the values go by the names of their columns, not by position.
    #[prost(bool, tag = "3")]
    pub(super) named: bool,
    /// Whose it is.
    #[prost(string, tag = "4")]
    pub(super) tenant: String,
    /// Nanoseconds since the epoch.
    #[prost(int64, tag = "5")]
    pub(super) expires_ns: i64,
    /// The schema that names without one belong to; empty: the default.
    #[prost(string, tag = "6")]
    pub(super) schema: String,
    /// The flight that a ticket is of; empty in handles of prepared statements.
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) flight: Bytes,
    /// Which of the endpoints of a shared flight this is, from 1; 0: the flight has one endpoint.
    #[prost(uint32, tag = "8")]
    pub(super) endpoint: u32,
    /// Rows after which the answer is cut.
    #[prost(uint64, optional, tag = "9")]
    pub(super) max_rows: Option<u64>,
}

impl Statement {
    /// A statement of `tenant`.
    pub(super) fn new(text: String, tenant: &TenantId, schema: Option<&str>) -> Self {
        let schema = schema.unwrap_or_default().to_owned();
        Self { text, tenant: tenant.to_string(), schema, ..Self::default() }
    }

    /// The flight that it is the ticket of.
    pub(super) fn flight_id(&self) -> Option<Uuid> {
        Uuid::from_slice(&self.flight).ok()
    }
}

impl Flight {
    /// The handle of a prepared statement.
    pub(super) fn prepared(&self, mut statement: Statement) -> Bytes {
        statement.expires_ns = self.expiry_ns(PREPARED_FOR);
        self.seal.seal(Purpose::Prepared, &statement)
    }

    /// What DoGet takes for `statement`.
    pub(super) fn ticket(&self, mut statement: Statement, flight: Uuid, endpoint: u32) -> Bytes {
        statement.expires_ns = self.expiry_ns(TICKET_FOR);
        statement.flight = Bytes::copy_from_slice(flight.as_bytes());
        statement.endpoint = endpoint;
        self.seal.seal(Purpose::Ticket, &statement)
    }

    /// Opens a handle or ticket of `tenant`.
    ///
    /// # Errors
    /// `Parameter`: it was not made here, it is another tenant's, or it is too old.
    pub(super) fn open(&self, purpose: Purpose, sealed: &[u8], tenant: &TenantId) -> Result<Statement> {
        let (name, again) = match purpose {
            Purpose::Prepared => ("prepared statement handle", "prepare the statement again"),
            _ => ("ticket", "ask for the flight again"),
        };
        let wrong = |reason| Err(Error::Parameter { name, reason: format!("{reason}; {again}") });
        let Some(statement) = self.seal.open::<Statement>(purpose, sealed) else {
            return wrong("was not made by this server, or not since it started");
        };
        if statement.tenant != tenant.as_str() {
            return wrong("belongs to another tenant");
        }
        if statement.expires_ns < self.engine.engine().env().now().as_nanos() {
            return wrong("is too old");
        }
        Ok(statement)
    }

    fn expiry_ns(&self, after: Duration) -> i64 {
        let after_ns = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
        self.engine.engine().env().now().as_nanos().saturating_add(after_ns)
    }
}
