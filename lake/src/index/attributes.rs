//! Attributes `key = value` per block, with a bound on how many a block keeps.
//!
//! A key with too many distinct values in a block is left open: a marker in place of its values says "any value of this key may be
//! here". The keys with the fewest values are kept first. A key of `attrs_json` is always left open: who looks for a value looks for it
//! among the elements of lists too.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::AsIs;
use super::bloom::FilterBuilder;
use crate::predicate::Scalar;

/// Most distinct attributes of a block in the filter: 80 KB a block, 2.5 bytes a row.
const ATTRIBUTES_MAX: usize = 64 << 10;
/// The map columns that are indexed.
pub(super) const COLUMNS: [&str; 5] = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];

/// Seed of the hash of a map's key; the value's hash continues it.
fn key_hash(column: &str, key: &str) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(column.as_bytes());
    hasher.update(&[0xff]);
    hasher.update(key.as_bytes());
    hasher.digest()
}

fn combine(key: u64, value: &[u8]) -> u64 {
    (key ^ xxh3_64(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ key
}

/// The marker that says that values of `key` are not kept in the block.
pub(super) fn open_hash(column: &str, key: &str) -> u64 {
    !key_hash(column, key)
}

/// The hash of `key = value` in `column`; `None` when the column cannot hold such a value or equality is not bitwise.
pub(super) fn hash_of(column: &str, key: &str, value: &Scalar) -> Option<u64> {
    let key = key_hash(column, key);
    match (column, value) {
        ("attrs_str" | "attrs_json", Scalar::Text(text)) => Some(combine(key, text.as_bytes())),
        ("attrs_int", Scalar::Int(v)) => Some(combine(key, &v.to_le_bytes())),
        ("attrs_bool", Scalar::Int(v)) => Some(combine(key, &[u8::from(*v != 0)])),
        ("attrs_f64", Scalar::Float(v)) => Some(combine(key, &float_bytes(*v))),
        _ => None,
    }
}

/// Both zeros are equal.
fn float_bytes(value: f64) -> [u8; 8] {
    if value == 0.0 { [0; 8] } else { value.to_le_bytes() }
}

/// Collects the attributes of a file block by block.
#[derive(Debug, Default)]
pub(super) struct AttributeBuilder {
    /// Hash of the key to the hashes of its values.
    values: HashMap<u64, HashSet<u64, AsIs>, AsIs>,
    /// Names of keys seen per map column, hashed once.
    keys: [HashMap<Box<str>, u64>; COLUMNS.len()],
    filters: FilterBuilder,
}

impl AttributeBuilder {
    /// Adds rows to the current block.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        for (at, column) in COLUMNS.iter().enumerate() {
            if let Some(map) = rows.column_by_name(column).and_then(|c| c.as_map_opt()) {
                self.add_map(at, map);
            }
        }
    }

    fn add_map(&mut self, at: usize, map: &arrow::array::MapArray) {
        let (Some(first), Some(last)) = (map.value_offsets().first(), map.value_offsets().last()) else { return };
        let Some(names) = map.keys().as_string_opt::<i32>() else { return };
        let values = map.values();
        for entry in *first as usize..*last as usize {
            let name = names.value(entry);
            let key = match self.keys[at].get(name) {
                Some(key) => *key,
                None => {
                    let key = key_hash(COLUMNS[at], name);
                    self.keys[at].insert(name.into(), key);
                    key
                }
            };
            let hash = match values.data_type() {
                // No value to look for, but an attribute all the same: a block without any is one whose maps need not be read.
                _ if values.is_null(entry) => !key,
                DataType::Utf8 if COLUMNS[at] == "attrs_json" => !key,
                DataType::Utf8 => combine(key, values.as_string::<i32>().value(entry).as_bytes()),
                DataType::Int64 => combine(key, &values.as_primitive::<Int64Type>().value(entry).to_le_bytes()),
                DataType::Float64 => combine(key, &float_bytes(values.as_primitive::<Float64Type>().value(entry))),
                DataType::Boolean => combine(key, &[u8::from(values.as_boolean().value(entry))]),
                _ => continue,
            };
            self.values.entry(key).or_default().insert(hash);
        }
    }

    /// The next row begins a block.
    pub(super) fn end_block(&mut self) {
        let mut keys: Vec<(u64, HashSet<u64, AsIs>)> = self.values.drain().collect();
        keys.sort_unstable_by_key(|(key, values)| (values.len(), *key));
        let mut kept: Vec<u64> = Vec::new();
        for (key, values) in keys {
            if kept.len() + values.len() <= ATTRIBUTES_MAX {
                kept.extend(values);
            } else {
                kept.push(!key);
            }
        }
        self.filters.add_block(kept.into_iter());
        self.keys.iter_mut().for_each(HashMap::clear);
    }

    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.filters.is_empty()).then(|| self.filters.finish())
    }
}
