//! Rows of `logs` for protocols whose records are a stream, a time, a line and pairs of text: no resource, no scope, no severity.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Array, Int64Builder, RecordBatch, StringBuilder, new_null_array,
};
use catalog::{Table, schema};

use super::columns::{DictionaryColumn, IdColumn, MapColumn};
use super::resources::times;
use super::streams::Stream;
use super::{DecodeError, field_of};

/// A line, but for its metadata.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) ts: i64,
    /// The detected level; empty when levels are not looked for.
    pub(crate) level: &'a str,
    pub(crate) body: &'a str,
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
}

/// The columns that are not null.
#[derive(Debug)]
pub(crate) struct Lines {
    service: DictionaryColumn,
    stream_id: Vec<i64>,
    ts: Vec<i64>,
    level: DictionaryColumn,
    body: StringBuilder,
    trace_id: IdColumn<16>,
    span_id: IdColumn<8>,
    metadata: MapColumn<StringBuilder>,
}

impl Lines {
    /// No lines; room for what a request of `bytes` bytes may hold.
    pub(crate) fn new(bytes: usize) -> Self {
        let rows = bytes / 128 + 4;
        Self {
            service: DictionaryColumn::default(),
            stream_id: Vec::with_capacity(rows),
            ts: Vec::with_capacity(rows),
            level: DictionaryColumn::default(),
            body: StringBuilder::with_capacity(rows, bytes),
            trace_id: IdColumn::default(),
            span_id: IdColumn::default(),
            metadata: MapColumn::default(),
        }
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.ts.len()
    }

    /// Adds a line of `stream` with `metadata`, whose names are distinct.
    pub(crate) fn push<'m>(&mut self, stream: &Stream, line: &Line<'_>, metadata: impl Iterator<Item = (&'m str, &'m str)>) {
        self.service.push(stream.service());
        self.stream_id.push(stream.id);
        self.ts.push(line.ts);
        self.level.push(line.level);
        self.body.append_value(line.body);
        self.trace_id.push(line.trace_id);
        self.span_id.push(line.span_id);
        metadata.for_each(|(name, value)| self.metadata.push(name, value));
        self.metadata.end_row();
    }

    /// The batch; its lines are numbered from `first_seq`.
    pub(crate) fn finish(mut self, first_seq: i64) -> Result<RecordBatch, DecodeError> {
        let schema = schema::rows(Table::Logs);
        let rows = self.len();
        let field = |name| field_of(&schema, name);
        let mut found: Vec<(&str, ArrayRef)> = vec![
            ("service", self.service.finish()?),
            ("stream_id", Arc::new(Int64Array::from(self.stream_id))),
            ("ts", times(self.ts)),
            ("seq", Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|at| first_seq.saturating_add(at))))),
            ("level", self.level.finish()?),
            ("body", Arc::new(self.body.finish())),
            ("trace_id", self.trace_id.finish()),
            ("span_id", self.span_id.finish()),
            ("attrs_str", self.metadata.finish(field("attrs_str")?)?),
            ("attrs_int", MapColumn::<Int64Builder>::empty(rows).finish(field("attrs_int")?)?),
            ("attrs_f64", MapColumn::<Float64Builder>::empty(rows).finish(field("attrs_f64")?)?),
            ("attrs_bool", MapColumn::<BooleanBuilder>::empty(rows).finish(field("attrs_bool")?)?),
            ("attrs_json", MapColumn::<StringBuilder>::empty(rows).finish(field("attrs_json")?)?),
        ];
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            arrays.push(match found.iter().position(|(name, _)| name == field.name()) {
                Some(at) => found.swap_remove(at).1,
                None => new_null_array(field.data_type(), rows),
            });
        }
        Ok(RecordBatch::try_new(Arc::clone(&schema), arrays)?)
    }
}
