//! Columns of scalars out of Arrow messages that a stranger made.
//!
//! ```text
//! message ─verified flatbuffer─► schema: known types ─► rows: every buffer there and long enough ─► arrow's decoder
//! ```
//! Arrow's decoder believes its input: it panics at types and buffers that do not fit. So both are looked at first, which is short for
//! columns without children, and others cannot be bound to a placeholder anyway.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::ipc;
use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_arrow_batch;

/// Columns of a batch.
const COLUMNS_MAX: usize = 1_000;

/// The schema in a message.
///
/// # Errors
/// It is none, or has a column that is no scalar.
pub(super) fn schema(message: &FlightData) -> Result<SchemaRef, String> {
    let read = ipc::root_as_message(&message.data_header).map_err(|_| "are no Arrow message".to_owned())?;
    let schema = read.header_as_schema().ok_or("do not begin with a schema")?;
    if schema.endianness() != ipc::Endianness::Little {
        return Err("are big-endian".to_owned());
    }
    let fields = schema.fields().ok_or("have no columns")?;
    if fields.len() > COLUMNS_MAX {
        return Err(format!("have {} columns, limit is {COLUMNS_MAX}", fields.len()));
    }
    let field = |field: ipc::Field<'_>| {
        let name = field.name().unwrap_or_default();
        let misfit = || format!("have the column {:?} of a type that cannot be bound", name.chars().take(64).collect::<String>());
        Ok(Field::new(name, scalar(&field).ok_or_else(misfit)?, true))
    };
    Ok(Arc::new(Schema::new(fields.iter().map(field).collect::<Result<Vec<_>, String>>()?)))
}

/// The rows in a message, at most `rows_max`.
///
/// # Errors
/// They are none, do not fit the schema, or are too many or compressed.
pub(super) fn rows(message: &FlightData, schema: &SchemaRef, rows_max: usize) -> Result<RecordBatch, String> {
    let read = ipc::root_as_message(&message.data_header).map_err(|_| "are no Arrow message".to_owned())?;
    let rows = read.header_as_record_batch().ok_or("have a message that holds no rows")?;
    // A compressed buffer says itself how large it becomes, which nobody checks before the memory is asked for.
    if rows.compression().is_some() {
        return Err("are compressed; send them as they are".to_owned());
    }
    let length = usize::try_from(rows.length()).map_err(|_| "have fewer than no rows".to_owned())?;
    if length > rows_max {
        return Err(format!("have {length} rows or more, limit is {rows_max}"));
    }
    fits(&rows, schema, length, message.data_body.len()).ok_or("do not fit their schema")?;
    flight_data_to_arrow_batch(message, SchemaRef::clone(schema), &HashMap::new()).map_err(|e| e.to_string())
}

/// Looks at every buffer that the decoder will read.
fn fits(rows: &ipc::RecordBatch<'_>, schema: &Schema, length: usize, body_bytes: usize) -> Option<()> {
    let nodes = rows.nodes()?;
    if nodes.len() != schema.fields().len() {
        return None;
    }
    let mut buffers = rows.buffers().map(|buffers| buffers.iter()).into_iter().flatten();
    // The next buffer: at least `count` values of `width` bytes, and a whole number of them.
    let mut take = |count: usize, width: usize| {
        let buffer = buffers.next()?;
        let (offset, bytes) = (usize::try_from(buffer.offset()).ok()?, usize::try_from(buffer.length()).ok()?);
        let fits = bytes >= count * width && bytes.is_multiple_of(width) && offset.checked_add(bytes)? <= body_bytes;
        fits.then_some(())
    };
    for (node, field) in nodes.iter().zip(schema.fields()) {
        if usize::try_from(node.length()).ok()? != length || !(0..=length).contains(&usize::try_from(node.null_count()).ok()?) {
            return None;
        }
        if field.data_type().is_null() {
            continue;
        }
        take(if node.null_count() > 0 { length.div_ceil(8) } else { 0 }, 1)?;
        // An empty column may leave its one offset out.
        let offsets = if length == 0 { 0 } else { length + 1 };
        match field.data_type() {
            DataType::Boolean => take(length.div_ceil(8), 1)?,
            DataType::Utf8 | DataType::Binary => (take(offsets, 4)?, take(0, 1)?).1,
            DataType::LargeUtf8 | DataType::LargeBinary => (take(offsets, 8)?, take(0, 1)?).1,
            other => take(length, other.primitive_width()?)?,
        }
    }
    buffers.next().is_none().then_some(())
}

