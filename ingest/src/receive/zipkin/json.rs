//! Spans of version 2 as JSON. Names are those of zipkin-api's `zipkin2-api.yaml`.
//!
//! Ids are hexadecimal, of any case, with or without leading zeros. Numbers may be strings, and a `null` is as if it were not there.

use std::borrow::Cow;

use super::model::{Endpoint, Limits, ZipkinSpan, hex_id, hex_parent};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::{Kind, ReadError, RequestWriter, Value};
use crate::wire::json::{JsonError, JsonReader};

/// The `ExportTraceServiceRequest` that says what the list in `body` says.
///
/// # Errors
/// No list of spans, or one that is too large as OTLP. What single spans must not have is left to the converter.
pub fn to_otlp(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ExportError> {
    let limits = Limits::from(config);
    let mut out = RequestWriter::new(config);
    let read = list(body, |reader| read_span(reader, limits)?.write(&mut out, limits));
    read.map_err(|e| e.of("list of Zipkin spans"))?;
    Ok(out.finish())
}

/// Calls `each` for every object of the list that `body` is.
pub(super) fn list<'a>(
    body: &'a [u8],
    mut each: impl FnMut(&mut JsonReader<'a>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| ReadError::Utf8)?;
    let mut reader = JsonReader::new(text);
    reader.array(|reader, _| if is_null(reader)? { Ok(()) } else { each(reader) })?;
    match reader.peek() {
        Ok(_) => Err(reader.error("something follows the list")),
        Err(_) => Ok(()),
    }
}

/// Passes over a `null`; says whether there was one.
pub(super) fn is_null(reader: &mut JsonReader<'_>) -> Result<bool, JsonError> {
    if reader.peek()? != b'n' {
        return Ok(false);
    }
    reader.skip()?;
    Ok(true)
}

/// A text, or nothing for `null`.
pub(super) fn text<'a>(reader: &mut JsonReader<'a>) -> Result<Text<'a>, JsonError> {
    if is_null(reader)? {
        return Ok(Text::default());
    }
    Ok(bytes(reader.string()?))
}

/// Any value as text; `null` is none.
pub(super) fn loose_text<'a>(reader: &mut JsonReader<'a>) -> Result<Option<Text<'a>>, JsonError> {
    if is_null(reader)? { Ok(None) } else { Ok(Some(bytes(reader.text()?))) }
}

/// A whole number, possibly as a string or with a fraction, which is cut off. `null` is 0.
pub(super) fn integer(reader: &mut JsonReader<'_>) -> Result<i128, JsonError> {
    if is_null(reader)? {
        return Ok(0);
    }
    let wrong = reader.clone();
    let text = reader.text()?;
    let whole = text.parse::<i64>().map(i128::from).ok();
    let float = || text.parse::<f64>().ok().filter(|n| n.abs() < 1e19).map(|n| n as i128);
    whole.or_else(float).ok_or_else(|| wrong.error("expected a number"))
}

/// A boolean; `null` is false.
pub(super) fn boolean(reader: &mut JsonReader<'_>) -> Result<bool, JsonError> {
    match reader.peek()? {
        b't' => reader.skip().map(|()| true),
        b'f' | b'n' => reader.skip().map(|()| false),
        _ => Err(reader.error("expected a boolean")),
    }
}

/// An endpoint; `null` is one of which nothing is known.
pub(super) fn endpoint<'a>(reader: &mut JsonReader<'a>) -> Result<Endpoint<'a>, JsonError> {
    let mut endpoint = Endpoint::default();
    if is_null(reader)? {
        return Ok(endpoint);
    }
    reader.object(|reader, key| {
        match &*key {
            "serviceName" => endpoint.service = text(reader)?,
            "ipv4" => endpoint.ipv4 = text(reader)?,
            "ipv6" => endpoint.ipv6 = text(reader)?,
            "port" => endpoint.port = i64::try_from(integer(reader)?).unwrap_or(0),
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok(endpoint)
}

/// The digits of an id; nothing for `null`.
pub(super) fn digits<'a>(reader: &mut JsonReader<'a>) -> Result<Cow<'a, str>, JsonError> {
    if is_null(reader)? { Ok(Cow::Borrowed("")) } else { reader.string() }
}

fn read_span<'a>(reader: &mut JsonReader<'a>, limits: Limits) -> Result<ZipkinSpan<'a>, JsonError> {
    let mut span = ZipkinSpan::new(limits);
    reader.object(|reader, key| {
        match &*key {
            "traceId" => span.trace_id = hex_id(&digits(reader)?),
            "id" => span.span_id = hex_id(&digits(reader)?),
            "parentId" => span.parent = hex_parent(&digits(reader)?),
            "name" => span.name = text(reader)?,
            "kind" => span.kind = kind(&text(reader)?),
            "timestamp" => span.timestamp_us = integer(reader)?,
            "duration" => span.duration_us = integer(reader)?,
            "localEndpoint" => span.local = endpoint(reader)?,
            "remoteEndpoint" => span.remote = endpoint(reader)?,
            "annotations" if !is_null(reader)? => reader.array(|reader, _| {
                let annotation = read_annotation(reader)?;
                limits.push(&mut span.annotations, annotation);
                Ok::<_, JsonError>(())
            })?,
            "tags" if !is_null(reader)? => reader.object(|reader, key| {
                if let Some(value) = loose_text(reader)? {
                    span.tags.put(bytes(key), Value::Text(value));
                }
                Ok::<_, JsonError>(())
            })?,
            // They were null.
            "annotations" | "tags" => {}
            "debug" => span.debug = boolean(reader)?,
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok(span)
}

fn read_annotation<'a>(reader: &mut JsonReader<'a>) -> Result<(i128, Text<'a>), JsonError> {
    let (mut time_us, mut value) = (0, Text::default());
    reader.object(|reader, key| {
        match &*key {
            "timestamp" => time_us = integer(reader)?,
            "value" => value = text(reader)?,
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok((time_us, value))
}

fn kind(text: &[u8]) -> Kind {
    match text {
        b"CLIENT" => Kind::Client,
        b"SERVER" => Kind::Server,
        b"PRODUCER" => Kind::Producer,
        b"CONSUMER" => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

pub(super) fn bytes(text: Cow<'_, str>) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
