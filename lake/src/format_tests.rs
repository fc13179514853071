//! Rows that are written come back: every table, any values, whatever is pruned on the way.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::*;
use catalog::env::fixed;
use catalog::manifest::CatalogConfig;
use catalog::{Env, FileEntry, Level, Partition, Table, TenantId, TimeRange, Timestamp, schema};
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::basic::Encoding;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::predicate::{ColumnTest, Predicate, Scalar, Test};
use crate::scan::ScanSpec;
use crate::{Lake, LakeConfig, ScanMetrics};

const NOON: Timestamp = Timestamp::from_secs(20_000 * 86_400 + 12 * 3_600);

async fn lake() -> Arc<Lake> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (env, _clock): (Env, _) = fixed::env(NOON, 7);
    let catalog =
        catalog::manifest::Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.expect("opens");
    Lake::open(store, catalog, env, LakeConfig::default())
}

/// Rows of `table` with random values; ids and texts come from small sets so that series repeat.
fn random_rows(table: Table, rows: usize, seed: u64) -> RecordBatch {
    let mut rng = SmallRng::seed_from_u64(seed);
    let schema = schema::rows(table);
    let mut columns: Vec<ArrayRef> = schema.fields().iter().map(|f| random_array(&mut rng, f, rows, "")).collect();
    if table == Table::Histograms {
        // Null on one side of the counts, as the schema says.
        columns[4] = Arc::new(Int32Array::from_iter_values((0..rows).map(|_| rng.random_range(0..2))));
    }
    RecordBatch::try_new(schema, columns).expect("fits")
}

fn random_array(rng: &mut SmallRng, field: &Field, n: usize, parent: &str) -> ArrayRef {
    let null = |rng: &mut SmallRng| field.is_nullable() && rng.random_bool(0.3);
    let name = field.name().as_str();
    match field.data_type() {
        DataType::Int32 => Arc::new((0..n).map(|_| (!null(rng)).then(|| rng.random_range(-3..9))).collect::<Int32Array>()),
        DataType::Int64 => {
            let id = matches!(name, "sid" | "stream_id" | "resource_id");
            let value =
                |rng: &mut SmallRng| if id { rng.random_range(-3_i64..3) * 0x1234_5678_9abc } else { rng.random_range(0..1000) };
            Arc::new((0..n).map(|_| (!null(rng)).then(|| value(rng))).collect::<Int64Array>())
        }
        DataType::Boolean => Arc::new((0..n).map(|_| (!null(rng)).then(|| rng.random())).collect::<BooleanArray>()),
        DataType::Float64 => Arc::new((0..n).map(|_| (!null(rng)).then(|| random_float(rng))).collect::<Float64Array>()),
        DataType::Timestamp(unit, _) => {
            let scale = if *unit == TimeUnit::Millisecond { 1 } else { 1_000_000 };
            let value = |rng: &mut SmallRng| (NOON.as_millis() + rng.random_range(0..7_000_000)) * scale;
            let values: Vec<Option<i64>> = (0..n).map(|_| (!null(rng)).then(|| value(rng))).collect();
            match unit {
                TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::from(values).with_timezone("UTC")),
                _ => Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC")),
            }
        }
        DataType::Utf8 => Arc::new((0..n).map(|_| (!null(rng)).then(|| random_text(rng, name, parent))).collect::<StringArray>()),
        DataType::Dictionary(..) => {
            let texts: Vec<Option<String>> =
                (0..n).map(|_| (!null(rng)).then(|| format!("{name}-{}", rng.random_range(0..5)))).collect();
            Arc::new(texts.iter().map(|t| t.as_deref()).collect::<DictionaryArray<Int32Type>>())
        }
        DataType::FixedSizeBinary(size) => {
            let mut builder = FixedSizeBinaryBuilder::new(*size);
            for _ in 0..n {
                match null(rng) {
                    true => builder.append_null(),
                    false => builder.append_value(vec![rng.random_range(0..6_u8) * 40; *size as usize]).expect("size"),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::Map(entries, _) => {
            let lengths: Vec<usize> = (0..n).map(|_| rng.random_range(0..3)).collect();
            let DataType::Struct(fields) = entries.data_type() else { unreachable!("a map's entries") };
            let total = lengths.iter().sum();
            let children = fields.iter().map(|f| random_array(rng, f, total, name)).collect();
            let entries_array = StructArray::new(fields.clone(), children, None);
            let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::new(Arc::clone(entries), offsets, entries_array, None, false))
        }
        DataType::List(element) => {
            let nulls: Vec<bool> = (0..n).map(|_| !null(rng)).collect();
            let lengths: Vec<usize> = nulls.iter().map(|set| if *set { rng.random_range(0..3) } else { 0 }).collect();
            let values = random_array(rng, element, lengths.iter().sum(), name);
            let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(Arc::clone(element), offsets, values, Some(nulls.into())))
        }
        DataType::Struct(fields) => {
            let children = fields.iter().map(|f| random_array(rng, f, n, name)).collect();
            Arc::new(StructArray::new(fields.clone(), children, None))
        }
        other => unreachable!("no column of type {other}"),
    }
}

