//! Collects the arguments of a group's rows as columns of numbers; what is made of them is decided at the end.
//!
//! Memory: 8 bytes an argument and row, which the aggregation takes from the query's pool.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::{Kind, quantile, range};

#[derive(Debug)]
pub(super) struct Collector {
    name: &'static str,
    kind: Kind,
    /// One per argument, all of one length. Times are milliseconds: whole numbers well below 2^53.
    columns: Vec<Vec<f64>>,
}

impl Collector {
    pub(super) fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, columns: vec![Vec::new(); kind.arguments().len()] }
    }

    fn add(&mut self, arrays: &[Float64Array]) {
        let rows = arrays.first().map_or(0, Array::len);
        let all_there = |row: &usize| arrays.iter().all(|array| array.is_valid(*row));
        for row in (0..rows).filter(all_there) {
            for (column, array) in self.columns.iter_mut().zip(arrays) {
                column.push(array.value(row));
            }
        }
    }
}

impl Accumulator for Collector {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let arrays = values.iter().map(|array| numbers(self.name, array)).collect::<Result<Vec<_>>>()?;
        self.add(&arrays);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let wrong = || DataFusionError::Internal(format!("{}: a state of another shape", self.name));
        for (column, state) in self.columns.iter_mut().zip(states) {
            let lists = state.as_list_opt::<i32>().ok_or_else(wrong)?;
            for list in lists.iter().flatten() {
                column.extend_from_slice(list.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.values());
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |column: &mut Vec<f64>| {
            let values = Float64Array::from(std::mem::take(column));
            let element = Arc::new(Field::new_list_field(DataType::Float64, false));
            let offsets = OffsetBuffer::from_lengths([values.len()]);
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(element, offsets, Arc::new(values), None)?)))
        };
        self.columns.iter_mut().map(list).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match (self.kind, self.columns.as_slice()) {
            (Kind::Window(function), [times, values, starts, ends]) => {
                range::of_window(self.name, function, (times, values), (starts, ends))?
            }
            (Kind::Samples(function), [times, values]) => range::of_samples(function, times, values)?,
            (Kind::Quantile, [quantiles, bounds, counts]) => quantile::of_buckets(self.name, quantiles, bounds, counts)?,
            _ => None,
        };
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.columns.iter().map(|column| column.capacity() * size_of::<f64>()).sum::<usize>()
    }
}

/// An argument as numbers: times in milliseconds, bounds as text read as PromQL reads them.
fn numbers(name: &str, array: &ArrayRef) -> Result<Float64Array> {
    let array = match array.data_type() {
        DataType::Timestamp(..) => cast(array, &DataType::Int64)?,
        DataType::Utf8 => {
            let read = |text: &str| {
                let wrong = || crate::Error::Invalid { message: format!("{name}: {text:?} is no bound of a bucket") };
                text.parse::<f64>().map_err(|_| DataFusionError::from(wrong()))
            };
            let bounds = array.as_string::<i32>().iter().map(|text| text.map(read).transpose());
            return Ok(bounds.collect::<Result<Vec<_>>>()?.into());
        }
        _ => Arc::clone(array),
    };
    Ok(cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}
