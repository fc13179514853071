//! Bytes per sample, log line and span, and the rates of encoding and scanning, on generated data.
//!
//! ```text
//! cargo run --release -p telelake-lake --example layout_sizes [samples|logs|spans]
//! ```
//!
//! Samples: 2,000 series of one day at 15 s; 52 % integer counters with Poisson rates, 24 % gauges with two decimals, 8 %
//! gauges of whole pages of bytes, 8 % constants, 8 % counters with two decimals; 3 % of the timestamps late by up to 4 ms. Lines: access
//! logs, JSON with a trace id, logfmt, Java. Spans: traces of eight, eight attributes each.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::*;
use arrow::datatypes::{DataType, Int32Type};
use catalog::env::fixed;
use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{FileEntry, Level, SeriesId, Table, TenantId, Timestamp, schema};
use futures::TryStreamExt;
use lake::{Lake, LakeConfig, ScanSpec};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const DAY: Timestamp = Timestamp::from_secs(20_000 * 86_400);
const SERIES: usize = 2_000;
const POINTS: usize = 5_760;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().nth(1);
    let wants = |name: &str| wanted.as_deref().is_none_or(|w| w == name);
    if wants("samples") {
        for (level, points) in [(Level::L0, 4), (Level::L1, 480), (Level::L2, POINTS)] {
            report(Table::Samples, level, "sample", vec![samples(points)]).await?;
        }
    }
    if wants("logs") {
        let rows = logs(1_000_000);
        for level in [Level::L0, Level::L1, Level::L2] {
            report(Table::Logs, level, "line", rows.clone()).await?;
        }
    }
    if wants("spans") {
        let rows = spans(930_000);
        for level in [Level::L0, Level::L2] {
            report(Table::Spans, level, "span", rows.clone()).await?;
        }
    }
    Ok(())
}

async fn report(table: Table, level: Level, unit: &str, rows: Vec<RecordBatch>) -> lake::Result<()> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (env, _) = fixed::env(DAY, 7);
    let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await?;
    let lake = Lake::open(store, catalog, env, LakeConfig::default());
    let n: usize = rows.iter().map(RecordBatch::num_rows).sum();
    let started = Instant::now();
    let files = lake.write(&TenantId::anonymous(), table, level, rows).await?;
    let write_s = started.elapsed().as_secs_f64();
    let bytes: u64 = files.iter().map(|f| f.bytes).sum();
    let index: u64 = files.iter().filter_map(|f| f.index).map(|i| i.length).sum();
    let footer: u64 = files.iter().map(|f| f.footer_bytes).sum();
    let columns: Vec<String> = schema::rows(table).fields().iter().map(|f| f.name().clone()).collect();
    let started = Instant::now();
    let mut scanned = 0;
    for file in &files {
        let batches = lake.scan(Arc::new(file.clone()), ScanSpec::all(columns.clone()))?;
        scanned += batches.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows()) }).await?;
    }
    let scan_s = started.elapsed().as_secs_f64();
    assert_eq!(scanned, n, "every row comes back");
    println!(
        "{table} {level:?}: {n} rows, {:.3} B/{unit} ({} files; index {:.2} %, footers {:.2} %), sort + encode {:.2} M/s, scan {:.1} M/s",
        bytes as f64 / n as f64,
        files.len(),
        100.0 * index as f64 / bytes as f64,
        100.0 * footer as f64 / bytes as f64,
        n as f64 / write_s / 1e6,
        n as f64 / scan_s / 1e6,
    );
    columns_of(&lake, &files, n, unit).await
}

/// Where the bytes are.
async fn columns_of(lake: &Lake, files: &[FileEntry], rows: usize, unit: &str) -> lake::Result<()> {
    let mut sizes: Vec<(String, i64)> = Vec::new();
    for file in files {
        let footer = lake.caches().footer(lake.store().as_ref(), file).await?;
        for column in footer.reader.metadata().row_groups().iter().flat_map(|g| g.columns()) {
            let name = column.column_path().string();
            match sizes.iter_mut().find(|(n, _)| *n == name) {
                Some((_, size)) => *size += column.compressed_size(),
                None => sizes.push((name, column.compressed_size())),
            }
        }
    }
    sizes.sort_by_key(|(_, size)| -size);
    let shown: Vec<String> = sizes.iter().take(10).map(|(n, size)| format!("{n} {:.3}", *size as f64 / rows as f64)).collect();
    println!("    B/{unit}: {}", shown.join(", "));
    Ok(())
}