fn random_float(rng: &mut SmallRng) -> f64 {
    match rng.random_range(0..8) {
        0 => f64::from_bits(0x7ff0_0000_0000_0002),
        1 => f64::from_bits(rng.random()),
        2 => -0.0,
        3 => f64::NEG_INFINITY,
        4 => rng.random_range(-100_000..100_000) as f64 / 100.0,
        _ => rng.random_range(0..10_000_000) as f64,
    }
}

fn random_text(rng: &mut SmallRng, name: &str, parent: &str) -> String {
    match name {
        "key" => format!("{parent}.k{}", rng.random_range(0..4)),
        "body" => format!("GET /api/{} took {}ms Ünïcode", rng.random_range(0..2000), rng.random_range(0..500)),
        _ => format!("v{}", rng.random_range(0..20)),
    }
}

/// Row order by the sort columns, equal rows as they are: what [`Lake::write`] promises, by another way.
fn in_order(table: Table, rows: &RecordBatch) -> RecordBatch {
    let columns = schema::sort_columns(table).iter().map(|name| {
        let column = rows.column_by_name(name).expect("present");
        let plain = match column.data_type() {
            DataType::Dictionary(_, values) => arrow::compute::cast(column, values).expect("unpacks"),
            _ => Arc::clone(column),
        };
        (name, plain)
    });
    let converter =
        arrow::row::RowConverter::new(columns.clone().map(|(_, c)| arrow::row::SortField::new(c.data_type().clone())).collect());
    let keys = converter.expect("types").convert_columns(&columns.map(|(_, c)| c).collect::<Vec<_>>()).expect("converts");
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
    take_record_batch(rows, &UInt32Array::from(order)).expect("takes")
}

/// Rows as text, float bits included, so that NaNs compare.
fn printed(rows: &RecordBatch) -> Vec<String> {
    let unpacked: Vec<ArrayRef> = rows.columns().iter().map(unpack).collect();
    (0..rows.num_rows()).map(|i| unpacked.iter().map(|c| print(c.as_ref(), i)).collect::<Vec<_>>().join("|")).collect()
}

fn unpack(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Dictionary(_, values) => arrow::compute::cast(column, values).expect("unpacks"),
        _ => Arc::clone(column),
    }
}

