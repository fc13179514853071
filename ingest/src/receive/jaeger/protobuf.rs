//! `jaeger.api_v2.PostSpansRequest`. Field numbers are those of jaeger-idl's `proto/api_v2/{collector,model}.proto`.
//!
//! A span may have a process of its own, which counts more than the batch's. Spans with the batch's are written first, so that its
//! tags are written once.

use super::model::{self, JaegerSpan, Limits, Reference};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::{Attributes, ReadError, RequestWriter, Value, trace_id};
use crate::wire::{Reader, WireError};

/// The message, for errors.
pub(super) const REQUEST: &str = "jaeger.api_v2.PostSpansRequest";
const NS_PER_S: i128 = 1_000_000_000;

/// The `ExportTraceServiceRequest` that says what the request in `body` says.
///
/// # Errors
/// No request, or one that is too large as OTLP. What single spans must not have is left to the converter.
pub fn to_otlp(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ExportError> {
    translate(body, config).map_err(|e| e.of(REQUEST))
}

fn translate(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ReadError> {
    let limits = Limits::from(config);
    let batch = once(body, 1)?.unwrap_or_default();
    let mut out = RequestWriter::new(config);
    out.resource(&mut read_process(once(batch, 2)?.unwrap_or_default(), limits)?);
    each(batch, 1, |message| match once(message, 10)? {
        None => read_span(message, limits)?.write(&mut out, limits),
        Some(_) => Ok(()),
    })?;
    each(batch, 1, |message| match once(message, 10)? {
        None => Ok(()),
        Some(process) => {
            out.resource(&mut read_process(process, limits)?);
            read_span(message, limits)?.write(&mut out, limits)
        }
    })?;
    Ok(out.finish())
}

/// The bytes of the field `number`, which may be there once.
fn once(message: &[u8], number: u32) -> Result<Option<&[u8]>, WireError> {
    let mut found = None;
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number == number && found.replace(field.bytes()?).is_some() {
            return Err(WireError::Repeated { field: number });
        }
    }
    Ok(found)
}

/// Calls `of` for the bytes of every field `number`.
fn each<'a, E: From<WireError>>(message: &'a [u8], number: u32, mut of: impl FnMut(&'a [u8]) -> Result<(), E>) -> Result<(), E> {
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number == number {
            of(field.bytes()?)?;
        }
    }
    Ok(())
}

fn read_process(message: &[u8], limits: Limits) -> Result<Attributes<'_>, WireError> {
    let (mut service, mut tags) = (&[][..], limits.tags());
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => service = field.bytes()?,
            2 => read_tag(field.bytes()?, &mut tags)?,
            _ => {}
        }
    }
    Ok(model::resource(service, tags, limits))
}

fn read_span(message: &[u8], limits: Limits) -> Result<JaegerSpan<'_>, WireError> {
    let mut span = JaegerSpan::new(limits);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => span.trace_id = trace_id(field.bytes()?),
            2 => span.span_id = field.bytes()?.try_into().ok(),
            3 => span.name = field.bytes()?,
            4 => limits.push(&mut span.references, read_reference(field.bytes()?)?),
            5 => span.flags = field.uint32()?,
            6 => span.start_ns = read_time(field.bytes()?)?,
            7 => span.duration_ns = read_time(field.bytes()?)?,
            8 => read_tag(field.bytes()?, &mut span.tags)?,
            9 => {
                let log = read_log(field.bytes()?, limits)?;
                limits.push(&mut span.logs, log);
            }
            12 if span.warnings.len() <= limits.warnings_max() => span.warnings.push(field.bytes()?),
            _ => {}
        }
    }
    Ok(span)
}

fn read_reference(message: &[u8]) -> Result<Reference, WireError> {
    let mut reference = Reference { trace_id: None, span_id: None, kind: 0 };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => reference.trace_id = trace_id(field.bytes()?),
            2 => reference.span_id = field.bytes()?.try_into().ok(),
            3 => reference.kind = field.int32()?,
            _ => {}
        }
    }
    Ok(reference)
}

fn read_log(message: &[u8], limits: Limits) -> Result<(i128, Attributes<'_>), WireError> {
    let (mut time_ns, mut fields) = (0, limits.tags());
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => time_ns = read_time(field.bytes()?)?,
            2 => read_tag(field.bytes()?, &mut fields)?,
            _ => {}
        }
    }
    Ok((time_ns, fields))
}

/// A `google.protobuf.Timestamp` or `Duration`, in nanoseconds.
fn read_time(message: &[u8]) -> Result<i128, WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int32()?,
            _ => {}
        }
    }
    Ok(i128::from(seconds) * NS_PER_S + i128::from(nanos))
}

fn read_tag<'a>(message: &'a [u8], tags: &mut Attributes<'a>) -> Result<(), WireError> {
    let (mut key, mut kind) = (&[][..], 0);
    let (mut text, mut boolean, mut int, mut double, mut binary) = (&[][..], false, 0, 0.0, &[][..]);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => key = field.bytes()?,
            2 => kind = field.int32()?,
            3 => text = field.bytes()?,
            4 => boolean = field.boolean()?,
            5 => int = field.int64()?,
            6 => double = field.double()?,
            7 => binary = field.bytes()?,
            _ => {}
        }
    }
    let value = match kind {
        0 => Value::Text(text.into()),
        1 => Value::Bool(boolean),
        2 => Value::Int(int),
        3 => Value::Double(double),
        4 => Value::Bytes(binary),
        other => model::unknown_type(other),
    };
    tags.put(key, value);
    Ok(())
}
