//! The columns of one request's rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, MapBuilder, NullBufferBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Int32Type};
use arrow::error::ArrowError;
use catalog::{Table, schema};

use super::exemplars::{Exemplar, ExemplarRows};
use super::histograms::{HistogramRows, HistogramSample};
use super::introduced::SeriesDay;
use crate::registry::Series;
use crate::registry::reliance::Reliance;
use crate::registry::series::day_of;

/// The batches of a request, none empty, the series whose rows are among them, and what made others be left out.
pub(crate) type Finished = (Vec<(Table, RecordBatch)>, Vec<SeriesDay>, Reliance);

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
pub(super) struct Head {
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
    pub(super) fn push(&mut self, series: &Series, ts: i64) {
        self.metric.push(self.names.key(series.metric()));
        self.sid.push(series.sid().0);
        self.ts.push(ts);
    }
    pub(super) fn finish(self) -> Result<[ArrayRef; 3], ArrowError> {
        Ok([self.names.finish(self.metric)?, Arc::new(Int64Array::from(self.sid)), times(self.ts)])
    }
}

fn times(ts: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from(ts).with_timezone("UTC"))
}

/// Optional times; absent ones are 0 under a null.
#[derive(Debug)]
pub(super) struct StartTimes {
    values: Vec<i64>,
    nulls: NullBufferBuilder,
}

impl StartTimes {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }
    #[inline]
    pub(super) fn push(&mut self, start: Option<i64>) {
        self.values.push(start.unwrap_or_default());
        match start {
            Some(_) => self.nulls.append_non_null(),
            None => self.nulls.append_null(),
        }
    }
    pub(super) fn finish(mut self) -> ArrayRef {
        Arc::new(TimestampMillisecondArray::new(self.values.into(), self.nulls.finish()).with_timezone("UTC"))
    }
}

/// A map of text to text with the field ids of the map column `id`.
pub(super) fn text_map(id: i32) -> MapBuilder<StringBuilder, StringBuilder> {
    MapBuilder::new(Some(schema::map_field_names()), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(schema::map_key_field(id))
        .with_values_field(schema::map_value_field(id, DataType::Utf8))
}

/// All rows of one request, and the dictionary rows that wait for the append.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Minutes since the epoch, for the series that get samples.
    minute: u32,
    reliance: Reliance,
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
    pub(crate) fn new(samples: usize, minute: u32, reliance: Reliance) -> Self {
        Self {
            minute,
            reliance,
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
    pub(crate) fn histogram(&mut self, series: &Arc<Series>, times: Times, histogram: &HistogramSample<'_>) {
        self.histograms.push(series, times, histogram);
        self.seen(series, times.ts);
    }

    /// One exemplar of a series that has a sample in this request, or was [`Rows::seen`].
    pub(crate) fn exemplar(&mut self, series: &Series, exemplar: &Exemplar<'_>) {
        self.exemplars.push(series, exemplar);
    }

    /// One metadata row.
    pub(crate) fn metadata(&mut self, metric: &str, ts: i64, type_name: &'static str, unit: &str, help: &str) {
        self.metadata.push(metric, ts, type_name, unit, help);
    }

    /// Series and time of every float sample so far.
    pub(crate) fn samples_at(&self) -> impl Iterator<Item = (i64, i64)> {
        self.samples.sid.iter().copied().zip(self.samples.ts.iter().copied())
    }

    /// The request has something of `series` at `ts`: its row of that day must be known.
    #[inline]
    pub(crate) fn seen(&mut self, series: &Arc<Series>, ts: i64) {
        series.touch(self.minute);
        let day = day_of(ts);
        if !series.is_stored(day, &self.reliance) {
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
        Ok((batches, introduced, self.reliance))
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
