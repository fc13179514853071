//! What a push becomes while it is read: rows, and the account of what was refused.

use std::borrow::Cow;
use std::sync::Arc;

use catalog::labels::label_name;
use catalog::{Table, TenantId, Timestamp};
use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::labels;
use super::refused::{Refusal, Refused, Rule, shown};
use super::tenants::Tenant;
use super::{PushConverter, Pushed};
use crate::convert::day_rows::DayRows;
use crate::convert::lines::{Line, Lines};
use crate::convert::streams::{SERVICE_LABEL, Stream};
use crate::convert::{Converted, DecodeError};
use crate::wire::time::rfc3339_seconds;

/// How many entries of metadata are compared one with another before a hash set takes over.
const PAIRWISE_MAX: usize = 16;
/// The metadata that says the level, where the sender looked for it.
const LEVEL_METADATA: &str = "detected_level";

/// A line as it was sent: its metadata in the order in which it stands there.
#[derive(Debug, Default)]
pub(crate) struct Sent<'a> {
    /// Nanoseconds since the epoch; `None` when 64 bits do not hold it.
    pub(crate) ts: Option<i64>,
    pub(crate) line: Cow<'a, str>,
    pub(crate) metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// One request on its way to rows.
#[derive(Debug)]
pub(crate) struct Push<'c> {
    converter: &'c PushConverter,
    tenant_id: &'c TenantId,
    tenant: Arc<Tenant>,
    now: Timestamp,
    oldest_ns: i64,
    newest_ns: i64,
    lines: Lines,
    streams: DayRows<'c, Stream>,
    refused: Refused,
    /// The stream that was activated last: neighbours are often of one.
    active: Option<i64>,
    line_bytes: u64,
    read: u64,
    outcome: u64,
    replaced: u64,
    truncated: u64,
    /// Whether a line came without a time.
    pub(crate) undated: bool,
}

impl<'c> Push<'c> {
    /// Nothing yet; room for a body of `bytes` bytes.
    pub(crate) fn new(converter: &'c PushConverter, tenant: &'c TenantId, bytes: usize) -> Self {
        let now = converter.env.now();
        let config = &converter.config;
        Self {
            converter,
            tenant_id: tenant,
            tenant: converter.tenants.get(tenant),
            now,
            oldest_ns: config.reject_old_samples_max_age.map_or(i64::MIN, |age| now.saturating_sub(age).as_nanos()),
            newest_ns: now.saturating_add(config.creation_grace_period).as_nanos(),
            lines: Lines::new(bytes),
            streams: DayRows::new(Table::Streams, tenant, &converter.resources.seen),
            refused: Refused::default(),
            active: None,
            line_bytes: 0,
            read: 0,
            outcome: 0,
            replaced: 0,
            truncated: 0,
            undated: false,
        }
    }

    /// The time of arrival, in nanoseconds.
    pub(crate) fn now_ns(&self) -> i64 {
        self.now.as_nanos()
    }

    /// Bytes that a label's value may have.
    pub(crate) fn label_value_max(&self) -> usize {
        self.converter.config.max_label_value_length
    }

