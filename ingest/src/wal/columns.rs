//! The columns of a batch as bytes, without their schema: both sides know it by table.
//!
//! ```text
//! column   := nulls values                         nulls := 0 | 1 bitmap
//! integers := 0 raw | 1 zigzag varints of the differences, when that is shorter by a quarter
//! text     := lengths bytes        dictionary := keys, values-count values
//! list     := lengths child        map := lengths key value        struct := children
//! ```
//! Differences turn sorted times, dictionary keys and lengths into runs of small bytes, which the compressor behind this then all but removes.
//! Slices are written from their first to their last row only. Decoding checks everything: no bytes make it panic, and it
//! allocates in proportion to the bytes that are really there.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, FixedSizeBinaryArray, Float64Array, ListArray, MapArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray, UInt32Array, cast::AsArray,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, FieldRef, Int8Type, Int32Type, Int64Type, TimeUnit, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow::error::ArrowError;
use catalog::{Table, schema};

/// Why bytes are no columns, or columns no bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// The bytes end before the value does.
    #[error("record ends within {0}")]
    Short(&'static str),
    /// A number is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// The columns do not fit the table.
    #[error("{0}")]
    Shape(String),
    /// Written by a newer version.
    #[error("record has format version {found}, this build reads up to {supported}; upgrade telelake")]
    Newer {
        /// The version it claims.
        found: u32,
        /// The newest that we know.
        supported: u32,
    },
    /// Arrow refused what was read.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// Appends `batch`, which has the schema of `table`, to `out`.
///
/// # Errors
/// [`CodecError::Shape`] when it has another schema.
pub(crate) fn encode(table: Table, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let schema = schema::rows(table);
    if batch.num_columns() != schema.fields().len() {
        return Err(CodecError::Shape(format!("{table} has {} columns, not {}", schema.fields().len(), batch.num_columns())));
    }
    put_varint(out, batch.num_rows() as u64);
    put_varint(out, batch.num_columns() as u64);
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type() != column.data_type() {
            return Err(CodecError::Shape(format!(
                "{table}.{} is {}, not {}",
                field.name(),
                field.data_type(),
                column.data_type()
            )));
        }
        put_column(out, column)?;
    }
    Ok(())
}

/// The batch at the front of `bytes`. Columns that a newer schema version appended are filled with nulls.
///
/// # Errors
/// Any [`CodecError`]; the cursor is then anywhere.
pub(crate) fn decode(table: Table, bytes: &mut Cursor<'_>) -> Result<RecordBatch, CodecError> {
    let schema = schema::rows(table);
    let rows = bytes.varint("row count")?;
    let rows = usize::try_from(rows).ok().filter(|&n| n <= i32::MAX as usize).ok_or(CodecError::Range("row count"))?;
    let known = schema.fields().len();
    let written = bytes.varint("column count")?;
    if written == 0 || written > known as u64 {
        return Err(CodecError::Shape(format!("{table} has {known} columns, the record has {written}")));
    }
    let written = written as usize;
    let mut columns = Vec::with_capacity(known);
    for field in &schema.fields()[..written] {
        columns.push(take_column(bytes, field.data_type(), rows)?);
    }
    columns.extend(schema.fields()[written..].iter().map(|field| arrow::array::new_null_array(field.data_type(), rows)));
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn put_column(out: &mut Vec<u8>, array: &dyn Array) -> Result<(), CodecError> {
    put_nulls(out, array.nulls());
    match array.data_type() {
        DataType::Int8 => put_integers(out, array.as_primitive::<Int8Type>()),
        DataType::Int32 => put_integers(out, array.as_primitive::<Int32Type>()),
        DataType::Int64 => put_integers(out, array.as_primitive::<Int64Type>()),
        DataType::Timestamp(TimeUnit::Millisecond, _) => put_integers(out, array.as_primitive::<TimestampMillisecondType>()),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => put_integers(out, array.as_primitive::<TimestampNanosecondType>()),
        DataType::Float64 => put_raw(out, array.as_primitive::<arrow::datatypes::Float64Type>().values()),
        DataType::Boolean => out.extend_from_slice(&array.as_boolean().values().sliced()),
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary();
            let width = array.value_length() as usize;
            out.extend_from_slice(&array.value_data()[..array.len() * width]);
        }
        DataType::Utf8 => {
            let array = array.as_string::<i32>();
            let (first, last) = put_lengths(out, array.offsets());
            out.extend_from_slice(&array.value_data()[first..last]);
        }
        DataType::Dictionary(_, _) => put_dictionary(out, array.as_dictionary::<Int32Type>())?,
        DataType::List(_) => {
            let array = array.as_list::<i32>();
            let (first, last) = put_lengths(out, array.offsets());
            put_column(out, &array.values().slice(first, last - first))?;
        }
        DataType::Map(_, _) => {
            let array = array.as_map();
            let (first, last) = put_lengths(out, array.offsets());
            put_column(out, &array.entries().slice(first, last - first))?;
        }
        DataType::Struct(_) => {
            for child in array.as_struct().columns() {
                put_column(out, child)?;
            }
        }
        other => return Err(CodecError::Shape(format!("the log has no form for {other}"))),
    }
    Ok(())
}

