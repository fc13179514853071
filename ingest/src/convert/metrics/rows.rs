//! The columns of one request's rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, FixedSizeBinaryBuilder, Float64Array, Float64Builder, Int32Array, Int32Builder, Int64Array,
    Int64Builder, ListBuilder, MapBuilder, NullBufferBuilder, RecordBatch, StringArray, StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, FieldRef, Int32Type};
use arrow::error::ArrowError;
use catalog::{Table, schema};

use super::native::NativeHistogram;
use crate::registry::Series;
use crate::registry::series::day_of;

/// A series, and the day (since the Unix epoch) whose dictionary row of it is meant.
pub(super) type SeriesDay = (Arc<Series>, i32);

/// The batches of a request, none empty, and the series whose rows are among them.
pub(super) type Finished = (Vec<(Table, RecordBatch)>, Vec<SeriesDay>);

/// The few names of a request as dictionary values.
#[derive(Debug, Default)]
struct Names {
    /// By address: the [`Arc`]s in `values` keep it from meaning another name meanwhile.
    keys: HashMap<usize, i32>,
    values: Vec<Arc<str>>,
    last: Option<(usize, i32)>,
}

impl Names {
    #[inline]
    fn key(&mut self, name: &Arc<str>) -> i32 {
        let address = name.as_ptr() as usize;
        match self.last {
            Some((last, key)) if last == address => key,
            _ => self.find(name, address),
        }
    }

    fn find(&mut self, name: &Arc<str>, address: usize) -> i32 {
        let key = *self.keys.entry(address).or_insert_with(|| {
            self.values.push(Arc::clone(name));
            i32::try_from(self.values.len() - 1).expect("a body of at most 1 GiB has fewer names")
        });
        self.last = Some((address, key));
        key
    }

    fn finish(self, keys: Vec<i32>) -> Result<ArrayRef, ArrowError> {
        let values = StringArray::from_iter_values(&self.values);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), Arc::new(values))?))
    }
}

/// metric, sid, ts: how rows of series begin.
#[derive(Debug, Default)]
struct Head {
    names: Names,
    metric: Vec<i32>,
    sid: Vec<i64>,
    ts: Vec<i64>,
}

impl Head {
    fn with_capacity(rows: usize) -> Self {
        let (metric, sid, ts) = (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { names: Names::default(), metric, sid, ts }
    }
    #[inline]
    fn push(&mut self, series: &Series, ts: i64) {
        self.metric.push(self.names.key(series.metric()));
        self.sid.push(series.sid().0);
        self.ts.push(ts);
    }
    fn finish(self) -> Result<[ArrayRef; 3], ArrowError> {
        Ok([self.names.finish(self.metric)?, Arc::new(Int64Array::from(self.sid)), times(self.ts)])
    }
}

fn times(ts: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(ts).with_timezone("UTC"))
}

/// Optional times; absent ones are 0 under a null.
#[derive(Debug)]
struct StartTimes {
    values: Vec<i64>,
    nulls: NullBufferBuilder,
}

impl StartTimes {
    fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }
    #[inline]
    fn push(&mut self, start: Option<i64>) {
        self.values.push(start.unwrap_or_default());
        match start {
            Some(_) => self.nulls.append_non_null(),
            None => self.nulls.append_null(),
        }
    }
    fn finish(mut self) -> ArrayRef {
        Arc::new(TimestampMillisecondArray::new(self.values.into(), self.nulls.finish()).with_timezone("UTC"))
    }
}

/// A map of text to text with the field ids of the map column `id`.
fn text_map(id: i32) -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(Some(schema::map_field_names()), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(schema::map_key_field(id))
        .with_values_field(schema::map_value_field(id, DataType::Utf8))
}

/// All rows of one request, and the dictionary rows that wait for the append.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Minutes since the epoch, for the series that get samples.
    minute: u32,
    samples: Head,
    values: Vec<f64>,
    starts: StartTimes,
    series: SeriesRows,
    histograms: HistogramRows,
    exemplars: ExemplarRows,
    metadata: MetadataRows,
}

/// `(ts, start)` of a row in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Times {
    pub(crate) ts: i64,
    pub(crate) start: Option<i64>,
}

impl Rows {
    /// No rows; room for `samples` of them.
    pub(crate) fn new(samples: usize, minute: u32) -> Self {
        Self {
            minute,
            samples: Head::with_capacity(samples),
            values: Vec::with_capacity(samples),
            starts: StartTimes::with_capacity(samples),
            series: SeriesRows::default(),
            histograms: HistogramRows::default(),
            exemplars: ExemplarRows::default(),
            metadata: MetadataRows::default(),
        }
    }

    /// One float sample.
    #[inline]
    pub(crate) fn sample(&mut self, series: &Arc<Series>, times: Times, value: f64) {
        self.samples.push(series, times.ts);
        self.values.push(value);
        self.starts.push(times.start);
        self.seen(series, times.ts);
    }

