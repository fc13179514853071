//! What a client asks for.

use std::time::Duration;

use axum::extract::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use serde_json::Value;

use crate::config::TEXT_BYTES_MAX;
use crate::engine::SqlRequest;
use crate::error::{Error, Result};
use crate::format::{Compression, Format};
use crate::params;

/// Longest body: the statement, its parameters, and JSON's escapes.
const BODY_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;

/// A request, read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: SqlRequest,
    pub(super) format: Format,
    pub(super) compression: Option<Compression>,
}

/// Options as they come in; later sources overrule earlier ones.
#[derive(Debug, Default)]
struct Options {
    query: Option<String>,
    format: Option<Format>,
    compression: Option<Compression>,
    params: Value,
    snapshot: Option<u64>,
    timeout: Option<Duration>,
    max_rows: Option<u64>,
    max_bytes_scanned: Option<u64>,
    explain_analyze: bool,
}

/// Reads a request: options from the URL, then from a form or JSON body; any other body is the statement.
///
/// # Errors
/// `Parameter`, `BodyTooLarge`.
pub(super) async fn read(request: Request) -> Result<Asked> {
    let (parts, body) = request.into_parts();
    let mut options = Options::default();
    options.pairs(parts.uri.query().unwrap_or_default().as_bytes())?;
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Error::BodyTooLarge { limit: BODY_BYTES_MAX })?;
    match content_type(&parts) {
        _ if body.is_empty() => {}
        "application/x-www-form-urlencoded" => options.pairs(&body)?,
        "application/json" => options.json(&body)?,
        _ => {
            let text = std::str::from_utf8(&body).map_err(|_| wrong("body", "is no UTF-8 text"))?;
            options.query = Some(text.to_owned());
        }
    }
    let format = match (options.format, header(&parts, ACCEPT)) {
        (Some(format), _) => format,
        (None, Some(accept)) => Format::from_accept(accept).unwrap_or(Format::Json),
        (None, None) => Format::Json,
    };
    if options.compression.is_some() && format != Format::Arrow {
        return Err(wrong("compression", &format!("is for the format arrow, not for {}", format.name())));
    }
    let timeout = match (options.timeout, header(&parts, "timeout")) {
        (None, Some(timeout)) => Some(duration(timeout)?),
        (timeout, _) => timeout,
    };
    let text = options.query.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| wrong("query", "is missing: send SQL as the body or as query="))?;
    Ok(Asked {
        request: SqlRequest {
            text,
            params: params::parse(&options.params)?,
            snapshot: options.snapshot,
            timeout,
            max_rows: options.max_rows,
            max_bytes_scanned: options.max_bytes_scanned,
            explain_analyze: options.explain_analyze,
            ..SqlRequest::default()
        },
        format,
        compression: options.compression,
    })
}

impl Options {
    fn pairs(&mut self, encoded: &[u8]) -> Result<()> {
        for (key, value) in url::form_urlencoded::parse(encoded) {
            match &*key {
                "params" => {
                    self.params = serde_json::from_str(&value).map_err(|e| wrong("params", &format!("is no JSON: {e}")))?
                }
                _ => self.set(&key, &value)?,
            }
        }
        Ok(())
    }

    fn json(&mut self, body: &[u8]) -> Result<()> {
        let body: Value = serde_json::from_slice(body).map_err(|e| wrong("body", &format!("is no JSON: {e}")))?;
        let Value::Object(body) = body else { return Err(wrong("body", "must be a JSON object")) };
        for (key, value) in body {
            match (key.as_str(), value) {
                ("params", value) => self.params = value,
                (_, Value::Null) => {}
                (key, Value::String(value)) => self.set(key, &value)?,
                (key, value) => self.set(key, &value.to_string())?,
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "query" | "q" | "sql" => self.query = Some(value.to_owned()),
            "format" | "default_format" => {
                let names = Format::ALL.map(Format::name).join(", ");
                let unknown = || {
                    wrong("format", &format!("{:?} is unknown; known are {names}", value.chars().take(40).collect::<String>()))
                };
                self.format = Some(Format::from_name(value).ok_or_else(unknown)?);
            }
            "compression" => {
                let unknown = || wrong("compression", "must be lz4 or zstd, which are for the format arrow");
                self.compression = match value {
                    "" | "none" => None,
                    name => Some(Compression::from_name(name).ok_or_else(unknown)?),
                }
            }
            "snapshot" => self.snapshot = Some(number("snapshot", value)?),
            "max_rows" => self.max_rows = Some(number("max_rows", value)?),
            "max_bytes_scanned" => self.max_bytes_scanned = Some(number("max_bytes_scanned", value)?),
            "timeout" => self.timeout = Some(duration(value)?),
            "explain" => {
                self.explain_analyze = match value {
                    "analyze" | "true" | "1" => true,
                    "false" | "0" | "" => false,
                    _ => return Err(wrong("explain", "must be analyze")),
                }
            }
            // What proxies and dashboards add is none of our business.
            _ => {}
        }
        Ok(())
    }
}

fn wrong(name: &'static str, reason: &str) -> Error {
    Error::Parameter { name, reason: reason.to_owned() }
}

fn number(name: &'static str, value: &str) -> Result<u64> {
    value.parse().map_err(|_| wrong(name, "must be a whole number"))
}

/// `30s`, `1m 30s`, or plain seconds.
pub(crate) fn duration(value: &str) -> Result<Duration> {
    let seconds = value.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let duration = seconds.or_else(|| humantime_serde::re::humantime::parse_duration(value).ok());
    duration.filter(|d| !d.is_zero()).ok_or_else(|| wrong("timeout", "must be a duration such as 30s"))
}

fn content_type(parts: &Parts) -> &str {
    header(parts, CONTENT_TYPE).and_then(|value| value.split(';').next()).map_or("", str::trim)
}

fn header<K: http::header::AsHeaderName>(parts: &Parts, name: K) -> Option<&str> {
    parts.headers.get(name)?.to_str().ok()
}
