//! Spans of version 1 as a list in Thrift's binary protocol. Field numbers are those of zipkin-api's `thrift/zipkinCore.thrift`, and
//! of jaeger-idl's copy, which has the upper half of trace ids and addresses of 16 bytes.

use std::net::Ipv4Addr;

use super::model::{Endpoint, Limits};
use super::protobuf::ipv6;
use super::v1::{Annotation, V1Span};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::{Parent, ReadError, RequestWriter, Value};
use crate::wire::thrift::{Field, ThriftError, ThriftReader};

/// The `ExportTraceServiceRequest` that says what the list in `body` says.
///
/// # Errors
/// No list of spans, or one that is too large as OTLP. What single spans must not have is left to the converter.
pub fn to_otlp(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ExportError> {
    translate(body, config).map_err(|e| e.of("list of zipkincore.Span"))
}

fn translate(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ReadError> {
    let limits = Limits::from(config);
    let mut out = RequestWriter::new(config);
    let mut reader = ThriftReader::new(body);
    reader.bare_structures(|reader| read_span(reader, limits)?.write(&mut out, limits))?;
    reader.end()?;
    Ok(out.finish())
}

fn read_span<'a>(reader: &mut ThriftReader<'a>, limits: Limits) -> Result<V1Span<'a>, ThriftError> {
    let mut span = V1Span::default();
    let (mut low, mut high) = (0, 0);
    reader.structure(|reader, field| {
        match field.id {
            1 => low = reader.i64(field)?,
            3 => span.name = reader.bytes(field)?.into(),
            4 => span.span_id = Some(reader.i64(field)?.to_be_bytes()),
            5 => span.parent = Parent::Of(reader.i64(field)?.to_be_bytes()),
            6 => reader.structures(field, |reader| {
                let annotation = read_annotation(reader)?;
                span.push_annotation(annotation, limits);
                Ok::<_, ThriftError>(())
            })?,
            8 => reader.structures(field, |reader| {
                let (key, value, host) = read_tag(reader)?;
                span.push_tag(key, value, host, limits);
                Ok::<_, ThriftError>(())
            })?,
            9 => span.debug = reader.boolean(field)?,
            10 => span.timestamp_us = reader.i64(field)?.into(),
            11 => span.duration_us = reader.i64(field)?.into(),
            12 => high = reader.i64(field)?,
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    span.trace_id = Some(((u128::from(high as u64) << 64) | u128::from(low as u64)).to_be_bytes());
    Ok(span)
}

fn read_annotation<'a>(reader: &mut ThriftReader<'a>) -> Result<Annotation<'a>, ThriftError> {
    let mut annotation = Annotation::default();
    reader.structure(|reader, field| {
        match field.id {
            1 => annotation.time_us = reader.i64(field)?.into(),
            2 => annotation.value = reader.bytes(field)?.into(),
            3 => annotation.host = read_endpoint(reader, field)?,
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    Ok(annotation)
}

fn read_tag<'a>(reader: &mut ThriftReader<'a>) -> Result<(Text<'a>, Value<'a>, Endpoint<'a>), ThriftError> {
    let (mut key, mut bytes, mut kind, mut host) = (&[][..], &[][..], 0, Endpoint::default());
    reader.structure(|reader, field| {
        match field.id {
            1 => key = reader.bytes(field)?,
            2 => bytes = reader.bytes(field)?,
            3 => kind = reader.i32(field)?,
            4 => host = read_endpoint(reader, field)?,
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    Ok((key.into(), value(kind, bytes), host))
}

/// A value by its type: big-endian numbers. What has another length than its type stays bytes.
fn value(kind: i32, bytes: &[u8]) -> Value<'_> {
    let number = match kind {
        0 => <[u8; 1]>::try_from(bytes).map(|[byte]| Value::Bool(byte == 1)),
        2 => bytes.try_into().map(|bytes| Value::Int(i16::from_be_bytes(bytes).into())),
        3 => bytes.try_into().map(|bytes| Value::Int(i32::from_be_bytes(bytes).into())),
        4 => bytes.try_into().map(|bytes| Value::Int(i64::from_be_bytes(bytes))),
        5 => bytes.try_into().map(|bytes| Value::Double(f64::from_be_bytes(bytes))),
        6 => Ok(Value::Text(bytes.into())),
        _ => Ok(Value::Bytes(bytes)),
    };
    number.unwrap_or(Value::Bytes(bytes))
}

fn read_endpoint<'a>(reader: &mut ThriftReader<'a>, field: Field) -> Result<Endpoint<'a>, ThriftError> {
    let mut endpoint = Endpoint::default();
    reader.nested(field, |reader, field| {
        match field.id {
            1 => match reader.i32(field)? as u32 {
                0 => {}
                bits => endpoint.ipv4 = Ipv4Addr::from_bits(bits).to_string().into_bytes().into(),
            },
            // An unsigned number in a signed one.
            2 => endpoint.port = (reader.i16(field)? as u16).into(),
            3 => endpoint.service = reader.bytes(field)?.into(),
            4 => endpoint.ipv6 = ipv6(reader.bytes(field)?),
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    Ok(endpoint)
}