    /// One native histogram sample.
    pub(crate) fn histogram(&mut self, series: &Arc<Series>, times: Times, histogram: &NativeHistogram) {
        self.histograms.push(series, times, histogram);
        self.seen(series, times.ts);
    }

    /// One exemplar of a series that has a sample in this request.
    pub(crate) fn exemplar(&mut self, series: &Series, exemplar: &Exemplar<'_>) {
        self.exemplars.push(series, exemplar);
    }

    /// One metadata row.
    pub(crate) fn metadata(&mut self, metric: &str, ts: i64, type_name: &'static str, unit: &str, help: &str) {
        self.metadata.push(metric, ts, type_name, unit, help);
    }

    #[inline]
    fn seen(&mut self, series: &Arc<Series>, ts: i64) {
        series.touch(self.minute);
        let day = day_of(ts);
        if !series.is_stored(day) {
            self.series.introduce(series, day, ts);
        }
    }

    /// The batches, and the series whose rows are among them.
    pub(crate) fn finish(self) -> Result<Finished, ArrowError> {
        let mut batches = Vec::new();
        let mut add = |table: Table, columns: Vec<ArrayRef>| -> Result<(), ArrowError> {
            let batch = RecordBatch::try_new(schema::rows(table), columns)?;
            if batch.num_rows() > 0 {
                batches.push((table, batch));
            }
            Ok(())
        };
        let (series, introduced) = self.series.finish()?;
        add(Table::Series, series)?;
        let [metric, sid, ts] = self.samples.finish()?;
        add(Table::Samples, vec![metric, sid, ts, Arc::new(Float64Array::from(self.values)), self.starts.finish()])?;
        add(Table::Histograms, self.histograms.finish()?)?;
        add(Table::Exemplars, self.exemplars.finish()?)?;
        add(Table::Metadata, self.metadata.finish()?)?;
        Ok((batches, introduced))
    }
}

#[derive(Debug)]
struct SeriesRows {
    head: Head,
    labels: MapBuilder<StringBuilder, StringBuilder>,
    salts: Vec<i64>,
    known: HashSet<(i64, i32)>,
    introduced: Vec<SeriesDay>,
}

impl Default for SeriesRows {
    fn default() -> Self {
        Self { head: Head::default(), labels: text_map(4), salts: Vec::new(), known: HashSet::new(), introduced: Vec::new() }
    }
}

impl SeriesRows {
    /// The series' row of that day, once per request.
    fn introduce(&mut self, series: &Arc<Series>, day: i32, ts: i64) {
        if !self.known.insert((series.sid().0, day)) {
            return;
        }
        self.head.push(series, ts);
        for (name, value) in series.labels() {
            self.labels.keys().append_value(name);
            self.labels.values().append_value(value);
        }
        self.labels.append(true).expect("as many names as values were added");
        self.salts.push(series.salt() as i64);
        self.introduced.push((Arc::clone(series), day));
    }

    fn finish(mut self) -> Result<(Vec<ArrayRef>, Vec<SeriesDay>), ArrowError> {
        let [metric, sid, ts] = self.head.finish()?;
        let columns: Vec<ArrayRef> =
            vec![metric, sid, ts, Arc::new(self.labels.finish()), Arc::new(Int64Array::from(self.salts))];
        Ok((columns, self.introduced))
    }
}

#[derive(Debug)]
struct HistogramRows {
    head: Head,
    starts: StartTimes,
    schemas: Vec<i32>,
    zero_thresholds: Vec<f64>,
    zero_counts: Vec<i64>,
    counts: Vec<i64>,
    sums: Vec<f64>,
    /// offsets, lengths, counts
    positive: (ListBuilder<Int32Builder>, ListBuilder<Int32Builder>, ListBuilder<Int64Builder>),
    negative: (ListBuilder<Int32Builder>, ListBuilder<Int32Builder>, ListBuilder<Int64Builder>),
}

/// The field of the elements of a list column of `histograms`.
fn element(column: &str) -> FieldRef {
    match schema::rows(Table::Histograms).field_with_name(column).map(|f| f.data_type().clone()) {
        Ok(DataType::List(element)) => element,
        other => unreachable!("histograms.{column} is a list, not {other:?}"),
    }
}

impl Default for HistogramRows {
    fn default() -> Self {
        let ints = |column| ListBuilder::new(Int32Builder::new()).with_field(element(column));
        let longs = |column| ListBuilder::new(Int64Builder::new()).with_field(element(column));
        Self {
            head: Head::default(),
            starts: StartTimes::with_capacity(0),
            schemas: Vec::new(),
            zero_thresholds: Vec::new(),
            zero_counts: Vec::new(),
            counts: Vec::new(),
            sums: Vec::new(),
            positive: (ints("positive_offsets"), ints("positive_lengths"), longs("positive_counts")),
            negative: (ints("negative_offsets"), ints("negative_lengths"), longs("negative_counts")),
        }
    }
}

