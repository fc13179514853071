//! What both messages share: series by the hash of their labels, metadata, replicas.

use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::labels::RawLabels;
use super::out::Out;
use super::refused::Refusal;
use crate::convert::series::memory::{Entry, FamilyKey, FamilyRow, Memo, Memory, PointKey};
use crate::registry::Series;
use crate::registry::series::day_of;

/// Tells keys of series whose replica label was taken off from those that are stored as they came.
const WITHOUT_REPLICA: u128 = 0x0072_6570_6c69_6361;

/// Prometheus' words for the values of `MetricType`, which are the same in both messages.
const TYPES: [&str; 8] = ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];

/// What a sender says of a metric family. Text is not validated yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata<'a> {
    pub(super) kind: i32,
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
}

/// One request and the memory of its tenant.
pub(super) struct Request<'t, 'a> {
    pub(super) memory: &'t Memory,
    /// Held while walking; let go for a moment to add an entry.
    pub(super) memo: RwLockReadGuard<'t, Memo>,
    pub(super) seed: u64,
    pub(super) minute: u32,
    pub(super) now_ms: i64,
    /// The label that is taken off every series.
    pub(super) without: Option<&'t str>,
    pub(super) labels: RawLabels<'a>,
    pub(super) out: Out<'t>,
}

impl<'t, 'a> Request<'t, 'a> {
    /// The key of a series whose labels have the hash `hash`.
    #[inline]
    pub(super) fn key(&self, hash: u128) -> PointKey {
        PointKey { context: if self.without.is_some() { WITHOUT_REPLICA } else { 0 }, attrs: hash }
    }

    /// The series of [`Request::labels`], remembered under `key`.
    pub(super) fn resolve(&mut self, key: PointKey) -> Result<Arc<Series>, Refusal> {
        let checked = self.labels.check(self.without, self.out.config)?;
        let series = self.memory.series.resolve(&checked.metric, &checked.labels, self.minute)?;
        let (memory, entry) = (self.memory, Entry::One(Arc::clone(&series)));
        RwLockReadGuard::unlocked(&mut self.memo, || memory.remember(key, entry));
        Ok(series)
    }

    /// Adds the metadata row of the family `name`, unless it is stored for the day of `ts`. Text that is not UTF-8 is replaced
    /// by U+FFFD; metadata is no reason to refuse samples.
    pub(super) fn metadata(&mut self, name: &str, metadata: Metadata<'a>, ts: i64) {
        let kind = usize::try_from(metadata.kind).ok().and_then(|kind| TYPES.get(kind)).copied().unwrap_or(TYPES[0]);
        let (max, help, unit) = (self.out.config.label_value_bytes_max, metadata.help, metadata.unit);
        let (help, unit) = (&help[..help.len().min(max)], &unit[..unit.len().min(max)]);
        let mut bytes = Vec::with_capacity(name.len() + help.len() + unit.len() + 25);
        bytes.push(metadata.kind as u8);
        for part in [name.as_bytes(), unit, help] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        let key = FamilyKey(xxh3_128_with_seed(&bytes, self.seed));
        let known = self.memo.families.get(&key).map(Arc::clone);
        let is_known = known.is_some();
        let family = known.unwrap_or_else(|| FamilyRow::new(self.minute));
        family.touch(self.minute);
        if !self.out.introduced.family(&family, day_of(ts)) {
            return;
        }
        self.out.rows.metadata(name, ts, kind, &String::from_utf8_lossy(unit), &String::from_utf8_lossy(help));
        if !is_known {
            let memory = self.memory;
            RwLockReadGuard::unlocked(&mut self.memo, || memory.remember_family(key, family));
        }
    }
}

/// The family of a series of that type: histograms and summaries are several series.
pub(super) fn family_of(series: &str, kind: i32) -> &str {
    let suffixes: &[&str] = match kind {
        3 => &["_bucket", "_count", "_sum"],
        4 => &["_bucket", "_gcount", "_gsum"],
        5 => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| series.strip_suffix(suffix)).filter(|family| !family.is_empty()).unwrap_or(series)
}
