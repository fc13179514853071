//! Lines and numbers as batches of the table.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, MapBuilder, MapFieldNames, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampNanosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use super::super::answer::{Labels, Value};

/// Bytes of text after which a batch ends, however few its rows are: an array of text has an end at 2 GiB.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Which columns of [`super::schema`] are wanted, in which order.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) columns: Vec<usize>,
    pub(super) schema: SchemaRef,
    pub(super) batch_rows: usize,
}

impl Shape {
    /// Whether somebody looks at the column `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.schema.column_with_name(name).is_some()
    }
}

/// Rows under way.
pub(super) struct Builder {
    shape: Shape,
    rows: usize,
    bytes: usize,
    ts: TimestampNanosecondBuilder,
    labels: MapBuilder<StringBuilder, StringBuilder>,
    line: StringBuilder,
    value: Float64Builder,
    takes_labels: bool,
    takes_line: bool,
}

impl Builder {
    pub(super) fn new(shape: Shape) -> Self {
        let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
        Self {
            rows: 0,
            bytes: 0,
            ts: TimestampNanosecondBuilder::new().with_timezone("UTC"),
            labels: MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()),
            line: StringBuilder::new(),
            value: Float64Builder::new(),
            takes_labels: shape.has("labels"),
            takes_line: shape.has("line"),
            shape,
        }
    }

    /// Takes a row and says how many bytes of text it has. `labels` ascend by name.
    pub(super) fn push<'a>(
        &mut self,
        ts_ns: i64,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        line: Option<&str>,
        value: Option<f64>,
    ) -> Result<usize> {
        let mut bytes = 0;
        self.ts.append_value(ts_ns);
        if self.takes_labels {
            for (name, value) in labels {
                bytes += name.len() + value.len();
                self.labels.keys().append_value(name);
                self.labels.values().append_value(value);
            }
        }
        self.labels.append(true)?;
        let line = line.filter(|_| self.takes_line);
        bytes += line.map_or(0, str::len);
        self.line.append_option(line);
        self.value.append_option(value);
        self.rows += 1;
        self.bytes += bytes;
        Ok(bytes)
    }

    /// Whether the batch has as many rows, or as much text, as one should have.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.shape.batch_rows || self.bytes >= BATCH_BYTES_MAX
    }

    /// The rows since the last batch, if there are any.
    pub(super) fn batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let all: [ArrayRef; 4] = [
            Arc::new(self.ts.finish()),
            Arc::new(self.labels.finish()),
            Arc::new(self.line.finish()),
            Arc::new(self.value.finish()),
        ];
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        let chosen = self.shape.columns.iter().map(|at| Arc::clone(&all[*at])).collect();
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.shape.schema), chosen, &options)?))
    }
}

/// At most `limit` rows of the value of a metric query, in batches: by series and time.
pub(super) fn batches(value: Value, shape: Shape, limit: usize) -> impl Iterator<Item = Result<RecordBatch>> + Send {
    let mut builder = Builder::new(shape);
    let mut points = points(value).take(limit);
    std::iter::from_fn(move || {
        while !builder.is_full()
            && let Some((labels, ts_ns, value)) = points.next()
        {
            let labels = labels.iter().map(|(name, value)| (&**name, &**value));
            if let Err(error) = builder.push(ts_ns, labels, None, Some(value)) {
                return Some(Err(error));
            }
        }
        builder.batch().transpose()
    })
}

/// The numbers of a value. A metric query has no streams.
fn points(value: Value) -> Box<dyn Iterator<Item = (Labels, i64, f64)> + Send> {
    match value {
        Value::Streams(_) => Box::new(std::iter::empty()),
        Value::Scalar { time_ns, value } => Box::new(std::iter::once(([].into(), time_ns, value))),
        Value::Vector(elements) => Box::new(elements.into_iter().map(|one| (one.labels, one.time_ns, one.value))),
        Value::Matrix(series) => Box::new(series.into_iter().flat_map(|one| {
            let labels = one.labels;
            one.points.into_iter().map(move |(ts_ns, value)| (Labels::clone(&labels), ts_ns, value))
        })),
    }
}
