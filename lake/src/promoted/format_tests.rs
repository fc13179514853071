//! A scan that wants some attributes gives what a scan of everything gives of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Schema};
use catalog::env::fixed;
use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{FileEntry, Level, Table, TenantId, Timestamp, schema};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;

use super::MAPS;
use crate::scan::ScanSpec;
use crate::{Lake, LakeConfig};

const NOON: Timestamp = Timestamp::from_secs(20_000 * 86_400 + 12 * 3_600);

/// Attributes of a span: the place of a map, a name, a value.
type Attributes = Vec<(usize, String, u8)>;

async fn lake() -> Arc<Lake> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (env, _clock) = fixed::env(NOON, 7);
    let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.expect("opens");
    Lake::open(store, catalog, env, LakeConfig::default())
}

/// Spans of which only ids, times and attributes say something.
fn spans(rows: &[Attributes]) -> RecordBatch {
    let schema = schema::rows(Table::Spans);
    let column = |field: &arrow::datatypes::FieldRef| -> ArrayRef {
        let n = rows.len();
        match (field.name().as_str(), field.data_type()) {
            ("trace_id" | "span_id", DataType::FixedSizeBinary(size)) => {
                let id = |row: usize| [&[0; 8][..], &(row as u64).to_be_bytes()].concat()[16 - *size as usize..].to_vec();
                Arc::new(FixedSizeBinaryArray::try_from_iter((0..n).map(id)).expect("ids"))
            }
            ("ts", _) => Arc::new(TimestampNanosecondArray::from(vec![NOON.as_nanos(); n]).with_timezone("UTC")),
            (name, DataType::Map(entries, _)) => {
                let DataType::Struct(fields) = entries.data_type() else { unreachable!("a map's entries") };
                let place = MAPS.iter().position(|map| *map == name);
                let of_row = |row: &Attributes| row.iter().filter(|(map, ..)| Some(*map) == place).cloned().collect::<Vec<_>>();
                let all: Attributes = rows.iter().flat_map(of_row).collect();
                let keys: StringArray = all.iter().map(|(_, name, _)| Some(name.as_str())).collect();
                let values: ArrayRef = match fields[1].data_type() {
                    DataType::Utf8 => Arc::new(all.iter().map(|(.., v)| Some(v.to_string())).collect::<StringArray>()),
                    DataType::Int64 => Arc::new(all.iter().map(|(.., v)| Some(i64::from(*v))).collect::<Int64Array>()),
                    DataType::Float64 => Arc::new(all.iter().map(|(.., v)| Some(f64::from(*v))).collect::<Float64Array>()),
                    _ => Arc::new(all.iter().map(|(.., v)| Some(v % 2 == 0)).collect::<BooleanArray>()),
                };
                let lengths = rows.iter().map(|row| of_row(row).len());
                let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
                let pairs = StructArray::new(fields.clone(), vec![Arc::new(keys), values], None);
                Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, None, false))
            }
            _ if field.is_nullable() => new_null_array(field.data_type(), n),
            (_, DataType::Dictionary(..)) => {
                Arc::new(vec!["x"; n].into_iter().collect::<DictionaryArray<arrow::datatypes::Int32Type>>())
            }
            (_, DataType::Int32) => Arc::new(Int32Array::from(vec![1; n])),
            (_, DataType::Int64) => Arc::new(Int64Array::from(vec![1; n])),
            (_, other) => unreachable!("no column of type {other}"),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema, columns).expect("fits")
}

/// By map and row the attributes, in their order.
fn printed(batch: &RecordBatch) -> BTreeMap<&'static str, Vec<Vec<(String, String)>>> {
    let of_map = |map: &'static str| {
        let column = batch.column_by_name(map).expect("a map").as_map();
        let row = |row: usize| {
            let entries = column.value(row);
            let text = |column: usize, at: usize| {
                arrow::util::display::array_value_to_string(entries.column(column), at).expect("prints")
            };
            (0..entries.len()).map(|at| (text(0, at), text(1, at))).collect()
        };
        (map, (0..batch.num_rows()).map(row).collect())
    };
    MAPS.into_iter().map(of_map).collect()
}

