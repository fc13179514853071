//! Resources: parsed once per distinct bytes, stored once per day, pointed to by id.
//!
//! ```text
//! Resource bytes + schema url ──hash──► memo ──hit (bytes compared)──► Arc<Resource>
//!                                         └─ miss ► parse, check, canonical id, stream labels
//! ```
//! Senders repeat the same few resources for ever, so that a request costs one hash per resource block.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use catalog::labels::content_id;
use catalog::{Table, schema};
use moka::sync::Cache;
use xxhash_rust::xxh3::Xxh3;

use super::attributes::{AttributeColumns, AttributeLimits, Attributes};
use super::columns::{DictionaryColumn, non_zero};
use super::day_rows::DayRows;
use super::ids::{Pending, SeenIds};
use super::json::{ValueError, text, write_shown, write_value};
use super::otlp_rules::Action;
use super::report::Rule;
use super::streams::{LogRules, Stream, UNKNOWN_SERVICE};
use super::{DecodeError, field_of};
use crate::receive::ReceiveConfig;
use crate::wire::Reader;

/// Memory for parsed resources. A few thousand of them; a miss costs a microsecond or two.
const MEMO_BYTES: u64 = 16 << 20;

/// A parsed resource.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The message's bytes, and the schema url of its block.
    raw: Box<[u8]>,
    schema_url: Box<str>,
    /// The id of its canonical form.
    pub(crate) id: i64,
    /// `service.name`, or `unknown_service`.
    pub(crate) service: Box<str>,
    /// The labels that its attributes make, before a missing service is looked for.
    pub(crate) labels: Vec<(String, String)>,
    /// The log stream that it makes.
    pub(crate) stream: Arc<Stream>,
    /// The strongest attribute that says a level: its rank and value.
    pub(crate) level: Option<(usize, Box<str>)>,
}

/// The resources of all requests: parsed ones, and which are stored. Shared by the logs and the traces converter.
#[derive(Debug)]
pub struct Resources {
    limits: AttributeLimits,
    memo: Cache<u128, Arc<Resource>>,
    pub(crate) seen: Arc<SeenIds>,
    pub(crate) rules: LogRules,
}

impl Resources {
    /// An empty memory with the bounds of `config`. `rules` say which streams resources make.
    pub fn new(config: &ReceiveConfig, rules: LogRules) -> Arc<Self> {
        let weigh = |_: &u128, r: &Arc<Resource>| u32::try_from(3 * r.raw.len() + 512).unwrap_or(u32::MAX);
        Arc::new(Self {
            limits: AttributeLimits::from(config),
            memo: Cache::builder().max_capacity(MEMO_BYTES).weigher(weigh).build(),
            seen: SeenIds::new(config.seen_ids_bytes),
            rules,
        })
    }

    /// Which rows of streams and resources are stored.
    pub fn seen(&self) -> &Arc<SeenIds> {
        &self.seen
    }

    /// The resource with the bytes `raw` (empty: no attributes) in a block with `schema_url`.
    ///
    /// # Errors
    /// The rule that it breaks, which refuses all records of the block, or malformed bytes.
    pub(crate) fn get(&self, raw: &[u8], schema_url: &str) -> Result<Arc<Resource>, ValueError> {
        let mut hasher = Xxh3::new();
        hasher.update(&(raw.len() as u64).to_le_bytes());
        hasher.update(raw);
        hasher.update(schema_url.as_bytes());
        let key = hasher.digest128();
        if let Some(known) = self.memo.get(&key).filter(|r| *r.raw == *raw && *r.schema_url == *schema_url) {
            return Ok(known);
        }
        let parsed = Arc::new(self.parse(raw, schema_url)?);
        self.memo.insert(key, Arc::clone(&parsed));
        Ok(parsed)
    }

    fn parse(&self, raw: &[u8], schema_url: &str) -> Result<Resource, ValueError> {
        let (attributes, dropped) = self.attributes(raw)?;
        let mut service = String::new();
        if let Some((_, value)) = attributes.iter().find(|(key, _)| *key == "service.name") {
            write_shown(value, &mut service)?;
        }
        let labels = self.rules.resource_labels(&attributes)?;
        let stream = self.rules.stream(labels.clone());
        let level = self.rules.levels.strongest(attributes.texts());
        Ok(Resource {
            raw: raw.into(),
            schema_url: schema_url.into(),
            id: canonical_id(&attributes, dropped, schema_url)?,
            service: if service.is_empty() { UNKNOWN_SERVICE.into() } else { service.into() },
            level: level.map(|(rank, value)| (rank, value.into())),
            labels,
            stream: Arc::new(stream),
        })
    }

