//! Samples: one float column there, three columns here.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int8Array, Int64Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float64Type, Int8Type, Int64Type};
use arrow::error::ArrowError;
use catalog::{Table, schema};

use super::decimal::{self, Coded};

/// The stored columns of samples sorted by series.
pub(crate) fn encode(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let sids = rows.column(1).as_primitive::<Int64Type>().values();
    let values = rows.column(3).as_primitive::<Float64Type>().values();
    let n = rows.num_rows();
    let (mut mantissas, mut exponents, mut raws, mut exact) =
        (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
    let mut start = 0;
    while start < n {
        let run = sids[start..].iter().take_while(|sid| **sid == sids[start]).count();
        decimal::encode_run(&values[start..start + run], |coded| {
            let (m, e, raw, is_exact) = match coded {
                Coded::Decimal(m, e) => (m, e, 0.0, true),
                Coded::Raw(bits) => (0, 0, f64::from_bits(bits), false),
            };
            mantissas.push(m);
            exponents.push(e);
            raws.push(raw);
            exact.push(is_exact);
        });
        start += run;
    }
    let exact = NullBuffer::from(exact);
    let inexact = NullBuffer::new(!exact.inner());
    let columns: Vec<ArrayRef> = vec![
        Arc::clone(rows.column(0)),
        Arc::clone(rows.column(1)),
        Arc::clone(rows.column(2)),
        Arc::new(Int64Array::new(mantissas.into(), Some(exact.clone()))),
        Arc::new(Int8Array::new(exponents.into(), Some(exact))),
        Arc::new(Float64Array::new(raws.into(), Some(inexact))),
        Arc::clone(rows.column(4)),
    ];
    RecordBatch::try_new(schema::stored(Table::Samples), columns)
}

/// The values of stored samples, bit for bit.
///
/// # Errors
/// When a row has neither a decimal nor a raw value, or a column has another type.
pub(crate) fn values_of(mantissas: &dyn Array, exponents: &dyn Array, raws: &dyn Array) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::InvalidArgumentError("value columns have other types than the schema says".to_owned());
    let mantissas = mantissas.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    let exponents = exponents.as_primitive_opt::<Int8Type>().ok_or_else(wrong)?;
    let raws = raws.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
    let decimal = mantissas.values().iter().zip(exponents.values()).map(|(m, e)| decimal::decode(*m, *e));
    let values: Vec<f64> = match raws.null_count() == raws.len() {
        true => decimal.collect(),
        false => decimal
            .zip(raws.values())
            .enumerate()
            .map(|(row, (decimal, raw))| if raws.is_valid(row) { *raw } else { decimal })
            .collect(),
    };
    let missing =
        mantissas.null_count() + raws.null_count() != mantissas.len() || exponents.null_count() != mantissas.null_count();
    if missing {
        return Err(ArrowError::InvalidArgumentError("a sample has no value".to_owned()));
    }
    Ok(Arc::new(Float64Array::new(values.into(), None)))
}