async fn scanned(lake: &Lake, file: &FileEntry, attributes: Option<&[String]>) -> (RecordBatch, u64) {
    let spec = ScanSpec { keys: attributes.map(Arc::from), ..ScanSpec::all(["trace_id"].into_iter().chain(MAPS)) };
    let metrics = Arc::clone(&spec.metrics);
    let batches: Vec<RecordBatch> = lake.scan(Arc::new(file.clone()), spec).expect("valid").try_collect().await.expect("reads");
    let rows = schema::rows(Table::Spans);
    let fields: Vec<_> = ["trace_id"].into_iter().chain(MAPS).map(|c| rows.field_with_name(c).expect("known").clone()).collect();
    let whole = concat_batches(&Arc::new(Schema::new(fields)), &batches).expect("same schema");
    (whole, metrics.totals().bytes_read)
}

async fn check(rows: &[Attributes], asked: &[&str]) -> [u64; 2] {
    let lake = lake().await;
    let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    let mut bytes = [0; 2];
    for level in [Level::L0, Level::L1, Level::L2] {
        let files = lake.write(&TenantId::anonymous(), Table::Spans, level, vec![spans(rows)]).await.expect("writes");
        let [file] = files.as_slice() else { panic!("one file") };
        let (all, all_bytes) = scanned(&lake, file, None).await;
        assert_eq!(printed(&all), printed(&spans(rows)), "the maps are whole");
        let (some, some_bytes) = scanned(&lake, file, Some(&asked)).await;
        bytes = [all_bytes, some_bytes];
        let of_asked = |batch: &RecordBatch| {
            let mut maps = printed(batch);
            for row in maps.values_mut().flatten() {
                row.retain(|(name, _)| asked.contains(name));
                row.sort();
            }
            maps
        };
        assert_eq!(of_asked(&some), of_asked(&all), "{level:?} {asked:?}");
        assert_eq!(some.column_by_name("trace_id"), all.column_by_name("trace_id"));
    }
    bytes
}

#[tokio::test]
async fn what_every_span_has_is_read_alone() {
    let row = |at: usize| -> Attributes {
        let mut row: Attributes = (0..20).map(|n| (0, format!("text.{n}"), (at * 7 + n) as u8 % 50)).collect();
        row.push((1, "status".to_owned(), (at % 5) as u8));
        row.extend(at.is_multiple_of(10).then(|| (1, "seldom".to_owned(), 1)));
        row
    };
    let rows: Vec<Attributes> = (0..3_000).map(row).collect();
    // Of the twenty-one that every span has sixteen have columns; names in order.
    for (asked, less) in [(&["text.0"][..], 3), (&["status"], 3), (&["absent"], 3), (&["seldom"], 2), (&["text.9"], 0)] {
        let [all, some] = check(&rows, asked).await;
        assert!(less == 0 || some * less < all, "{asked:?}: {some} of {all} bytes");
    }
    check(&rows, &[]).await;
    check(&rows, &["text.0", "status", "seldom", "text.1"]).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_wanted_is_there(
        rows in prop::collection::vec(prop::collection::btree_map((0..5_usize, 0..6_u8), any::<u8>(), 0..8), 1..200),
        asked in prop::collection::vec(0..8_u8, 0..4),
    ) {
        let row = |row: BTreeMap<(usize, u8), u8>| row.into_iter().map(|((map, name), value)| (map, format!("n{name}"), value)).collect();
        let rows: Vec<Attributes> = rows.into_iter().map(row).collect();
        let asked: Vec<String> = asked.into_iter().map(|name| format!("n{name}")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("starts");
        runtime.block_on(check(&rows, &asked.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}
