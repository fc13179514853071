//! Copies chosen rows of one column, by its type.
//!
//! ```text
//! map    rows 4..6, 9..10 ─► entries 31..47, 80..88 ─► keys, values    offsets of rows ─► segments of what they hold
//! text   rows 4..6, 9..10 ─► bytes 210..260, 470..490                  everything else: values side by side
//! ```
//! Attributes of spans are most of what a flush or a merge copies, often row by row: here that is a loop per type, where
//! [`MutableArrayData`] calls a closure per row, field and level.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBufferBuilder, FixedSizeBinaryArray, ListArray, MapArray,
    MutableArrayData, PrimitiveArray, StringArray, StructArray, downcast_primitive, make_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;

use super::gather::Segment;

/// The rows of `segments`, `rows` in all, in that order. All `arrays` have one type, and there is one.
///
/// # Errors
/// Texts or items of more than `i32::MAX` bytes or places.
pub(super) fn copied(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    macro_rules! primitive {
        ($t:ty) => {
            Ok(Arc::new(primitive::<$t>(arrays, segments, rows)))
        };
    }
    let data_type = arrays[0].data_type();
    downcast_primitive! {
        data_type => (primitive),
        DataType::FixedSizeBinary(width) => fixed(arrays, *width, segments, rows),
        DataType::Utf8 => texts(arrays, segments, rows),
        DataType::Struct(fields) => Ok(Arc::new(structs(arrays, fields, segments, rows)?)),
        DataType::Map(entries, is_sorted) => maps(arrays, entries, *is_sorted, segments, rows),
        DataType::List(element) => lists(arrays, element, segments, rows),
        _ => others(arrays, segments, rows),
    }
}

fn primitive<T: ArrowPrimitiveType>(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> PrimitiveArray<T> {
    let sources: Vec<&[T::Native]> = arrays.iter().map(|array| &array.as_primitive::<T>().values()[..]).collect();
    let values = side_by_side(&sources, segments, 1, rows);
    PrimitiveArray::new(values.into(), validity(arrays, segments, rows)).with_data_type(arrays[0].data_type().clone())
}

fn fixed(arrays: &[&ArrayRef], width: i32, segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    let bytes = usize::try_from(width).unwrap_or_default();
    if bytes == 0 {
        return others(arrays, segments, rows);
    }
    let sources: Vec<&[u8]> = arrays.iter().map(|array| array.as_fixed_size_binary().value_data()).collect();
    let values = side_by_side(&sources, segments, bytes, rows);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(width, values.into(), validity(arrays, segments, rows))?))
}

fn texts(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    let sources: Vec<&StringArray> = arrays.iter().map(|array| array.as_string::<i32>()).collect();
    let offsets: Vec<&[i32]> = sources.iter().map(|source| source.value_offsets()).collect();
    let bytes: Vec<&[u8]> = sources.iter().map(|source| source.value_data()).collect();
    let (ends, inner, len) = inner(&offsets, segments, rows)?;
    let values = side_by_side(&bytes, &inner, 1, len);
    Ok(Arc::new(StringArray::try_new(ends, values.into(), validity(arrays, segments, rows))?))
}

fn structs(arrays: &[&ArrayRef], fields: &Fields, segments: &[Segment], rows: usize) -> Result<StructArray, ArrowError> {
    let sources: Vec<&StructArray> = arrays.iter().map(|array| array.as_struct()).collect();
    let column = |at: usize| {
        let columns: Vec<&ArrayRef> = sources.iter().map(|source| source.column(at)).collect();
        copied(&columns, segments, rows)
    };
    let columns = (0..fields.len()).map(column).collect::<Result<_, _>>()?;
    StructArray::try_new_with_length(fields.clone(), columns, validity(arrays, segments, rows), rows)
}

fn maps(
    arrays: &[&ArrayRef],
    entries: &FieldRef,
    is_sorted: bool,
    segments: &[Segment],
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let sources: Vec<&MapArray> = arrays.iter().map(|array| array.as_map()).collect();
    let offsets: Vec<&[i32]> = sources.iter().map(|source| source.value_offsets()).collect();
    let (ends, inner, len) = inner(&offsets, segments, rows)?;
    let DataType::Struct(fields) = entries.data_type() else { return others(arrays, segments, rows) };
    let items: Vec<ArrayRef> = sources.iter().map(|source| Arc::new(source.entries().clone()) as ArrayRef).collect();
    let copied = structs(&items.iter().collect::<Vec<_>>(), fields, &inner, len)?;
    let valid = validity(arrays, segments, rows);
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), ends, copied, valid, is_sorted)?))
}

fn lists(arrays: &[&ArrayRef], element: &FieldRef, segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    let sources: Vec<&ListArray> = arrays.iter().map(|array| array.as_list::<i32>()).collect();
    let offsets: Vec<&[i32]> = sources.iter().map(|source| source.value_offsets()).collect();
    let (ends, inner, len) = inner(&offsets, segments, rows)?;
    let items: Vec<&ArrayRef> = sources.iter().map(|source| source.values()).collect();
    let valid = validity(arrays, segments, rows);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), ends, copied(&items, &inner, len)?, valid)?))
}

