//! The walk through one request: resources, scopes, metrics; the points are read per kind in the modules beside.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::config::OtlpMetricsConfig;
use super::labels::{Labels, Pairs, ResourceLabels, read_attributes, scope_labels};
use super::naming::{Family, metric_name, unit_name};
use super::pending::Waiting;
use super::points::{Attributes, DataHead, Window};
use super::reject::{PointError, Reject, Rejected};
use super::tenant::Tenant;
use super::text::utf8;
use super::{Converted, DecodeError, TARGET_INFO_STEPS_MAX};
use crate::convert::Pending;
use crate::convert::series::memory::{Entry, FamilyKey, FamilyRow, Memo, PointKey};
use crate::convert::series::rows::{Rows, Times};
use crate::registry::series::day_of;
use crate::registry::{RegistryError, Series};
use crate::wire::{Reader, WireError};

/// A resource and what its bytes are remembered by.
pub(super) struct ResourceScope<'a> {
    bytes: &'a [u8],
    hash: u128,
    labels: OnceCell<Result<ResourceLabels, PointError>>,
}

/// A scope within a resource.
struct Scope<'a> {
    bytes: &'a [u8],
    schema_url: &'a [u8],
    hash: u128,
    labels: OnceCell<Result<Pairs, PointError>>,
}

/// A metric, before its data points.
pub(super) struct Metric<'a, 'r> {
    resource: &'r ResourceScope<'a>,
    scope: &'r Scope<'a>,
    name: &'a [u8],
    unit: &'a [u8],
    help: &'a [u8],
    family: Family,
    pub(super) delta: bool,
    /// Of resource, scope, kind, name and unit.
    pub(super) context: u128,
    translated: OnceCell<Result<String, Reject>>,
}

/// The first and the last data point of a resource, in milliseconds.
struct InfoSpan<'a> {
    resource: &'a [u8],
    first: i64,
    last: i64,
}

/// One request on its way to rows.
pub(super) struct Request<'t, 'a> {
    pub(super) config: &'t OtlpMetricsConfig,
    pub(super) tenant: &'t Tenant,
    /// Held while walking; let go for a moment to add an entry.
    pub(super) memo: RwLockReadGuard<'t, Memo>,
    pub(super) seed: u64,
    pub(super) window: Window,
    pub(super) minute: u32,
    pub(super) rows: Rows,
    pub(super) waiting: Waiting,
    accepted: u64,
    rejected: Rejected,
    /// By resource hash.
    info: HashMap<u128, InfoSpan<'a>>,
    scratch: Vec<u8>,
    pub(super) bounds: Vec<f64>,
    pub(super) counts: Vec<u64>,
}

impl<'t, 'a> Request<'t, 'a> {
    pub(super) fn new(config: &'t OtlpMetricsConfig, tenant: &'t Tenant, seed: u64, now_ns: i64, body_len: usize) -> Self {
        let minute = u32::try_from(now_ns / 60_000_000_000).unwrap_or(0);
        Self {
            config,
            tenant,
            memo: tenant.memory.memo.read(),
            seed,
            window: Window::new(config, now_ns),
            minute,
            // A data point of four attributes has about 130 bytes.
            rows: Rows::new(body_len / 128 + 16, minute, tenant.memory.series.rely()),
            waiting: Waiting::default(),
            accepted: 0,
            rejected: Rejected::default(),
            info: HashMap::new(),
            scratch: Vec::new(),
            bounds: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// Walks the whole request.
    pub(super) fn read(&mut self, body: &'a [u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(body);
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                self.resource_metrics(field.bytes()?)?;
            }
        }
        self.target_info()
    }

