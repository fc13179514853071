//! Attributes of spans and resources by name, as the text of a label.

use std::borrow::Cow;

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array, MapArray, RecordBatch, StringArray};

use super::batch::column;
use crate::convert::json::write_shown;
use crate::wire::AnyValue;

/// A number as the label of an attribute has it.
fn shown_double(value: f64) -> String {
    let mut text = String::new();
    // Only text and composed values can fail.
    let _ = write_shown(AnyValue::Double(value), &mut text);
    text
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Typed<'a> {
    Text(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// The typed maps of a batch.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    pub(super) text: Map<'a, StringArray>,
    pub(super) int: Map<'a, Int64Array>,
    pub(super) double: Map<'a, Float64Array>,
    pub(super) bool: Map<'a, BooleanArray>,
    pub(super) json: Map<'a, StringArray>,
}

/// A map column.
#[derive(Debug)]
pub(super) struct Map<'a, V> {
    offsets: &'a [i32],
    pub(super) keys: &'a StringArray,
    pub(super) values: &'a V,
}

impl<'a, V: Array + 'static> Map<'a, V> {
    pub(super) fn new(map: &'a MapArray) -> Option<Self> {
        let keys = map.keys().as_any().downcast_ref()?;
        Some(Self { offsets: map.value_offsets(), keys, values: map.values().as_any().downcast_ref()? })
    }

    /// Where the entries of a row lie.
    #[inline]
    pub(super) fn entries(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    #[inline]
    fn find(&self, row: usize, name: &str) -> Option<usize> {
        self.entries(row).find(|at| self.keys.value(*at) == name && self.values.is_valid(*at))
    }
}

impl<'a> Attributes<'a> {
    /// `None` if the batch has no typed maps.
    pub(super) fn new(batch: &'a RecordBatch) -> Option<Self> {
        Some(Self {
            text: Map::new(column(batch, "attrs_str")?)?,
            int: Map::new(column(batch, "attrs_int")?)?,
            double: Map::new(column(batch, "attrs_f64")?)?,
            bool: Map::new(column(batch, "attrs_bool")?)?,
            json: Map::new(column(batch, "attrs_json")?)?,
        })
    }

    /// The value of the attribute `name`; `None` when there is none or it is empty. Composed values are their JSON.
    pub(super) fn find(&self, row: usize, name: &str) -> Option<Cow<'a, str>> {
        let found = if let Some(at) = self.text.find(row, name) {
            Cow::Borrowed(self.text.values.value(at))
        } else if let Some(at) = self.int.find(row, name) {
            Cow::Owned(self.int.values.value(at).to_string())
        } else if let Some(at) = self.bool.find(row, name) {
            Cow::Borrowed(if self.bool.values.value(at) { "true" } else { "false" })
        } else if let Some(at) = self.double.find(row, name) {
            Cow::Owned(shown_double(self.double.values.value(at)))
        } else {
            Cow::Borrowed(self.json.values.value(self.json.find(row, name)?))
        };
        Some(found).filter(|value| !value.is_empty())
    }

    /// The value of the attribute `name` as it is; `None` when there is none or it is composed.
    pub(super) fn typed(&self, row: usize, name: &str) -> Option<Typed<'a>> {
        if let Some(at) = self.text.find(row, name) {
            Some(Typed::Text(self.text.values.value(at)))
        } else if let Some(at) = self.int.find(row, name) {
            Some(Typed::Int(self.int.values.value(at)))
        } else if let Some(at) = self.double.find(row, name) {
            Some(Typed::Double(self.double.values.value(at)))
        } else {
            self.bool.find(row, name).map(|at| Typed::Bool(self.bool.values.value(at)))
        }
    }

    /// Whether some attribute has a name that `wanted` says.
    pub(super) fn any(&self, row: usize, wanted: impl Fn(&str) -> bool) -> bool {
        let of = |keys: &StringArray, mut entries: std::ops::Range<usize>| entries.any(|at| wanted(keys.value(at)));
        of(self.text.keys, self.text.entries(row)) || of(self.int.keys, self.int.entries(row))
    }

    /// Every attribute of a row, one type after the other.
    pub(super) fn each(&self, row: usize, mut each: impl FnMut(&str, &str)) {
        for at in self.text.entries(row) {
            each(self.text.keys.value(at), self.text.values.value(at));
        }
        for at in self.int.entries(row) {
            each(self.int.keys.value(at), &self.int.values.value(at).to_string());
        }
        for at in self.double.entries(row) {
            each(self.double.keys.value(at), &shown_double(self.double.values.value(at)));
        }
        for at in self.bool.entries(row) {
            each(self.bool.keys.value(at), if self.bool.values.value(at) { "true" } else { "false" });
        }
        for at in self.json.entries(row) {
            each(self.json.keys.value(at), self.json.values.value(at));
        }
    }
}
