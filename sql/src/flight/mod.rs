//! Arrow Flight and Flight SQL: statements, prepared statements, catalogs and plain Flight on one gRPC service.
//!
//! ```text
//! GetFlightInfo, GetSchema, PollFlightInfo ─ descriptor ─► Question ─► schema, tickets
//! DoGet ──────────────────────────────────── ticket ─────► Question ─► batches ─edge─► messages of 2 MiB, empty ones to keep alive
//! DoPut ──────────────────────────────────── values ─────► a new handle that holds them
//!       ──────────────────────────────────── rows ───────► a table of the user (`ingest`)
//! DoAction: prepare, close, cancel, session options
//! Handshake: Basic ─► Bearer
//! ```
//!
//! | command | answer |
//! |---|---|
//! | `CommandStatementQuery`, `CommandPreparedStatementQuery` | one endpoint; more with the header `x-endpoints` |
//! | `CommandGetCatalogs`, `GetDbSchemas`, `GetTables`, `GetTableTypes` | what the tenant can name |
//! | `CommandGetSqlInfo`, `CommandGetXdbcTypeInfo` | what this SQL can do |
//! | `CommandGetPrimaryKeys`, `GetExportedKeys`, `GetImportedKeys`, `GetCrossReference` | nothing, with the right columns |
//! | a path, `["logs"]` or `["system", "files"]` | the table |
//! | JSON, `{"language": "promql", "query": ..., "start": ..., "end": ..., "step": ...}`, also as a ticket | the answer of that language |
//!
//! Headers: `timeout` or `grpc-timeout`, `x-max-rows`, `x-max-bytes-scanned`, `x-snapshot`, `x-endpoints`, `x-ipc-compression`.
//!
//! # Invariants
//! - The schema of a flight is the schema of its stream, field by field: both come from one function of the question.
//! - Nothing is kept between calls: handles, tickets and session options are signed messages that the client holds. The one exception
//!   is a flight of several endpoints, which is one query that its readers share.
//! - A message from a client is opened for the tenant that the request belongs to, and for no other.
//! - No answer is collected: a batch is made when the client has room for it, and a client that goes away ends the query.

mod actions;
pub mod bound;
mod caller;
mod catalogs;
mod encode;
mod handle;
mod ingest;
mod keys;
pub mod plain;
mod question;
mod scalars;
mod seal;
mod server_info;
mod service;
mod session;
mod shared;
mod statements;
mod status;
mod type_info;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;

use crate::engine::SqlEngine;
use seal::Seal;
use shared::SharedFlights;

/// Bytes of a message from a client: a statement, values of a prepared one, and, by far the largest, a batch of rows to ingest. As much as a
/// request of OTLP may have.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The service. One per process.
#[derive(Debug)]
pub struct Flight {
    engine: Arc<SqlEngine>,
    seal: Seal,
    shared: SharedFlights,
}

/// The routes of Flight. The tenant is a [`catalog::TenantId`] among the request's extensions.
///
/// `key` signs handles and tickets: who has it can make them, and one that was made under another key is refused. Processes that answer
/// each other's tickets have the same key.
pub fn router(engine: Arc<SqlEngine>, key: [u8; 32]) -> Router {
    let flight = Flight { engine, seal: Seal::new(key), shared: SharedFlights::default() };
    let server = FlightServiceServer::new(flight).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let server = server.accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    Router::new().route_service("/arrow.flight.protocol.FlightService/{method}", server)
}
