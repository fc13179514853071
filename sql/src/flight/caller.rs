//! What a request says beside its message: whose it is, and what its headers ask for.

use std::time::Duration;

use arrow::ipc::CompressionType;
use catalog::TenantId;
use catalog::manifest::SnapshotId;
use query::usage::Origin;
use tonic::Request;
use tonic::metadata::MetadataMap;

use super::Flight;
use crate::engine::{Access, SqlRequest};
use crate::error::{Error, Result};
use crate::{Times, http};

/// Endpoints that a flight may have.
const ENDPOINTS_MAX: u32 = 64;

/// Who asks, and how.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) tenant: TenantId,
    /// Endpoints that a flight should have.
    pub(super) endpoints: u32,
    /// How the bodies of messages are compressed.
    pub(super) compression: Option<CompressionType>,
    /// The schema of the session.
    pub(super) schema: Option<String>,
    timeout: Option<Duration>,
    max_rows: Option<u64>,
    max_bytes_scanned: Option<u64>,
    snapshot: Option<SnapshotId>,
    /// Who, for the query log.
    log: query::usage::Caller,
}

impl Caller {
    /// Reads the headers of `request`.
    ///
    /// # Errors
    /// `Parameter` names the header.
    pub(super) fn read<T>(flight: &Flight, request: &Request<T>) -> Result<Self> {
        let tenant = request.extensions().get::<TenantId>().cloned().ok_or_else(|| Error::Internal {
            id: flight.engine.engine().env().new_uuid(),
            message: "the request carries no tenant".to_owned(),
        })?;
        let headers = request.metadata();
        let schema = flight.session(headers)?.schema();
        let endpoints = number(headers, "x-endpoints")?.unwrap_or(1);
        let endpoints = u32::try_from(endpoints).ok().filter(|n| (1..=ENDPOINTS_MAX).contains(n));
        let endpoints = endpoints.ok_or_else(|| wrong("x-endpoints", format!("must be from 1 to {ENDPOINTS_MAX}")))?;
        Ok(Self {
            tenant,
            endpoints,
            compression: compression(headers)?,
            schema,
            timeout: timeout(headers)?,
            max_rows: number(headers, "x-max-rows")?,
            max_bytes_scanned: number(headers, "x-max-bytes-scanned")?,
            snapshot: number(headers, "x-snapshot")?,
            log: query::usage::Caller::of_headers(|name| headers.get(name)?.to_str().ok()),
        })
    }

    /// A request for `text` with everything that the headers ask for.
    pub(super) fn request(&self, text: String) -> SqlRequest {
        SqlRequest {
            text,
            timeout: self.timeout,
            max_rows: self.max_rows,
            max_bytes_scanned: self.max_bytes_scanned,
            snapshot: self.snapshot,
            schema: self.schema.clone(),
            times: Times::Nanoseconds,
            access: Access::DropTables,
            origin: Origin { api: "flight", endpoint: "DoGet", caller: self.log.clone() },
            ..SqlRequest::default()
        }
    }
}

fn wrong(name: &'static str, reason: impl Into<String>) -> Error {
    Error::Parameter { name, reason: reason.into() }
}

fn text<'h>(headers: &'h MetadataMap, name: &'static str) -> Result<Option<&'h str>> {
    headers.get(name).map(|value| value.to_str().map_err(|_| wrong(name, "is no ASCII text"))).transpose()
}

fn number(headers: &MetadataMap, name: &'static str) -> Result<Option<u64>> {
    let parse = |value: &str| value.trim().parse().map_err(|_| wrong(name, "must be a whole number"));
    text(headers, name)?.map(parse).transpose()
}

/// The shorter of what gRPC and what the caller says.
fn timeout(headers: &MetadataMap) -> Result<Option<Duration>> {
    let grpc = text(headers, "grpc-timeout")?.map(grpc_timeout).transpose()?;
    let own = text(headers, "timeout")?.map(http::duration).transpose()?;
    Ok(grpc.into_iter().chain(own).min())
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: at most eight digits, then one of `H M S m u n`.
fn grpc_timeout(value: &str) -> Result<Duration> {
    let parse = || {
        let unit = value.chars().last()?;
        let digits = value.strip_suffix(unit)?;
        let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
        match unit {
            'H' => Some(Duration::from_secs(amount * 3_600)),
            'M' => Some(Duration::from_secs(amount * 60)),
            'S' => Some(Duration::from_secs(amount)),
            'm' => Some(Duration::from_millis(amount)),
            'u' => Some(Duration::from_micros(amount)),
            'n' => Some(Duration::from_nanos(amount)),
            _ => None,
        }
    };
    parse().ok_or_else(|| wrong("grpc-timeout", "must be up to eight digits and a unit of H, M, S, m, u or n"))
}

fn compression(headers: &MetadataMap) -> Result<Option<CompressionType>> {
    match text(headers, "x-ipc-compression")? {
        None | Some("none") => Ok(None),
        Some("lz4") => Ok(Some(CompressionType::LZ4_FRAME)),
        Some("zstd") => Ok(Some(CompressionType::ZSTD)),
        Some(_) => Err(wrong("x-ipc-compression", "must be none, lz4 or zstd")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_grpc() {
        #[track_caller]
        fn check(value: &str, expected_ms: Option<u64>) {
            assert_eq!(grpc_timeout(value).ok(), expected_ms.map(Duration::from_millis), "{value:?}");
        }
        check("1H", Some(3_600_000));
        check("2M", Some(120_000));
        check("10S", Some(10_000));
        check("250m", Some(250));
        check("5000u", Some(5));
        check("7000000n", Some(7));
        check("99999999H", Some(99_999_999 * 3_600_000));
        for wrong in ["", "S", "10", "-1S", "123456789S", "1s", "1é", "+1S "] {
            check(wrong, None);
        }
    }

    #[test]
    fn the_shorter_timeout_counts() {
        let mut headers = MetadataMap::new();
        headers.insert("timeout", "30s".parse().expect("ascii"));
        headers.insert("grpc-timeout", "1M".parse().expect("ascii"));
        assert_eq!(timeout(&headers).expect("both are well-formed"), Some(Duration::from_secs(30)));
        headers.insert("grpc-timeout", "1S".parse().expect("ascii"));
        assert_eq!(timeout(&headers).expect("both are well-formed"), Some(Duration::from_secs(1)));
    }
}