/// Samples in the order in which scrapes deliver them: all series of a target, then the next target.
fn samples(points: usize) -> RecordBatch {
    let mut rng = SmallRng::seed_from_u64(1);
    let mut state: Vec<f64> = (0..SERIES).map(|i| (i % 50) as f64 * 1000.0).collect();
    let rates: Vec<f64> = (0..SERIES).map(|_| rng.random_range(0.5..200.0_f64)).collect();
    let sids: Vec<i64> = (0..SERIES)
        .map(|i| SeriesId::of(&format!("metric_{}", i % 50), [("instance", format!("host-{}", i / 50).as_str())], 0).0)
        .collect();
    let (mut metrics, mut ids, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for point in 0..points {
        for target in 0..SERIES / 50 {
            let late = if rng.random_bool(0.03) { rng.random_range(1..=4) } else { 0 };
            for i in target * 50..(target + 1) * 50 {
                state[i] = step(&mut rng, i % 50, state[i], rates[i]);
                metrics.push((i % 50) as i32);
                ids.push(sids[i]);
                times.push(DAY.as_millis() + (target as i64 * 350) + point as i64 * 15_000 + late);
                values.push(state[i]);
            }
        }
    }
    let n = values.len();
    let names = StringArray::from_iter_values((0..50).map(|i| format!("metric_{i}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(DictionaryArray::<Int32Type>::new(metrics.into(), Arc::new(names))),
        Arc::new(Int64Array::from(ids)),
        Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        Arc::new(Float64Array::from(values)),
        Arc::new(TimestampMillisecondArray::new_null(n).with_timezone("UTC")),
    ];
    RecordBatch::try_new(schema::rows(Table::Samples), columns).expect("the schema's columns")
}

fn step(rng: &mut SmallRng, kind: usize, value: f64, rate: f64) -> f64 {
    let cents = |v: f64| (v * 100.0).round() / 100.0;
    match kind {
        0..26 => value + poisson(rng, rate),
        26..38 => cents(50.0 + rate / 10.0 + normal(rng)),
        38..42 => ((value + normal(rng) * 40_960.0).abs() / 4096.0).round() * 4096.0,
        42..46 => value,
        _ => cents(value + rate / 100.0 * rng.random::<f64>()),
    }
}

fn normal(rng: &mut SmallRng) -> f64 {
    (-2.0 * rng.random_range(1e-12..1.0_f64).ln()).sqrt() * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

fn poisson(rng: &mut SmallRng, mean: f64) -> f64 {
    if mean > 30.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0);
    }
    let (mut n, mut p) = (0.0, rng.random::<f64>());
    let limit = (-mean).exp();
    while p > limit {
        n += 1.0;
        p *= rng.random::<f64>();
    }
    n
}

fn strings(values: Vec<String>) -> ArrayRef {
    Arc::new(values.iter().map(|v| Some(v.as_str())).collect::<DictionaryArray<Int32Type>>())
}

fn no_strings(n: usize) -> ArrayRef {
    Arc::new(std::iter::repeat_n(None::<&str>, n).collect::<DictionaryArray<Int32Type>>())
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
}

fn binaries(size: i32, values: impl Iterator<Item = Option<Vec<u8>>>) -> ArrayRef {
    let mut builder = FixedSizeBinaryBuilder::new(size);
    for value in values {
        match value {
            Some(value) => builder.append_value(value).expect("the column's size"),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

/// A map column with the entries that `fill` appends per row.
fn text_map(id: i32, n: usize, mut fill: impl FnMut(usize, &mut dyn FnMut(&str, &str))) -> ArrayRef {
    let mut map = MapBuilder::new(Some(schema::map_field_names()), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(schema::map_key_field(id))
        .with_values_field(schema::map_value_field(id, DataType::Utf8));
    for row in 0..n {
        let (keys, values) = map.entries();
        fill(row, &mut |k, v| {
            keys.append_value(k);
            values.append_value(v);
        });
        map.append(true).expect("as many keys as values");
    }
    Arc::new(map.finish())
}

fn empty(field: &arrow::datatypes::Field, n: usize) -> ArrayRef {
    match field.data_type() {
        DataType::Map(entries, _) => {
            let offsets = arrow::buffer::OffsetBuffer::new_zeroed(n);
            let DataType::Struct(fields) = entries.data_type() else { unreachable!("a map's entries") };
            let none = StructArray::new(fields.clone(), fields.iter().map(|f| new_empty_array(f.data_type())).collect(), None);
            Arc::new(MapArray::new(Arc::clone(entries), offsets, none, None, false))
        }
        other => new_null_array(other, n),
    }
}

/// A batch whose columns are those of `set`, by name; all others null or empty.
fn assemble(table: Table, n: usize, mut set: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let schema = schema::rows(table);
    let columns = schema.fields().iter().map(|field| match set.iter().position(|(name, _)| name == field.name()) {
        Some(at) => set.swap_remove(at).1,
        None => empty(field, n),
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).expect("the schema's columns")
}

fn logs(lines: usize) -> Vec<RecordBatch> {
    let mut rng = SmallRng::seed_from_u64(2);
    (0..lines.div_ceil(50_000)).map(|batch| log_batch(&mut rng, 50_000, batch as i64 * 50_000)).collect()
}

fn log_batch(rng: &mut SmallRng, n: usize, first: i64) -> RecordBatch {
    let (mut services, mut streams, mut at, mut levels, mut bodies) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..n as i64 {
        let (service, pod) = (rng.random_range(0..10), rng.random_range(0..5));
        let level = ["info", "info", "info", "info", "warn", "error"][rng.random_range(0..6)];
        bodies.push(line(rng, service, level));
        services.push(format!("service-{service}"));
        streams.push(SeriesId::of("", [("pod", format!("{service}-{pod}").as_str())], 0).0);
        at.push(DAY.as_nanos() + (first + i) * 3_600_000 + rng.random_range(0..3_600_000));
        levels.push(level.to_owned());
    }
    let set = vec![
        ("service", strings(services)),
        ("stream_id", Arc::new(Int64Array::from(streams)) as ArrayRef),
        ("ts", times(at)),
        ("seq", Arc::new(Int64Array::from_iter_values(first..first + n as i64)) as ArrayRef),
        ("level", strings(levels)),
        ("body", Arc::new(StringArray::from(bodies)) as ArrayRef),
    ];
    assemble(Table::Logs, n, set)
}

fn line(rng: &mut SmallRng, service: usize, level: &str) -> String {
    let paths = ["/api/v1/users", "/api/v1/orders", "/healthz", "/static/app.js", "/api/v1/cart/items"];
    let path = paths[rng.random_range(0..paths.len())];
    let (status, ms) = ([200, 200, 200, 201, 304, 404, 500][rng.random_range(0..7)], rng.random_range(1..900));
    match rng.random_range(0..100) {
        0..40 => format!(
            r#"10.{}.{}.{} - - [05/Oct/2024:12:{:02}:{:02} +0000] "GET {path}?id={} HTTP/1.1" {status} {} "https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0" 0.{ms:03}"#,
            rng.random_range(0..4),
            rng.random_range(0..255),
            rng.random_range(0..255),
            rng.random_range(0..60),
            rng.random_range(0..60),
            rng.random_range(0..100_000),
            rng.random_range(200..50_000)
        ),
        40..82 => format!(
            r#"{{"level":"{level}","msg":"request handled","service":"service-{service}","method":"POST","path":"{path}","status":{status},"duration_ms":{ms}.{},"user_id":{},"trace_id":"{:032x}","region":"eu-west-1","version":"1.{}.3"}}"#,
            rng.random_range(0..1000),
            rng.random_range(0..200_000),
            rng.random::<u128>(),
            rng.random_range(0..4)
        ),
        82..95 => format!(
            "level={level} caller=handler.go:{} msg=\"cache lookup\" key=user:{} hit={} took={ms}us shard={} component=cache-{service}",
            [88, 120, 431][rng.random_range(0..3)],
            rng.random_range(0..200_000),
            rng.random_bool(0.8),
            rng.random_range(0..16)
        ),
        _ => format!(
            "2024-10-05 12:00:{:02},{ms:03} ERROR [pool-{}-thread-{}] com.example.orders.OrderService - Failed to process order {}: java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30000ms.",
            rng.random_range(0..60),
            rng.random_range(1..4),
            rng.random_range(1..32),
            rng.random_range(0..1_000_000)
        ),
    }
}

fn spans(count: usize) -> Vec<RecordBatch> {
    let mut rng = SmallRng::seed_from_u64(3);
    (0..count.div_ceil(50_000)).map(|batch| span_batch(&mut rng, 50_000, batch as i64)).collect()
}

fn span_batch(rng: &mut SmallRng, n: usize, batch: i64) -> RecordBatch {
    let (mut traces, mut at, mut ids, mut parents) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut durations, mut services, mut names, mut kinds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut of_trace: Vec<Vec<u8>> = Vec::new();
    for i in 0..n {
        if i % 8 == 0 {
            of_trace.clear();
            traces.push(rng.random::<[u8; 16]>().to_vec());
        } else {
            traces.push(traces[i - 1].clone());
        }
        let id = rng.random::<[u8; 8]>().to_vec();
        parents.push(if of_trace.is_empty() { None } else { Some(of_trace[rng.random_range(0..of_trace.len())].clone()) });
        of_trace.push(id.clone());
        ids.push(Some(id));
        at.push(DAY.as_nanos() + (batch * n as i64 + i as i64) * 7_000_000 + rng.random_range(0..7_000_000));
        durations.push((rng.random_range(1.0..3.0_f64).exp2() * 1e6 * rng.random::<f64>()) as i64);
        let operation = rng.random_range(0..40);
        services.push(format!("service-{}", operation / 4));
        names.push(format!("operation-{operation}"));
        kinds.push(1 + (operation % 4));
    }
    let paths: Vec<u32> = (0..n).map(|_| rng.random_range(0..200)).collect();
    let picks: Vec<usize> = (0..n).map(|_| rng.random_range(0..64)).collect();
    let attributes = text_map(20, n, |row, put| {
        put("http.request.method", ["GET", "GET", "POST", "PUT"][picks[row] % 4]);
        put("http.route", &format!("/api/v1/resource-{}", picks[row] % 20));
        put("url.path", &format!("/api/v1/resource-{}/{}", picks[row] % 20, paths[row]));
        put("server.address", &format!("host-{}.internal", picks[row] % 10));
        put("network.protocol.version", "1.1");
        put("user.tier", ["free", "pro", "team"][picks[row] % 3]);
    });
    let set = vec![
        ("trace_id", binaries(16, traces.into_iter().map(Some))),
        ("ts", times(at)),
        ("span_id", binaries(8, ids.into_iter())),
        ("parent_span_id", binaries(8, parents.into_iter())),
        ("duration_ns", Arc::new(Int64Array::from(durations)) as ArrayRef),
        ("service", strings(services)),
        ("name", strings(names)),
        ("kind", Arc::new(Int32Array::from(kinds)) as ArrayRef),
        ("status_code", Arc::new(Int32Array::from_iter_values(picks.iter().map(|p| i32::from(*p == 0) * 2))) as ArrayRef),
        ("status_message", no_strings(n)),
        ("resource_id", Arc::new(Int64Array::from_iter_values(picks.iter().map(|p| (*p as i64 % 10) * 77_777_777))) as ArrayRef),
        ("attrs_str", attributes),
    ];
    assemble(Table::Spans, n, set)
}