fn take_column(bytes: &mut Cursor<'_>, data_type: &DataType, len: usize) -> Result<ArrayRef, CodecError> {
    let nulls = take_nulls(bytes, len)?;
    Ok(match data_type {
        DataType::Int8 => Arc::new(take_integers::<Int8Type>(bytes, len, nulls)?),
        DataType::Int32 => Arc::new(take_integers::<Int32Type>(bytes, len, nulls)?),
        DataType::Int64 => Arc::new(take_integers::<Int64Type>(bytes, len, nulls)?),
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Arc::new(take_integers::<TimestampMillisecondType>(bytes, len, nulls)?.with_timezone_opt(zone.clone()))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Arc::new(take_integers::<TimestampNanosecondType>(bytes, len, nulls)?.with_timezone_opt(zone.clone()))
        }
        DataType::Float64 => {
            let raw = bytes.take_items(len, 8, "floats")?;
            let values: Vec<f64> = raw.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
            Arc::new(Float64Array::try_new(values.into(), nulls)?)
        }
        DataType::Boolean => {
            let raw = bytes.take(len.div_ceil(8), "booleans")?;
            Arc::new(BooleanArray::new(BooleanBuffer::new(Buffer::from(raw), 0, len), nulls))
        }
        DataType::FixedSizeBinary(width) => {
            let raw = bytes.take_items(len, usize::try_from(*width).map_err(|_| CodecError::Range("width"))?, "binary")?;
            Arc::new(FixedSizeBinaryArray::try_new(*width, Buffer::from(raw), nulls)?)
        }
        DataType::Utf8 => Arc::new(take_text(bytes, len, nulls)?),
        DataType::Dictionary(_, _) => Arc::new(take_dictionary(bytes, len, nulls)?),
        DataType::List(field) => {
            let (offsets, total) = take_lengths(bytes, len)?;
            let child = take_column(bytes, field.data_type(), total)?;
            Arc::new(ListArray::try_new(Arc::clone(field), offsets, child, nulls)?)
        }
        DataType::Map(field, ordered) => {
            let (offsets, total) = take_lengths(bytes, len)?;
            let entries = take_column(bytes, field.data_type(), total)?;
            Arc::new(take_map(field, offsets, &entries, nulls, *ordered)?)
        }
        DataType::Struct(fields) => {
            let children = fields.iter().map(|f| take_column(bytes, f.data_type(), len)).collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), children, nulls)?)
        }
        other => return Err(CodecError::Shape(format!("the log has no form for {other}"))),
    })
}

