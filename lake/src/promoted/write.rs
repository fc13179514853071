//! Choosing attributes, and writing their columns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use catalog::{Level, Table};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64};

use super::{MAPS, Note, OTHERS, OthersNote, Promoted};
use crate::blank::is_blank;

/// Columns of one file.
const COLUMNS_MAX: usize = 16;
/// Of a hundred rows so many have an attribute that gets a column.
const ROWS_PERCENT_MIN: usize = 30;
/// One distinct value for so many rows that have it, or [`VALUES_MIN`] of them: others are found by the index, and a column of them would
/// be as large as the entries of the map.
const ROWS_PER_VALUE_MIN: usize = 16;
/// Distinct values that are always few.
const VALUES_MIN: usize = 256;
/// Maps whose attributes get columns. Doubles are measured, not looked for; JSON is decoded row by row anyway.
const CHOSEN_FROM: [&str; 3] = ["attrs_str", "attrs_int", "attrs_bool"];
/// Bytes of a name that gets a column.
const NAME_BYTES_MAX: usize = 256;
/// Names of one map that are noted.
const NAMES_MAX: usize = 512;
/// Bytes of one map's names that are noted.
const NAMES_BYTES_MAX: usize = 8 << 10;

/// A name without a column.
const NONE: u32 = u32::MAX;

/// Adds columns to the rows of one file, and learns the names of their attributes.
#[derive(Debug)]
pub(crate) struct Promoting {
    columns: Vec<Promoted>,
    maps: Vec<Names>,
    /// Of [`OTHERS`].
    others: [Names; 3],
    schema: SchemaRef,
}

/// The names of one map or other column.
#[derive(Debug)]
struct Names {
    map: &'static str,
    /// With the place of their column among all, or [`NONE`].
    known: HashMap<Box<str>, u32, Xxh3DefaultBuilder>,
    bytes: usize,
}

impl Names {
    fn is_noted(&self) -> bool {
        self.known.len() <= NAMES_MAX && self.bytes <= NAMES_BYTES_MAX
    }

    /// The place of the column of `name`. More names than are noted are not remembered.
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.known.get(name) {
            return *place;
        }
        if self.is_noted() {
            self.bytes += name.len();
            self.known.insert(name.into(), NONE);
        }
        NONE
    }
}

/// The values of an attribute in the first rows.
#[derive(Default)]
struct Seen {
    rows: usize,
    values: HashSet<u64>,
}

impl Promoting {
    /// For a file of `table` whose rows begin with `first`, and whose columns are those of `stored`; `None` when it is none of merged spans.
    pub(crate) fn new(table: Table, level: Level, stored: &SchemaRef, first: &RecordBatch) -> Option<Self> {
        if table != Table::Spans || level == Level::L0 {
            return None;
        }
        let columns = chosen(first);
        let mut fields: Vec<_> = stored.fields().iter().cloned().collect();
        fields.extend(columns.iter().filter_map(|promoted| promoted.field(table)).map(Arc::new));
        let names = |map: &'static str| {
            let places = columns.iter().enumerate().filter(|(_, promoted)| promoted.map == map);
            let known: HashMap<Box<str>, u32, _> =
                places.map(|(at, promoted)| (promoted.name.as_str().into(), at as u32)).collect();
            Names { map, bytes: known.keys().map(|name| name.len()).sum(), known }
        };
        let maps = MAPS.into_iter().map(names).collect();
        let others = OTHERS.map(|map| Names { map, bytes: 0, known: HashMap::default() });
        Some(Self { maps, others, columns, schema: Arc::new(Schema::new(fields)) })
    }

    /// The stored columns with those of attributes behind them.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Names of the columns of attributes.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|promoted| promoted.column.as_str())
    }

    /// Adds the columns to stored rows.
    pub(crate) fn extend(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        let mut found: Vec<Option<ArrayRef>> = vec![None; self.columns.len()];
        for names in &mut self.maps {
            let Some(map) = rows.column_by_name(names.map).and_then(|column| column.as_map_opt()) else { continue };
            let (Some(keys), values) = (map.keys().as_string_opt::<i32>(), map.values()) else { continue };
            for (place, entries) in places(names, map, keys, values) {
                found[place as usize] = Some(take(values.as_ref(), &entries, None)?);
            }
        }
        for names in &mut self.others {
            if let Some(column) = rows.column_by_name(names.map).filter(|column| !is_blank(column)) {
                learn(names, column);
            }
        }
        let missing = || ArrowError::SchemaError("an attribute's map is no column".to_owned());
        for column in found {
            columns.push(column.ok_or_else(missing)?);
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }

    /// The notes of the file, once all rows are there.
    pub(crate) fn finish(self) -> (Note, OthersNote) {
        let noted = |names: Names| {
            let mut known: Vec<String> = names.known.into_keys().map(Into::into).collect();
            known.sort_unstable();
            (names.map.to_owned(), known)
        };
        let [maps, others] =
            [self.maps, Vec::from(self.others)].map(|all| all.into_iter().filter(Names::is_noted).map(noted).collect());
        (Note { columns: self.columns, names: maps }, OthersNote(others))
    }
}

