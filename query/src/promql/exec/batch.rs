//! Series as record batches, one row per series.
//!
//! ```text
//! steps   series | drop_name | floats [f64 or null; one per step] | histograms [bytes or null; one per step] or null
//! raw     series | drop_name | times [i64] | floats [f64] | starts [i64] | histogram_times | histogram_starts | histograms [bytes]
//! text    text
//! ```
//! `series` is a handle into the query's [`Arena`]: labels are made once and never travel.
//!
//! # Invariants
//! - Rows keep the order of the series.
//! - What is decoded is what was encoded, bit for bit.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, FixedSizeListArray, Float64Array, GenericBinaryArray, Int32Array,
    Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int32Type, Int64Type, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use promql::eval::Data;
use promql::histogram::Histogram;
use promql::value::{HistogramSample, RawSeries, StepSeries};

use super::histogram;
use super::state::Arena;

/// Values of one batch, about: what is encoded at a time stays in the cache.
const BATCH_VALUES: usize = 1 << 18;

/// What a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Series on so many steps.
    Steps(usize),
    /// Series as storage has them.
    Raw,
    /// One text.
    Text,
}

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

fn list(data_type: DataType) -> DataType {
    DataType::List(item(data_type))
}

impl Shape {
    /// The columns.
    pub(super) fn schema(self) -> SchemaRef {
        let series = || vec![Field::new("series", DataType::Int32, false), Field::new("drop_name", DataType::Boolean, false)];
        let fields = match self {
            Self::Steps(steps) => {
                let floats = DataType::FixedSizeList(item(DataType::Float64), i32::try_from(steps).unwrap_or(i32::MAX));
                let mut fields = series();
                fields.push(Field::new("floats", floats, false));
                fields.push(Field::new("histograms", list(DataType::Binary), true));
                fields
            }
            Self::Raw => {
                let mut fields = series();
                for (name, data_type) in [
                    ("times", DataType::Int64),
                    ("floats", DataType::Float64),
                    ("starts", DataType::Int64),
                    ("histogram_times", DataType::Int64),
                    ("histogram_starts", DataType::Int64),
                    ("histograms", DataType::Binary),
                ] {
                    fields.push(Field::new(name, list(data_type), false));
                }
                fields
            }
            Self::Text => vec![Field::new("text", DataType::Utf8, false)],
        };
        Arc::new(Schema::new(fields))
    }
}

/// The batches of `data`, which is of `shape`.
///
/// # Errors
/// `Internal` when it is of another shape.
pub(super) fn encode(data: Data, shape: Shape, arena: &Arena) -> Result<Vec<RecordBatch>> {
    match (data, shape) {
        (Data::Steps(series), Shape::Steps(steps)) => {
            series.chunks((BATCH_VALUES / steps.max(1)).max(1)).map(|part| encode_steps(part, steps, arena)).collect()
        }
        (Data::Raw(series), Shape::Raw) => series.chunks(1_024).map(|part| encode_raw(part, arena)).collect(),
        (Data::Text(text), Shape::Text) => {
            Ok(vec![RecordBatch::try_new(shape.schema(), vec![Arc::new(StringArray::from(vec![text]))])?])
        }
        (_, shape) => Err(DataFusionError::Internal(format!("an operator gave something else than {shape:?}"))),
    }
}

/// What `batches` hold, which are of `shape`.
///
/// # Errors
/// `Internal` when they are not.
pub(super) fn decode(batches: &[RecordBatch], shape: Shape, arena: &Arena) -> Result<Data> {
    let wrong = || DataFusionError::Internal(format!("a batch is not of the shape {shape:?}"));
    Ok(match shape {
        Shape::Steps(steps) => {
            let mut out = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
            batches.iter().try_for_each(|batch| decode_steps(batch, steps, arena, &mut out)).ok_or_else(wrong)?;
            Data::Steps(out)
        }
        Shape::Raw => {
            let mut out = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
            batches.iter().try_for_each(|batch| decode_raw(batch, arena, &mut out)).ok_or_else(wrong)?;
            Data::Raw(out)
        }
        Shape::Text => {
            let batch = batches.first().filter(|batch| batch.num_rows() == 1).ok_or_else(wrong)?;
            Data::Text(batch.column(0).as_string_opt::<i32>().ok_or_else(wrong)?.value(0).to_owned())
        }
    })
}

