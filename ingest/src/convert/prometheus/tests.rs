//! Whole requests: rules as tables, and arbitrary requests against a naive converter.

mod histograms;
mod oracle;
mod requests;
mod rules;

use std::collections::BTreeMap;
use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use catalog::env::fixed;
use catalog::{Table, Timestamp};
use prost::Message as _;

use super::*;
use crate::receive::prometheus::messages::{v1, v2};
use crate::registry::RegistryConfig;

/// The clock of these tests.
const NOW_S: i64 = 1_760_000_000;
const NOW: i64 = NOW_S * 1_000;

fn converter(config: RemoteWriteConfig) -> Arc<RemoteWriteConverter> {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    RemoteWriteConverter::new(config, SeriesRegistry::new(RegistryConfig::default()), env)
}

impl RemoteWriteConverter {
    fn v1(&self, request: &v1::WriteRequest) -> Taken {
        self.convert(&TenantId::anonymous(), Message::V1, &request.encode_to_vec()).unwrap()
    }

    fn v2(&self, request: &v2::Request) -> Taken {
        self.convert(&TenantId::anonymous(), Message::V2, &request.encode_to_vec()).unwrap()
    }
}

/// `metric{name="value",...}`.
fn render<'a>(metric: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let labels: Vec<String> = labels.map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{metric}{{{}}}", labels.join(","))
}

fn sample_line(series: &str, ts: i64, start: Option<i64>, value: f64) -> String {
    format!("sample {series} {ts} {start:?} {:x}", value.to_bits())
}

/// Everything but counts of buckets, which are `index:count`.
fn histogram_line<T: Debug>(
    series: &str,
    (ts, start): (i64, Option<i64>),
    ([schema, hint], threshold, sum): ([i32; 2], f64, f64),
    counts: [T; 2],
    bounds: &[f64],
    sides: [Vec<(i64, T)>; 2],
) -> String {
    let sum = sum.to_bits();
    format!("histogram {series} {ts} {start:?} {schema} {hint} {threshold} {sum:x} {counts:?} {bounds:?} {sides:?}")
}

/// Rows read back, one line each, sorted. `names` maps sids to series and learns from the series rows.
fn lines(taken: &Taken, names: &mut BTreeMap<i64, String>) -> Vec<String> {
    let mut lines = Vec::new();
    for (table, batch) in &taken.converted.rows {
        assert_eq!(batch.schema(), catalog::schema::rows(*table));
        assert!(batch.num_rows() > 0);
        if *table == Table::Series {
            for row in 0..batch.num_rows() {
                let labels = map_at(batch, row);
                assert!(labels.is_sorted_by(|a, b| a.0 < b.0) && labels.iter().all(|(_, v)| !v.is_empty()));
                let name = render(&text(batch, "metric", row), labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                names.insert(long(batch, "sid", row).unwrap(), name.clone());
                lines.push(format!("series {name} {}", time(batch, "ts", row).unwrap().div_euclid(86_400_000)));
            }
        }
    }
    for (table, batch) in &taken.converted.rows {
        for row in 0..batch.num_rows() {
            let series = || names[&long(batch, "sid", row).unwrap()].clone();
            let ts = time(batch, "ts", row).unwrap();
            let double = |column: &str| at(batch, column).as_primitive::<Float64Type>().value(row);
            match table {
                Table::Samples => lines.push(sample_line(&series(), ts, time(batch, "start_ts", row), double("value"))),
                Table::Histograms => lines.push(histogram(batch, row, &series())),
                Table::Exemplars => {
                    let id = |column: &str| {
                        let ids = at(batch, column).as_fixed_size_binary();
                        if ids.is_null(row) { "-".to_owned() } else { hex::encode(ids.value(row)) }
                    };
                    let (trace, span, value) = (id("trace_id"), id("span_id"), double("value").to_bits());
                    lines.push(format!("exemplar {} {ts} {value:x} {trace} {span} {:?}", series(), map_at(batch, row)));
                }
                Table::Metadata => {
                    let [name, kind, unit] = ["metric", "type", "unit"].map(|column| text(batch, column, row));
                    lines.push(format!("metadata {name} {kind} {unit:?} {:?}", at(batch, "help").as_string::<i32>().value(row)));
                }
                _ => {}
            }
        }
    }
    lines.sort();
    lines
}

fn at<'b>(batch: &'b RecordBatch, column: &str) -> &'b ArrayRef {
    batch.column_by_name(column).unwrap()
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> String {
    let column = at(batch, column).as_dictionary::<Int32Type>();
    column.values().as_string::<i32>().value(column.keys().value(row) as usize).to_owned()
}

fn time(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = at(batch, column).as_primitive::<TimestampMillisecondType>();
    column.is_valid(row).then(|| column.value(row))
}

fn long(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = at(batch, column).as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn map_at(batch: &RecordBatch, row: usize) -> Vec<(String, String)> {
    let entries = at(batch, "labels").as_map().value(row);
    let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
    (0..entries.len()).map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect()
}

fn histogram(batch: &RecordBatch, row: usize, series: &str) -> String {
    let double = |column: &str| at(batch, column).as_primitive::<Float64Type>().value(row);
    let int = |column: &str| at(batch, column).as_primitive::<Int32Type>().value(row);
    let list = |column: &str| {
        let lists = at(batch, column).as_list::<i32>();
        lists.is_valid(row).then(|| lists.value(row))
    };
    let floats = |column: &str| list(column).map(|l| l.as_primitive::<Float64Type>().values().to_vec());
    let longs = |column: &str| list(column).map(|l| l.as_primitive::<Int64Type>().values().to_vec());
    let ints = |column: &str| list(column).unwrap().as_primitive::<Int32Type>().values().to_vec();
    let indexes = |side: &str| -> Vec<i64> {
        let (mut index, mut all) = (0, Vec::new());
        for (offset, length) in ints(&format!("{side}_offsets")).into_iter().zip(ints(&format!("{side}_lengths"))) {
            index += i64::from(offset);
            all.extend(index..index + i64::from(length));
            index += i64::from(length);
        }
        all
    };
    let bounds = floats("custom_bounds");
    assert_eq!(bounds.is_some(), int("schema") == -53);
    let times = (time(batch, "ts", row).unwrap(), time(batch, "start_ts", row));
    let (kinds, bounds) = ([int("schema"), int("reset_hint")], bounds.unwrap_or_default());
    let head = (kinds, double("zero_threshold"), double("sum"));
    match long(batch, "count", row) {
        Some(count) => {
            let sides = ["positive", "negative"].map(|side| {
                assert!(list(&format!("{side}_float_counts")).is_none());
                let (indexes, counts) = (indexes(side), longs(&format!("{side}_counts")).unwrap());
                assert_eq!(indexes.len(), counts.len());
                indexes.into_iter().zip(counts).collect()
            });
            let counts = [count, long(batch, "zero_count", row).unwrap()];
            histogram_line(series, times, head, counts, &bounds, sides)
        }
        None => {
            let sides = ["positive", "negative"].map(|side| {
                assert!(list(&format!("{side}_counts")).is_none());
                let (indexes, counts) = (indexes(side), floats(&format!("{side}_float_counts")).unwrap());
                assert_eq!(indexes.len(), counts.len());
                indexes.into_iter().zip(counts).collect()
            });
            let counts = [double("float_count"), double("zero_float_count")];
            histogram_line(series, times, head, counts, &bounds, sides)
        }
    }
}