    fn resource_metrics(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut resource: &[u8] = &[];
        let mut seen = false;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number == 1 {
                resource = once(field.bytes()?, &mut seen, 1)?;
            }
        }
        let hash = xxh3_128_with_seed(resource, self.seed);
        let resource = ResourceScope { bytes: resource, hash, labels: OnceCell::new() };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.scope_metrics(&resource, field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn scope_metrics(&mut self, resource: &ResourceScope<'a>, message: &'a [u8]) -> Result<(), WireError> {
        let (mut bytes, mut schema_url): (&[u8], &[u8]) = (&[], &[]);
        let mut seen = false;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => bytes = once(field.bytes()?, &mut seen, 1)?,
                3 => schema_url = field.bytes()?,
                _ => {}
            }
        }
        // Scopes that do not become labels do not tell series apart.
        let hash = if self.config.promote_scope_metadata {
            xxh3_128_with_seed(bytes, self.seed) ^ xxh3_128_with_seed(schema_url, self.seed.rotate_left(32)).rotate_left(1)
        } else {
            0
        };
        let scope = Scope { bytes, schema_url, hash, labels: OnceCell::new() };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                self.metric(resource, &scope, field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self, resource: &ResourceScope<'a>, scope: &Scope<'a>, message: &'a [u8]) -> Result<(), WireError> {
        let (mut name, mut help, mut unit): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let mut data = None;
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 => name = field.bytes()?,
                2 => help = field.bytes()?,
                3 => unit = field.bytes()?,
                5 | 7 | 9 | 10 | 11 => {
                    let earlier = data.replace((field.number, field.bytes()?));
                    if earlier.is_some() {
                        return Err(WireError::Repeated { field: field.number });
                    }
                }
                _ => {}
            }
        }
        let Some((kind, data)) = data else {
            return Ok(()); // no data, no data points: nothing to take, nothing to refuse
        };
        let head = DataHead::read(data)?;
        let has_temporality = matches!(kind, 7 | 9 | 10);
        if has_temporality && !matches!(head.temporality, 1 | 2) {
            self.rejected.add(Reject::Temporality, head.points);
            return Ok(());
        }
        let family = match kind {
            5 => Family::Gauge,
            7 if head.monotonic => Family::Counter,
            7 => Family::UpDownCounter,
            9 | 10 => Family::Histogram,
            _ => Family::Summary,
        };
        let delta = has_temporality && head.temporality == 1;
        let context = self.context(resource, scope, [kind as u8, family as u8, u8::from(delta)], name, unit);
        let metric = Metric { resource, scope, name, unit, help, family, delta, context, translated: OnceCell::new() };
        self.points(kind, &metric, data)
    }

    fn context(&mut self, resource: &ResourceScope<'a>, scope: &Scope<'a>, kind: [u8; 3], name: &[u8], unit: &[u8]) -> u128 {
        self.scratch.clear();
        self.scratch.extend_from_slice(&resource.hash.to_le_bytes());
        self.scratch.extend_from_slice(&scope.hash.to_le_bytes());
        self.scratch.extend_from_slice(&kind);
        self.scratch.extend_from_slice(&(name.len() as u64).to_le_bytes());
        self.scratch.extend_from_slice(name);
        self.scratch.extend_from_slice(unit);
        xxh3_128_with_seed(&self.scratch, self.seed)
    }

    fn points(&mut self, kind: u32, metric: &Metric<'a, '_>, data: &'a [u8]) -> Result<(), WireError> {
        let mut taken: Option<(i64, i64)> = None;
        let mut reader = Reader::new(data);
        while let Some(field) = reader.next()? {
            if field.number != 1 {
                continue;
            }
            let message = field.bytes()?;
            let point = match kind {
                5 | 7 => self.number_point(metric, message),
                9 => self.histogram_point(metric, message),
                10 => self.exponential_point(metric, message),
                _ => self.summary_point(metric, message),
            };
            match point {
                Ok(ts) => {
                    self.accepted += 1;
                    taken = Some(taken.map_or((ts, ts), |(first, last)| (first.min(ts), last.max(ts))));
                }
                Err(PointError::Reject(reject)) => self.rejected.add(reject, 1),
                Err(PointError::Wire(error)) => return Err(error),
            }
        }
        if let Some((first, last)) = taken {
            self.metadata(metric, last);
            let resource = metric.resource;
            let span = self.info.entry(resource.hash).or_insert(InfoSpan { resource: resource.bytes, first, last });
            (span.first, span.last) = (span.first.min(first), span.last.max(last));
        }
        Ok(())
    }

    /// The metadata row of `metric`, unless it is stored for the day.
    fn metadata(&mut self, metric: &Metric<'a, '_>, ts: i64) {
        self.scratch.clear();
        self.scratch.push(metric.family as u8);
        for part in [metric.name, metric.unit, metric.help] {
            self.scratch.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.scratch.extend_from_slice(part);
        }
        let key = FamilyKey(xxh3_128_with_seed(&self.scratch, self.seed));
        let day = day_of(ts);
        let known = self.memo.families.get(&key).map(Arc::clone);
        let is_known = known.is_some();
        let family = known.unwrap_or_else(|| FamilyRow::new(self.minute));
        family.touch(self.minute);
        let Ok(name) = metric.translated(self.config) else {
            return; // cannot be: a data point was taken
        };
        if !self.waiting.introduced.family(&family, day) {
            return;
        }
        let (unit, help) = (String::from_utf8_lossy(metric.unit), String::from_utf8_lossy(metric.help));
        let unit = unit_name(self.config.translation_strategy, &unit);
        self.rows.metadata(name, ts, metric.family.type_name(), &unit, &help);
        if !is_known {
            let (tenant, family) = (self.tenant, Arc::clone(&family));
            RwLockReadGuard::unlocked(&mut self.memo, || tenant.memory.remember_family(key, family));
        }
    }

    /// The entry under `key`, made by `make` if there is none.
    pub(super) fn entry(
        &mut self,
        key: PointKey,
        make: impl FnOnce(&mut Self) -> Result<Entry, PointError>,
    ) -> Result<Entry, PointError> {
        if let Some(known) = self.memo.points.get(&key) {
            return Ok(known.clone());
        }
        let entry = make(self)?;
        self.remember(key, entry.clone());
        Ok(entry)
    }

    pub(super) fn remember(&mut self, key: PointKey, entry: Entry) {
        let tenant = self.tenant;
        RwLockReadGuard::unlocked(&mut self.memo, || tenant.memory.remember(key, entry));
    }

    /// The labels of a data point of `metric`.
    pub(super) fn labels(&self, metric: &Metric<'a, '_>, attributes: &Attributes<'a>) -> Result<Labels, PointError> {
        let (resource, scope) = (metric.resource, metric.scope);
        let resource = resource.labels.get_or_init(|| ResourceLabels::read(resource.bytes, self.config));
        let resource = resource.as_ref().map_err(|error| *error)?;
        let scope = scope.labels.get_or_init(|| scope_labels(scope.bytes, scope.schema_url, self.config));
        let scope = scope.as_ref().map_err(|error| *error)?;
        let (message, number) = attributes.fields();
        let attributes = read_attributes(message, number, self.config.labels_max)?;
        Ok(Labels::new(attributes, resource, scope, self.config)?)
    }

    /// The series of `metric` + `suffix` with `labels`.
    pub(super) fn series(&self, metric: &Metric<'a, '_>, suffix: &str, labels: Labels) -> Result<Arc<Series>, PointError> {
        let name = metric.translated(self.config)?;
        let labels = labels.finish(self.config)?;
        if suffix.is_empty() { self.resolve(name, &labels) } else { self.resolve(&format!("{name}{suffix}"), &labels) }
    }

    fn resolve(&self, name: &str, labels: &[(String, String)]) -> Result<Arc<Series>, PointError> {
        if name.len() > self.config.name_bytes_max {
            return Err(Reject::NameTooLong.into());
        }
        Ok(self.tenant.memory.series.resolve(name, labels, self.minute).map_err(Reject::from)?)
    }

    /// The `target_info` samples of every resource that data points were taken of.
    fn target_info(&mut self) -> Result<(), WireError> {
        let step = i64::try_from(self.config.lookback.as_millis() / 2).unwrap_or(i64::MAX).max(1);
        for (hash, span) in std::mem::take(&mut self.info) {
            let key = PointKey { context: hash, attrs: 0x0074_6172_6765_745f_696e_666f }; // no attribute hash: "target_info"
            let made = self.entry(key, |this| {
                let labels = ResourceLabels::read(span.resource, this.config)?;
                match labels.target_info {
                    Some(labels) => Ok(Entry::One(this.resolve("target_info", &labels)?)),
                    None => Ok(Entry::Nothing),
                }
            });
            let series = match made {
                Ok(Entry::One(series)) => series,
                Ok(_) => continue,
                Err(PointError::Wire(error)) => return Err(error),
                Err(PointError::Reject(_)) => {
                    ::metrics::counter!("telelake_ingest_target_info_dropped_total").increment(1);
                    continue;
                }
            };
            let mut ts = span.first.max(span.last.saturating_sub(step.saturating_mul(TARGET_INFO_STEPS_MAX)));
            while ts < span.last {
                self.rows.sample(&series, Times { ts, start: None }, 1.0);
                ts = ts.saturating_add(step);
            }
            self.rows.sample(&series, Times { ts: span.last, start: None }, 1.0);
        }
        Ok(())
    }

    /// The rows and the account of what was refused.
    pub(super) fn finish(self) -> Result<Converted, DecodeError> {
        let Self { rows, mut waiting, rejected, accepted, config, .. } = self;
        let (rows, introduced, reliance) = rows.finish()?;
        waiting.introduced.series(introduced, reliance);
        let pending = if waiting.is_empty() { Vec::new() } else { vec![Pending::other(waiting)] };
        let (rejected, reason) = (rejected.total(), rejected.reason(config));
        // A data point without a time is refused, so that equal bytes are equal events.
        Ok(Converted { rows, accepted, rejected, reason, undated: false, pending })
    }
}