/// Learns the names that the items of a list have in their map `attrs`, or the texts of a dictionary that rows have.
fn learn(names: &mut Names, column: &ArrayRef) {
    if let Some(lists) = column.as_list_opt::<i32>() {
        let maps = lists.values().as_struct_opt().and_then(|items| items.column_by_name("attrs")?.as_map_opt());
        let Some((ends, keys)) = maps.and_then(|maps| Some((maps.value_offsets(), maps.keys().as_string_opt::<i32>()?))) else {
            return;
        };
        let items = lists.value_offsets();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let entries = ends[items[row] as usize] as usize..ends[items[row + 1] as usize] as usize;
            entries.for_each(|at| {
                names.place(keys.value(at));
            });
        }
    } else if let Some(texts) = column.as_dictionary_opt::<Int32Type>() {
        let Some(values) = texts.values().as_string_opt::<i32>() else { return };
        let used: HashSet<i32> = texts.keys().iter().flatten().collect();
        used.into_iter().for_each(|key| {
            names.place(values.value(key as usize));
        });
    }
}

/// Where the entries of each column lie in its map, row by row.
fn places(names: &mut Names, map: &MapArray, keys: &StringArray, values: &ArrayRef) -> Vec<(u32, UInt32Array)> {
    let mut columns: Vec<u32> = names.known.values().copied().filter(|place| *place != NONE).collect();
    columns.sort_unstable();
    let mut entries: Vec<Vec<Option<u32>>> = columns.iter().map(|_| vec![None; map.len()]).collect();
    let offsets = map.value_offsets();
    // Spans of one kind have the same names in the same order: the row before is asked first.
    let mut before: Vec<(u32, u32)> = Vec::new(); // an entry, and the place of its column
    for row in 0..map.len() {
        for (nth, at) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
            let name = keys.value(at);
            let place = match before.get(nth) {
                Some((entry, place)) if keys.value(*entry as usize) == name => *place,
                _ => names.place(name),
            };
            match before.get_mut(nth) {
                Some(slot) => *slot = (at as u32, place),
                None => before.push((at as u32, place)),
            }
            if place != NONE
                && values.is_valid(at)
                && let Ok(column) = columns.binary_search(&place)
            {
                entries[column][row].get_or_insert(at as u32);
            }
        }
    }
    columns.into_iter().zip(entries.into_iter().map(UInt32Array::from)).collect()
}

/// The attributes of `first` that get a column: those of most rows first.
fn chosen(first: &RecordBatch) -> Vec<Promoted> {
    let mut candidates: Vec<(usize, Promoted)> = Vec::new();
    for map in CHOSEN_FROM {
        let Some(column) = first.column_by_name(map).and_then(|column| column.as_map_opt()) else { continue };
        for (name, seen) in seen(column) {
            let few = seen.values.len() <= VALUES_MIN.max(seen.rows / ROWS_PER_VALUE_MIN);
            if few && name.len() <= NAME_BYTES_MAX && seen.rows * 100 >= first.num_rows() * ROWS_PERCENT_MIN {
                let (name, column) = (name.to_owned(), format!("{map}:{name}"));
                candidates.push((seen.rows, Promoted { map: map.to_owned(), name, column }));
            }
        }
    }
    candidates.sort_by(|(rows, a), (others, b)| others.cmp(rows).then_with(|| a.column.cmp(&b.column)));
    candidates.truncate(COLUMNS_MAX);
    candidates.into_iter().map(|(_, promoted)| promoted).collect()
}