fn print(column: &dyn Array, i: usize) -> String {
    if column.is_null(i) {
        return "null".to_owned();
    }
    match column.data_type() {
        DataType::Float64 => format!("{:016x}", column.as_primitive::<Float64Type>().value(i).to_bits()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => column.as_primitive::<TimestampMillisecondType>().value(i).to_string(),
        DataType::Timestamp(..) => column.as_primitive::<TimestampNanosecondType>().value(i).to_string(),
        DataType::List(_) => {
            let item = column.as_list::<i32>().value(i);
            (0..item.len()).map(|j| print(item.as_ref(), j)).collect::<Vec<_>>().join(",")
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(i);
            (0..entries.len()).map(|j| print(&entries, j)).collect::<Vec<_>>().join(",")
        }
        DataType::Struct(_) => column.as_struct().columns().iter().map(|c| print(c.as_ref(), i)).collect::<Vec<_>>().join(":"),
        _ => arrow::util::display::array_value_to_string(column, i).expect("prints"),
    }
}

fn all_columns(table: Table) -> Vec<String> {
    schema::rows(table).fields().iter().map(|f| f.name().clone()).collect()
}

async fn scanned(lake: &Lake, file: &FileEntry, spec: ScanSpec) -> RecordBatch {
    let columns = spec.columns.clone();
    let batches: Vec<RecordBatch> = lake.scan(Arc::new(file.clone()), spec).expect("valid").try_collect().await.expect("reads");
    let rows = schema::rows(file.table);
    let fields: Vec<Field> = columns.iter().map(|c| rows.field_with_name(c).expect("known").clone()).collect();
    concat_batches(&Arc::new(Schema::new(fields)), &batches).expect("same schema")
}

async fn check_round_trip(table: Table, level: Level, batches: Vec<RecordBatch>) {
    let lake = lake().await;
    let tenant = TenantId::anonymous();
    let whole = concat_batches(&schema::rows(table), &batches).expect("same schema");
    let files = lake.write(&tenant, table, level, batches).await.expect("writes");
    let mut parts: HashMap<Partition, RecordBatch> = HashMap::new();
    for file in &files {
        assert!(parts.insert(file.partition, scanned(&lake, file, ScanSpec::all(all_columns(table))).await).is_none());
        check_entry(&lake, file).await;
    }
    let sorted = in_order(table, &whole);
    let times = crate::write::times_of(table, &sorted);
    for (partition, rows) in parts {
        let inside: UInt32Array = (0..sorted.num_rows() as u32)
            .filter(|i| {
                let of = Partition::of(table, times[*i as usize]);
                (if level == Level::L2 { of.whole_day() } else { of }) == partition
            })
            .collect();
        let expected = take_record_batch(&sorted, &inside).expect("takes");
        assert_eq!(printed(&rows), printed(&expected), "{table} {partition:?}");
    }
    assert_eq!(files.iter().map(|f| f.rows).sum::<u64>(), whole.num_rows() as u64);
}

/// The manifest entry says the truth about the object.
async fn check_entry(lake: &Lake, file: &FileEntry) {
    let bytes = lake.store().get(&file.path()).await.expect("there").bytes().await.expect("reads");
    assert_eq!(bytes.len() as u64, file.bytes);
    assert_eq!(crc32fast::hash(&bytes), file.crc32);
    assert!(file.raw_bytes > 0);
    if let Some(section) = file.index {
        let section = bytes.slice(section.offset as usize..(section.offset + section.length) as usize);
        crate::index::IndexReader::parse(section).expect("a valid index section");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn every_table_comes_back(seed in any::<u64>(), rows in 1_usize..400, cut in 0_usize..400) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
        for table in Table::ALL {
            let whole = random_rows(table, rows, seed);
            let cut = cut.min(rows);
            let batches = vec![whole.slice(0, cut), whole.slice(cut, rows - cut)];
            for level in [Level::L0, Level::L2] {
                runtime.block_on(check_round_trip(table, level, batches.clone()));
            }
        }
    }

    #[test]
    fn pruning_never_drops_a_match(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
        runtime.block_on(async {
            for table in [Table::Samples, Table::Logs, Table::Spans, Table::Histograms] {
                check_pruning(table, seed).await;
            }
        });
    }
}

async fn check_pruning(table: Table, seed: u64) {
    let lake = lake().await;
    let rows = random_rows(table, 3_000, seed);
    let files = lake.write(&TenantId::anonymous(), table, Level::L2, vec![rows]).await.expect("writes");
    let mut rng = SmallRng::seed_from_u64(seed);
    for file in &files {
        let all = scanned(&lake, file, ScanSpec::all(all_columns(table))).await;
        for _ in 0..12 {
            let (test, matches) = random_test(&mut rng, table, &all);
            let start = NOON.as_millis() + rng.random_range(0..7_000_000);
            let time = match rng.random_bool(0.5) {
                true => TimeRange::ALL,
                false => TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(start + 2_000_000)),
            };
            let times = crate::write::times_of(table, &all);
            let expected: Vec<u32> =
                (0..all.num_rows()).filter(|i| matches[*i] && time.contains(times[*i])).map(|i| i as u32).collect();
            let expected = printed(&take_record_batch(&all, &UInt32Array::from(expected)).expect("takes"));
            let predicate = Predicate { all: vec![test.clone()] };
            let metrics = Arc::new(ScanMetrics::default());
            let spec = ScanSpec { predicate, time, metrics: Arc::clone(&metrics), ..ScanSpec::all(all_columns(table)) };
            let found = printed(&scanned(&lake, file, spec).await);
            let mut found = found.iter();
            for row in &expected {
                assert!(found.any(|f| f == row), "{table}: a row is missing or out of order under {test:?} in {time:?}: {row}");
            }
        }
    }
}

