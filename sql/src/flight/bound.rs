//! Values for the placeholders of a prepared statement: rows of Arrow columns, one run of the statement each.

use std::collections::HashMap;
use std::pin::pin;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::FlightData;
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use futures::{Stream, StreamExt};
use tonic::Status;

use super::scalars;
use crate::error::{Error, Result};

/// Rows of values, so runs of the statement.
const ROWS_MAX: usize = 1_000;
/// Bytes of all values: they travel with every later request.
const BYTES_MAX: usize = 1 << 20;

const NAME: &str = "values of the prepared statement";

/// Reads the rows that a client sends, and writes them the way a handle holds them; empty when there are none.
///
/// # Errors
/// `Parameter`: they are no Arrow stream of scalars, compressed, or too many.
pub async fn receive(messages: impl Stream<Item = Result<FlightData, Status>>) -> Result<Bytes> {
    let mut messages = pin!(messages);
    let (mut schema, mut batches, mut rows, mut bytes) = (None, Vec::new(), 0, 0);
    while let Some(message) = messages.next().await {
        let message = message.map_err(|status| wrong(status.message().to_owned()))?;
        bytes += message.data_header.len() + message.data_body.len();
        if bytes > 2 * BYTES_MAX {
            return Err(wrong(too_many_bytes(bytes)));
        }
        if message.data_header.is_empty() {
            continue; // metadata alone
        }
        match &schema {
            None => schema = Some(scalars::schema(&message).map_err(wrong)?),
            Some(schema) => {
                let batch = scalars::rows(&message, schema, ROWS_MAX - rows).map_err(wrong)?;
                rows += batch.num_rows();
                batches.push(batch);
            }
        }
    }
    let Some(schema) = schema.filter(|_| !batches.is_empty()) else { return Ok(Bytes::new()) };
    let batch = concat_batches(&schema, &batches).map_err(|e| wrong(e.to_string()))?;
    write(&batch)
}

fn write(batch: &RecordBatch) -> Result<Bytes> {
    let encode = || -> Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
        writer.write(batch)?;
        writer.into_inner()
    };
    let bytes = encode().map_err(|e| wrong(e.to_string()))?;
    match bytes.len() {
        length if length > BYTES_MAX => Err(wrong(too_many_bytes(length))),
        _ => Ok(bytes.into()),
    }
}

fn too_many_bytes(bytes: usize) -> String {
    format!("have {bytes} bytes, limit is {BYTES_MAX}")
}

fn wrong(reason: String) -> Error {
    Error::Parameter { name: NAME, reason }
}

/// The rows in a handle, one run of the statement each.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    /// `None`: no values were bound, so the statement runs once, as it is.
    batch: Option<RecordBatch>,
    named: bool,
}

impl Rows {
    /// What [`receive`] wrote.
    ///
    /// # Errors
    /// `Parameter`: it did not.
    pub(super) fn read(values: &Bytes, named: bool) -> Result<Self> {
        if values.is_empty() {
            return Ok(Self { batch: None, named });
        }
        let mut reader = StreamReader::try_new(values.as_ref(), None).map_err(|e| wrong(e.to_string()))?;
        let batch = reader.next().transpose().map_err(|e| wrong(e.to_string()))?;
        Ok(Self { batch, named })
    }

    /// How often the statement runs.
    pub(super) fn runs(&self) -> usize {
        self.batch.as_ref().map_or(1, RecordBatch::num_rows)
    }

    /// The values of run number `run`, or of no run in particular: nulls of the right types, if there is no such row.
    ///
    /// # Errors
    /// `Parameter`: a value of a type that has no constants.
    pub(super) fn values(&self, run: usize) -> Result<Option<ParamValues>> {
        let Some(batch) = &self.batch else { return Ok(None) };
        let value = |column: &arrow::array::ArrayRef| match run < batch.num_rows() {
            true => ScalarValue::try_from_array(column, run),
            false => ScalarValue::try_from(column.data_type()),
        };
        let values = batch.columns().iter().map(|column| value(column).map_err(|e| wrong(e.to_string())));
        Ok(Some(match self.named {
            true => {
                let schema = batch.schema();
                let names = schema.fields().iter().map(|field| field.name().trim_start_matches('$').to_owned());
                ParamValues::from(names.zip(values).map(|(name, value)| Ok((name, value?))).collect::<Result<HashMap<_, _>>>()?)
            }
            false => ParamValues::from(values.collect::<Result<Vec<_>>>()?),
        }))
    }
}

/// What [`receive`] writes, from JSON as over HTTP: an array binds by position, an object by name. Also whether by name.
///
/// # Errors
/// `Parameter`: a value is none.
pub(super) fn from_json(params: &serde_json::Value) -> Result<(Bytes, bool)> {
    let Some(params) = crate::params::parse(params)? else { return Ok((Bytes::new(), false)) };
    let (named, values): (bool, Vec<(String, ScalarValue)>) = match params {
        ParamValues::List(values) => {
            (false, values.into_iter().enumerate().map(|(at, value)| ((at + 1).to_string(), value.value)).collect())
        }
        ParamValues::Map(values) => (true, values.into_iter().map(|(name, value)| (name, value.value)).collect()),
    };
    if values.is_empty() {
        return Ok((Bytes::new(), named));
    }
    let columns = values.iter().map(|(name, value)| Ok((name, value.to_array().map_err(|e| wrong(e.to_string()))?, true)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| wrong(e.to_string()))?;
    Ok((write(&batch)?, named))
}
