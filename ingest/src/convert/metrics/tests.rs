//! Whole requests: single rules as tables, and arbitrary requests against a naive converter.

mod oracle;
mod requests;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, MapArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;

use super::*;
use crate::registry::RegistryConfig;

/// The clock of these tests, in seconds.
const NOW_S: i64 = 1_760_000_000;
const NOW_NS: u64 = NOW_S as u64 * 1_000_000_000;

fn converter(config: OtlpMetricsConfig) -> Arc<MetricsConverter> {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    MetricsConverter::new(config, SeriesRegistry::new(RegistryConfig::default()), env)
}

fn convert(converter: &MetricsConverter, request: &ExportMetricsServiceRequest) -> Converted {
    converter.convert(&TenantId::anonymous(), &request.encode_to_vec()).unwrap()
}

/// A series: the metric and its labels, as text.
type Name = String;

/// Series, time, start, (schema, zero count, count), sum, (positive, negative) buckets by index.
type HistogramRow = (Name, i64, Option<i64>, [i64; 3], u64, [Vec<(i64, i64)>; 2]);

/// What a request became, in a form that can be compared: values as bits.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    samples: Vec<(Name, i64, u64, Option<i64>)>,
    histograms: Vec<HistogramRow>,
    exemplars: Vec<(Name, i64, u64, String, String, String)>,
    /// series and day
    series: Vec<(Name, i64)>,
    /// name, type, unit, help
    metadata: Vec<[String; 4]>,
    accepted: u64,
    rejected: u64,
}

impl Outcome {
    fn sorted(mut self) -> Self {
        self.samples.sort();
        self.histograms.sort();
        self.exemplars.sort();
        self.series.sort();
        self.metadata.sort();
        self.metadata.dedup();
        self
    }
}

fn render<'a>(metric: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> Name {
    let labels: Vec<String> = labels.map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{metric}{{{}}}", labels.join(","))
}

fn map_at(maps: &MapArray, row: usize) -> Vec<(String, String)> {
    let entries = maps.value(row);
    let (keys, values) = (entries.column(0).as_string::<i32>().clone(), entries.column(1).as_string::<i32>().clone());
    (0..entries.len()).map(|at| (keys.value(at).to_owned(), values.value(at).to_owned())).collect()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = batch.column_by_name(column).unwrap().as_dictionary::<Int32Type>();
    let values = column.values().as_string::<i32>();
    column.keys().values().iter().map(|key| values.value(*key as usize).to_owned()).collect()
}

fn times(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    batch.column_by_name(column).unwrap().as_primitive::<TimestampMillisecondType>().iter().collect()
}

fn longs(batch: &RecordBatch, column: &str) -> Vec<i64> {
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn bits(batch: &RecordBatch, column: &str) -> Vec<u64> {
    batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().values().iter().map(|v| v.to_bits()).collect()
}

/// Reads rows back; `names` maps sids to series and learns from the series rows.
fn outcome(converted: &Converted, names: &mut BTreeMap<i64, Name>) -> Outcome {
    let mut outcome = Outcome { accepted: converted.accepted, rejected: converted.rejected, ..Outcome::default() };
    for (table, batch) in &converted.rows {
        assert_eq!(batch.schema(), catalog::schema::rows(*table));
        assert!(batch.num_rows() > 0);
        if *table == Table::Series {
            let labels = batch.column_by_name("labels").unwrap().as_map();
            for (row, metric) in texts(batch, "metric").iter().enumerate() {
                let labels = map_at(labels, row);
                assert!(labels.is_sorted_by(|a, b| a.0 < b.0) && labels.iter().all(|(_, v)| !v.is_empty()));
                let name = render(metric, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
                names.insert(longs(batch, "sid")[row], name.clone());
                outcome.series.push((name, times(batch, "ts")[row].unwrap().div_euclid(86_400_000)));
            }
        }
    }
    for (table, batch) in &converted.rows {
        let name = |row: usize| names[&longs(batch, "sid")[row]].clone();
        for (row, metric) in texts(batch, "metric").iter().enumerate() {
            let ts = times(batch, "ts")[row].unwrap();
            if *table != Table::Metadata {
                assert!(name(row).starts_with(&format!("{metric}{{")));
            }
            match table {
                Table::Samples => {
                    outcome.samples.push((name(row), ts, bits(batch, "value")[row], times(batch, "start_ts")[row]));
                }
                Table::Histograms => outcome.histograms.push(histogram_row(batch, row, name(row), ts)),
                Table::Exemplars => {
                    let id = |column: &str| {
                        let ids = batch.column_by_name(column).unwrap().as_fixed_size_binary();
                        if ids.is_null(row) { String::new() } else { hex::encode(ids.value(row)) }
                    };
                    let labels = format!("{:?}", map_at(batch.column_by_name("labels").unwrap().as_map(), row));
                    outcome.exemplars.push((name(row), ts, bits(batch, "value")[row], id("trace_id"), id("span_id"), labels));
                }
                Table::Metadata => {
                    let help = batch.column_by_name("help").unwrap().as_string::<i32>().value(row).to_owned();
                    let [kind, unit] = ["type", "unit"].map(|column| texts(batch, column)[row].clone());
                    outcome.metadata.push([metric.clone(), kind, unit, help]);
                }
                _ => {}
            }
        }
    }
    outcome.sorted()
}

fn histogram_row(batch: &RecordBatch, row: usize, name: Name, ts: i64) -> HistogramRow {
    let ints = |column: &str| -> Vec<i64> {
        let list = batch.column_by_name(column).unwrap().as_list::<i32>().value(row);
        match list.as_primitive_opt::<Int32Type>() {
            Some(ints) => ints.values().iter().map(|v| i64::from(*v)).collect(),
            None => list.as_primitive::<Int64Type>().values().to_vec(),
        }
    };
    let side = |side: &str| {
        let (offsets, lengths) = (ints(&format!("{side}_offsets")), ints(&format!("{side}_lengths")));
        let counts = ints(&format!("{side}_counts"));
        let (mut index, mut at, mut buckets) = (0, 0, Vec::new());
        for (offset, length) in offsets.iter().zip(lengths) {
            index += offset;
            for _ in 0..length {
                if counts[at] != 0 {
                    buckets.push((index, counts[at]));
                }
                (index, at) = (index + 1, at + 1);
            }
        }
        assert_eq!(at, counts.len());
        buckets
    };
    let schema = batch.column_by_name("schema").unwrap().as_primitive::<Int32Type>().value(row);
    let numbers = [i64::from(schema), longs(batch, "zero_count")[row], longs(batch, "count")[row]];
    assert!(batch.column_by_name("positive_float_counts").unwrap().is_null(row));
    (name, ts, times(batch, "start_ts")[row], numbers, bits(batch, "sum")[row], [side("positive"), side("negative")])
}