fn encode_steps(series: &[StepSeries], steps: usize, arena: &Arena) -> Result<RecordBatch> {
    let mut floats = Vec::with_capacity(series.len() * steps);
    let mut present = Vec::with_capacity(series.len() * steps);
    for one in series {
        floats.extend_from_slice(&one.floats);
        present.extend_from_slice(&one.present);
    }
    let floats = Float64Array::new(floats.into(), Some(NullBuffer::from(present)));
    let width = i32::try_from(steps).map_err(|_| DataFusionError::Internal(format!("{steps} steps are too many")))?;
    let floats = FixedSizeListArray::try_new_with_length(item(DataType::Float64), width, Arc::new(floats), None, series.len())?;

    let lengths = series.iter().map(|one| if one.histograms.is_some() { steps } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let there = NullBuffer::from_iter(series.iter().map(|one| one.histograms.is_some()));
    let cells = series.iter().filter_map(|one| one.histograms.as_ref()).flatten();
    let cells = binary(cells.map(|cell| cell.as_deref()));
    let histograms = ListArray::try_new(item(DataType::Binary), offsets, Arc::new(cells), Some(there))?;

    let (handles, drop_name) = heads(series.iter().map(|one| (&one.labels, one.drop_name)), arena);
    Ok(RecordBatch::try_new(Shape::Steps(steps).schema(), vec![handles, drop_name, Arc::new(floats), Arc::new(histograms)])?)
}

fn decode_steps(batch: &RecordBatch, steps: usize, arena: &Arena, out: &mut Vec<StepSeries>) -> Option<()> {
    let handles = batch.column(0).as_primitive_opt::<Int32Type>()?;
    let drop_name = batch.column(1).as_boolean_opt()?;
    let lists = batch.column(2).as_fixed_size_list_opt()?;
    let floats = lists.values().as_primitive_opt::<Float64Type>()?;
    let histograms = batch.column(3).as_list_opt::<i32>()?;
    for row in 0..batch.num_rows() {
        let start = usize::try_from(lists.value_offset(row)).ok()?;
        let cells = floats.slice(start, steps);
        let present = match cells.nulls() {
            Some(nulls) => nulls.iter().collect(),
            None => vec![true; steps],
        };
        let histograms = match histograms.is_valid(row) {
            false => None,
            true => {
                let cells = histograms.value(row);
                let cells = cells.as_binary_opt::<i32>()?;
                Some(cells.iter().map(|cell| decoded(cell)).collect::<Option<Vec<_>>>()?)
            }
        };
        out.push(StepSeries {
            labels: arena.labels(handles.value(row))?,
            drop_name: drop_name.value(row),
            floats: cells.values().to_vec(),
            present,
            histograms,
        });
    }
    Some(())
}

/// A cell that may be empty; `None` when its bytes are no histogram.
fn decoded(cell: Option<&[u8]>) -> Option<Option<Arc<Histogram>>> {
    match cell {
        None => Some(None),
        Some(bytes) => Some(Some(Arc::new(histogram::decode(bytes)?))),
    }
}

fn encode_raw(series: &[RawSeries], arena: &Arena) -> Result<RecordBatch> {
    let whole = |values: ArrayRef, lengths: Vec<usize>| -> Result<ArrayRef> {
        let field = item(values.data_type().clone());
        Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
    };
    let ints = |of: &dyn Fn(&RawSeries) -> Vec<i64>| -> Result<ArrayRef> {
        let parts: Vec<Vec<i64>> = series.iter().map(of).collect();
        let lengths = parts.iter().map(Vec::len).collect();
        whole(Arc::new(Int64Array::from(parts.concat())), lengths)
    };
    let floats: Vec<f64> = series.iter().flat_map(|one| one.floats.iter().copied()).collect();
    let cells = binary(series.iter().flat_map(|one| &one.histograms).map(|sample| Some(&*sample.histogram)));
    let (handles, drop_name) = heads(series.iter().map(|one| (&one.labels, one.drop_name)), arena);
    let columns = vec![
        handles,
        drop_name,
        ints(&|one| one.times_ms.clone())?,
        whole(Arc::new(Float64Array::from(floats)), series.iter().map(|one| one.floats.len()).collect())?,
        ints(&|one| one.starts_ms.clone())?,
        ints(&|one| one.histograms.iter().map(|sample| sample.time_ms).collect())?,
        ints(&|one| one.histograms.iter().map(|sample| sample.start_ms).collect())?,
        whole(Arc::new(cells), series.iter().map(|one| one.histograms.len()).collect())?,
    ];
    Ok(RecordBatch::try_new(Shape::Raw.schema(), columns)?)
}

fn decode_raw(batch: &RecordBatch, arena: &Arena, out: &mut Vec<RawSeries>) -> Option<()> {
    let handles = batch.column(0).as_primitive_opt::<Int32Type>()?;
    let drop_name = batch.column(1).as_boolean_opt()?;
    let cell = |column: usize, row: usize| Some(batch.column(column).as_list_opt::<i32>()?.value(row));
    let ints = |column, row| Some(cell(column, row)?.as_primitive_opt::<Int64Type>()?.values().to_vec());
    for row in 0..batch.num_rows() {
        let (times, starts): (Vec<i64>, Vec<i64>) = (ints(5, row)?, ints(6, row)?);
        let cells = cell(7, row)?;
        let cells = cells.as_binary_opt::<i32>()?;
        let samples = times.iter().zip(&starts).zip(cells.iter()).map(|((time_ms, start_ms), bytes)| {
            Some(HistogramSample { time_ms: *time_ms, start_ms: *start_ms, histogram: Arc::new(histogram::decode(bytes?)?) })
        });
        out.push(RawSeries {
            labels: arena.labels(handles.value(row))?,
            times_ms: ints(2, row)?,
            floats: cell(3, row)?.as_primitive_opt::<Float64Type>()?.values().to_vec(),
            starts_ms: ints(4, row)?,
            histograms: samples.collect::<Option<Vec<_>>>()?,
            drop_name: drop_name.value(row),
        });
    }
    Some(())
}

fn heads<'a>(series: impl Iterator<Item = (&'a promql::labels::Labels, bool)>, arena: &Arena) -> (ArrayRef, ArrayRef) {
    let (labels, drop_name): (Vec<_>, Vec<bool>) = series.unzip();
    (Arc::new(Int32Array::from(arena.handles(&labels))), Arc::new(BooleanArray::from(drop_name)))
}

