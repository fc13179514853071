//! Copies chosen rows of several batches into one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, Capacities, DictionaryArray, Int32Array, MutableArrayData, RecordBatch, StringArray,
    make_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;

use crate::blank::{blank, is_blank};

/// Rows `start..end` of batch `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The rows of `segments`, in that order. All batches have one schema.
///
/// Dictionaries come out with the values that are used, each once.
pub(crate) fn gather(batches: &[RecordBatch], segments: &[Segment]) -> Result<RecordBatch, ArrowError> {
    let schema = batches[0].schema();
    let rows = segments.iter().map(|s| s.end - s.start).sum();
    let columns = (0..schema.fields().len()).map(|column| {
        let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(column)).collect();
        if arrays.iter().all(|array| is_blank(array)) {
            return blank(schema.field(column), rows);
        }
        match schema.field(column).data_type() {
            DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => {
                gather_dictionary(&arrays, segments, rows)
            }
            _ => gather_plain(&arrays, segments, rows),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

fn gather_plain(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    let data: Vec<ArrayData> = arrays.iter().map(|array| array.to_data()).collect();
    let texts: Vec<&StringArray> = arrays.iter().filter_map(|array| array.as_string_opt::<i32>()).collect();
    let room = match texts.len() == arrays.len() {
        // Of texts the bytes are known as well. What grows step by step is copied again at each, and is twice as large at the end.
        true => {
            let bytes = |segment: &Segment| {
                let offsets = texts[segment.source].value_offsets();
                (offsets[segment.end] - offsets[segment.start]).unsigned_abs() as usize
            };
            Capacities::Binary(rows, Some(segments.iter().map(bytes).sum()))
        }
        false => Capacities::Array(rows),
    };
    let mut copy = MutableArrayData::with_capacities(data.iter().collect(), false, room);
    for segment in segments {
        copy.try_extend(segment.source, segment.start, segment.end)?;
    }
    Ok(make_array(copy.freeze()))
}

fn gather_dictionary(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    const UNSEEN: i32 = -1;
    let sources: Vec<&DictionaryArray<Int32Type>> = arrays.iter().map(|array| array.as_dictionary::<Int32Type>()).collect();
    let texts: Vec<&StringArray> = sources.iter().map(|source| source.values().as_string::<i32>()).collect();
    let mut new_keys: Vec<Vec<i32>> = texts.iter().map(|texts| vec![UNSEEN; texts.len()]).collect();
    let mut seen: HashMap<&str, i32> = HashMap::new();
    let mut values: Vec<&str> = Vec::new();
    let mut keys = Vec::with_capacity(rows);
    let mut valid = sources.iter().any(|source| source.keys().null_count() > 0).then(|| Vec::with_capacity(rows));
    for segment in segments {
        let (source, new_keys) = (sources[segment.source].keys(), &mut new_keys[segment.source]);
        for row in segment.start..segment.end {
            if let Some(valid) = &mut valid {
                valid.push(source.is_valid(row));
                if source.is_null(row) {
                    keys.push(0);
                    continue;
                }
            }
            let key = source.value(row) as usize;
            if new_keys[key] == UNSEEN {
                let text = texts[segment.source].value(key);
                let next = i32::try_from(values.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
                new_keys[key] = *seen.entry(text).or_insert_with(|| {
                    values.push(text);
                    next
                });
            }
            keys.push(new_keys[key]);
        }
    }
    let keys = Int32Array::new(keys.into(), valid.map(NullBuffer::from));
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(StringArray::from(values)))?))
}
