//! `compare({filter})`: how often each value of each attribute comes with the spans that the filter selects, and with the others.
//!
//! ```text
//! span ─► filter, window ─► selection or baseline ─► every attribute of the span: count of (side, attribute, value) and of (side, attribute)
//! ```
//! Where storage [numbers](Listed) the attributes of many spans, each of them is looked up once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::row::Row;
use super::table::Table;
use crate::eval::error::Result;
use crate::eval::key::Key;
use crate::eval::program::{At, Test};
use crate::spans::{Listed, Spans};
use crate::value::Value;

/// Values of one attribute on one side that are told apart. With more, the attribute is said to have too many.
const VALUES_MAX: usize = 10_000;

/// What is compared.
#[derive(Debug)]
pub(super) struct Compare {
    pub(super) filter: Test,
    /// Values per attribute that are returned, the most frequent ones.
    pub(super) top: usize,
    /// Spans that start before the second and not before the first may be selected.
    pub(super) window: Option<(i64, i64)>,
}

impl Compare {
    /// Counts a span: `count` is told every series that it adds one to.
    pub(super) fn push(
        &self,
        spans: &dyn Spans,
        row: usize,
        (table, known): (&mut Table, &mut Known),
        mut count: impl FnMut(u32),
    ) -> Result<()> {
        let start_ns = spans.start_ns(row);
        let is_selected =
            self.window.is_none_or(|(from, until)| (from..until).contains(&start_ns)) && self.filter.holds(At::span(spans, row));
        let side = Value::Bool(is_selected);
        let mut counted = Ok(());
        let Some((list, first)) = spans.listed() else {
            spans.all(row, &mut |name, value| {
                if counted.is_ok() {
                    counted = one(&side, name, &value, (table, &mut known.totals), &mut count).map(|_| ());
                }
            });
            return counted;
        };
        known.turn_to(list);
        for code in list.of(first + row).map(|code| code as usize) {
            let series = known.of_list[usize::from(is_selected)][code];
            if series != UNKNOWN {
                count(known.totals[series as usize]);
                count(series);
                continue;
            }
            let (name, value) = &list.attributes[code];
            let found = one(&side, name, value, (table, &mut known.totals), &mut count)?;
            known.of_list[usize::from(is_selected)][code] = found.unwrap_or(UNKNOWN);
        }
        spans.all_of_trace(row, &mut |name, value| {
            if counted.is_err() || value == Value::Nil {
                return;
            }
            let recent = &mut known.recent;
            if let Some(at) = recent.iter().position(|(s, n, v, _)| *s == is_selected && *n == name && *v == value) {
                // What comes often is found first.
                recent.swap(at, at / 2);
                let series = recent[at / 2].3;
                count(known.totals[series as usize]);
                count(series);
                return;
            }
            match one(&side, name, &value, (table, &mut known.totals), &mut count) {
                Ok(Some(series)) => {
                    recent.truncate(RECENT_MAX - 1);
                    recent.push((is_selected, name, value.into_owned(), series));
                }
                Ok(None) => {}
                Err(error) => counted = Err(error),
            }
        });
        counted
    }

    /// More rows than [`Compare::rows`] makes of `table`.
    pub(super) fn rows_max(&self, table: &Table) -> usize {
        let attributes = table.keys().iter().filter(|key| key.last() == Some(&Key::Nil)).count();
        attributes.saturating_mul(self.top.saturating_add(1))
    }

