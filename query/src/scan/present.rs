//! Stored rows as SQL shows them.
//!
//! ```text
//! dictionary text ► text      bytes ► hex      kind 2 ► 'server'      attrs_str + attrs_int + ... ► attributes      sid ► labels
//! ```

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, GenericListArray, Int64Array, ListArray,
    MapArray, MapBuilder, MapFieldNames, RecordBatch, RecordBatchOptions, StringArray, StringBuilder, StringViewArray,
    StringViewBuilder, StructArray,
};
use arrow::compute::{cast, filter_record_batch, take};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use catalog::TimeRange;
use datafusion::common::{DataFusionError, Result};

use super::dedup::times_ns;
use super::lookup::Labels;
use crate::tables::{ATTRIBUTES, Lookup, Shape, Source, SqlTable, link_fields, text_map};

/// Makes the batches of a scan's output.
#[derive(Debug)]
pub(super) struct Presenter {
    table: &'static SqlTable,
    /// The output; its columns are those of `sources`.
    schema: SchemaRef,
    sources: Vec<Source>,
    labels: Vec<(Lookup, Arc<Labels>)>,
}

impl Presenter {
    /// `columns` are positions in [`SqlTable::columns`]; `labels` has every lookup among them.
    pub(super) fn new(
        table: &'static SqlTable,
        columns: &[usize],
        schema: SchemaRef,
        labels: Vec<(Lookup, Arc<Labels>)>,
    ) -> Self {
        let sources = columns.iter().map(|&i| table.columns[i].source).collect();
        Self { table, schema, sources, labels }
    }

