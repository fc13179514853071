//! One document: flattened, and split into time, line, labels and metadata.

use std::borrow::Cow;

use catalog::labels::label_name;

use super::LABELS;
use super::bulk::Outcome;
use crate::convert::loki::push::{Push, Sent};
use crate::convert::loki::refused::{Refusal, Rule};
use crate::wire::json::{JsonError, JsonReader};
use crate::wire::time::parse_iso8601;

/// Objects within each other that are flattened; deeper ones are kept as JSON.
const FLATTEN_DEPTH_MAX: usize = 16;
/// How label sets of documents are told apart from others in the memo.
const DOCUMENT: u8 = 2;
/// Fields that hold the line, the strongest first.
const BODY_FIELDS: [&str; 3] = ["message", "log", "msg"];

/// Room for what is read of a document, used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Names and values of labels, each followed by 0xFF: what stands for the stream.
    labels: Vec<u8>,
}

/// A document's fields.
#[derive(Debug, Default)]
struct Fields<'a> {
    ts: Option<Cow<'a, str>>,
    body: [Option<Cow<'a, str>>; 3],
    rest: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Document {
    /// Reads `source`, a document for `index`, and hands its line to `push`.
    pub(super) fn take(&mut self, push: &mut Push<'_>, index: &str, source: &[u8]) -> Outcome {
        let text = push.text(source);
        let mut fields = Fields::default();
        let mut reader = JsonReader::new(&text);
        let read = reader.object(|reader, key| fields.top(reader, key)).and_then(|()| match reader.peek() {
            Ok(_) => Err(reader.error("more than one document")),
            Err(_) => Ok(()),
        });
        if let Err(error) = read {
            return refused(push, "document_parsing_exception", format!("failed to parse document: {error}"));
        }
        if index.is_empty() {
            return refused(push, "action_request_validation_exception", "Validation Failed: 1: index is missing;".to_owned());
        }
        let ts = match &fields.ts {
            None => {
                push.undated = true;
                Some(push.now_ns())
            }
            Some(text) => match time(text) {
                Some(ts) => Some(ts),
                None => {
                    let shown: String = text.chars().take(100).collect();
                    let reason = format!(
                        "failed to parse field [@timestamp] of type [date]: failed to parse date field [{shown}] with format \
                         [strict_date_optional_time||epoch_millis]"
                    );
                    return refused(push, "document_parsing_exception", reason);
                }
            },
        };
        let stream = self.stream(push, index, &mut fields);
        let stream = match stream {
            Ok(stream) => stream,
            Err(refusal) => {
                push.refuse(refusal.clone(), 1);
                return Outcome::of(refusal);
            }
        };
        let mut sent = Sent { ts, line: fields.line(&text), metadata: fields.rest };
        match push.line(&stream, &mut sent) {
            Ok(()) => Outcome::Created,
            Err(refusal) => Outcome::of(refusal),
        }
    }

    /// The stream of the fields that are labels, which are taken out of them.
    fn stream(
        &mut self,
        push: &mut Push<'_>,
        index: &str,
        fields: &mut Fields<'_>,
    ) -> Result<std::sync::Arc<crate::convert::streams::Stream>, Refusal> {
        let value_max = push.label_value_max();
        let labels = &mut self.labels;
        labels.clear();
        let mut add = |name: &str, value: &str| {
            for part in [name, value] {
                labels.extend_from_slice(part.as_bytes());
                labels.push(0xff);
            }
        };
        add("index", index);
        let mut taken: Vec<&str> = Vec::new();
        fields.rest.retain(|(name, value)| {
            let known = LABELS.iter().find(|label| **label == *name).filter(|_| !value.is_empty() && value.len() <= value_max);
            match known.filter(|label| !taken.contains(label)) {
                Some(label) => {
                    taken.push(label);
                    add(label, value);
                    false
                }
                None => true,
            }
        });
        let sent = &self.labels;
        push.stream_of_pairs(DOCUMENT, sent, || {
            let mut parts = sent.split(|byte| *byte == 0xff).map(|part| String::from_utf8_lossy(part).into_owned());
            let mut pairs = Vec::new();
            while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                pairs.push((name, value));
            }
            pairs
        })
    }
}

impl<'a> Fields<'a> {
    /// A field of the document itself.
    fn top(&mut self, reader: &mut JsonReader<'a>, key: Cow<'a, str>) -> Result<(), JsonError> {
        let is_text = reader.peek()? == b'"';
        if key == "@timestamp" {
            self.ts = Some(reader.text()?);
            return Ok(());
        }
        match BODY_FIELDS.iter().position(|field| *field == key).filter(|_| is_text) {
            Some(rank) => {
                self.body[rank] = Some(reader.string()?);
                Ok(())
            }
            None => {
                let name = match key {
                    Cow::Borrowed(key) => label_name(key),
                    Cow::Owned(key) => Cow::Owned(label_name(&key).into_owned()),
                };
                self.flatten(reader, name, 1)
            }
        }
    }

    fn flatten(&mut self, reader: &mut JsonReader<'a>, name: Cow<'a, str>, depth: usize) -> Result<(), JsonError> {
        match reader.peek()? {
            b'n' => return reader.skip(),
            b'{' if depth < FLATTEN_DEPTH_MAX => {
                return reader.object(|reader, key| {
                    let part = label_name_part(&key);
                    self.flatten(reader, Cow::Owned(format!("{name}_{part}")), depth + 1)
                });
            }
            _ => {}
        }
        let value = reader.text()?;
        if !name.is_empty() {
            self.rest.push((name, value));
        }
        Ok(())
    }

    /// The line: the strongest field that holds one, the others are metadata; without any it is the whole `document`.
    fn line<'t>(&mut self, document: &'t str) -> Cow<'t, str>
    where
        'a: 't,
    {
        let mut line = None;
        for (field, value) in BODY_FIELDS.into_iter().zip(std::mem::take(&mut self.body)) {
            match value {
                Some(value) if line.is_none() => line = Some(value),
                Some(value) => self.rest.push((Cow::Borrowed(field), value)),
                None => {}
            }
        }
        line.unwrap_or(Cow::Borrowed(document.trim()))
    }
}

/// A name behind another one: it may begin with a digit.
fn label_name_part(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// A time as Elasticsearch reads it: milliseconds since the epoch, or ISO 8601. A number of four digits is a year in a string only.
fn time(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number =
        !whole.is_empty() && (whole.len() > 4 || text.len() > whole.len()) && whole.bytes().all(|b| b.is_ascii_digit());
    if is_number && fraction.bytes().all(|b| b.is_ascii_digit()) {
        let ms: i64 = whole.parse().ok()?;
        let mut below_ns = 0;
        for at in 0..6 {
            below_ns = below_ns * 10 + fraction.as_bytes().get(at).map_or(0, |b| i64::from(b - b'0'));
        }
        let ns = ms.checked_mul(1_000_000)?.checked_add(below_ns)?;
        return Some(if text.starts_with('-') { -ns } else { ns });
    }
    parse_iso8601(text)
}

fn refused(push: &mut Push<'_>, kind: &'static str, reason: String) -> Outcome {
    push.refuse(Refusal::new(Rule::Document, reason.clone()), 1);
    Outcome::invalid(kind, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, expected) in [
            ("1700000000123", Some(1_700_000_000_123_000_000)),
            ("1700000000123.4567", Some(1_700_000_000_123_456_700)),
            ("-1", Some(-1_000_000)),
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123_000_000)),
            ("2023", Some(1_672_531_200_000_000_000)),
            ("", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