fn take_map(
    field: &FieldRef,
    offsets: OffsetBuffer<i32>,
    entries: &ArrayRef,
    nulls: Option<NullBuffer>,
    ordered: bool,
) -> Result<MapArray, CodecError> {
    let entries = entries.as_struct_opt().ok_or_else(|| CodecError::Shape("map entries are no struct".to_owned()))?;
    Ok(MapArray::try_new(Arc::clone(field), offsets, entries.clone(), nulls, ordered)?)
}

fn put_dictionary(out: &mut Vec<u8>, array: &DictionaryArray<Int32Type>) -> Result<(), CodecError> {
    if array.values().len() <= array.len() {
        put_integers(out, array.keys());
        put_varint(out, array.values().len() as u64);
        return put_column(out, array.values());
    }
    // A dictionary that is shared by many batches: write the values of these rows only.
    let mut new_key = vec![-1_i32; array.values().len()];
    let mut used: Vec<u32> = Vec::new();
    let keys = array.keys().iter().map(|key| {
        let Some(key) = key else { return 0 };
        let slot = &mut new_key[key as usize];
        if *slot < 0 {
            *slot = used.len() as i32;
            used.push(key as u32);
        }
        *slot
    });
    let keys: PrimitiveArray<Int32Type> = PrimitiveArray::from_iter_values(keys);
    put_integers(out, &keys);
    put_varint(out, used.len() as u64);
    put_column(out, &arrow::compute::take(array.values(), &UInt32Array::from(used), None)?)
}

fn take_dictionary(
    bytes: &mut Cursor<'_>,
    len: usize,
    nulls: Option<NullBuffer>,
) -> Result<DictionaryArray<Int32Type>, CodecError> {
    let keys = take_integers::<Int32Type>(bytes, len, nulls)?;
    let values = bytes.varint("dictionary size")?;
    let values = usize::try_from(values).ok().filter(|&n| n <= i32::MAX as usize).ok_or(CodecError::Range("dictionary size"))?;
    let values = take_column(bytes, &DataType::Utf8, values)?;
    Ok(DictionaryArray::try_new(keys, values)?)
}

fn take_text(bytes: &mut Cursor<'_>, len: usize, nulls: Option<NullBuffer>) -> Result<StringArray, CodecError> {
    let (offsets, total) = take_lengths(bytes, len)?;
    let raw = bytes.take(total, "text")?;
    Ok(StringArray::try_new(offsets, Buffer::from(raw), nulls)?)
}

fn put_nulls(out: &mut Vec<u8>, nulls: Option<&NullBuffer>) {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => out.push(0),
        Some(nulls) => {
            out.push(1);
            out.extend_from_slice(&nulls.inner().sliced()[..nulls.len().div_ceil(8)]);
        }
    }
}

fn take_nulls(bytes: &mut Cursor<'_>, len: usize) -> Result<Option<NullBuffer>, CodecError> {
    match bytes.u8("nulls")? {
        0 => Ok(None),
        1 => {
            let bitmap = bytes.take(len.div_ceil(8), "nulls")?;
            Ok(Some(NullBuffer::new(BooleanBuffer::new(Buffer::from(bitmap), 0, len))))
        }
        _ => Err(CodecError::Range("nulls")),
    }
}

/// Writes the lengths between `offsets` and returns the first and the last offset.
fn put_lengths(out: &mut Vec<u8>, offsets: &OffsetBuffer<i32>) -> (usize, usize) {
    put_ints(out, offsets.windows(2).map(|pair| i64::from(pair[1] - pair[0])), offsets.len() - 1, 4);
    (offsets[0] as usize, offsets[offsets.len() - 1] as usize)
}

fn take_lengths(bytes: &mut Cursor<'_>, len: usize) -> Result<(OffsetBuffer<i32>, usize), CodecError> {
    let lengths = take_ints(bytes, len, 4)?;
    let mut offsets = Vec::with_capacity(len + 1);
    let mut end = 0_i32;
    offsets.push(end);
    for length in lengths {
        let length = i32::try_from(length).ok().filter(|&n| n >= 0).ok_or(CodecError::Range("length"))?;
        end = end.checked_add(length).ok_or(CodecError::Range("length"))?;
        offsets.push(end);
    }
    Ok((OffsetBuffer::new(ScalarBuffer::from(offsets)), end as usize))
}