    /// `bytes` as text: what is not UTF-8 becomes U+FFFD and is counted.
    pub(crate) fn text<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, str> {
        match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                self.replaced += 1;
                String::from_utf8_lossy(bytes)
            }
        }
    }

    /// The stream whose labels were sent as the text `sent`.
    pub(crate) fn stream_of_text(&mut self, sent: &[u8]) -> Result<Arc<Stream>, Refusal> {
        let converter = self.converter;
        let stream = converter.stream(0, sent, || {
            let text = String::from_utf8_lossy(sent);
            let pairs = labels::parse(&text).map_err(|error| {
                Refusal::new(Rule::InvalidLabels, format!("Error parsing labels '{}' with error: {error}", shown(&text)))
            })?;
            converter.checked(pairs)
        })?;
        self.activate(stream)
    }

    /// The stream whose labels were sent as `sent`, which `read` turns into pairs.
    pub(crate) fn stream_of_pairs(
        &mut self,
        kind: u8,
        sent: &[u8],
        read: impl FnOnce() -> Vec<(String, String)>,
    ) -> Result<Arc<Stream>, Refusal> {
        let converter = self.converter;
        let stream = converter.stream(kind, sent, || {
            let pairs = read();
            if let Some((name, _)) = pairs.iter().find(|(name, _)| !labels::is_name(name)) {
                let all = labels::print(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                let text = format!("Error parsing labels '{}' with error: {:?} is no label name", shown(&all), shown(name));
                return Err(Refusal::new(Rule::InvalidLabels, text));
            }
            converter.checked(pairs)
        })?;
        self.activate(stream)
    }

    fn activate(&mut self, stream: Arc<Stream>) -> Result<Arc<Stream>, Refusal> {
        if self.active != Some(stream.id) {
            let streams_max = self.converter.config.max_streams_per_user;
            if !self.tenant.activate(stream.id, streams_max, self.now) {
                let text = format!(
                    "Maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams \
                     (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be \
                     increased, user: '{}'",
                    shown(&labels::print(stream.labels.iter())),
                    self.tenant_id
                );
                return Err(Refusal::new(Rule::StreamLimit, text));
            }
            self.active = Some(stream.id);
        }
        Ok(stream)
    }

    /// `lines` lines are refused.
    pub(crate) fn refuse(&mut self, refusal: Refusal, lines: u64) {
        for _ in 0..lines {
            self.read += 1;
            self.outcome = xxh3_64_with_seed(&self.read.to_le_bytes(), self.outcome);
        }
        self.refused.add(refusal, lines);
    }

    /// Takes a line of `stream`, or refuses it and says so.
    pub(crate) fn line(&mut self, stream: &Arc<Stream>, sent: &mut Sent<'_>) -> Result<(), Refusal> {
        let taken = self.try_line(stream, sent);
        match &taken {
            Ok(()) => self.read += 1,
            Err(refusal) => self.refuse(refusal.clone(), 1),
        }
        taken
    }

    fn try_line(&mut self, stream: &Arc<Stream>, sent: &mut Sent<'_>) -> Result<(), Refusal> {
        let ts = self.time(stream, sent.ts)?;
        let body = self.body(stream, &sent.line)?;
        self.check_metadata(stream, &sent.metadata)?;
        let (mut trace_id, mut span_id, mut said_level) = (None, None, None);
        sent.metadata.retain(|(name, value)| match name.as_ref() {
            "trace_id" if trace_id.is_none() => {
                trace_id = hex_id::<16>(value);
                trace_id.is_none()
            }
            "span_id" if span_id.is_none() => {
                span_id = hex_id::<8>(value);
                span_id.is_none()
            }
            LEVEL_METADATA if !value.is_empty() => {
                said_level.get_or_insert_with(|| value.to_string());
                false
            }
            _ => true,
        });
        for (name, _) in &mut sent.metadata {
            if let Cow::Owned(fitting) = label_name(name) {
                *name = Cow::Owned(fitting);
            }
        }
        distinct(&mut sent.metadata);
        let metadata = || sent.metadata.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let levels = &self.converter.resources.rules.levels;
        let level = match &said_level {
            Some(level) => level.as_str(),
            None => levels.of_pushed(stream.level.as_deref(), metadata(), body),
        };
        self.line_bytes += body.len() as u64;
        self.lines.push(stream, &Line { ts, level, body, trace_id, span_id }, metadata());
        self.streams.point(stream.id, stream, ts);
        Ok(())
    }

    fn time(&self, stream: &Stream, ts: Option<i64>) -> Result<i64, Refusal> {
        let of = || labels::print(stream.labels.iter());
        match ts {
            None => Err(Refusal::new(
                Rule::TimeRange,
                format!("entry for stream '{}' has a timestamp outside the years 1677 to 2262", shown(&of())),
            )),
            Some(ts) if ts < self.oldest_ns => {
                let (ts, oldest) = (rfc3339_seconds(ts), rfc3339_seconds(self.oldest_ns));
                let text = format!(
                    "entry for stream '{}' has timestamp too old: {ts}, oldest acceptable timestamp is: {oldest}",
                    shown(&of())
                );
                Err(Refusal::new(Rule::TooOld, text))
            }
            Some(ts) if ts > self.newest_ns => {
                let text = format!("entry for stream '{}' has timestamp too new: {}", shown(&of()), rfc3339_seconds(ts));
                Err(Refusal::new(Rule::TooNew, text))
            }
            Some(ts) => Ok(ts),
        }
    }

    fn body<'l>(&mut self, stream: &Stream, line: &'l str) -> Result<&'l str, Refusal> {
        let config = &self.converter.config;
        let max = config.max_line_size;
        if line.len() <= max {
            return Ok(line);
        }
        if config.max_line_size_truncate {
            self.truncated += 1;
            let end = (0..=max).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            return Ok(&line[..end]);
        }
        let text = format!(
            "Max entry size '{max}' bytes exceeded for stream '{}' while adding an entry with length '{}' bytes",
            shown(&labels::print(stream.labels.iter())),
            line.len()
        );
        Err(Refusal::new(Rule::LineTooLong, text))
    }

    fn check_metadata(&self, stream: &Stream, metadata: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<(), Refusal> {
        if metadata.is_empty() {
            return Ok(());
        }
        let config = &self.converter.config;
        let of = || labels::print(stream.labels.iter());
        let (bytes, max) = (metadata.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>(), config.max_structured_metadata_size);
        if bytes > max {
            let text = format!(
                "stream '{}' has structured metadata too large: '{bytes}' bytes, limit: '{max}' bytes. Please see \
                 `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it.",
                shown(&of())
            );
            return Err(Refusal::new(Rule::MetadataTooLarge, text));
        }
        let (count, max) = (metadata.len(), config.max_structured_metadata_entries_count);
        if count > max {
            let text = format!(
                "stream '{}' has too many structured metadata labels: '{count}', limit: '{max}'. Please see \
                 `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it.",
                shown(&of())
            );
            return Err(Refusal::new(Rule::MetadataTooMany, text));
        }
        Ok(())
    }

    /// The rows, and what was refused.
    pub(crate) fn finish(mut self) -> Result<Pushed, DecodeError> {
        let lines = self.lines.len();
        if lines > 0 && !self.tenant.take(self.line_bytes, &self.converter.config, self.now) {
            let limit = (self.converter.config.ingestion_rate_mb * 1_048_576.0) as u64;
            let text = format!(
                "Ingestion rate limit exceeded for user {} (limit: {limit} bytes/sec) while attempting to ingest '{lines}' lines \
                 totaling '{}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased",
                self.tenant_id, self.line_bytes
            );
            // One sentence for all of them, as Loki says it.
            metrics::counter!("telelake_ingest_records_off_total", "signal" => "logs", "what" => "refused", "rule" => Rule::RateLimited.name())
                .increment(lines as u64);
            let rejected = self.refused.lines() + lines as u64;
            let converted = Converted { rejected, reason: Some(text), ..Converted::default() };
            return Ok(Pushed { converted, throttled: true, outcome: 0 });
        }
        for (rule, count) in [("utf8", self.replaced), ("line_too_long", self.truncated)] {
            if count > 0 {
                metrics::counter!("telelake_ingest_records_off_total", "signal" => "logs", "what" => "changed", "rule" => rule)
                    .increment(count);
            }
        }
        let (throttled, reason) = self.refused.sentence().unzip();
        let mut converted = Converted {
            accepted: lines as u64,
            rejected: self.refused.lines(),
            reason,
            undated: self.undated,
            ..Converted::default()
        };
        if lines > 0 {
            let first_seq = self.converter.take_seq(lines);
            self.active = None;
            converted.rows.push((Table::Logs, self.lines.finish(first_seq)?));
        }
        converted.dictionary(Table::Streams, self.streams.into_streams()?);
        Ok(Pushed { converted, throttled: throttled.unwrap_or(false), outcome: self.outcome })
    }
}