impl HistogramRows {
    fn push(&mut self, series: &Series, times: Times, histogram: &NativeHistogram) {
        self.head.push(series, times.ts);
        self.starts.push(times.start);
        self.schemas.push(histogram.schema);
        self.zero_thresholds.push(histogram.zero_threshold);
        // Counts beyond i64 are refused before.
        self.zero_counts.push(histogram.zero_count as i64);
        self.counts.push(histogram.count as i64);
        self.sums.push(histogram.sum);
        for (side, buckets) in [(&mut self.positive, &histogram.positive), (&mut self.negative, &histogram.negative)] {
            buckets.for_each_span(|offset, counts| {
                side.0.values().append_value(offset);
                side.1.values().append_value(counts.len() as i32);
                side.2.values().append_slice(counts);
            });
            side.0.append(true);
            side.1.append(true);
            side.2.append(true);
        }
    }

    fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows = self.schemas.len();
        let [metric, sid, ts] = self.head.finish()?;
        let no_floats = || -> ArrayRef { Arc::new(Float64Array::new_null(rows)) };
        let no_lists = |column| -> ArrayRef {
            let mut lists = ListBuilder::new(Float64Builder::new()).with_field(element(column));
            (0..rows).for_each(|_| lists.append(false));
            Arc::new(lists.finish())
        };
        Ok(vec![
            metric,
            sid,
            ts,
            self.starts.finish(),
            Arc::new(Int32Array::from(self.schemas)),
            Arc::new(Int32Array::from(vec![0; rows])), // reset hint: unknown
            Arc::new(Float64Array::from(self.zero_thresholds)),
            Arc::new(Int64Array::from(self.zero_counts)),
            no_floats(),
            Arc::new(Int64Array::from(self.counts)),
            no_floats(),
            Arc::new(Float64Array::from(self.sums)),
            no_lists("custom_bounds"),
            Arc::new(self.positive.0.finish()),
            Arc::new(self.positive.1.finish()),
            Arc::new(self.negative.0.finish()),
            Arc::new(self.negative.1.finish()),
            Arc::new(self.positive.2.finish()),
            Arc::new(self.negative.2.finish()),
            no_lists("positive_float_counts"),
            no_lists("negative_float_counts"),
        ])
    }
}

/// An exemplar that is about to become a row.
#[derive(Debug)]
pub(crate) struct Exemplar<'a> {
    pub(crate) ts: i64,
    pub(crate) value: f64,
    pub(crate) trace_id: Option<&'a [u8; 16]>,
    pub(crate) span_id: Option<&'a [u8; 8]>,
    /// Ascending by name.
    pub(crate) labels: &'a [(String, String)],
}

#[derive(Debug)]
struct ExemplarRows {
    head: Head,
    values: Vec<f64>,
    trace_ids: FixedSizeBinaryBuilder,
    span_ids: FixedSizeBinaryBuilder,
    labels: MapBuilder<StringBuilder, StringBuilder>,
}

impl Default for ExemplarRows {
    fn default() -> Self {
        Self {
            head: Head::default(),
            values: Vec::new(),
            trace_ids: FixedSizeBinaryBuilder::new(16),
            span_ids: FixedSizeBinaryBuilder::new(8),
            labels: text_map(7),
        }
    }
}

impl ExemplarRows {
    fn push(&mut self, series: &Series, exemplar: &Exemplar<'_>) {
        self.head.push(series, exemplar.ts);
        self.values.push(exemplar.value);
        match exemplar.trace_id {
            Some(id) => self.trace_ids.append_value(id).expect("16 bytes by type"),
            None => self.trace_ids.append_null(),
        }
        match exemplar.span_id {
            Some(id) => self.span_ids.append_value(id).expect("8 bytes by type"),
            None => self.span_ids.append_null(),
        }
        for (name, value) in exemplar.labels {
            self.labels.keys().append_value(name);
            self.labels.values().append_value(value);
        }
        self.labels.append(true).expect("as many names as values were added");
    }

    fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let [metric, sid, ts] = self.head.finish()?;
        Ok(vec![
            metric,
            sid,
            ts,
            Arc::new(Float64Array::from(self.values)),
            Arc::new(self.trace_ids.finish()),
            Arc::new(self.span_ids.finish()),
            Arc::new(self.labels.finish()),
        ])
    }
}

#[derive(Debug, Default)]
struct MetadataRows {
    metrics: Vec<String>,
    ts: Vec<i64>,
    types: Vec<&'static str>,
    units: Vec<String>,
    help: StringBuilder,
}

impl MetadataRows {
    fn push(&mut self, metric: &str, ts: i64, type_name: &'static str, unit: &str, help: &str) {
        self.metrics.push(metric.to_owned());
        self.ts.push(ts);
        self.types.push(type_name);
        self.units.push(unit.to_owned());
        self.help.append_value(help);
    }

    fn finish(mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        let dictionary = |texts: Vec<&str>| -> ArrayRef { Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()) };
        Ok(vec![
            dictionary(self.metrics.iter().map(String::as_str).collect()),
            times(self.ts),
            dictionary(self.types),
            dictionary(self.units.iter().map(String::as_str).collect()),
            Arc::new(self.help.finish()),
        ])
    }
}