    fn attributes<'a>(&self, raw: &'a [u8]) -> Result<(Attributes<'a>, u32), ValueError> {
        let mut attributes = Attributes::new(self.limits);
        let mut dropped = 0;
        let mut reader = Reader::new(raw);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => attributes.push(field.bytes()?)?,
                2 => dropped = field.uint32()?,
                3 => {
                    field.bytes()?;
                }
                _ => {}
            }
        }
        attributes.dedup();
        if self.rules.otlp.resource.drops() {
            attributes.retain(|name| self.rules.otlp.resource.action(name) != Action::Drop);
        }
        Ok((attributes, dropped))
    }
}

/// The id of sorted attributes, dropped count and schema url. Parts end with 0xFF, which no UTF-8 text holds.
fn canonical_id(attributes: &Attributes<'_>, dropped: u32, schema_url: &str) -> Result<i64, ValueError> {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    let (mut canonical, mut value_json) = (Vec::new(), String::new());
    for (key, value) in sorted {
        value_json.clear();
        write_value(value, 0, &mut value_json)?;
        for part in [key, &value_json] {
            canonical.extend_from_slice(part.as_bytes());
            canonical.push(0xff);
        }
    }
    canonical.extend_from_slice(schema_url.as_bytes());
    canonical.push(0xff);
    canonical.extend_from_slice(&dropped.to_le_bytes());
    Ok(content_id(&canonical))
}

/// An instrumentation scope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope<'a> {
    /// Empty when it has none.
    pub(crate) name: &'a str,
    /// Empty when it has none.
    pub(crate) version: &'a str,
    /// Canonical OTLP JSON.
    pub(crate) attributes: Option<String>,
}

impl<'a> Scope<'a> {
    /// Reads an `InstrumentationScope`; `None` is a scope without anything.
    pub(crate) fn read(message: Option<&'a [u8]>, resources: &Resources, text_bytes_max: usize) -> Result<Self, ValueError> {
        let mut this = Self::default();
        let mut attributes = Attributes::new(resources.limits);
        let mut reader = Reader::new(message.unwrap_or_default());
        while let Some(field) = reader.next()? {
            match field.number {
                1 => this.name = bounded_text(field.bytes()?, text_bytes_max)?,
                2 => this.version = bounded_text(field.bytes()?, text_bytes_max)?,
                3 => attributes.push(field.bytes()?)?,
                4 => {
                    field.uint32()?;
                }
                _ => {}
            }
        }
        attributes.dedup();
        let rules = &resources.rules.otlp.scope;
        if rules.drops() {
            attributes.retain(|name| rules.action(name) != Action::Drop);
        }
        this.attributes = attributes.to_json()?;
        Ok(this)
    }
}

/// Text of at most `bytes_max` bytes.
pub(crate) fn bounded_text(bytes: &[u8], bytes_max: usize) -> Result<&str, ValueError> {
    if bytes.len() > bytes_max { Err(ValueError::Rule(Rule::TextBytes)) } else { text(bytes) }
}

impl DayRows<'_, Resource> {
    /// The rows of [`Table::Resources`], none when all are stored, and their marks.
    pub(crate) fn into_resources(mut self, resources: &Resources) -> Result<(Option<RecordBatch>, Option<Pending>), DecodeError> {
        let Some(pending) = self.pending() else { return Ok((None, None)) };
        let schema = schema::rows(Table::Resources);
        let (mut service, mut schema_url) = (DictionaryColumn::default(), DictionaryColumn::default());
        let (mut dropped_counts, mut columns) = (Vec::with_capacity(self.rows().len()), AttributeColumns::default());
        for (resource, _) in self.rows() {
            let parsed = resources.attributes(&resource.raw);
            let (attributes, dropped) =
                parsed.map_err(|_| DecodeError::Columns { reason: "a resource reads differently twice".into() })?;
            service.push(&resource.service);
            dropped_counts.push(non_zero(dropped as i32));
            schema_url.push_some(Some(&resource.schema_url));
            columns.push(&attributes);
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(self.rows().iter().map(|(r, _)| r.id))),
            times(self.rows().iter().map(|(_, ts)| *ts)),
            service.finish()?,
            Arc::new(Int32Array::from(dropped_counts)),
            schema_url.finish()?,
        ];
        arrays.extend(columns.finish(|name| field_of(&schema, name))?);
        Ok((Some(RecordBatch::try_new(schema, arrays)?), Some(pending)))
    }
}

/// A column of nanoseconds in UTC.
pub(crate) fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values(values).with_timezone("UTC"))
}
