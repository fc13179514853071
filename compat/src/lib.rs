//! Other people's HTTP APIs, and the routes that every listener shares.
//!
//! - [`node`]: health, readiness, metrics and version, under the paths that Prometheus, Loki and Tempo users probe.
//! - [`prometheus`], [`loki`], [`tempo`], [`jaeger`], [`zipkin`]: one folder per dialect, one file per endpoint. What they have in
//!   common is beside them: parameters as Go reads them (`form`), times, JSON that is written straight into bytes, answers in pieces,
//!   compression, CORS, the query log (`asked`); traces as OTLP (`otlp`), searches for whole traces (`found`), TraceQL written for others (`spanql`), gRPC.
//!
//! # Invariants
//! - Foreign JSON shapes live here and nowhere else.
//! - A status code is made from [`catalog::ErrorKind`] and from nothing else ([`status::of`]).

pub mod jaeger;
pub mod loki;
pub mod node;
pub mod prometheus;
pub mod status;
pub mod tempo;
pub mod zipkin;

mod asked;
mod compress;
mod cors;
mod form;
mod found;
mod grpc;
mod json;
mod jsonpb;
mod otlp;
mod pieces;
mod spanql;
mod time;