/// A test and, per row of `all`, whether it holds.
fn random_test(rng: &mut SmallRng, table: Table, all: &RecordBatch) -> (ColumnTest, Vec<bool>) {
    let n = all.num_rows();
    let pick = rng.random_range(0..n);
    let column_test = |column: &str, test| ColumnTest { column: column.to_owned(), test };
    let equal = |name: &str| {
        let column = unpack(all.column_by_name(name).expect("present"));
        let wanted = print(column.as_ref(), pick);
        (0..n).map(|i| column.is_valid(i) && print(column.as_ref(), i) == wanted).collect::<Vec<_>>()
    };
    let text = |name: &str| print(unpack(all.column_by_name(name).expect("present")).as_ref(), pick);
    match (table, rng.random_range(0..3)) {
        (Table::Samples | Table::Histograms, 0) => {
            (column_test("metric", Test::In(vec![Scalar::Text(text("metric"))])), equal("metric"))
        }
        (Table::Samples | Table::Histograms, _) => {
            let sid = all.column(1).as_primitive::<Int64Type>().value(pick);
            (column_test("sid", Test::In(vec![Scalar::Int(sid)])), equal("sid"))
        }
        (Table::Logs, 0) => {
            let bodies = all.column_by_name("body").expect("present").as_string::<i32>();
            let body = bodies.value(pick);
            let needle = body[4..rng.random_range(8..16)].to_owned();
            (
                column_test("body", Test::Contains(needle.clone())),
                bodies.iter().map(|b| b.is_some_and(|b| b.contains(&needle))).collect(),
            )
        }
        (Table::Logs | Table::Spans, 1) => {
            let maps = all.column_by_name("attrs_str").expect("present").as_map();
            let has = |i: usize, key: &str, value: &str| {
                let entries = maps.value(i);
                (0..entries.len()).any(|j| print(&entries, j) == format!("{key}:{value}"))
            };
            let (key, value) = ("attrs_str.k1", format!("v{}", rng.random_range(0..20)));
            let matches = (0..n).map(|i| has(i, key, &value)).collect();
            (column_test("attrs_str", Test::KeyIs(key.to_owned(), Scalar::Text(value))), matches)
        }
        _ => {
            let ids = all.column_by_name("trace_id").expect("present").as_fixed_size_binary();
            let id = if ids.is_valid(pick) { ids.value(pick).to_vec() } else { vec![7; 16] };
            let matches = ids.iter().map(|i| i.is_some_and(|i| i == id)).collect();
            (column_test("trace_id", Test::In(vec![Scalar::Bytes(id)])), matches)
        }
    }
}

#[tokio::test]
async fn columns_are_encoded_as_the_layout_says() {
    let lake = lake().await;
    for table in Table::ALL {
        let rows = random_rows(table, 5_000, 11);
        for file in lake.write(&TenantId::anonymous(), table, Level::L2, vec![rows]).await.expect("writes") {
            let footer = lake.caches().footer(lake.store().as_ref(), &file).await.expect("a footer");
            let metadata = footer.reader.metadata();
            assert!(metadata.column_index().is_some() && metadata.offset_index().is_some(), "{table}: page index");
            for group in metadata.row_groups() {
                for column in group.columns() {
                    let path = column.column_path().parts();
                    let data_type = crate::write::leaf_type(table, path);
                    crate::write::check_encodings(table, path, &data_type, &column.encodings().collect::<Vec<_>>());
                }
            }
            let root = metadata.file_metadata().schema_descr().root_schema();
            for (column, field) in root.get_fields().iter().zip(schema::stored(table).fields()) {
                assert_eq!(Some(column.get_basic_info().id()), schema::field_id(field), "{table}.{}", column.name());
            }
            let kv = metadata.file_metadata().key_value_metadata().expect("metadata");
            assert!(kv.iter().any(|kv| kv.key == "telelake.schema_version" && kv.value.as_deref() == Some("1")));
        }
    }
    let _ = Encoding::PLAIN;
}