fn put_integers<T: ArrowPrimitiveType>(out: &mut Vec<u8>, array: &PrimitiveArray<T>)
where
    T::Native: Into<i64>,
{
    put_ints(out, array.values().iter().map(|&v| v.into()), array.len(), size_of::<T::Native>());
}

fn take_integers<T: ArrowPrimitiveType>(
    bytes: &mut Cursor<'_>,
    len: usize,
    nulls: Option<NullBuffer>,
) -> Result<PrimitiveArray<T>, CodecError>
where
    T::Native: TryFrom<i64>,
{
    let values = take_ints(bytes, len, size_of::<T::Native>())?;
    let values: Vec<T::Native> =
        values.into_iter().map(|v| T::Native::try_from(v).map_err(|_| CodecError::Range("integer"))).collect::<Result<_, _>>()?;
    Ok(PrimitiveArray::try_new(values.into(), nulls)?)
}

const RAW: u8 = 0;
const DIFFERENCES: u8 = 1;

/// Writes integers of `width` bytes in the shorter of two forms.
fn put_ints(out: &mut Vec<u8>, values: impl Iterator<Item = i64> + Clone, len: usize, width: usize) {
    let mut before = 0_i64;
    let mut differences = 0;
    for value in values.clone() {
        differences += varint_bytes(zigzag(value.wrapping_sub(before)));
        before = value;
    }
    if differences * 4 > len * width * 3 {
        out.push(RAW);
        out.reserve(len * width);
        values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()[..width]));
        return;
    }
    out.push(DIFFERENCES);
    out.reserve(differences);
    let mut before = 0_i64;
    for value in values {
        put_varint(out, zigzag(value.wrapping_sub(before)));
        before = value;
    }
}

fn take_ints(bytes: &mut Cursor<'_>, len: usize, width: usize) -> Result<Vec<i64>, CodecError> {
    match bytes.u8("integer form")? {
        RAW => {
            let raw = bytes.take_items(len, width, "integers")?;
            let shift = 64 - 8 * width as u32;
            let widen = |chunk: &[u8]| {
                let mut value = [0; 8];
                value[..width].copy_from_slice(chunk);
                (i64::from_le_bytes(value) << shift) >> shift
            };
            Ok(raw.chunks_exact(width).map(widen).collect())
        }
        DIFFERENCES => {
            if len > bytes.rest.len() {
                return Err(CodecError::Short("integers"));
            }
            let mut values = Vec::with_capacity(len);
            let mut value = 0_i64;
            for _ in 0..len {
                value = value.wrapping_add(unzigzag(bytes.varint("integers")?));
                values.push(value);
            }
            Ok(values)
        }
        _ => Err(CodecError::Range("integer form")),
    }
}

fn put_raw(out: &mut Vec<u8>, values: &[f64]) {
    out.reserve(values.len() * 8);
    values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

const fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends `value`, 7 bits a byte, low bits first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that are consumed from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    /// What is left.
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The next `n` bytes; `what` names them in the error.
    pub(crate) fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        let (front, rest) = self.rest.split_at_checked(n).ok_or(CodecError::Short(what))?;
        self.rest = rest;
        Ok(front)
    }

    fn take_items(&mut self, n: usize, width: usize, what: &'static str) -> Result<&'a [u8], CodecError> {
        self.take(n.checked_mul(width).ok_or(CodecError::Range(what))?, what)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, CodecError> {
        Ok(self.take(1, what)?[0])
    }

    /// The next `N` bytes as an array.
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        self.take(N, what)?.try_into().map_err(|_| CodecError::Short(what))
    }

    /// The next varint.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for (at, &byte) in self.rest.iter().enumerate().take(10) {
            if at == 9 && byte > 1 {
                return Err(CodecError::Range(what));
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(CodecError::Short(what))
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
pub(crate) mod tests;
