//! Counts as rows: which series a label set has, where they begin, how they end.
//!
//! ```text
//! new      0 at the moment it began, value now          counters, buckets, sums: all with that start
//! living   value now, exemplars of the buckets that met spans since the last write
//! idle     stale marker now, then forgotten
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use catalog::Timestamp;

use super::entries::{Entry, Layout, Metric};
use super::labels::pairs;
use super::latency::Bounds;
use super::native::Native;
use super::tenant::Tenant;
use super::{INSTANCE_LABEL, latency};
use crate::convert::metrics::STALE;
use crate::convert::series::exemplars::Exemplar;
use crate::convert::series::introduced::Introduced;
use crate::convert::series::memory::FamilyRow;
use crate::convert::series::rows::{Rows, Times};
use crate::registry::series::day_of;
use crate::registry::{RegistryError, Series, TenantSeries};

/// How far a write has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    table: usize,
    slot: usize,
}

/// An entry whose rows are in a [`Part`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    table: usize,
    slot: u32,
    ended: bool,
}

/// Some of a tenant's rows.
pub(super) struct Part {
    pub(super) rows: Rows,
    pub(super) introduced: Introduced,
    pub(super) samples: u64,
    /// Series that the registry had no room for.
    pub(super) refused: u64,
    pub(super) done: Vec<Done>,
    pub(super) next: Position,
}

/// What is known of stored metadata, by metric.
#[derive(Debug, Default)]
pub(super) struct Families(HashMap<Cow<'static, str>, Arc<FamilyRow>>);

impl Tenant {
    /// Before the first part: edges that wait no longer are counted. What is new by that was 0 after `before_ms`.
    pub(super) fn begin_write(&mut self, before_ms: i64, now: Timestamp) -> Position {
        self.expire(before_ms, now);
        Position::default()
    }

    /// The rows from `at` on, about `samples_max` of them; `None` at the end.
    pub(super) fn part(&mut self, at: Position, now: Timestamp, samples_max: usize) -> Option<Part> {
        let now_ms = now.as_millis();
        let minute = u32::try_from(now.as_secs() / 60).unwrap_or(0);
        let idle_ms = i64::try_from(self.plan.config.idle.as_millis()).unwrap_or(i64::MAX);
        let rows = Rows::new(samples_max, minute, self.series.rely());
        let mut out = Part { rows, introduced: Introduced::default(), samples: 0, refused: 0, done: Vec::new(), next: at };
        let resolve = Resolve { series: &self.series, instance: &self.plan.instance, minute };
        while let Some(table) = self.tables.get_mut(out.next.table) {
            if out.next.slot >= table.places() {
                out.next = Position { table: out.next.table + 1, slot: 0 };
                continue;
            }
            if out.samples >= samples_max as u64 {
                return Some(out);
            }
            let (slot, layout) = (out.next.slot as u32, Arc::clone(&table.layout));
            out.next.slot += 1;
            let Some(entry) = table.get_mut(slot).filter(|entry| entry.created_ms < now_ms) else { continue };
            if entry.series.is_none() {
                match resolve.all(&layout, &entry.labels) {
                    Ok(series) => entry.series = Some(series),
                    Err(_) => {
                        out.refused += layout.series() as u64;
                        continue;
                    }
                }
            }
            let ended = entry.announced && now_ms.saturating_sub(entry.touched_ms) >= idle_ms;
            self.families.describe(&layout, now_ms, minute, &mut out);
            out.entry(&layout, entry, now_ms, ended, &self.plan.config.trace_id_label_name);
            out.done.push(Done { table: out.next.table, slot, ended });
        }
        if out.done.is_empty() && out.refused == 0 { None } else { Some(out) }
    }

    /// The rows of `done` are stored.
    pub(super) fn confirm(&mut self, done: &[Done], now: Timestamp) {
        let idle_ms = i64::try_from(self.plan.config.idle.as_millis()).unwrap_or(i64::MAX);
        for Done { table, slot, ended } in done {
            let table = &mut self.tables[*table];
            let Some(entry) = table.get_mut(*slot) else { continue };
            entry.announced = true;
            entry.histograms.iter_mut().for_each(latency::Histogram::forget_pointers);
            // Counted again meanwhile: the next write goes on.
            if *ended && now.as_millis().saturating_sub(entry.touched_ms) >= idle_ms {
                table.remove(*slot, &mut self.budget);
            }
        }
    }
}

/// Finds series.
struct Resolve<'t> {
    series: &'t TenantSeries,
    instance: &'t str,
    minute: u32,
}

impl Resolve<'_> {
    /// The series of a label set: counters, then of each histogram the buckets, sum and count, then its native series.
    fn all(&self, layout: &Layout, labels: &[u8]) -> Result<Box<[Arc<Series>]>, RegistryError> {
        let mut labels = pairs(labels);
        with(&mut labels, INSTANCE_LABEL, self.instance);
        let mut series = Vec::with_capacity(layout.series());
        for metric in &layout.counters {
            series.push(self.one(&metric.name, &labels)?);
        }
        for (metric, bounds, _) in &layout.histograms {
            if layout.kind.is_classic() {
                for le in bounds.names() {
                    let mut labels = labels.clone();
                    with(&mut labels, "le", le);
                    series.push(self.one(&format!("{}_bucket", metric.name), &labels)?);
                }
                series.push(self.one(&format!("{}_sum", metric.name), &labels)?);
                series.push(self.one(&format!("{}_count", metric.name), &labels)?);
            }
            if layout.kind.is_native() {
                series.push(self.one(&metric.name, &labels)?);
            }
        }
        Ok(series.into())
    }

    fn one(&self, metric: &str, labels: &[(String, String)]) -> Result<Arc<Series>, RegistryError> {
        self.series.resolve(metric, labels, self.minute)
    }
}