/// The type of a column without children and dictionary.
fn scalar(field: &ipc::Field<'_>) -> Option<DataType> {
    if field.dictionary().is_some() || field.children().is_some_and(|children| !children.is_empty()) {
        return None;
    }
    match field.type_type() {
        ipc::Type::Null => Some(DataType::Null),
        ipc::Type::Bool => Some(DataType::Boolean),
        ipc::Type::Utf8 => Some(DataType::Utf8),
        ipc::Type::LargeUtf8 => Some(DataType::LargeUtf8),
        ipc::Type::Binary => Some(DataType::Binary),
        ipc::Type::LargeBinary => Some(DataType::LargeBinary),
        ipc::Type::Int => integer(field),
        ipc::Type::FloatingPoint => match field.type_as_floating_point()?.precision() {
            ipc::Precision::SINGLE => Some(DataType::Float32),
            ipc::Precision::DOUBLE => Some(DataType::Float64),
            _ => None,
        },
        ipc::Type::Decimal => decimal(field),
        ipc::Type::Date => match field.type_as_date()?.unit() {
            ipc::DateUnit::DAY => Some(DataType::Date32),
            ipc::DateUnit::MILLISECOND => Some(DataType::Date64),
            _ => None,
        },
        ipc::Type::Time => {
            let time = field.type_as_time()?;
            match (time.bitWidth(), unit(time.unit())?) {
                (32, unit @ (TimeUnit::Second | TimeUnit::Millisecond)) => Some(DataType::Time32(unit)),
                (64, unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond)) => Some(DataType::Time64(unit)),
                _ => None,
            }
        }
        ipc::Type::Timestamp => {
            let time = field.type_as_timestamp()?;
            Some(DataType::Timestamp(unit(time.unit())?, time.timezone().map(Into::into)))
        }
        ipc::Type::Duration => Some(DataType::Duration(unit(field.type_as_duration()?.unit())?)),
        ipc::Type::Interval => match field.type_as_interval()?.unit() {
            ipc::IntervalUnit::YEAR_MONTH => Some(DataType::Interval(IntervalUnit::YearMonth)),
            ipc::IntervalUnit::DAY_TIME => Some(DataType::Interval(IntervalUnit::DayTime)),
            ipc::IntervalUnit::MONTH_DAY_NANO => Some(DataType::Interval(IntervalUnit::MonthDayNano)),
            _ => None,
        },
        _ => None,
    }
}

fn integer(field: &ipc::Field<'_>) -> Option<DataType> {
    let integer = field.type_as_int()?;
    match (integer.bitWidth(), integer.is_signed()) {
        (8, true) => Some(DataType::Int8),
        (16, true) => Some(DataType::Int16),
        (32, true) => Some(DataType::Int32),
        (64, true) => Some(DataType::Int64),
        (8, false) => Some(DataType::UInt8),
        (16, false) => Some(DataType::UInt16),
        (32, false) => Some(DataType::UInt32),
        (64, false) => Some(DataType::UInt64),
        _ => None,
    }
}

fn decimal(field: &ipc::Field<'_>) -> Option<DataType> {
    let decimal = field.type_as_decimal()?;
    let (precision, scale) = (u8::try_from(decimal.precision()).ok()?, i8::try_from(decimal.scale()).ok()?);
    let fits = (1..=38).contains(&precision) && scale.unsigned_abs() <= precision;
    (decimal.bitWidth() == 128 && fits).then_some(DataType::Decimal128(precision, scale))
}

fn unit(unit: ipc::TimeUnit) -> Option<TimeUnit> {
    match unit {
        ipc::TimeUnit::SECOND => Some(TimeUnit::Second),
        ipc::TimeUnit::MILLISECOND => Some(TimeUnit::Millisecond),
        ipc::TimeUnit::MICROSECOND => Some(TimeUnit::Microsecond),
        ipc::TimeUnit::NANOSECOND => Some(TimeUnit::Nanosecond),
        _ => None,
    }
}