    /// The SQL rows of stored rows.
    pub(super) fn present(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if self.table.shape == Shape::Events {
            return self.events(batch);
        }
        let columns = self.sources.iter().zip(self.schema.fields());
        let columns =
            columns.map(|(source, field)| self.column(*source, batch, field.data_type())).collect::<Result<Vec<_>>>()?;
        self.batch(columns, batch.num_rows())
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn column(&self, source: Source, batch: &RecordBatch, data_type: &DataType) -> Result<ArrayRef> {
        match source {
            Source::Column(name) => plain_array(stored(batch, name)?, data_type),
            Source::Hex(name) => hex_text(stored(batch, name)?),
            Source::Names(name, names) => number_names(stored(batch, name)?, names),
            Source::Attributes => Ok(Arc::new(merge_attributes(batch)?)),
            Source::Lookup(lookup) => {
                let (_, labels) = self
                    .labels
                    .iter()
                    .find(|(l, _)| *l == lookup)
                    .ok_or_else(|| DataFusionError::Internal("a dictionary was not loaded".to_owned()))?;
                labels.of(stored(batch, lookup.key)?)
            }
            Source::Links => links(stored(batch, "links")?),
            Source::Event(_) => Err(DataFusionError::Internal("events are shown by `events`".to_owned())),
        }
    }

    /// One row per event.
    fn events(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let events = list(stored(batch, "events")?)?;
        let mut parents = Vec::new();
        let mut elements = Vec::new();
        for row in 0..events.len() {
            if events.is_valid(row) {
                let range = events.value_offsets()[row]..events.value_offsets()[row + 1];
                parents.extend(std::iter::repeat_n(row as i32, range.len()));
                elements.extend(range);
            }
        }
        let rows = parents.len();
        let parents = arrow::array::Int32Array::from(parents);
        let elements = arrow::array::Int32Array::from(elements);
        let fields = events.values().as_struct();
        let columns = self.sources.iter().zip(self.schema.fields()).map(|(source, field)| match *source {
            Source::Event(name) => {
                let values = fields
                    .column_by_name(name)
                    .ok_or_else(|| DataFusionError::Internal(format!("events have no field {name}")))?;
                plain_array(&take(values, &elements, None)?, field.data_type())
            }
            other => Ok(take(&self.column(other, batch, field.data_type())?, &parents, None)?),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        self.batch(columns, rows)
    }
}

/// The rows of `batch` whose event time lies in `window`.
pub(super) fn within(batch: RecordBatch, window: TimeRange) -> Result<RecordBatch> {
    let (times, unit) = times_ns(stored(&batch, "ts")?.as_ref())?;
    // Bounds in the column's unit: the first tick inside and the last one.
    let start = window.start.as_nanos().div_euclid(unit) + i64::from(window.start.as_nanos().rem_euclid(unit) != 0);
    let end = window.end.as_nanos().div_euclid(unit);
    if times.iter().all(|at| start <= *at && *at <= end) {
        return Ok(batch);
    }
    let inside: BooleanArray = times.iter().map(|at| Some(start <= *at && *at <= end)).collect();
    Ok(filter_record_batch(&batch, &inside)?)
}

fn stored<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| DataFusionError::Internal(format!("column {name} was not read")))
}

fn list(array: &ArrayRef) -> Result<&ListArray> {
    array.as_list_opt::<i32>().ok_or_else(|| DataFusionError::Internal("expected a list column".to_owned()))
}

/// `array` as `data_type`, which differs by field ids and by dictionaries only. Costs the nodes of the type, not the rows, but for
/// dictionaries, whose text is shared and not copied.
pub(super) fn plain_array(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if array.data_type() == data_type {
        return Ok(Arc::clone(array));
    }
    Ok(match data_type {
        DataType::Map(entries, sorted) => {
            let map = array.as_map_opt().ok_or_else(|| DataFusionError::Internal("expected a map column".to_owned()))?;
            let all: ArrayRef = Arc::new(map.entries().clone());
            let plain = plain_array(&all, entries.data_type())?.as_struct().clone();
            Arc::new(MapArray::try_new(Arc::clone(entries), map.offsets().clone(), plain, map.nulls().cloned(), *sorted)?)
        }
        DataType::List(element) => {
            let list = list(array)?;
            let values = plain_array(list.values(), element.data_type())?;
            Arc::new(GenericListArray::try_new(Arc::clone(element), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        DataType::Struct(fields) => {
            let parts = array.as_struct_opt().ok_or_else(|| DataFusionError::Internal("expected a struct column".to_owned()))?;
            let columns = fields.iter().zip(parts.columns()).map(|(field, part)| plain_array(part, field.data_type()));
            Arc::new(StructArray::try_new(fields.clone(), columns.collect::<Result<_>>()?, parts.nulls().cloned())?)
        }
        // Each text becomes a view once, and rows are copies of views; `cast` would make a view per row.
        DataType::Utf8View if let Some(texts) = array.as_dictionary_opt::<Int32Type>() => {
            take(&cast(texts.values(), data_type)?, texts.keys(), None)?
        }
        other => cast(array, other)?,
    })
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex_into(bytes: &[u8], text: &mut String) {
    text.clear();
    for byte in bytes {
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

fn binary(array: &ArrayRef) -> Result<&FixedSizeBinaryArray> {
    array.as_fixed_size_binary_opt().ok_or_else(|| DataFusionError::Internal("expected an id column".to_owned()))
}

fn hex_text(array: &ArrayRef) -> Result<ArrayRef> {
    let ids = binary(array)?;
    let mut out = StringViewBuilder::with_capacity(ids.len());
    let mut text = String::with_capacity(32);
    for id in ids.iter() {
        match id {
            Some(id) => {
                hex_into(id, &mut text);
                out.append_value(&text);
            }
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn number_names(array: &ArrayRef, names: &[&str]) -> Result<ArrayRef> {
    let numbers = array
        .as_primitive_opt::<Int32Type>()
        .ok_or_else(|| DataFusionError::Internal("expected a number with names".to_owned()))?;
    // Nulls have any number.
    if numbers.values().iter().all(|n| usize::try_from(*n).is_ok_and(|n| n < names.len())) {
        return Ok(take(&StringViewArray::from_iter_values(names), numbers, None)?);
    }
    let mut out = StringViewBuilder::with_capacity(numbers.len());
    for number in numbers {
        match number {
            // A number that OTLP has no name for shows as itself.
            Some(n) => match usize::try_from(n).ok().and_then(|n| names.get(n)) {
                Some(name) => out.append_value(name),
                None => out.append_value(n.to_string()),
            },
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Links with hex ids.
fn links(array: &ArrayRef) -> Result<ArrayRef> {
    let links = list(array)?;
    let parts = links.values().as_struct();
    let fields = link_fields();
    let columns = fields.iter().map(|field| {
        let part = parts
            .column_by_name(field.name())
            .ok_or_else(|| DataFusionError::Internal(format!("links have no field {}", field.name())))?;
        match part.data_type() {
            DataType::FixedSizeBinary(_) => Ok(cast(&hex_text(part)?, &DataType::Utf8)?),
            _ => plain_array(part, field.data_type()),
        }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let parts = StructArray::try_new(fields.clone(), columns, parts.nulls().cloned())?;
    let element = Arc::new(arrow::datatypes::Field::new("element", DataType::Struct(fields), false));
    Ok(Arc::new(ListArray::try_new(element, links.offsets().clone(), Arc::new(parts), links.nulls().cloned())?))
}

/// One of the five attribute maps of a batch.
enum Values<'b> {
    Text(&'b StringArray),
    Int(&'b Int64Array),
    Float(&'b Float64Array),
    Bool(&'b BooleanArray),
}

/// The five attribute maps as one map of text: numbers and booleans as SQL would print them, arrays and maps as JSON.
pub(super) fn merge_attributes(batch: &RecordBatch) -> Result<MapArray> {
    let mut parts: Vec<(&MapArray, &StringArray, Values<'_>)> = Vec::with_capacity(ATTRIBUTES.len());
    for name in ATTRIBUTES {
        let Some(map) = stored(batch, name)?.as_map_opt() else {
            return Err(DataFusionError::Internal("expected an attribute map".to_owned()));
        };
        if map.entries().is_empty() {
            continue; // most batches have no attribute of most kinds
        }
        let values = map.values();
        let values = match values.data_type() {
            DataType::Utf8 => Values::Text(values.as_string()),
            DataType::Int64 => Values::Int(values.as_primitive()),
            DataType::Float64 => Values::Float(values.as_primitive()),
            DataType::Boolean => Values::Bool(values.as_boolean()),
            other => return Err(DataFusionError::Internal(format!("attribute map of {other}"))),
        };
        parts.push((map, map.keys().as_string(), values));
    }
    if let [(map, _, Values::Text(_))] = parts.as_slice() {
        // Only text: nothing to merge.
        let map: ArrayRef = Arc::new((*map).clone());
        return Ok(plain_array(&map, &text_map())?.as_map().clone());
    }
    build_attributes(batch.num_rows(), &parts)
}

fn build_attributes(rows: usize, parts: &[(&MapArray, &StringArray, Values<'_>)]) -> Result<MapArray> {
    let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut builder = MapBuilder::with_capacity(Some(names), StringBuilder::new(), StringBuilder::new(), rows);
    for row in 0..rows {
        for (map, keys, values) in parts {
            let (start, end) = (map.value_offsets()[row] as usize, map.value_offsets()[row + 1] as usize);
            for at in start..end {
                builder.keys().append_value(keys.value(at));
                let out = builder.values();
                match values {
                    Values::Text(v) if v.is_valid(at) => out.append_value(v.value(at)),
                    Values::Int(v) if v.is_valid(at) => out.append_value(v.value(at).to_string()),
                    Values::Float(v) if v.is_valid(at) => out.append_value(format!("{:?}", v.value(at))),
                    Values::Bool(v) if v.is_valid(at) => out.append_value(if v.value(at) { "true" } else { "false" }),
                    _ => out.append_null(),
                }
            }
        }
        builder.append(true)?;
    }
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_hex_and_numbers_names() {
        let ids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(
            [Some([0u8, 255, 16, 7, 0, 0, 0, 1].as_slice()), None].into_iter(),
            8,
        )
        .expect("eight bytes each");
        let text = hex_text(&(Arc::new(ids) as ArrayRef)).expect("bytes");
        assert_eq!((text.as_string_view().value(0), text.is_null(1)), ("00ff100700000001", true));
        let kinds: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![2, 9]));
        let names = number_names(&kinds, &["unspecified", "internal", "server"]).expect("numbers");
        assert_eq!((names.as_string_view().value(0), names.as_string_view().value(1)), ("server", "9"));
    }
}
