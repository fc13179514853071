//! Other people's HTTP APIs, and the routes that every listener shares.
//!
//! - [`node`]: health, readiness, metrics and version, under the paths that Prometheus, Loki and Tempo users probe.
//!
//! # Invariants
//! - Foreign JSON shapes live here and nowhere else.
//! - A status code is made from [`catalog::ErrorKind`] and from nothing else ([`status::of`]).

pub mod node;
pub mod prometheus;
pub mod status;