impl PushConverter {
    /// The stream of `pairs`, if it keeps the limits.
    fn checked(&self, mut pairs: Vec<(String, String)>) -> Result<Stream, Refusal> {
        pairs.sort();
        let all = || labels::print(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let text = format!("stream '{}' has duplicate label name: '{}'", shown(&all()), shown(&twice[0].0));
            return Err(Refusal::new(Rule::DuplicateLabel, text));
        }
        let set = || pairs.iter().filter(|(_, value)| !value.is_empty());
        if set().next().is_none() {
            let text = "error at least one label pair is required per stream".to_owned();
            return Err(Refusal::new(Rule::MissingLabels, text));
        }
        let config = &self.config;
        let (count, max) = (set().filter(|(name, _)| name != SERVICE_LABEL).count(), config.max_label_names_per_series);
        if count > max {
            let text = format!("entry for stream '{}' has {count} label names; limit {max}", shown(&all()));
            return Err(Refusal::new(Rule::LabelNames, text));
        }
        for (name, value) in set() {
            if name.len() > config.max_label_name_length {
                let text = format!("stream '{}' has label name too long: '{}'", shown(&all()), shown(name));
                return Err(Refusal::new(Rule::LabelNameTooLong, text));
            }
            if value.len() > config.max_label_value_length {
                let text = format!("stream '{}' has label value too long: '{}'", shown(&all()), shown(value));
                return Err(Refusal::new(Rule::LabelValueTooLong, text));
            }
        }
        Ok(self.resources.rules.stream(pairs))
    }
}

/// An id of exactly `2 * N` lower-case hexadecimal digits that is not zero: what its column prints back.
fn hex_id<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut id = [0; N];
    hex::decode_to_slice(text, &mut id).ok()?;
    id.iter().any(|byte| *byte != 0).then_some(id)
}

/// Drops all but the first entry of each name.
fn distinct(metadata: &mut Vec<(Cow<'_, str>, Cow<'_, str>)>) {
    if metadata.len() > PAIRWISE_MAX {
        let mut seen: HashSet<String> = HashSet::with_capacity(metadata.len());
        metadata.retain(|(name, _)| seen.insert(name.to_string()));
        return;
    }
    let mut at = 1;
    while at < metadata.len() {
        if metadata[..at].iter().any(|(name, _)| *name == metadata[at].0) {
            metadata.remove(at);
        } else {
            at += 1;
        }
    }
}