/// The names of a map with how often they are there and with which values; of values one more than are few.
fn seen(map: &MapArray) -> HashMap<&str, Seen, Xxh3DefaultBuilder> {
    let mut found: HashMap<&str, Seen, Xxh3DefaultBuilder> = HashMap::default();
    let Some(keys) = map.keys().as_string_opt::<i32>() else { return found };
    let values = map.values();
    let (Some(start), Some(end)) = (map.value_offsets().first(), map.value_offsets().last()) else { return found };
    let values_max = VALUES_MIN.max(map.len() / ROWS_PER_VALUE_MIN) + 1;
    for at in *start as usize..*end as usize {
        let value = match values.data_type() {
            _ if values.is_null(at) => continue,
            DataType::Utf8 => xxh3_64(values.as_string::<i32>().value(at).as_bytes()),
            DataType::Int64 => values.as_primitive::<Int64Type>().value(at) as u64,
            _ => 0,
        };
        let seen = found.entry(keys.value(at)).or_default();
        seen.rows += 1;
        if seen.values.len() < values_max {
            seen.values.insert(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use arrow::array::{ListArray, StringDictionaryBuilder, StructArray, new_null_array};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use catalog::schema;

    use super::*;

    fn learned(column: ArrayRef) -> Vec<String> {
        let mut names = Names { map: "events", known: HashMap::default(), bytes: 0 };
        learn(&mut names, &column);
        let mut known: Vec<String> = names.known.into_keys().map(Into::into).collect();
        known.sort_unstable();
        known
    }

    #[test]
    fn names_of_items_are_those_of_rows_that_are_there() {
        let rows = schema::rows(Table::Spans);
        let DataType::List(element) = rows.field_with_name("events").expect("a column").data_type().clone() else {
            panic!("a list")
        };
        let DataType::Struct(fields) = element.data_type().clone() else { panic!("of structs") };
        let (_, attrs) = fields.find("attrs").expect("a map");
        let DataType::Map(entries, _) = attrs.data_type().clone() else { panic!("a map") };
        let DataType::Struct(pair) = entries.data_type().clone() else { panic!("of pairs") };
        let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a", "left out", "c"]));
        let values = new_null_array(&DataType::Utf8, 5);
        let pairs = StructArray::new(pair, vec![keys, values], None);
        let map: ArrayRef = Arc::new(MapArray::new(entries, OffsetBuffer::from_lengths([2, 1, 1, 1]), pairs, None, false));
        let column = |field: &arrow::datatypes::FieldRef| match field.name().as_str() {
            "attrs" => Arc::clone(&map),
            "name" => Arc::new(StringArray::from(vec!["n"; 4])) as ArrayRef,
            "ts" => Arc::new(arrow::array::TimestampNanosecondArray::from(vec![1; 4]).with_timezone("UTC")),
            _ => new_null_array(field.data_type(), 4),
        };
        let items = StructArray::new(fields.clone(), fields.iter().map(column).collect(), None);
        let valid = NullBuffer::from(vec![true, true, false, true]);
        let lists = ListArray::new(element, OffsetBuffer::from_lengths([2, 0, 1, 1]), Arc::new(items), Some(valid));
        assert_eq!(learned(Arc::new(lists.clone())), ["a", "b", "c"]);
        assert_eq!(learned(Arc::new(lists.slice(1, 3))), ["c"]);
        assert_eq!(learned(Arc::new(lists.slice(1, 2))), [] as [&str; 0]);
    }

    #[test]
    fn texts_are_those_that_rows_have() {
        let mut texts = StringDictionaryBuilder::<Int32Type>::new();
        texts.extend([Some("x"), None, Some("y"), Some("x")]);
        let texts = texts.finish();
        assert_eq!(learned(Arc::new(texts.clone())), ["x", "y"]);
        assert_eq!(learned(Arc::new(texts.slice(0, 2))), ["x"]);
    }
}
