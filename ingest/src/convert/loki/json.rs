//! Push requests in JSON, read value by value.
//!
//! ```text
//! {"streams":[{"stream":{"app":"api"},"values":[["1700000000000000000","line",{"trace_id":".."}]]}]}
//! {"streams":[{"labels":"{app=\"api\"}","entries":[{"ts":"2024-01-01T00:00:00Z","line":".."}]}]}     /api/prom/push
//! ```
//! As Loki reads it: a label's value may be anything, and what is no string is taken as it stands there; a time is digits, quoted or not;
//! the values of metadata are strings; keys that are not known are passed over, and so is what follows the request.

use super::PushFormat;
use super::push::{Push, Sent};
use crate::convert::streams::Stream;
use crate::wire::json::{JsonError, JsonReader};
use crate::wire::time::parse_iso8601;

/// How label sets of this form are told apart from others in the memo.
const LABEL_MAP: u8 = 1;

/// Hands every line of the request `body` to `push`, in order.
pub(super) fn read(body: &str, format: PushFormat, push: &mut Push<'_>) -> Result<(), JsonError> {
    let mut sent = Sent::default();
    JsonReader::new(body).object(|reader, key| match key.as_ref() {
        "streams" if reader.peek()? == b'n' => reader.skip(),
        "streams" => reader.array(|reader, _| stream(reader, format, push, &mut sent)),
        _ => reader.skip(),
    })
}

fn stream<'a>(
    reader: &mut JsonReader<'a>,
    format: PushFormat,
    push: &mut Push<'_>,
    sent: &mut Sent<'a>,
) -> Result<(), JsonError> {
    let (labels_key, lines_key) = match format {
        PushFormat::LegacyJson => ("labels", "entries"),
        PushFormat::Protobuf | PushFormat::Json => ("stream", "values"),
    };
    // The lines are passed over first, since their labels may come behind them; so they are read twice, but checked as a whole before.
    let (mut labels, mut lines, mut count) = (None, None, 0_u64);
    reader.object(|reader, key| {
        if key == labels_key {
            labels = Some(reader.raw()?);
            return Ok(());
        }
        if key != lines_key || reader.peek()? == b'n' {
            return reader.skip();
        }
        lines = Some(reader.position());
        reader.array(|reader, _| {
            count += 1;
            reader.skip()
        })
    })?;
    let Some(lines) = lines.filter(|_| count > 0) else { return Ok(()) };
    let stream = match format {
        PushFormat::LegacyJson => {
            let text = JsonReader::new(labels.unwrap_or("\"\"")).string()?;
            push.stream_of_text(text.as_bytes())
        }
        PushFormat::Protobuf | PushFormat::Json => {
            let map = labels.unwrap_or("{}");
            if !map.starts_with('{') {
                return Err(reader.error("stream is no object"));
            }
            push.stream_of_pairs(LABEL_MAP, map.as_bytes(), || pairs(map))
        }
    };
    match stream {
        Ok(stream) => reader.at(lines).array(|reader, _| {
            match format {
                PushFormat::LegacyJson => entry(reader, sent)?,
                PushFormat::Protobuf | PushFormat::Json => value(reader, sent)?,
            }
            self::line(&stream, push, sent);
            Ok(())
        }),
        Err(refusal) => {
            push.refuse(refusal, count);
            Ok(())
        }
    }
}

fn line(stream: &std::sync::Arc<Stream>, push: &mut Push<'_>, sent: &mut Sent<'_>) {
    // What was refused is counted; its neighbours go on.
    let _ = push.line(stream, sent);
}

/// The pairs of a label map; the last of equal names counts.
fn pairs(map: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    // It was read before, so that it reads now.
    let _ = JsonReader::new(map).object(|reader, name| {
        let value = reader.text()?.into_owned();
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => pairs.push((name.into_owned(), value)),
        }
        Ok::<_, JsonError>(())
    });
    pairs
}

/// `[time, line]` or `[time, line, metadata]`.
fn value<'a>(reader: &mut JsonReader<'a>, sent: &mut Sent<'a>) -> Result<(), JsonError> {
    sent.metadata.clear();
    let mut parts = 0;
    reader.array(|reader, index| {
        parts = index + 1;
        match index {
            0 => {
                let text = reader.text()?;
                let digits = text.strip_prefix('-').unwrap_or(&text);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(reader.error("expected nanoseconds since the epoch"));
                }
                sent.ts = text.parse().ok();
            }
            1 => sent.line = reader.string()?,
            2 => reader.object(|reader, name| {
                sent.metadata.push((name, reader.string()?));
                Ok::<_, JsonError>(())
            })?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    if parts < 2 { Err(reader.error("expected a time and a line")) } else { Ok(()) }
}

/// `{"ts": RFC 3339, "line": ..}`.
fn entry<'a>(reader: &mut JsonReader<'a>, sent: &mut Sent<'a>) -> Result<(), JsonError> {
    sent.metadata.clear();
    sent.line = "".into();
    let mut ts = None;
    reader.object(|reader, key| {
        match key.as_ref() {
            "ts" => ts = Some(parse_iso8601(&reader.string()?).ok_or_else(|| reader.error::<JsonError>("expected a time"))?),
            "line" => sent.line = reader.string()?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    sent.ts = Some(ts.ok_or_else(|| reader.error::<JsonError>("an entry without ts"))?);
    Ok(())
}
