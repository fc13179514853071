//! Batches as rows of the wire: types that Postgres has, in text or binary, one batch at a time.
//!
//! Maps, structs and lists of lists leave as JSON text; everything else has a type of its own. Times are in UTC, whatever TimeZone says.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_pg::datatypes::into_pg_type;
use arrow_pg::row_encoder::RowEncoder;
use bytes::BytesMut;
use futures::{Stream, stream};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldFormat, FieldInfo, QueryResponse};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::data::DataRow;

use super::errors::{failed, told};
use crate::engine::QueryStream;
use crate::error::Error;
use crate::format::json_text;

/// The type in which values of `data_type`, a type of the edge, leave.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::List(item) if is_scalar(item.data_type()) => data_type.clone(),
        DataType::Float16 => DataType::Float32,
        other if is_scalar(other) => other.clone(),
        _ => DataType::Utf8,
    }
}

/// Types that arrow-pg writes as a type of Postgres.
fn is_scalar(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | Float32
            | Float64
            | Utf8
            | Binary
            | Date32
            | Date64
            | Time32(_)
            | Time64(_)
            | Timestamp(..)
            | Interval(_)
            | Duration(_)
            | Decimal128(..)
    )
}

/// The schema in which an answer with `schema` leaves.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| Field::new(field.name(), plain_type(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

/// The columns as the client is told of them.
///
/// # Errors
/// The client wants formats for another number of columns.
pub(super) fn fields(schema: &Schema, format: &Format) -> PgWireResult<Vec<FieldInfo>> {
    if let Format::Individual(formats) = format
        && formats.len() != schema.fields().len()
    {
        let (formats, columns) = (formats.len(), schema.fields().len());
        return Err(told("08P01", format!("bind message has {formats} result formats but query has {columns} columns")));
    }
    let field = |(at, field): (usize, &Arc<Field>)| {
        let data_type = into_pg_type(field.data_type())?;
        let size = size(&data_type);
        Ok(FieldInfo::new(field.name().clone(), None, None, data_type, format.format_for(at)).with_type_size(size))
    };
    schema.fields().iter().enumerate().map(field).collect()
}

/// `pg_type.typlen`.
fn size(data_type: &Type) -> i16 {
    match *data_type {
        Type::BOOL => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::INTERVAL => 16,
        _ => -1,
    }
}

/// A query whose rows leave in the types of a [`plain_schema`], from batches that are read as rows are taken.
pub(super) struct Rows {
    query: QueryStream,
    schema: SchemaRef,
    /// Rows that were read and not taken yet.
    rest: Option<RecordBatch>,
}

impl Rows {
    /// The rows of `query` in the types of `schema`, in which they were described.
    pub(super) fn new(query: QueryStream, schema: SchemaRef) -> Self {
        Self { query, schema, rest: None }
    }

    /// The columns.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Takes the next `wanted` rows (`None`: all that are left), encoded as `fields` say. `rest` gets what is behind them, unless an error came.
    pub(super) fn take(
        self,
        wanted: Option<u64>,
        fields: Vec<FieldInfo>,
        rest: impl FnOnce(Self) + Send + 'static,
    ) -> QueryResponse {
        let fields = Arc::new(fields);
        let taking = Taking { rows: self, wanted, fields: Arc::clone(&fields), encoder: None };
        QueryResponse::new(fields, taking.stream(rest))
    }

    /// At most `wanted` rows, and at least one.
    async fn next(&mut self, wanted: Option<u64>) -> Option<Result<RecordBatch, Error>> {
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match self.query.next().await? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            },
        };
        let rows = batch.num_rows();
        let taken = wanted.map_or(rows, |wanted| rows.min(usize::try_from(wanted).unwrap_or(usize::MAX)));
        if taken < rows {
            self.rest = Some(batch.slice(taken, rows - taken));
        }
        Some(plain_batch(&batch.slice(0, taken), &self.schema))
    }
}

/// Rows on their way out.
struct Taking {
    rows: Rows,
    /// Rows that are still wanted; `None`: all.
    wanted: Option<u64>,
    fields: Arc<Vec<FieldInfo>>,
    encoder: Option<RowEncoder>,
}

impl Taking {
    fn stream(self, rest: impl FnOnce(Rows) + Send) -> impl Stream<Item = PgWireResult<DataRow>> + Send {
        // After an error nothing more comes.
        stream::unfold(Some((self, rest)), |state| async move {
            let (mut taking, rest) = state?;
            match taking.next().await {
                Some(Ok(row)) => Some((Ok(row), Some((taking, rest)))),
                Some(Err(error)) => Some((Err(error), None)),
                None => {
                    rest(taking.rows);
                    None
                }
            }
        })
    }

    async fn next(&mut self) -> Option<PgWireResult<DataRow>> {
        loop {
            if let Some(row) = self.encoder.as_mut().and_then(RowEncoder::next_row) {
                return Some(row);
            }
            if self.wanted == Some(0) {
                return None;
            }
            match self.rows.next(self.wanted).await? {
                Ok(batch) => {
                    self.wanted = self.wanted.map(|wanted| wanted - batch.num_rows() as u64);
                    self.encoder = Some(RowEncoder::new(batch, Arc::clone(&self.fields)));
                }
                Err(error) => return Some(Err(failed(&error))),
            }
        }
    }
}

/// `batch` with the types of `schema`.
///
/// # Errors
/// `Encode`: a value does not fit, or there are other columns than were described.
fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let failed = |reason: String| Error::Encode { reason };
    if batch.num_columns() != schema.fields().len() {
        return Err(failed("the answer has other columns than were described".to_owned()));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| match (column.data_type(), field.data_type()) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (from, DataType::Utf8) if from.is_nested() => Ok(Arc::new(json_text(column)?) as ArrayRef),
        (_, to) => cast_with_options(column, to, &exact).map_err(|e| failed(e.to_string())),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|e| failed(e.to_string()))
}

/// Rows of text that are there already.
pub(super) fn texts(names: &[String], rows: Vec<Vec<String>>, format: &Format) -> Result<QueryResponse, PgWireError> {
    let schema = Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>());
    let fields = Arc::new(fields(&schema, format)?);
    // Text is the same in both formats.
    debug_assert!(fields.iter().all(|field| matches!(field.format(), FieldFormat::Text | FieldFormat::Binary)));
    let row = |values: Vec<String>| {
        let mut bytes = BytesMut::new();
        for value in &values {
            bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        Ok(DataRow::new(bytes, values.len() as i16))
    };
    let mut response = QueryResponse::new(fields, stream::iter(rows.into_iter().map(row)));
    response.set_command_tag("SHOW");
    Ok(response)
}