fn binary<'a>(cells: impl Iterator<Item = Option<&'a Histogram>>) -> GenericBinaryArray<i32> {
    let mut builder = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for cell in cells {
        match cell {
            None => builder.append_null(),
            Some(histogram) => {
                bytes.clear();
                histogram::encode(histogram, &mut bytes);
                builder.append_value(&bytes);
            }
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use promql::labels::Labels;

    use super::*;

    fn histogram(count: f64) -> Arc<Histogram> {
        Arc::new(Histogram { count, sum: -count, ..Histogram::default() })
    }

    #[test]
    fn series_come_back_as_they_were() {
        let arena = Arena::default();
        let mut plain = StepSeries::empty(Labels::new([("a", "1")]), 3);
        plain.set_float(1, f64::from_bits(promql::value::STALE_BITS | 1));
        let mut mixed = StepSeries { drop_name: true, ..StepSeries::empty(Labels::new([("a", "2")]), 3) };
        mixed.set_float(0, -0.0);
        mixed.set_histogram(2, histogram(7.0));
        let steps = vec![plain, mixed];
        let batches = encode(Data::Steps(steps.clone()), Shape::Steps(3), &arena).expect("encodes");
        let Data::Steps(back) = decode(&batches, Shape::Steps(3), &arena).expect("decodes") else { panic!("steps") };
        assert_eq!(format!("{back:?}"), format!("{steps:?}"));

        let raw = vec![
            RawSeries { labels: Labels::new([("b", "1")]), times_ms: vec![1, 2], floats: vec![0.5, 1.5], ..RawSeries::default() },
            RawSeries {
                labels: Labels::new([("b", "2")]),
                histograms: vec![HistogramSample { time_ms: 5, start_ms: 4, histogram: histogram(1.0) }],
                ..RawSeries::default()
            },
        ];
        let batches = encode(Data::Raw(raw.clone()), Shape::Raw, &arena).expect("encodes");
        let Data::Raw(back) = decode(&batches, Shape::Raw, &arena).expect("decodes") else { panic!("raw") };
        assert_eq!(back, raw);
        assert!(encode(Data::Text(String::new()), Shape::Raw, &arena).is_err());
    }
}
