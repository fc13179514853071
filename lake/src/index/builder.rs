//! Builds the index section of a file while its rows pass by in file order.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use catalog::Table;
use xxhash_rust::xxh3::xxh3_64;

use super::attributes::AttributeBuilder;
use super::bloom::FilterBuilder;
use super::frame::{self, Kind};
use super::grams::{GRAM_ROWS, GramBuilder};
use super::postings::PostingsBuilder;
use super::streams::StreamBuilder;
use super::{AsIs, BLOCK_ROWS};

/// The hash under which a trace or span id is found.
pub(crate) fn id_hash(id: &[u8]) -> u64 {
    xxh3_64(id)
}

/// What is collected depends on the table.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    parts: Parts,
    rows: usize,
}

#[derive(Debug)]
enum Parts {
    Nothing,
    Labels { key: Option<&'static str>, postings: PostingsBuilder },
    Logs(Box<LogParts>),
    Spans(Box<SpanParts>),
}

#[derive(Debug, Default)]
struct LogParts {
    grams: GramBuilder,
    streams: StreamBuilder,
    trace_ids: IdFilter,
    span_ids: IdFilter,
    attributes: AttributeBuilder,
}

#[derive(Debug, Default)]
struct SpanParts {
    trace_ids: IdFilter,
    attributes: AttributeBuilder,
}

#[derive(Debug, Default)]
struct IdFilter {
    current: HashSet<u64, AsIs>,
    filters: FilterBuilder,
}

impl IdFilter {
    fn add(&mut self, rows: &RecordBatch, column: &str) {
        let Some(ids) = rows.column_by_name(column).and_then(|c| c.as_fixed_size_binary_opt()) else { return };
        if ids.null_count() == ids.len() {
            return;
        }
        self.current.extend(ids.iter().flatten().map(id_hash));
    }
    fn end_block(&mut self) {
        self.filters.add_block(self.current.drain().collect::<Vec<_>>().into_iter());
    }
    fn finish(self) -> Option<Vec<u8>> {
        (!self.filters.is_empty()).then(|| self.filters.finish())
    }
}

impl IndexBuilder {
    pub(crate) fn new(table: Table) -> Self {
        let parts = match table {
            Table::Series => Parts::Labels { key: Some("__name__"), postings: PostingsBuilder::default() },
            Table::Streams => Parts::Labels { key: None, postings: PostingsBuilder::default() },
            Table::Logs => Parts::Logs(Box::default()),
            Table::Spans => Parts::Spans(Box::default()),
            _ => Parts::Nothing,
        };
        Self { parts, rows: 0 }
    }

    /// Adds the next rows of the file, in the rows schema.
    pub(crate) fn add(&mut self, rows: &RecordBatch) {
        let mut start = 0;
        while start < rows.num_rows() {
            let room = GRAM_ROWS - self.rows % GRAM_ROWS;
            let part = rows.slice(start, room.min(rows.num_rows() - start));
            self.add_to_block(&part);
            start += part.num_rows();
            self.rows += part.num_rows();
            if self.rows.is_multiple_of(GRAM_ROWS) {
                self.end_gram_block();
            }
            if self.rows.is_multiple_of(BLOCK_ROWS) {
                self.end_block();
            }
        }
    }

    fn end_gram_block(&mut self) {
        if let Parts::Logs(parts) = &mut self.parts {
            parts.grams.end_block();
        }
    }

    fn add_to_block(&mut self, rows: &RecordBatch) {
        match &mut self.parts {
            Parts::Nothing => {}
            Parts::Labels { key, postings } => add_labels(postings, *key, rows, self.rows as u32),
            Parts::Logs(parts) => {
                if let Some(bodies) = rows.column_by_name("body").and_then(|c| c.as_string_opt::<i32>()) {
                    bodies.iter().flatten().for_each(|body| parts.grams.add(body.as_bytes()));
                }
                parts.streams.add(rows);
                parts.trace_ids.add(rows, "trace_id");
                parts.span_ids.add(rows, "span_id");
                parts.attributes.add(rows);
            }
            Parts::Spans(parts) => {
                parts.trace_ids.add(rows, "trace_id");
                parts.attributes.add(rows);
            }
        }
    }

    fn end_block(&mut self) {
        match &mut self.parts {
            Parts::Nothing | Parts::Labels { .. } => {}
            Parts::Logs(parts) => {
                parts.trace_ids.end_block();
                parts.span_ids.end_block();
                parts.attributes.end_block();
            }
            // Trace ids are one filter for the whole file.
            Parts::Spans(parts) => parts.attributes.end_block(),
        }
    }

    /// The section; empty when the table has none.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if !self.rows.is_multiple_of(BLOCK_ROWS) {
            self.end_block();
        }
        let sections = match self.parts {
            Parts::Nothing => Vec::new(),
            Parts::Labels { postings, .. } => vec![(Kind::Postings, Some(postings.finish(self.rows as u32)))],
            Parts::Logs(parts) => vec![
                (Kind::GramRows, Some(parts.grams.finish())),
                (Kind::Streams, parts.streams.finish()),
                (Kind::TraceIds, parts.trace_ids.finish()),
                (Kind::SpanIds, parts.span_ids.finish()),
                (Kind::Attributes, parts.attributes.finish()),
            ],
            Parts::Spans(mut parts) => {
                parts.trace_ids.end_block();
                vec![(Kind::FileTraceIds, parts.trace_ids.finish()), (Kind::Attributes, parts.attributes.finish())]
            }
        };
        frame::write(sections.into_iter().filter_map(|(kind, body)| Some((kind, body?))).collect())
    }
}

/// Adds the labels of `rows`, the first of which is row `first` of the file; the text of column 0 under the name `key`.
pub(crate) fn add_labels(postings: &mut PostingsBuilder, key: Option<&str>, rows: &RecordBatch, first: u32) {
    if let (Some(key), Some(texts)) = (key, rows.column(0).as_dictionary_opt::<Int32Type>())
        && let Some(texts) = texts.downcast_dict::<arrow::array::StringArray>()
    {
        for (row, text) in texts.into_iter().enumerate() {
            postings.add(key, text.unwrap_or_default(), first + row as u32);
        }
    }
    let Some(labels) = rows.column_by_name("labels").and_then(|c| c.as_map_opt()) else { return };
    let (Some(names), Some(values)) = (labels.keys().as_string_opt::<i32>(), labels.values().as_string_opt::<i32>()) else {
        return;
    };
    for (row, entries) in labels.value_offsets().windows(2).enumerate() {
        for entry in entries[0] as usize..entries[1] as usize {
            postings.add(names.value(entry), values.value(entry), first + row as u32);
        }
    }
}
