//! The Postgres wire protocol (version 3): psql, DBeaver, Metabase and Grafana connect as to a Postgres that can only be read.
//!
//! ```text
//!            ┌ startup ─ database → tenant, password → Admit ─► session
//! socket ─wire┤ simple  ─ text ─ statements ─ one after the other ──┐       ┌ command: SET, SHOW, BEGIN ... without the engine
//!   ▲        └ extended ─ parse ─ describe, bind ─ params ─ execute ─┴─ ask ─┤
//!   └──────────────────────── rows, batch by batch ◄─────────────────────────┴ SqlEngine, with the names of [`catalog`] beside ours
//! other socket ─ cancel key ─► the queries of that session end
//! ```
//! pgwire reads and writes the messages; what is decided is decided here. The protocol has no words for most of our limits, so errors
//! carry the SQLSTATE nearest to what a client can do about it ([`errors`]).
//!
//! # Invariants
//! - A statement runs through [`SqlEngine`], so with its gates, turns, limits and deadline; the deadline covers the last row.
//! - A session belongs to one tenant from its first message to its last. What it keeps is bounded: statements, portals, settings.
//! - A client that goes away ends its query. A stop ends idle sessions at once and busy ones after the message they are at.
//! - No message is taken into memory that is longer than [`wire::MESSAGE_BYTES_MAX`]; one of a stranger is shorter still.

mod ask;
mod cancel;
mod catalog;
mod catalog_dialect;
mod command;
mod connection;
mod cursor;
mod dialect;
mod encryption;
mod errors;
mod extended;
mod format;
pub mod frames;
mod functions;
mod information_schema;
mod params;
mod rows;
pub mod scram;
mod session;
pub mod settings;
mod simple;
mod startup;
mod statements;
mod to_char;
mod users;
mod views;
mod wire;

use std::sync::Arc;

use ::catalog::TenantId;
use tokio::sync::OnceCell;
use tokio_rustls::rustls::ServerConfig;

use crate::engine::SqlEngine;
use cancel::CancelKeys;
use catalog::Names;
pub use scram::Verifier;
use statements::Rewriter;

/// Decides who a session is for. The root package has the tokens.
pub trait Admit: std::fmt::Debug + Send + Sync {
    /// How a session of `user` has to prove who it is.
    fn wants(&self, user: &str) -> Wanted;

    /// The tenant of a session that asks for `tenant`, or for none in particular, and has shown this.
    ///
    /// # Errors
    /// Why it is not let in, for the client to read.
    fn admit(&self, tenant: Option<TenantId>, shown: Shown<'_>) -> Result<TenantId, String>;
}

/// What a client has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    Nothing,
    /// A token, as it is.
    Token,
    /// A proof that it has the password of which this is known.
    Proof(Verifier),
}

/// What a client has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// This token.
    Token(&'a str),
    /// That it has the password of this user.
    Proof(&'a str),
}

/// The service. One per process.
#[derive(Debug)]
pub struct Postgres {
    engine: Arc<SqlEngine>,
    admit: Arc<dyn Admit>,
    /// Encrypts, if there is a certificate; then nothing else is spoken.
    tls: Option<Arc<ServerConfig>>,
    cancel: Arc<CancelKeys>,
    rewriter: Rewriter,
    /// Tables and columns, read when the first session begins.
    names: OnceCell<Arc<Names>>,
}

impl Postgres {
    /// The service over `engine`, for those whom `admit` lets in, encrypted by `tls`, or not at all.
    pub fn new(engine: Arc<SqlEngine>, admit: Arc<dyn Admit>, tls: Option<Arc<ServerConfig>>) -> Arc<Self> {
        let cancel = Arc::new(CancelKeys::new(engine.engine().env().clone()));
        Arc::new(Self { engine, admit, tls, cancel, rewriter: Rewriter::new(), names: OnceCell::new() })
    }
}
