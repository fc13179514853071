//! `zipkin.proto3.ListOfSpans`. Field numbers are those of zipkin-api's `zipkin.proto`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::model::{Endpoint, Limits, ZipkinSpan};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::{Kind, Parent, ReadError, RequestWriter, Value, trace_id};
use crate::wire::{Field, Reader, WireError};

/// The `ExportTraceServiceRequest` that says what the list in `body` says.
///
/// # Errors
/// No list of spans, or one that is too large as OTLP. What single spans must not have is left to the converter.
pub fn to_otlp(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ExportError> {
    translate(body, config).map_err(|e| e.of("zipkin.proto3.ListOfSpans"))
}

fn translate(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ReadError> {
    let limits = Limits::from(config);
    let mut out = RequestWriter::new(config);
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            read_span(field.bytes()?, limits)?.write(&mut out, limits)?;
        }
    }
    Ok(out.finish())
}

fn read_span(message: &[u8], limits: Limits) -> Result<ZipkinSpan<'_>, WireError> {
    let mut span = ZipkinSpan::new(limits);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => span.trace_id = trace_id(field.bytes()?),
            2 => span.parent = parent(field)?,
            3 => span.span_id = field.bytes()?.try_into().ok(),
            4 => span.kind = kind(field.int32()?),
            5 => span.name = field.bytes()?.into(),
            6 => span.timestamp_us = field.fixed64()?.into(),
            7 => span.duration_us = field.uint64()?.into(),
            8 => span.local = read_endpoint(field.bytes()?)?,
            9 => span.remote = read_endpoint(field.bytes()?)?,
            10 => {
                let annotation = read_annotation(field.bytes()?)?;
                limits.push(&mut span.annotations, annotation);
            }
            11 => {
                let (key, value) = read_tag(field.bytes()?)?;
                span.tags.put(key, Value::Text(value.into()));
            }
            12 => span.debug = field.boolean()?,
            _ => {}
        }
    }
    Ok(span)
}

fn parent(field: Field<'_>) -> Result<Parent, WireError> {
    let bytes = field.bytes()?;
    Ok(match bytes.try_into() {
        _ if bytes.is_empty() => Parent::None,
        Ok(id) => Parent::Of(id),
        Err(_) => Parent::Bad,
    })
}

fn kind(number: i32) -> Kind {
    match number {
        1 => Kind::Client,
        2 => Kind::Server,
        3 => Kind::Producer,
        4 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn read_endpoint(message: &[u8]) -> Result<Endpoint<'_>, WireError> {
    let mut endpoint = Endpoint::default();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => endpoint.service = field.bytes()?.into(),
            2 => endpoint.ipv4 = ipv4(field.bytes()?),
            3 => endpoint.ipv6 = ipv6(field.bytes()?),
            4 => endpoint.port = field.int32()?.into(),
            _ => {}
        }
    }
    Ok(endpoint)
}

/// An address of 4 bytes as text; nothing if it has another length.
fn ipv4<'a>(bytes: &[u8]) -> Text<'a> {
    let address = <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).to_string());
    address.unwrap_or_default().into_bytes().into()
}

/// An address of 16 bytes as text; nothing if it has another length.
pub(super) fn ipv6<'a>(bytes: &[u8]) -> Text<'a> {
    let address = <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string());
    address.unwrap_or_default().into_bytes().into()
}

fn read_annotation(message: &[u8]) -> Result<(i128, Text<'_>), WireError> {
    let (mut time_us, mut value) = (0, &[][..]);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => time_us = field.fixed64()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((time_us.into(), value.into()))
}

fn read_tag(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut key, mut value) = (&[][..], &[][..]);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}