/// What no table of spans has.
fn others(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Result<ArrayRef, ArrowError> {
    let data: Vec<ArrayData> = arrays.iter().map(|array| array.to_data()).collect();
    let mut copy = MutableArrayData::new(data.iter().collect(), false, rows);
    for segment in segments {
        copy.try_extend(segment.source, segment.start, segment.end)?;
    }
    Ok(make_array(copy.freeze()))
}

/// The values of `segments`, of which each row has `width` in its source.
fn side_by_side<T: Copy>(sources: &[&[T]], segments: &[Segment], width: usize, rows: usize) -> Vec<T> {
    let mut values = Vec::with_capacity(rows * width);
    for segment in segments {
        values.extend_from_slice(&sources[segment.source][segment.start * width..segment.end * width]);
    }
    values
}

/// Where the rows of `segments` end in what they hold, what they hold as segments of it, and how much that is. `offsets` are those of each source.
fn inner(offsets: &[&[i32]], segments: &[Segment], rows: usize) -> Result<(OffsetBuffer<i32>, Vec<Segment>, usize), ArrowError> {
    let mut ends = Vec::with_capacity(rows + 1);
    let mut inner: Vec<Segment> = Vec::with_capacity(segments.len());
    let mut len = 0_i32;
    ends.push(len);
    for segment in segments {
        let of_source = &offsets[segment.source][segment.start..=segment.end];
        let (first, last) = (of_source[0], of_source[of_source.len() - 1]);
        let before = len;
        len = len.checked_add(last - first).ok_or(ArrowError::OffsetOverflowError(i32::MAX as usize))?;
        ends.extend(of_source[1..].iter().map(|end| before + (end - first)));
        if last > first {
            inner.push(Segment { source: segment.source, start: first as usize, end: last as usize });
        }
    }
    Ok((OffsetBuffer::new(ends.into()), inner, len as usize))
}

/// Which rows are there; `None`: all.
fn validity(arrays: &[&ArrayRef], segments: &[Segment], rows: usize) -> Option<NullBuffer> {
    let sources: Vec<Option<&NullBuffer>> = arrays.iter().map(|array| array.nulls().filter(|n| n.null_count() > 0)).collect();
    if sources.iter().all(Option::is_none) {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    for segment in segments {
        match sources[segment.source] {
            None => valid.append_n(segment.end - segment.start, true),
            Some(nulls) if segment.end - segment.start == 1 => valid.append(nulls.is_valid(segment.start)),
            Some(nulls) => valid.append_buffer(&nulls.inner().slice(segment.start, segment.end - segment.start)),
        }
    }
    Some(NullBuffer::new(valid.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Builder, ListBuilder, MapBuilder, StringBuilder, StructBuilder, TimestampNanosecondArray};
    use arrow::datatypes::Field;
    use catalog::schema;
    use proptest::prelude::*;

    use super::*;

    /// `rows` rows of each kind of column, every third null where that may be, made of numbers from `first` on.
    fn columns(first: usize, rows: usize) -> Vec<ArrayRef> {
        let numbers = first..first + rows;
        let is_there = |n: usize| !n.is_multiple_of(3);
        let text = |n: usize| "añb".repeat(n % 4);
        let mut maps = MapBuilder::new(Some(schema::map_field_names()), StringBuilder::new(), StringBuilder::new());
        let fields = Fields::from(vec![Field::new("n", DataType::Int32, true)]);
        let items = StructBuilder::new(fields, vec![Box::new(Int32Builder::new())]);
        let mut lists = ListBuilder::new(items);
        for n in numbers.clone() {
            for item in 0..n % 5 {
                maps.keys().append_value(format!("k{item}"));
                maps.values().append_option(is_there(n + item).then(|| text(n)));
                lists.values().field_builder::<Int32Builder>(0).expect("a field").append_value(n as i32);
                lists.values().append(is_there(n + item));
            }
            maps.append(true).expect("as many keys as values");
            lists.append(is_there(n));
        }
        let times =
            TimestampNanosecondArray::from_iter(numbers.clone().map(|n| is_there(n).then_some(n as i64))).with_timezone("UTC");
        let ids = numbers.clone().map(|n| is_there(n).then(|| (n as u64).to_be_bytes()));
        vec![
            Arc::new(times),
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).expect("eight bytes each")),
            Arc::new(StringArray::from_iter(numbers.clone().map(|n| is_there(n).then(|| text(n))))),
            Arc::new(StringArray::from_iter_values(numbers.map(text))),
            Arc::new(maps.finish()),
            Arc::new(lists.finish()),
        ]
    }

    proptest! {
        #[test]
        fn rows_are_those_that_a_general_copy_gives(
            sources in prop::collection::vec((0..50_usize, 0..6_usize, 0..9_usize), 1..4),
            wanted in prop::collection::vec((0..4_usize, 0..9_usize, 0..9_usize), 0..12),
        ) {
            // Slices, whose offsets do not begin with 0.
            let sliced = |(first, left_out, rows): &(usize, usize, usize)| -> Vec<ArrayRef> {
                columns(*first, left_out + rows).iter().map(|column| column.slice(*left_out, *rows)).collect()
            };
            let sources: Vec<Vec<ArrayRef>> = sources.iter().map(sliced).collect();
            let segment = |(source, a, b): &(usize, usize, usize)| {
                let source = source % sources.len();
                let rows = sources[source][0].len();
                Segment { source, start: (*a.min(b)).min(rows), end: (*a.max(b)).min(rows) }
            };
            let segments: Vec<Segment> = wanted.iter().map(segment).collect();
            let rows = segments.iter().map(|s| s.end - s.start).sum();
            for column in 0..sources[0].len() {
                let arrays: Vec<&ArrayRef> = sources.iter().map(|columns| &columns[column]).collect();
                let (given, expected) = (copied(&arrays, &segments, rows), others(&arrays, &segments, rows));
                let given = given.expect("few rows");
                prop_assert_eq!(given.to_data().validate_full().map_err(|e| e.to_string()), Ok(()));
                prop_assert_eq!(&given, &expected.expect("few rows"), "column {}", column);
            }
        }
    }
}