/// Sets a label of sorted ones.
fn with(labels: &mut Vec<(String, String)>, name: &str, value: &str) {
    match labels.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
        Ok(at) => value.clone_into(&mut labels[at].1),
        Err(at) => labels.insert(at, (name.to_owned(), value.to_owned())),
    }
}

impl Families {
    /// Adds type, unit and help of a layout's metrics, once a day.
    fn describe(&mut self, layout: &Layout, now_ms: i64, minute: u32, out: &mut Part) {
        let kind = if layout.is_info { "gauge" } else { "counter" };
        let counters = layout.counters.iter().map(|metric| (metric, kind, ""));
        let histograms = layout.histograms.iter().map(|(metric, _, unit)| (metric, "histogram", *unit));
        for (Metric { name, help }, kind, unit) in counters.chain(histograms) {
            let family = self.0.entry(name.clone()).or_insert_with(|| FamilyRow::new(minute));
            if out.introduced.family(family, day_of(now_ms)) {
                out.rows.metadata(name, now_ms, kind, unit, help);
            }
        }
    }
}

impl Part {
    fn entry(&mut self, layout: &Layout, entry: &Entry, now_ms: i64, ended: bool, trace_id_label: &str) {
        let Some(series) = &entry.series else { return };
        let mut series = series.iter();
        let start = (!layout.is_info).then_some(entry.created_ms);
        let mut value =
            Values { out: self, now: Times { ts: now_ms, start }, begins: !entry.announced && !layout.is_info, ended };
        for (count, series) in entry.counters.iter().zip(series.by_ref()) {
            value.float(series, *count);
        }
        for (histogram, (_, bounds, _)) in entry.histograms.iter().zip(&layout.histograms) {
            let sum = bounds.unit(histogram.sum_ns());
            let mut pointed: Vec<&Arc<Series>> = Vec::new();
            if layout.kind.is_classic() {
                let mut total = 0.0;
                for (count, series) in histogram.cumulative().zip(series.by_ref()) {
                    value.float(series, count);
                    pointed.push(series);
                    total = count;
                }
                for (number, series) in [sum, total].into_iter().zip(series.by_ref()) {
                    value.float(series, number);
                }
            }
            if let (Some(native), Some(series)) = (histogram.native(), layout.kind.is_native().then(|| series.next()).flatten()) {
                value.native(series, native, layout.weighted, sum);
                if pointed.is_empty() {
                    pointed = vec![series; bounds.names().len()];
                }
            }
            if !ended {
                value.pointers(&pointed, histogram, bounds, trace_id_label);
            }
        }
    }
}

/// Pushes the values of one entry.
struct Values<'o> {
    out: &'o mut Part,
    now: Times,
    /// Whether the series begin with 0.
    begins: bool,
    /// Whether they end here.
    ended: bool,
}

impl Values<'_> {
    fn float(&mut self, series: &Arc<Series>, value: f64) {
        if self.begins {
            self.out.rows.sample(series, self.beginning(), 0.0);
            self.out.samples += 1;
        }
        self.out.rows.sample(series, self.now, if self.ended { STALE } else { value });
        self.out.samples += 1;
    }

    fn native(&mut self, series: &Arc<Series>, native: &Native, weighted: bool, sum: f64) {
        let nothing = Native::new(weighted).runs();
        if self.begins {
            self.out.rows.histogram(series, self.beginning(), &nothing.sample(0.0));
            self.out.samples += 1;
        }
        if self.ended {
            self.out.rows.histogram(series, self.now, &nothing.sample(STALE));
        } else {
            self.out.rows.histogram(series, self.now, &native.runs().sample(sum));
        }
        self.out.samples += 1;
    }

    /// Exemplars of the series of each bucket; with a name for it, their trace ids are in a label of that name as well.
    fn pointers(&mut self, series: &[&Arc<Series>], histogram: &latency::Histogram, bounds: &Bounds, trace_id_label: &str) {
        let named = !trace_id_label.is_empty() && trace_id_label != "trace_id";
        for pointer in histogram.pointers() {
            let Some(series) = series.get(usize::from(pointer.bucket)) else { continue };
            let ts = pointer.at.as_millis();
            let value = bounds.unit(pointer.duration_ns as u128);
            let (trace_id, span_id) = (Some(&pointer.trace_id), Some(&pointer.span_id));
            // It may lie in the day before that of the samples.
            self.out.rows.seen(series, ts);
            let label = named.then(|| (trace_id_label.to_owned(), hex::encode(pointer.trace_id)));
            self.out.rows.exemplar(series, &Exemplar { ts, value, trace_id, span_id, labels: label.as_slice() });
        }
    }

    fn beginning(&self) -> Times {
        let start = self.now.start.unwrap_or(self.now.ts);
        Times { ts: start, start: Some(start) }
    }
}
