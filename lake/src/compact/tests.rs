//! Merging against the plain way (concatenate, sort, drop duplicates), picking by table, and whole passes over a real lake.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray,
    TimestampNanosecondArray, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampMillisecondType};
use catalog::{FileEntry, Level, Partition, Table, TenantId, TimeRange, Timestamp, schema};
use futures::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;

use super::merge::{MergeTotals, merge};
use super::*;

mod deletes;
mod passes;

/// A sample: metric, sid, ts in ms, value.
type Sample = (u8, i64, i64, i32);

/// A batch of `table` with the given columns; what is not given is null, or the type's empty value where null is not allowed.
fn rows_of(table: Table, given: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = schema::rows(table);
    let rows = given.first().map_or(0, |(_, column)| column.len());
    let given: BTreeMap<&str, ArrayRef> = given.into_iter().collect();
    let columns = schema.fields().iter().map(|field| match given.get(field.name().as_str()) {
        Some(column) => cast(column, field.data_type()).expect("castable"),
        None if field.is_nullable() => new_null_array(field.data_type(), rows),
        None => empty_values(field.data_type(), rows),
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).expect("the schema's columns")
}

fn empty_values(data_type: &DataType, rows: usize) -> ArrayRef {
    match data_type {
        DataType::Dictionary(..) => Arc::new(vec![""; rows].into_iter().collect::<DictionaryArray<Int32Type>>()),
        DataType::Utf8 => Arc::new(arrow::array::StringArray::from(vec![""; rows])),
        DataType::FixedSizeBinary(width) => {
            let value = vec![0u8; *width as usize];
            Arc::new(FixedSizeBinaryArray::try_from_iter(std::iter::repeat_n(value, rows)).expect("fixed"))
        }
        DataType::Map(field, _) => {
            let DataType::Struct(entries) = field.data_type() else { panic!("a map has entries") };
            let entries = arrow::array::StructArray::new_null(entries.clone(), 0);
            let offsets = arrow::buffer::OffsetBuffer::new_zeroed(rows);
            Arc::new(arrow::array::MapArray::try_new(Arc::clone(field), offsets, entries, None, false).expect("empty maps"))
        }
        other => cast(&Int64Array::from(vec![0; rows]), other).expect("a number"),
    }
}

fn samples(rows: &[Sample]) -> RecordBatch {
    let metrics: DictionaryArray<Int32Type> =
        rows.iter().map(|row| format!("metric_{}", row.0)).collect::<Vec<_>>().iter().map(String::as_str).collect();
    let given: Vec<(&str, ArrayRef)> = vec![
        ("metric", Arc::new(metrics)),
        ("sid", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("ts", Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC"))),
        ("value", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| f64::from(row.3))))),
    ];
    rows_of(Table::Samples, given)
}

