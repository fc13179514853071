//! `jaeger.thrift.Batch` in Thrift's binary protocol. Field numbers are those of jaeger-idl's `thrift/jaeger.thrift`.
//!
//! Times are microseconds. The bytes are walked twice: the process may stand behind its spans.

use super::model::{self, JaegerSpan, Limits, Reference};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::{Attributes, ReadError, RequestWriter, Value};
use crate::wire::thrift::{Field, ThriftError, ThriftReader};

/// The message, for errors.
const BATCH: &str = "jaeger.thrift.Batch";
const NS_PER_US: i128 = 1_000;

/// The `ExportTraceServiceRequest` that says what the batch in `body` says.
///
/// # Errors
/// No batch, or one that is too large as OTLP. What single spans must not have is left to the converter.
pub fn to_otlp(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ExportError> {
    translate(body, config).map_err(|e| e.of(BATCH))
}

fn translate(body: &[u8], config: &ReceiveConfig) -> Result<Vec<u8>, ReadError> {
    let limits = Limits::from(config);
    let mut process = Process { service: &[], tags: limits.tags() };
    let mut reader = ThriftReader::new(body);
    reader.structure(|reader, field| match field.id {
        1 => {
            process = Process { service: &[], tags: limits.tags() };
            process.read(reader, field)
        }
        _ => reader.skip(field),
    })?;
    reader.end()?;
    let mut out = RequestWriter::new(config);
    out.resource(&mut model::resource(process.service, process.tags, limits));
    ThriftReader::new(body).structure(|reader, field| match field.id {
        2 => reader.structures(field, |reader| read_span(reader, limits)?.write(&mut out, limits)),
        _ => Ok(reader.skip(field)?),
    })?;
    Ok(out.finish())
}

struct Process<'a> {
    service: &'a [u8],
    tags: Attributes<'a>,
}

impl<'a> Process<'a> {
    fn read(&mut self, reader: &mut ThriftReader<'a>, field: Field) -> Result<(), ThriftError> {
        reader.nested(field, |reader, field| match field.id {
            1 => {
                self.service = reader.bytes(field)?;
                Ok(())
            }
            2 => read_tags(reader, field, &mut self.tags),
            _ => reader.skip(field),
        })
    }
}

fn read_span<'a>(reader: &mut ThriftReader<'a>, limits: Limits) -> Result<JaegerSpan<'a>, ThriftError> {
    let mut span = JaegerSpan::new(limits);
    let (mut low, mut high) = (0, 0);
    reader.structure(|reader, field| {
        match field.id {
            1 => low = reader.i64(field)?,
            2 => high = reader.i64(field)?,
            3 => span.span_id = Some(reader.i64(field)?.to_be_bytes()),
            4 => span.parent_id = reader.i64(field)?.to_be_bytes(),
            5 => span.name = reader.bytes(field)?,
            6 => reader.structures(field, |reader| {
                let reference = read_reference(reader)?;
                limits.push(&mut span.references, reference);
                Ok::<_, ThriftError>(())
            })?,
            7 => span.flags = reader.i32(field)? as u32,
            8 => span.start_ns = i128::from(reader.i64(field)?) * NS_PER_US,
            9 => span.duration_ns = i128::from(reader.i64(field)?) * NS_PER_US,
            10 => read_tags(reader, field, &mut span.tags)?,
            11 => reader.structures(field, |reader| {
                let log = read_log(reader, limits)?;
                limits.push(&mut span.logs, log);
                Ok::<_, ThriftError>(())
            })?,
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    span.trace_id = Some(trace_id(high, low));
    Ok(span)
}

fn read_reference(reader: &mut ThriftReader<'_>) -> Result<Reference, ThriftError> {
    let (mut kind, mut low, mut high, mut span_id) = (0, 0, 0, 0i64);
    reader.structure(|reader, field| {
        match field.id {
            1 => kind = reader.i32(field)?,
            2 => low = reader.i64(field)?,
            3 => high = reader.i64(field)?,
            4 => span_id = reader.i64(field)?,
            _ => reader.skip(field)?,
        }
        Ok::<_, ThriftError>(())
    })?;
    Ok(Reference { trace_id: Some(trace_id(high, low)), span_id: Some(span_id.to_be_bytes()), kind })
}

fn read_log<'a>(reader: &mut ThriftReader<'a>, limits: Limits) -> Result<(i128, Attributes<'a>), ThriftError> {
    let (mut time_us, mut fields) = (0, limits.tags());
    reader.structure(|reader, field| match field.id {
        1 => {
            time_us = reader.i64(field)?;
            Ok(())
        }
        2 => read_tags(reader, field, &mut fields),
        _ => reader.skip(field),
    })?;
    Ok((i128::from(time_us) * NS_PER_US, fields))
}

fn read_tags<'a>(reader: &mut ThriftReader<'a>, field: Field, tags: &mut Attributes<'a>) -> Result<(), ThriftError> {
    reader.structures(field, |reader| {
        let (mut key, mut kind) = (&[][..], 0);
        let (mut text, mut double, mut boolean, mut long, mut binary) = (&[][..], 0.0, false, 0, &[][..]);
        reader.structure(|reader, field| {
            match field.id {
                1 => key = reader.bytes(field)?,
                2 => kind = reader.i32(field)?,
                3 => text = reader.bytes(field)?,
                4 => double = reader.double(field)?,
                5 => boolean = reader.boolean(field)?,
                6 => long = reader.i64(field)?,
                7 => binary = reader.bytes(field)?,
                _ => reader.skip(field)?,
            }
            Ok::<_, ThriftError>(())
        })?;
        let value = match kind {
            0 => Value::Text(text.into()),
            1 => Value::Double(double),
            2 => Value::Bool(boolean),
            3 => Value::Int(long),
            4 => Value::Bytes(binary),
            other => model::unknown_type(other),
        };
        tags.put(key, value);
        Ok(())
    })
}

fn trace_id(high: i64, low: i64) -> [u8; 16] {
    ((u128::from(high as u64) << 64) | u128::from(low as u64)).to_be_bytes()
}
