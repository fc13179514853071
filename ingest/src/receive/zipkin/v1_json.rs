//! Spans of version 1 as JSON. Names are those of zipkin-api's `zipkin-api.yaml`; values are read as those of version 2 are.

use super::json::{boolean, bytes, digits, endpoint, integer, is_null, list, loose_text, text};
use super::model::{Endpoint, Limits, hex_id, hex_parent};
use super::v1::{Annotation, V1Span};
use crate::receive::ReceiveConfig;
use crate::receive::otlp::status::ExportError;
use crate::receive::spans::attributes::Text;
use crate::receive::spans::{RequestWriter, Value};
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

fn read_span<'a>(reader: &mut JsonReader<'a>, limits: Limits) -> Result<V1Span<'a>, JsonError> {
    let mut span = V1Span::default();
    reader.object(|reader, key| {
        match &*key {
            "traceId" => span.trace_id = hex_id(&digits(reader)?),
            "id" => span.span_id = hex_id(&digits(reader)?),
            "parentId" => span.parent = hex_parent(&digits(reader)?),
            "name" => span.name = text(reader)?,
            "timestamp" => span.timestamp_us = integer(reader)?,
            "duration" => span.duration_us = integer(reader)?,
            "debug" => span.debug = boolean(reader)?,
            "annotations" if !is_null(reader)? => reader.array(|reader, _| {
                let annotation = read_annotation(reader)?;
                span.push_annotation(annotation, limits);
                Ok::<_, JsonError>(())
            })?,
            "binaryAnnotations" if !is_null(reader)? => reader.array(|reader, _| {
                if let (key, Some(value), host) = read_tag(reader)? {
                    span.push_tag(key, value, host, limits);
                }
                Ok::<_, JsonError>(())
            })?,
            // They were null.
            "annotations" | "binaryAnnotations" => {}
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok(span)
}

fn read_annotation<'a>(reader: &mut JsonReader<'a>) -> Result<Annotation<'a>, JsonError> {
    let mut annotation = Annotation::default();
    reader.object(|reader, key| {
        match &*key {
            "timestamp" => annotation.time_us = integer(reader)?,
            "value" => annotation.value = text(reader)?,
            "endpoint" => annotation.host = endpoint(reader)?,
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok(annotation)
}

type Tag<'a> = (Text<'a>, Option<Value<'a>>, Endpoint<'a>);

fn read_tag<'a>(reader: &mut JsonReader<'a>) -> Result<Tag<'a>, JsonError> {
    let (mut tag_key, mut value, mut host) = (Text::default(), None, Endpoint::default());
    reader.object(|reader, key| {
        match &*key {
            "key" => tag_key = bytes(digits(reader)?),
            "value" => value = loose_text(reader)?.map(Value::Text),
            "endpoint" => host = endpoint(reader)?,
            _ => reader.skip()?,
        }
        Ok::<_, JsonError>(())
    })?;
    Ok((tag_key, value, host))
}
