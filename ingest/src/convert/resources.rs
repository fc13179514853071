//! Resources: parsed once per distinct bytes, stored once per day, pointed to by id.
//!
//! ```text
//! Resource bytes + schema url ──hash──► memo ──hit (bytes compared)──► Arc<Resource>
//!                                         └─ miss ► parse, check, canonical id, stream labels
//! record at ts ─► (id, day) in this request? ─ no ► seen before? ─ no ► row + pending mark
//! ```
//! Senders repeat the same few resources for ever, so that a request costs one hash per resource block.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringBuilder, TimestampNanosecondArray};
use catalog::labels::content_id;
use catalog::{LabelSet, Partition, StreamId, Table, TenantId, Timestamp, schema};
use hashbrown::HashMap;
use moka::sync::Cache;
use xxhash_rust::xxh3::Xxh3;

use super::attributes::{AttributeColumns, AttributeLimits, Attributes};
use super::columns::{DictionaryColumn, MapColumn, non_zero};
use super::ids::{Pending, SeenIds, SeenKey};
use super::json::{ValueError, text, write_shown, write_value};
use super::level;
use super::report::Rule;
use super::streams::{SERVICE_LABEL, UNKNOWN_SERVICE, stream_labels};
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
    /// The labels of the log stream that it makes.
    pub(crate) labels: LabelSet,
    /// Their id.
    pub(crate) stream_id: i64,
    /// The strongest attribute that says a level: its rank and value.
    pub(crate) level: Option<(usize, Box<str>)>,
}

impl Resource {
    /// The stream's `service_name`.
    pub(crate) fn stream_service(&self) -> &str {
        self.labels.get(SERVICE_LABEL).unwrap_or(UNKNOWN_SERVICE)
    }
}

/// The resources of all requests: parsed ones, and which are stored. Shared by the logs and the traces converter.
#[derive(Debug)]
pub struct Resources {
    limits: AttributeLimits,
    memo: Cache<u128, Arc<Resource>>,
    seen: Arc<SeenIds>,
}

