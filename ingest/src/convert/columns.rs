//! Column builders for what Arrow's own builders do more slowly or less strictly.
//!
//! Every builder is appended to once per row, after the row was checked as a whole, so that a refused record leaves nothing behind.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, DictionaryArray, FixedSizeBinaryBuilder, Float64Builder, Int32Array, Int64Builder, MapArray,
    StringArray, StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::DecodeError;

/// A dictionary column of text, nullable. Runs of equal values cost a comparison each, new values a hash.
#[derive(Debug, Default)]
pub(crate) struct DictionaryColumn {
    keys: Vec<Option<i32>>,
    text: Vec<u8>,
    ends: Vec<i32>,
    index: HashTable<i32>,
    last: Option<i32>,
}

impl DictionaryColumn {
    /// A row with `value`.
    pub(crate) fn push(&mut self, value: &str) {
        let key = match self.last {
            Some(last) if value_at(&self.text, &self.ends, last) == value.as_bytes() => last,
            _ => self.intern(value.as_bytes()),
        };
        self.last = Some(key);
        self.keys.push(Some(key));
    }

    /// A row with `value`, or null if there is none or it is empty.
    pub(crate) fn push_some(&mut self, value: Option<&str>) {
        match value.filter(|v| !v.is_empty()) {
            Some(value) => self.push(value),
            None => self.keys.push(None),
        }
    }

    fn intern(&mut self, value: &[u8]) -> i32 {
        let Self { text, ends, index, .. } = self;
        let hash = xxh3_64(value);
        if let Some(key) = index.find(hash, |key| value_at(text, ends, *key) == value) {
            return *key;
        }
        let key = ends.len() as i32;
        text.extend_from_slice(value);
        ends.push(text.len() as i32);
        index.insert_unique(hash, key, |key| xxh3_64(value_at(text, ends, *key)));
        key
    }

    /// The column.
    pub(crate) fn finish(self) -> Result<ArrayRef, DecodeError> {
        let offsets = std::iter::once(0).chain(self.ends).collect::<Vec<i32>>();
        let values = StringArray::try_new(OffsetBuffer::new(offsets.into()), self.text.into(), None)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(self.keys), Arc::new(values))?))
    }
}

fn value_at<'a>(text: &'a [u8], ends: &[i32], key: i32) -> &'a [u8] {
    let key = key as usize;
    let start = if key == 0 { 0 } else { ends[key - 1] as usize };
    &text[start..ends[key] as usize]
}

/// The values of a map column.
pub(crate) trait MapValues: Default {
    /// What one value is.
    type Item<'a>;
    /// Appends a value.
    fn push(&mut self, value: Self::Item<'_>);
    /// The values as an array.
    fn finish(self) -> ArrayRef;
}

macro_rules! map_values {
    ($builder:ty, $item:ty) => {
        impl MapValues for $builder {
            type Item<'a> = $item;
            fn push(&mut self, value: Self::Item<'_>) {
                self.append_value(value);
            }
            fn finish(mut self) -> ArrayRef {
                Arc::new(<$builder>::finish(&mut self))
            }
        }
    };
}
map_values!(StringBuilder, &'a str);
map_values!(Int64Builder, i64);
map_values!(Float64Builder, f64);
map_values!(BooleanBuilder, bool);

/// A map from text to `V`, never null.
#[derive(Debug)]
pub(crate) struct MapColumn<V> {
    keys: StringBuilder,
    values: V,
    ends: Vec<i32>,
}

impl<V: MapValues> Default for MapColumn<V> {
    fn default() -> Self {
        Self { keys: StringBuilder::new(), values: V::default(), ends: vec![0] }
    }
}

impl<V: MapValues> MapColumn<V> {
    /// `rows` rows without entries.
    pub(crate) fn empty(rows: usize) -> Self {
        Self { ends: vec![0; rows + 1], ..Self::default() }
    }

    /// An entry of the row that is being built.
    pub(crate) fn push(&mut self, key: &str, value: V::Item<'_>) {
        self.keys.append_value(key);
        self.values.push(value);
    }

    /// Ends the row.
    pub(crate) fn end_row(&mut self) {
        self.ends.push(arrow::array::ArrayBuilder::len(&self.keys) as i32);
    }

    /// The column, shaped as `field` says.
    pub(crate) fn finish(self, field: &Field) -> Result<ArrayRef, DecodeError> {
        let DataType::Map(entries, _) = field.data_type() else { return Err(shape(field, "a map")) };
        let DataType::Struct(children) = entries.data_type() else { return Err(shape(field, "a map of structs")) };
        let entries_array =
            StructArray::try_new(children.clone(), vec![MapValues::finish(self.keys), self.values.finish()], None)?;
        Ok(Arc::new(MapArray::try_new(Arc::clone(entries), OffsetBuffer::new(self.ends.into()), entries_array, None, false)?))
    }
}

/// The error for a schema that is not what this code was written for.
pub(crate) fn shape(field: &Field, expected: &str) -> DecodeError {
    DecodeError::Columns { reason: format!("column {} is {}, expected {expected}", field.name(), field.data_type()) }
}

/// A column of ids with `N` bytes, nullable.
#[derive(Debug)]
pub(crate) struct IdColumn<const N: usize>(FixedSizeBinaryBuilder);

impl<const N: usize> Default for IdColumn<N> {
    fn default() -> Self {
        Self(FixedSizeBinaryBuilder::new(N as i32))
    }
}

impl<const N: usize> IdColumn<N> {
    /// A row with `id`, or null.
    pub(crate) fn push(&mut self, id: Option<[u8; N]>) {
        match id {
            Some(id) => self.0.append_value(id).expect("the id has the width of its column"),
            None => self.0.append_null(),
        }
    }

    /// The column.
    pub(crate) fn finish(mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// A trace or span id as it must be: of the right length and not all zeros.
pub(crate) fn valid_id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| id.iter().any(|b| *b != 0))
}

/// A number that OTLP means as "not set" when it is zero.
pub(crate) fn non_zero(value: i32) -> Option<i32> {
    (value != 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;

    #[test]
    fn dictionaries_hold_each_value_once() {
        let mut column = DictionaryColumn::default();
        for value in [Some("a"), Some("a"), None, Some("b"), Some(""), Some("a")] {
            column.push_some(value);
        }
        column.push("");
        let array = column.finish().expect("a column");
        let array = array.as_dictionary::<Int32Type>();
        assert_eq!(array.values().len(), 3);
        let texts: Vec<Option<&str>> = array.downcast_dict::<StringArray>().expect("text").into_iter().collect();
        assert_eq!(texts, [Some("a"), Some("a"), None, Some("b"), None, Some("a"), Some("")]);
    }

    #[test]
    fn ids_are_checked() {
        assert_eq!(valid_id::<8>(&[1; 8]), Some([1; 8]));
        for bytes in [&[][..], &[1; 7], &[1; 9], &[0; 8]] {
            assert_eq!(valid_id::<8>(bytes), None, "{bytes:?}");
        }
    }
}