impl<'a> Metric<'a, '_> {
    /// The name as Prometheus has it.
    fn translated(&self, config: &OtlpMetricsConfig) -> Result<&str, Reject> {
        let translate = || metric_name(config.translation_strategy, utf8(self.name)?, utf8(self.unit)?, self.family);
        self.translated.get_or_init(translate).as_ref().map(String::as_str).map_err(|reject| *reject)
    }
}

impl From<RegistryError> for Reject {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::SeriesLimit { limit } => Self::SeriesLimit(limit),
            RegistryError::TenantLimit { limit } => Self::TenantLimit(limit),
        }
    }
}

/// Refuses every data point of `body`.
pub(super) fn refuse_all(body: &[u8], refused: RegistryError, config: &OtlpMetricsConfig) -> Result<Converted, WireError> {
    let mut points = 0;
    nested(body, &[1, 2, 2], &mut |metric| {
        let mut reader = Reader::new(metric);
        while let Some(field) = reader.next()? {
            if matches!(field.number, 5 | 7 | 9 | 10 | 11) {
                points += DataHead::read(field.bytes()?)?.points;
            }
        }
        Ok(())
    })?;
    let mut rejected = Rejected::default();
    rejected.add(refused.into(), points);
    Ok(Converted { rejected: points, reason: rejected.reason(config), ..Converted::default() })
}

/// Calls `each` for every message at `path` of field numbers.
fn nested(message: &[u8], path: &[u32], each: &mut dyn FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    let [number, rest @ ..] = path else {
        return each(message);
    };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number == *number {
            nested(field.bytes()?, rest, each)?;
        }
    }
    Ok(())
}

/// A message field that may be there once.
fn once<'a>(bytes: &'a [u8], seen: &mut bool, field: u32) -> Result<&'a [u8], WireError> {
    if std::mem::replace(seen, true) { Err(WireError::Repeated { field }) } else { Ok(bytes) }
}
