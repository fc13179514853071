//! The value of a query as rows: one per series and time, series by series.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, MapBuilder, MapFieldNames, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use promql::histogram::Histogram;
use promql::labels::{Labels, NAME};

use super::super::answer::{Element, Sample, Series, Value};

/// Time, number, histogram.
type Point = (i64, Option<f64>, Option<String>);

/// Batches of the rows of a value, of some columns.
#[derive(Debug)]
pub(super) struct Rows {
    series: std::vec::IntoIter<One>,
    /// The rest of the current series.
    labels: Labels,
    points: VecDeque<Point>,
    columns: Vec<usize>,
    schema: SchemaRef,
    batch_rows: usize,
    left: usize,
}

#[derive(Debug)]
enum One {
    Series(Series),
    Element(Element),
}

impl Rows {
    /// At most `limit` rows of `value`: the `columns` of [`super::schema`], which `schema` describes.
    ///
    /// # Errors
    /// A text has no rows.
    pub(super) fn new(
        value: Value,
        columns: Vec<usize>,
        schema: SchemaRef,
        batch_rows: usize,
        limit: usize,
    ) -> super::super::Result<Self> {
        let series: Vec<One> = match value {
            Value::Matrix(series) => series.into_iter().map(One::Series).collect(),
            Value::Vector(elements) => elements.into_iter().map(One::Element).collect(),
            Value::Scalar { time_ms, value } => {
                vec![One::Element(Element { labels: Labels::default(), time_ms, sample: Sample::Float(value) })]
            }
            Value::String { .. } => return Err(super::super::Error::invalid("the expression is a string, which has no rows")),
        };
        let (labels, points) = (Labels::default(), VecDeque::new());
        Ok(Self { series: series.into_iter(), labels, points, columns, schema, batch_rows: batch_rows.max(1), left: limit })
    }

    /// The next point; its labels are [`Self::labels`].
    fn next_point(&mut self) -> Option<Point> {
        loop {
            if let Some(point) = self.points.pop_front() {
                return Some(point);
            }
            match self.series.next()? {
                One::Series(series) => {
                    self.labels = series.labels().clone();
                    self.points = points(&series);
                }
                One::Element(Element { labels, time_ms, sample }) => {
                    self.labels = labels;
                    return Some(match sample {
                        Sample::Float(value) => (time_ms, Some(value), None),
                        Sample::Histogram(histogram) => (time_ms, None, Some(text_of(&histogram))),
                    });
                }
            }
        }
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut columns = Columns::default();
        let wanted = self.batch_rows.min(self.left);
        while columns.rows < wanted {
            let Some(point) = self.next_point() else { break };
            columns.push(&self.labels, point)?;
        }
        self.left -= columns.rows;
        if columns.rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(columns.rows));
        let all = columns.finish();
        let chosen = self.columns.iter().map(|at| Arc::clone(&all[*at])).collect();
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), chosen, &options)?))
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().transpose()
    }
}

/// Numbers and histograms of one series, ascending by time.
fn points(series: &Series) -> VecDeque<Point> {
    let floats = series.floats().map(|(at, value)| (at, Some(value), None));
    let histograms = series.histograms().map(|(at, histogram)| (at, None, Some(text_of(histogram))));
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    points.sort_by_key(|point| point.0);
    points.into()
}

struct Columns {
    rows: usize,
    ts: TimestampMillisecondBuilder,
    metric: StringBuilder,
    labels: MapBuilder<StringBuilder, StringBuilder>,
    value: Float64Builder,
    histogram: StringBuilder,
}

impl Default for Columns {
    fn default() -> Self {
        let names = MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
        Self {
            rows: 0,
            ts: TimestampMillisecondBuilder::new().with_timezone("UTC"),
            metric: StringBuilder::new(),
            labels: MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new()),
            value: Float64Builder::new(),
            histogram: StringBuilder::new(),
        }
    }
}

impl Columns {
    fn push(&mut self, labels: &Labels, (time_ms, value, histogram): Point) -> Result<()> {
        self.rows += 1;
        self.ts.append_value(time_ms);
        self.metric.append_option(Some(labels.metric()).filter(|metric| !metric.is_empty()));
        for (name, value) in labels.iter().filter(|(name, _)| ***name != *NAME) {
            self.labels.keys().append_value(name);
            self.labels.values().append_value(value);
        }
        self.labels.append(true)?;
        self.value.append_option(value);
        self.histogram.append_option(histogram);
        Ok(())
    }

    fn finish(mut self) -> [ArrayRef; 5] {
        [
            Arc::new(self.ts.finish()),
            Arc::new(self.metric.finish()),
            Arc::new(self.labels.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.histogram.finish()),
        ]
    }
}

/// A native histogram as the API writes it.
fn text_of(histogram: &Histogram) -> String {
    let mut out = Vec::new();
    promql::histogram::write_json(&mut out, histogram);
    String::from_utf8(out).expect("JSON is UTF-8")
}