impl Resources {
    /// An empty memory with the bounds of `config`.
    pub fn new(config: &ReceiveConfig) -> Arc<Self> {
        let weigh = |_: &u128, r: &Arc<Resource>| u32::try_from(3 * r.raw.len() + 512).unwrap_or(u32::MAX);
        Arc::new(Self {
            limits: AttributeLimits::from(config),
            memo: Cache::builder().max_capacity(MEMO_BYTES).weigher(weigh).build(),
            seen: SeenIds::new(config.seen_ids_bytes),
        })
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
        let labels = stream_labels(&attributes)?;
        let level = attributes.texts().filter_map(|(k, v)| Some((level::field_rank(k)?, v))).min_by_key(|(rank, _)| *rank);
        Ok(Resource {
            raw: raw.into(),
            schema_url: schema_url.into(),
            id: canonical_id(&attributes, dropped, schema_url)?,
            service: if service.is_empty() { UNKNOWN_SERVICE.into() } else { service.into() },
            stream_id: StreamId::of(labels.iter()).0,
            level: level.map(|(rank, value)| (rank, value.into())),
            labels,
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
    pub(crate) fn read(message: Option<&'a [u8]>, limits: AttributeLimits, text_bytes_max: usize) -> Result<Self, ValueError> {
        let mut this = Self::default();
        let mut attributes = Attributes::new(limits);
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
        this.attributes = attributes.to_json()?;
        Ok(this)
    }
}

/// Text of at most `bytes_max` bytes.
pub(crate) fn bounded_text(bytes: &[u8], bytes_max: usize) -> Result<&str, ValueError> {
    if bytes.len() > bytes_max { Err(ValueError::Rule(Rule::TextBytes)) } else { text(bytes) }
}

/// The dictionary rows that one request needs in one table, each with the earliest time of its day.
#[derive(Debug)]
pub(crate) struct DayRows<'s> {
    table: Table,
    tenant: &'s TenantId,
    seen: &'s Arc<SeenIds>,
    /// Where the row of an id and day is; `None`: it was stored before.
    index: HashMap<(i64, i32), Option<usize>>,
    rows: Vec<(Arc<Resource>, i64)>,
    keys: Vec<SeenKey>,
    last: Option<((i64, i32), Option<usize>)>,
}

impl<'s> DayRows<'s> {
    /// None yet.
    pub(crate) fn new(table: Table, tenant: &'s TenantId, resources: &'s Resources) -> Self {
        let seen = &resources.seen;
        Self { table, tenant, seen, index: HashMap::new(), rows: Vec::new(), keys: Vec::new(), last: None }
    }

    /// A record at `ts_ns` points to `id`, which stands for `resource`.
    pub(crate) fn point(&mut self, id: i64, resource: &Arc<Resource>, ts_ns: i64) {
        let day = Partition::of(self.table, Timestamp::from_nanos(ts_ns)).day;
        let at = match self.last {
            Some((last, at)) if last == (id, day) => at,
            _ => self.find(id, day, resource, ts_ns),
        };
        self.last = Some(((id, day), at));
        if let Some(at) = at {
            let ts = &mut self.rows[at].1;
            *ts = ts_ns.min(*ts);
        }
    }

    fn find(&mut self, id: i64, day: i32, resource: &Arc<Resource>, ts_ns: i64) -> Option<usize> {
        let Self { table, tenant, seen, rows, keys, .. } = self;
        *self.index.entry((id, day)).or_insert_with(|| {
            let key = SeenKey::new(tenant, *table, id, day);
            if seen.contains(key) {
                return None;
            }
            keys.push(key);
            rows.push((Arc::clone(resource), ts_ns));
            Some(rows.len() - 1)
        })
    }

    /// The marks to confirm, if there are any rows.
    fn pending(&mut self) -> Option<Pending> {
        (!self.keys.is_empty()).then(|| Pending::new(Arc::clone(self.seen), std::mem::take(&mut self.keys)))
    }

    /// The rows of [`Table::Resources`] and their marks; `None` when all are stored.
    pub(crate) fn into_resources(mut self, resources: &Resources) -> Result<Option<(RecordBatch, Pending)>, DecodeError> {
        let Some(pending) = self.pending() else { return Ok(None) };
        let schema = schema::rows(Table::Resources);
        let (mut service, mut schema_url) = (DictionaryColumn::default(), DictionaryColumn::default());
        let (mut dropped_counts, mut columns) = (Vec::with_capacity(self.rows.len()), AttributeColumns::default());
        for (resource, _) in &self.rows {
            let parsed = resources.attributes(&resource.raw);
            let (attributes, dropped) =
                parsed.map_err(|_| DecodeError::Columns { reason: "a resource reads differently twice".into() })?;
            service.push(&resource.service);
            dropped_counts.push(non_zero(dropped as i32));
            schema_url.push_some(Some(&resource.schema_url));
            columns.push(&attributes);
        }
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|(r, _)| r.id))),
            times(self.rows.iter().map(|(_, ts)| *ts)),
            service.finish()?,
            Arc::new(Int32Array::from(dropped_counts)),
            schema_url.finish()?,
        ];
        arrays.extend(columns.finish(|name| field_of(&schema, name))?);
        Ok(Some((RecordBatch::try_new(schema, arrays)?, pending)))
    }

    /// The rows of [`Table::Streams`] and their marks; `None` when all are stored.
    pub(crate) fn into_streams(mut self) -> Result<Option<(RecordBatch, Pending)>, DecodeError> {
        let Some(pending) = self.pending() else { return Ok(None) };
        let schema = schema::rows(Table::Streams);
        let (mut service, mut labels) = (DictionaryColumn::default(), MapColumn::<StringBuilder>::default());
        for (resource, _) in &self.rows {
            service.push(resource.stream_service());
            for (name, value) in resource.labels.iter() {
                labels.push(name, value);
            }
            labels.end_row();
        }
        let arrays: Vec<ArrayRef> = vec![
            service.finish()?,
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|(r, _)| r.stream_id))),
            times(self.rows.iter().map(|(_, ts)| *ts)),
            labels.finish(field_of(&schema, "labels")?)?,
        ];
        Ok(Some((RecordBatch::try_new(schema, arrays)?, pending)))
    }
}

/// A column of nanoseconds in UTC.
pub(crate) fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from_iter_values(values).with_timezone("UTC"))
}