#[tokio::test]
async fn streams_are_split_at_the_target() {
    let lake = lake().await;
    let rows = in_order(Table::Samples, &random_rows(Table::Samples, 600_000, 3));
    let partition = Partition::of(Table::Samples, NOON).whole_day();
    let batches: Vec<_> = (0..rows.num_rows()).step_by(10_000).map(|at| Ok(rows.slice(at, 10_000))).collect();
    let files = lake
        .write_sorted(&TenantId::anonymous(), Table::Samples, Level::L2, partition, futures::stream::iter(batches), 1)
        .await
        .expect("writes");
    assert!(files.len() > 1, "{} files", files.len());
    let mut back = Vec::new();
    for file in &files {
        check_entry(&lake, file).await;
        back.push(scanned(&lake, file, ScanSpec::all(all_columns(Table::Samples))).await);
    }
    let back = concat_batches(&schema::rows(Table::Samples), &back).expect("same schema");
    assert_eq!(back.num_rows(), rows.num_rows());
    assert!(printed(&back) == printed(&rows));
}

/// A flipped bit anywhere in a file is an error that names the file, or changes nothing; small files are read whole, large ones
/// page by page.
#[tokio::test]
async fn a_flipped_bit_never_becomes_a_wrong_row() {
    let mut dice = SmallRng::seed_from_u64(3);
    for (table, rows) in Table::ALL.map(|table| (table, 300)).into_iter().chain([
        (Table::Samples, 120_000),
        (Table::Histograms, 6_000),
        (Table::Logs, 12_000),
        (Table::Spans, 5_000),
    ]) {
        let written = lake().await;
        let rows = random_rows(table, rows, 17);
        let file = written.write(&TenantId::anonymous(), table, Level::L0, vec![rows]).await.expect("writes").remove(0);
        let good = written.store().get(&file.path()).await.expect("there").bytes().await.expect("reads");
        let expected = printed(&scanned(&written, &file, ScanSpec::all(all_columns(table))).await);
        let step = (good.len() / 150).max(1);
        let (mut seen, mut harmless) = (0, 0);
        for at in (0..good.len()).step_by(step) {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << dice.random_range(0..8);
            let lake = lake().await;
            lake.store().put(&file.path(), bad.into()).await.expect("puts");
            let scan = lake.scan(Arc::new(file.clone()), ScanSpec::all(all_columns(table))).expect("columns of the table");
            match scan.try_collect::<Vec<_>>().await {
                Err(error) => {
                    assert!(matches!(error, crate::Error::Corrupt { .. }), "{table}: byte {at}: {error}");
                    assert!(error.to_string().contains(&file.id.to_string()), "{table}: byte {at}: {error}");
                    seen += 1;
                }
                Ok(rows) => {
                    let rows = concat_batches(&schema::rows(table), &rows).expect("same schema");
                    assert!(printed(&rows) == expected, "{table}: a flip at byte {at} of {} changed the rows", good.len());
                    harmless += 1;
                }
            }
        }
        let outside = file.index.map_or(0, |index| index.length) + 4;
        let most = outside as usize / step + 1;
        assert!(seen > 0 && harmless <= most, "{table}: {seen} flips seen, {harmless} not, {most} may be");
    }
}

#[tokio::test]
async fn a_damaged_index_section_only_slows_the_scan() {
    let lake = lake().await;
    let rows = random_rows(Table::Logs, 12_000, 5);
    let file = lake.write(&TenantId::anonymous(), Table::Logs, Level::L1, vec![rows]).await.expect("writes").remove(0);
    let mut bytes = lake.store().get(&file.path()).await.expect("there").bytes().await.expect("reads").to_vec();
    bytes[file.index.expect("logs have one").offset as usize + 30] ^= 1;
    lake.store().put(&file.path(), bytes.into()).await.expect("puts");
    let predicate = Predicate { all: vec![ColumnTest { column: "body".to_owned(), test: Test::Contains("zzzzzz".to_owned()) }] };
    let found = scanned(&lake, &file, ScanSpec { predicate, ..ScanSpec::all(["body"]) }).await;
    assert_eq!(found.num_rows() as u64, file.rows);
}

