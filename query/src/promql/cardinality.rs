//! How many series there are, and what makes them so many. Counts the series of one day: Prometheus counts those of its head.

use std::sync::Arc;

use catalog::{Table, TimeRange};
use hashbrown::{HashMap, HashSet};
use promql::labels::NAME;

use super::answer::Cardinality;
use super::error::Result;
use crate::scan::layout::whole_days;
use crate::view::View;

/// The cardinality of the series of the days of `time`; at most `limit` entries per list.
pub(crate) async fn count(view: &View, time: TimeRange, limit: usize) -> Result<Cardinality> {
    let scope = super::series::scope(view, time)?;
    let tables = view.lake().series().tables(&scope).await?;
    let gone = super::series::gone(view, whole_days(time)).await?;
    let mut seen: HashSet<i64> = gone.into_iter().collect();
    let series: Vec<_> = tables.iter().flat_map(|table| table.iter()).filter(|series| seen.insert(series.id())).collect();
    let mut metrics: HashMap<&str, u64> = HashMap::new();
    let mut pairs: HashMap<(&str, &str), u64> = HashMap::new();
    for series in &series {
        *metrics.entry(series.metric()).or_default() += 1;
        *pairs.entry((NAME, series.metric())).or_default() += 1;
        for pair in series.labels() {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    let (mut values, mut bytes): (HashMap<&str, u64>, HashMap<&str, u64>) = Default::default();
    for ((name, value), count) in &pairs {
        *values.entry(name).or_default() += 1;
        *bytes.entry(name).or_default() += count * value.len() as u64;
    }
    let owned = |counts: HashMap<&str, u64>| top(counts.into_iter().map(|(name, count)| (name.to_owned(), count)), limit);
    Ok(Cardinality {
        series: series.len() as u64,
        label_pairs: pairs.len() as u64,
        fresh_samples: rows(view, Table::Samples) + rows(view, Table::Histograms),
        time_ms: times(view),
        series_by_metric: owned(metrics),
        values_by_label: owned(values),
        bytes_by_label: owned(bytes),
        series_by_pair: top(pairs.iter().map(|((name, value), count)| (format!("{name}={value}"), *count)), limit),
    })
}

/// The `limit` largest counts, largest first, equal ones by name.
fn top(counts: impl Iterator<Item = (String, u64)>, limit: usize) -> Vec<(String, u64)> {
    let mut counts: Vec<(String, u64)> = counts.collect();
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(limit);
    counts
}

fn rows(view: &View, table: Table) -> u64 {
    view.fresh(table).iter().map(|batch| batch.num_rows() as u64).sum()
}

/// Times of the oldest and the newest sample, by the manifest and the fresh rows.
fn times(view: &View) -> Option<(i64, i64)> {
    let mut range: Option<TimeRange> = None;
    let mut widen = |by: TimeRange| {
        range = Some(range.map_or(by, |r| TimeRange::new(r.start.min(by.start), r.end.max(by.end))));
    };
    for table in [Table::Samples, Table::Histograms] {
        view.files(table, TimeRange::ALL).iter().for_each(|file: &Arc<_>| widen(file.time));
        view.fresh(table).iter().filter_map(super::samples::batch_times).for_each(&mut widen);
    }
    range.map(|range| (range.start.as_millis(), range.end.as_millis()))
}