    /// The answer. `counts` are those of the table's series by bucket.
    pub(super) fn rows(&self, table: &Table, counts: &[Vec<(u32, f64)>], len: usize) -> Vec<Row> {
        let mut attributes: BTreeMap<(bool, &str), Attribute<'_>> = BTreeMap::new();
        for (series, key) in table.keys().iter().enumerate() {
            let [Key::Bool(side), Key::Str(name), value] = &key[..] else { continue };
            let attribute = attributes.entry((*side, name)).or_default();
            match value {
                Key::Nil => attribute.total = Some(series),
                value => attribute.values.push((value, series)),
            }
        }
        let mut rows = Vec::new();
        for ((side, name), Attribute { total, mut values }) in attributes {
            let side = if side { "selection" } else { "baseline" };
            let mut row = |meta: &[(&str, &str)], value: Value<'static>, series: Option<usize>| {
                let mut labels: Vec<_> =
                    meta.iter().map(|(n, v)| ((*n).to_owned(), Value::Str((*v).to_owned().into()))).collect();
                labels.push((name.to_owned(), value));
                let mut values = vec![0.0; len];
                series.into_iter().flat_map(|series| &counts[series]).for_each(|(bucket, n)| values[*bucket as usize] = *n);
                rows.push(Row { labels, values, exemplars: Vec::new() });
            };
            row(&[("__meta_type", &format!("{side}_total"))], Value::Nil, total);
            if values.len() > VALUES_MAX {
                row(&[("__meta_type", side), ("__meta_error", "__too_many_values__")], Value::Nil, None);
                continue;
            }
            let sum = |series: usize| counts[series].iter().map(|(_, n)| *n as u64).sum::<u64>();
            values.sort_by_cached_key(|(value, series)| (std::cmp::Reverse(sum(*series)), *value));
            for (value, series) in values.into_iter().take(self.top) {
                row(&[("__meta_type", side)], Value::from(value), Some(series));
            }
        }
        rows
    }
}

/// The series of one attribute on one side.
#[derive(Default)]
struct Attribute<'a> {
    total: Option<usize>,
    values: Vec<(&'a Key, usize)>,
}

/// No series yet.
const UNKNOWN: u32 = u32::MAX;

/// Values of what a trace tells that are remembered.
const RECENT_MAX: usize = 16;

/// Series that were found before.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// By the series of a value that of its attribute.
    totals: Vec<u32>,
    /// The list that `of_list` is about. Held, so that no other list is taken for it.
    list: Option<Arc<Listed>>,
    /// By side and attribute of the list, the series.
    of_list: [Vec<u32>; 2],
    /// Side, name, value and series.
    recent: Vec<(bool, &'static str, Value<'static>, u32)>,
}

impl Known {
    fn turn_to(&mut self, list: &Arc<Listed>) {
        if !self.list.as_ref().is_some_and(|known| Arc::ptr_eq(known, list)) {
            self.of_list.iter_mut().for_each(|of_side| {
                of_side.clear();
                of_side.resize(list.attributes.len(), UNKNOWN);
            });
            self.list = Some(Arc::clone(list));
        }
    }

    /// Bytes that it holds, but for the list, which is storage's.
    pub(super) fn bytes(&self) -> usize {
        (self.totals.capacity() + self.of_list.iter().map(Vec::capacity).sum::<usize>()) * size_of::<u32>()
    }
}

/// Counts an attribute of a span: once, and each of its values once. The series of its value, if that is one.
fn one(
    side: &Value<'_>,
    name: &str,
    value: &Value<'_>,
    (table, totals): (&mut Table, &mut Vec<u32>),
    count: &mut impl FnMut(u32),
) -> Result<Option<u32>> {
    let total = |table: &mut Table| table.series(&[side.clone(), Value::text(name), Value::Nil]);
    match value {
        Value::Nil => Ok(None),
        Value::List(elements) => {
            count(total(table)?);
            let is_first = |at: &usize| !elements[..*at].contains(&elements[*at]);
            for at in (0..elements.len()).filter(is_first) {
                count(table.series(&[side.clone(), Value::text(name), elements[at].borrowed()])?);
            }
            Ok(None)
        }
        value => {
            let series = table.series(&[side.clone(), Value::text(name), value.borrowed()])?;
            let place = series as usize;
            if totals.len() <= place {
                totals.resize(place + 1, UNKNOWN);
            }
            if totals[place] == UNKNOWN {
                totals[place] = total(table)?;
            }
            count(totals[place]);
            count(series);
            Ok(Some(series))
        }
    }
}