#[tokio::test]
async fn absent_texts_and_ids_prune_the_whole_file() {
    let lake = lake().await;
    let check = async |table: Table, column: &str, test: Test| {
        let file = lake
            .write(&TenantId::anonymous(), table, Level::L1, vec![random_rows(table, 2_000, 5)])
            .await
            .expect("writes")
            .remove(0);
        let metrics = Arc::new(ScanMetrics::default());
        let predicate = Predicate { all: vec![ColumnTest { column: column.to_owned(), test }] };
        let spec = ScanSpec { predicate, metrics: Arc::clone(&metrics), ..ScanSpec::all(["ts"]) };
        assert_eq!(scanned(&lake, &file, spec).await.num_rows(), 0, "{table}.{column}");
        assert_eq!(metrics.totals().bytes_read, 0, "{table}.{column}");
    };
    check(Table::Logs, "body", Test::Contains("no such text".to_owned())).await;
    check(Table::Logs, "trace_id", Test::In(vec![Scalar::Bytes(vec![1; 16])])).await;
    check(Table::Logs, "attrs_str", Test::KeyIs("k".to_owned(), Scalar::Text("v".to_owned()))).await;
    check(Table::Spans, "trace_id", Test::In(vec![Scalar::Bytes(vec![1; 16])])).await;
    check(Table::Samples, "metric", Test::In(vec![Scalar::Text("nope".to_owned())])).await;
}

/// Wants texts with this byte.
#[derive(Debug)]
struct Has(u8);

impl crate::TextTest for Has {
    fn column(&self) -> &str {
        "body"
    }

    fn retain(&self, buffer: &[u8], offsets: &[i32], rows: &mut [bool]) {
        for (row, wanted) in rows.iter_mut().enumerate() {
            *wanted &= buffer[offsets[row] as usize..offsets[row + 1] as usize].contains(&self.0);
        }
    }
}

#[tokio::test]
async fn the_same_texts_pass_with_columns_and_without() {
    use roaring::RoaringBitmap;
    let lake = lake().await;
    let files = lake.write(&TenantId::anonymous(), Table::Logs, Level::L0, vec![random_rows(Table::Logs, 6_000, 11)]).await;
    for file in files.expect("writes") {
        let all = scanned(&lake, &file, ScanSpec::all(["body"])).await;
        let bodies = all.column(0).as_string::<i32>();
        let rows = all.num_rows() as u32;
        let some: RoaringBitmap = (0..rows).filter(|row| row % 7 == 3 || *row > rows / 2).collect();
        for only in [None, Some(some), Some(RoaringBitmap::new())] {
            let has = |row: u32| bodies.value(row as usize).contains('e');
            let expected: RoaringBitmap =
                (0..rows).filter(|row| only.as_ref().is_none_or(|only| only.contains(*row)) && has(*row)).collect();
            let spec = ScanSpec { rows: only.map(Arc::new), texts: Some(Arc::new(Has(b'e'))), ..ScanSpec::all(["body"]) };
            assert_eq!(lake.passing(&file, &spec).await.expect("reads"), Some(expected.clone()));
            assert_eq!(scanned(&lake, &file, spec).await.num_rows() as u64, expected.len());
        }
    }
}

#[tokio::test]
async fn maps_without_a_key_that_is_asked_for_come_empty() {
    let lake = lake().await;
    let rows = random_rows(Table::Spans, 2_000, 5);
    let file = lake.write(&TenantId::anonymous(), Table::Spans, Level::L1, vec![rows]).await.expect("writes").remove(0);
    let maps = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];
    let columns = ["ts"].into_iter().chain(maps);
    let whole = scanned(&lake, &file, ScanSpec::all(columns.clone())).await;
    let entries = |rows: &RecordBatch, name: &str| rows.column_by_name(name).expect("asked for").as_map().entries().len();
    let keys = whole.column_by_name("attrs_str").expect("asked for").as_map().keys().as_string::<i32>();
    let known = keys.iter().flatten().next().expect("spans have attributes").to_owned();
    // What is there keeps its map as it was, and of what is nowhere none is read.
    for (key, is_there) in [(known.as_str(), true), ("no such key", false)] {
        let keys: Arc<[String]> = [key.to_owned()].into();
        let found = scanned(&lake, &file, ScanSpec { keys: Some(keys), ..ScanSpec::all(columns.clone()) }).await;
        assert_eq!(found.column(0), whole.column(0));
        assert_eq!(entries(&found, "attrs_str"), if is_there { entries(&whole, "attrs_str") } else { 0 });
        assert!(is_there || maps.iter().all(|map| entries(&found, map) == 0));
    }
}