fn read_samples(batches: &[RecordBatch]) -> Vec<Sample> {
    let read = |batch: &RecordBatch| {
        let metric = batch.column(0).as_dictionary::<Int32Type>();
        let names = metric.values().as_string::<i32>();
        (0..batch.num_rows())
            .map(|row| {
                let name = names.value(metric.key(row).expect("required"));
                (
                    name.trim_start_matches("metric_").parse().expect("a number"),
                    batch.column(1).as_primitive::<Int64Type>().value(row),
                    batch.column(2).as_primitive::<TimestampMillisecondType>().value(row),
                    batch.column(3).as_primitive::<Float64Type>().value(row) as i32,
                )
            })
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(read).collect()
}

/// An input of a merge: `rows` cut into batches of `batch_rows`.
fn input(batch: &RecordBatch, batch_rows: usize) -> BatchStream {
    let pieces: Vec<_> = (0..batch.num_rows())
        .step_by(batch_rows)
        .map(|start| Ok(batch.slice(start, batch_rows.min(batch.num_rows() - start))))
        .collect();
    stream::iter(pieces).boxed()
}

fn run_merge(table: Table, inputs: Vec<BatchStream>) -> (Vec<RecordBatch>, u64, u64) {
    let totals = Arc::new(MergeTotals::default());
    let merged = merge(table, inputs, Arc::clone(&totals)).try_collect();
    let batches = futures::executor::block_on(merged).expect("merge");
    (batches, totals.rows_in.load(Ordering::Relaxed), totals.duplicates.load(Ordering::Relaxed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn samples_merge_as_if_sorted_together(
        inputs in prop::collection::vec(prop::collection::vec((0u8..3, -2i64..3, 0i64..12, any::<i32>()), 0..80), 1..6),
        batch_rows in 1usize..30,
    ) {
        let mut expected: BTreeMap<(u8, i64, i64), i32> = BTreeMap::new();
        let mut streams = Vec::new();
        for rows in &inputs {
            let mut rows = rows.clone();
            rows.sort_by_key(|row| (row.0, row.1, row.2)); // stable: of equal keys the later one is newer
            expected.extend(rows.iter().map(|row| ((row.0, row.1, row.2), row.3)));
            streams.push(input(&samples(&rows), batch_rows));
        }
        let expected: Vec<Sample> = expected.into_iter().map(|((metric, sid, ts), value)| (metric, sid, ts, value)).collect();
        let (batches, rows_in, duplicates) = run_merge(Table::Samples, streams);
        let got = read_samples(&batches);
        prop_assert_eq!(rows_in - duplicates, got.len() as u64);
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn log_lines_merge_without_their_twins(
        inputs in prop::collection::vec(prop::collection::vec((0i64..2, 0i64..4, 0i64..3, 0u8..2), 0..60), 1..5),
        batch_rows in 1usize..30,
    ) {
        let mut expected = std::collections::BTreeSet::new();
        let mut streams = Vec::new();
        for rows in &inputs {
            let mut rows = rows.clone();
            rows.sort_by_key(|row| (row.0, row.1));
            expected.extend(rows.iter().copied());
            streams.push(input(&logs(&rows), batch_rows));
        }
        let (batches, rows_in, duplicates) = run_merge(Table::Logs, streams);
        let got = read_logs(&batches);
        prop_assert_eq!(rows_in - duplicates, got.len() as u64);
        prop_assert!(got.is_sorted_by_key(|row| (row.0, row.1)));
        let mut sorted = got;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, expected.into_iter().collect::<Vec<_>>());
    }
}

/// Log lines: stream, ts, seq, body.
fn logs(rows: &[(i64, i64, i64, u8)]) -> RecordBatch {
    let given: Vec<(&str, ArrayRef)> = vec![
        ("stream_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1)).with_timezone("UTC"))),
        ("seq", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)))),
        ("body", Arc::new(arrow::array::StringArray::from_iter_values(rows.iter().map(|row| row.3.to_string())))),
    ];
    rows_of(Table::Logs, given)
}

fn read_logs(batches: &[RecordBatch]) -> Vec<(i64, i64, i64, u8)> {
    let read = |batch: &RecordBatch| {
        let number = |name: &str| cast(batch.column_by_name(name).expect("column"), &DataType::Int64).expect("cast");
        let (streams, times, seqs) = (number("stream_id"), number("ts"), number("seq"));
        let value = |column: &ArrayRef, row| column.as_primitive::<Int64Type>().value(row);
        let bodies = batch.column_by_name("body").expect("column").as_string::<i32>();
        (0..batch.num_rows())
            .map(|row| (value(&streams, row), value(&times, row), value(&seqs, row), bodies.value(row).parse().expect("number")))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(read).collect()
}

#[test]
fn spans_keep_the_newest_of_equal_ids() {
    /// Spans of one trace: ts, span, duration.
    fn spans(rows: &[(i64, u8, i64)]) -> RecordBatch {
        let ids = rows.iter().map(|row| [row.1; 8]);
        let given: Vec<(&str, ArrayRef)> = vec![
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.0)).with_timezone("UTC"))),
            ("span_id", Arc::new(FixedSizeBinaryArray::try_from_iter(ids).expect("fixed"))),
            ("duration_ns", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)))),
        ];
        rows_of(Table::Spans, given)
    }
    let old = spans(&[(1, 7, 1), (5, 1, 1), (5, 2, 1), (5, 3, 1)]);
    let new = spans(&[(5, 1, 2), (5, 4, 2), (9, 3, 2)]);
    let (batches, rows_in, duplicates) = run_merge(Table::Spans, vec![input(&old, 2), input(&new, 10)]);
    let durations: Vec<i64> = batches
        .iter()
        .flat_map(|b| b.column_by_name("duration_ns").expect("column").as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!((rows_in, duplicates), (7, 1));
    assert_eq!(durations, [1, 1, 1, 2, 2, 2]);
}

