//! Other people's HTTP APIs, and the routes that every listener shares.
//!
//! - [`node`]: health, readiness, metrics and version, under the paths that Prometheus, Loki and Tempo users probe.
//! - [`prometheus`], [`loki`]: one folder per dialect, one file per endpoint. What they have in common is beside them: parameters
//!   as Go reads them (`form`), times, JSON that is written straight into bytes, answers in pieces, compression, CORS.
//!
//! # Invariants
//! - Foreign JSON shapes live here and nowhere else.
//! - A status code is made from [`catalog::ErrorKind`] and from nothing else ([`status::of`]).

pub mod loki;
pub mod node;
pub mod prometheus;
pub mod status;

mod compress;
mod cors;
mod form;
mod json;
mod pieces;
mod time;