#[test]
fn dictionary_rows_keep_the_first_sighting() {
    fn streams(rows: &[(i64, i64)]) -> RecordBatch {
        let given: Vec<(&str, ArrayRef)> = vec![
            ("stream_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1)).with_timezone("UTC"))),
        ];
        rows_of(Table::Streams, given)
    }
    // Many inputs, nearly all rows duplicates.
    let inputs = (0..50).map(|n| input(&streams(&(0..100).map(|id| (id, 100 - n)).collect::<Vec<_>>()), 7)).collect();
    let (batches, rows_in, duplicates) = run_merge(Table::Streams, inputs);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!((rows, rows_in, duplicates), (100, 5_000, 4_900));
    let times = cast(batches[0].column_by_name("ts").expect("ts"), &DataType::Int64).expect("cast");
    assert!(times.as_primitive::<Int64Type>().values().iter().all(|ts| *ts == 51));
}

#[test]
fn an_input_out_of_order_is_refused() {
    let batch = samples(&[(0, 1, 5, 0), (0, 1, 4, 0)]);
    let totals = Arc::new(MergeTotals::default());
    let merged = merge(Table::Samples, vec![input(&batch, 1)], totals).try_collect::<Vec<_>>();
    futures::executor::block_on(merged).expect_err("out of order");
}

mod picking {
    use super::*;

    const HOUR: i64 = 3_600;

    fn entry(level: Level, partition: Partition, minted_s: i64, bytes: u64) -> FileEntry {
        let (env, _) = catalog::env::fixed::env(Timestamp::from_secs(minted_s), minted_s.cast_unsigned());
        FileEntry {
            id: env.new_uuid(),
            tenant: TenantId::anonymous(),
            table: Table::Samples,
            partition,
            level,
            bytes,
            rows: 1,
            time: partition.range(),
            key_range: None,
            id_range: None,
            index: None,
            footer_bytes: 0,
            crc32: 0,
            raw_bytes: bytes,
            schema_version: 1,
        }
    }

    async fn snapshot(files: Vec<FileEntry>) -> Arc<catalog::Snapshot> {
        let (env, _) = catalog::env::fixed::env(Timestamp::from_secs(0), 1);
        let store = Arc::new(object_store::memory::InMemory::new());
        let catalog = catalog::manifest::Catalog::open(store, env, Default::default()).await.expect("open");
        let add = |file| Operation::AddFile { file: Box::new(file) };
        catalog.commit(files.into_iter().map(add).collect()).await.expect("commit");
        catalog.snapshot()
    }

    /// Files as (level, slice, minted at hour, bytes); day 0; what is picked as (level, slice, inputs).
    async fn check(files: &[(Level, Option<u8>, i64, u64)], now_h: i64, mode: Mode, expected: &[(Level, Option<u8>, usize)]) {
        let day = 0;
        let files = files.iter().enumerate().map(|(n, (level, slice, minted_h, bytes))| {
            entry(*level, Partition { day, slice: *slice }, minted_h * HOUR + n as i64, *bytes)
        });
        let snapshot = snapshot(files.collect()).await;
        let now = Timestamp::from_secs(now_h * HOUR);
        let plans = pick(&snapshot, now, &CompactConfig::default(), mode);
        let got: Vec<_> = plans.iter().map(|plan| (plan.level, plan.partition.slice, plan.inputs.len())).collect();
        assert_eq!(got, expected);
        assert!(plans.iter().all(|plan| plan.inputs.is_sorted_by_key(|file| recency(file))));
    }

    #[tokio::test]
    async fn slices_and_days() {
        use Level::{L0, L1, L2};
        let l0 = |slice, hour| (L0, Some(slice), hour, 100);
        check(&[l0(0, 1); 12], 1, Mode::Due, &[]).await; // open, not crowded
        check(&[l0(0, 1); 13], 1, Mode::Due, &[(L1, Some(0), 13)]).await; // open, crowded
        check(&[(L0, Some(0), 1, 300 << 20); 2], 1, Mode::Due, &[(L1, Some(0), 2)]).await; // open, large
        check(&[l0(0, 1); 100], 1, Mode::Due, &[(L1, Some(0), 64)]).await; // the oldest first
        check(&[l0(0, 1)], 3, Mode::Due, &[(L1, Some(0), 1)]).await; // closed
        check(&[l0(0, 3)], 3, Mode::Due, &[]).await; // closed, but its rows only just came
        check(&[l0(0, 3); 13], 3, Mode::Due, &[(L1, Some(0), 13)]).await; // too many to wait
        check(&[l0(0, 1), (L1, Some(0), 1, 100)], 3, Mode::Due, &[(L1, Some(0), 2)]).await; // closed, late rows settled
        check(&[l0(0, 3), (L1, Some(0), 1, 100)], 3, Mode::Due, &[]).await; // late rows wait for more
        check(&[(L1, Some(0), 1, 100)], 3, Mode::Due, &[]).await; // done
        check(&[l0(0, 1), l0(1, 3), l0(2, 5)], 5, Mode::Due, &[(L1, Some(0), 1), (L1, Some(1), 1)]).await;
        check(&[l0(0, 1), (L1, Some(1), 3, 9), l0(11, 23)], 31, Mode::Due, &[(L2, None, 3)]).await; // the day is over
        check(&[(L2, None, 31, 9)], 100, Mode::Due, &[]).await; // done
        check(&[(L2, None, 31, 9_000), l0(3, 40)], 41, Mode::Due, &[(L1, Some(3), 1)]).await; // little came late: its slice only
        check(&[(L2, None, 31, 9_000), l0(3, 40)], 47, Mode::Due, &[(L2, None, 2)]).await; // and the day in the end
        check(&[(L2, None, 31, 900), l0(3, 40)], 41, Mode::Due, &[(L2, None, 2)]).await; // much came late
        check(&[l0(0, 40), l0(3, 40)], 40, Mode::Due, &[]).await; // a past day is being brought in
        check(&[(L0, Some(3), 40, 600 << 20)], 40, Mode::Due, &[(L2, None, 1)]).await; // and is large already
        check(&[(L2, None, 31, 900), l0(3, 40)], 40, Mode::Due, &[]).await; // more may come
        check(&[l0(0, 1), l0(1, 1)], 1, Mode::Force, &[(L2, None, 2)]).await;
        check(&[(L2, None, 1, 9)], 1, Mode::Force, &[]).await;
        check(&[(L2, None, 1, 9); 2], 1, Mode::Force, &[(L2, None, 2)]).await; // kept apart by a delete that is done
        check(&[(L2, None, 1, 9); 2], 1, Mode::Due, &[]).await;
        check(&[(L2, None, 1, 200 << 20); 2], 1, Mode::Force, &[]).await; // may have to be two
        check(&[l0(0, 1); 100], 1, Mode::Force, &[(L1, Some(0), 64)]).await; // too many for one merge: in steps
    }

    #[tokio::test]
    async fn newest_small_files_of_level_1_join_in() {
        use Level::{L0, L1};
        let mut files = vec![(L1, Some(0), 1, 10_000), (L1, Some(0), 1, 1_000)];
        files.extend([(L0, Some(0), 1, 100); 13]);
        check(&files, 1, Mode::Due, &[(L1, Some(0), 14)]).await;
        // The slice is closed, and rows still come.
        let late: Vec<_> = files.iter().map(|(level, slice, _, bytes)| (*level, *slice, 3, *bytes)).collect();
        check(&late, 3, Mode::Due, &[(L1, Some(0), 14)]).await;
        check(&files, 3, Mode::Due, &[(L1, Some(0), 15)]).await;
    }
}
