//! One file in the making: rows in file order go in, bytes come out as row groups fill up.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;
use catalog::manifest::IndexSection;
use catalog::schema::stored;
use catalog::{Level, Table, TimeRange};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use super::layout;
use super::paged::{Finished, PagedWriter};
use super::time;
use crate::coding::RowEncoder;
use crate::index::IndexBuilder;
use crate::promoted::{NOTE_KEY, OTHERS_KEY, Promoting};

/// Rows that go to the Parquet writer at once.
const STEP_ROWS: usize = 32 << 10;
/// A row group ends early when it has become that big encoded, so that huge rows do not take the memory.
const ROW_GROUP_BYTES_MAX: usize = 128 << 20;
/// Bounds of texts in the manifest are cut to so many bytes.
const KEY_BYTES_MAX: usize = 64;

/// What the manifest wants to know of the rows.
#[derive(Debug, Default)]
struct RowStatistics {
    rows: u64,
    raw_bytes: u64,
    time: Option<(i64, i64)>,
    ids: Option<(i64, i64)>,
    keys: Option<(String, String)>,
}

/// Encodes one file.
pub(super) struct FileEncoder {
    table: Table,
    writer: PagedWriter,
    rows: RowEncoder,
    promoting: Option<Promoting>,
    index: IndexBuilder,
    statistics: RowStatistics,
    rows_in_group: usize,
}

/// What is known of a file once it is encoded. Its last bytes are in `tail`.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) tail: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) raw_bytes: u64,
    pub(super) time: TimeRange,
    pub(super) key_range: Option<(String, String)>,
    pub(super) id_range: Option<(i64, i64)>,
    pub(super) index: Option<IndexSection>,
    pub(super) footer_bytes: u64,
    pub(super) crc32: u32,
}

impl Default for Encoded {
    fn default() -> Self {
        let time = TimeRange::new(catalog::Timestamp::default(), catalog::Timestamp::default());
        Self {
            tail: Vec::new(),
            bytes: 0,
            rows: 0,
            raw_bytes: 0,
            time,
            key_range: None,
            id_range: None,
            index: None,
            footer_bytes: 0,
            crc32: 0,
        }
    }
}

impl FileEncoder {
    /// A file whose rows begin with those of `first`, which are not added by that.
    pub(super) fn new(table: Table, level: Level, first: &RecordBatch) -> Result<Self, ParquetError> {
        let promoting = Promoting::new(table, level, &stored(table), first);
        let promoted = promoting.iter().flat_map(Promoting::columns);
        let options = ArrowWriterOptions::new()
            .with_properties(layout::properties(table, level, promoted))
            // Readers of ours take the schema from the catalog; others see plain Parquet types.
            .with_skip_arrow_metadata(true);
        let schema = promoting.as_ref().map_or_else(|| stored(table), |promoting| Arc::clone(promoting.schema()));
        let writer = PagedWriter::new(schema, options, layout::packing(table, level))?;
        Ok(Self {
            table,
            writer,
            rows: RowEncoder::new(table),
            promoting,
            index: IndexBuilder::new(table),
            statistics: RowStatistics::default(),
            rows_in_group: 0,
        })
    }

    /// Adds rows that follow all rows before in the order of the table.
    pub(super) fn push(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let group = layout::row_group_rows(self.table);
        let mut start = 0;
        while start < rows.num_rows() {
            let n = STEP_ROWS.min(group - self.rows_in_group).min(rows.num_rows() - start);
            self.push_step(&rows.slice(start, n))?;
            start += n;
        }
        Ok(())
    }

    fn push_step(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        self.statistics.add(self.table, rows)?;
        self.index.add(rows);
        let stored = self.rows.encode(rows)?;
        match &mut self.promoting {
            Some(promoting) => self.writer.write(&promoting.extend(&stored)?)?,
            None => self.writer.write(&stored)?,
        }
        self.rows_in_group += rows.num_rows();
        let full = self.rows_in_group >= layout::row_group_rows(self.table);
        if full || self.writer.in_progress_size() >= ROW_GROUP_BYTES_MAX {
            self.end_row_group()?;
        }
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), ParquetError> {
        self.writer.end_row_group()?;
        self.rows.start_row_group();
        self.rows_in_group = 0;
        Ok(())
    }

    /// Bytes of finished row groups, taken or not.
    pub(super) fn bytes_written(&self) -> u64 {
        self.writer.bytes_written()
    }

    /// The bytes that are final and were not taken yet.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ParquetError> {
        self.writer.take()
    }

    /// Ends the file: last row group, index section, page table, page indexes, footer.
    pub(super) fn finish(mut self) -> Result<Encoded, ParquetError> {
        self.end_row_group()?;
        let Self { table, mut writer, promoting, index, statistics, .. } = self;
        if let Some((note, others)) = promoting.map(Promoting::finish) {
            writer.note(KeyValue::new(NOTE_KEY.to_owned(), note.text()));
            writer.note(KeyValue::new(OTHERS_KEY.to_owned(), others.text()));
        }
        let index = index.finish();
        let Finished { tail, bytes, index_offset: offset, footer_bytes, crc32 } = writer.finish(&index)?;
        let (start, end) = statistics.time.unwrap_or_default();
        Ok(Encoded {
            tail,
            bytes,
            rows: statistics.rows,
            raw_bytes: statistics.raw_bytes,
            time: TimeRange::new(time::instant(table, start), time::instant(table, end)),
            key_range: statistics.keys.map(|(low, high)| (cut_down(&low), cut_up(&high))),
            id_range: statistics.ids,
            index: (!index.is_empty()).then_some(IndexSection { offset, length: index.len() as u64 }),
            footer_bytes,
            crc32,
        })
    }
}

impl RowStatistics {
    fn add(&mut self, table: Table, rows: &RecordBatch) -> Result<(), ArrowError> {
        self.rows += rows.num_rows() as u64;
        for column in rows.columns() {
            self.raw_bytes += column.to_data().get_slice_memory_size()? as u64;
        }
        let times = time::of(table, rows)?;
        widen(&mut self.time, times.iter().copied());
        widen(&mut self.ids, ids(table, rows));
        if let Some(texts) = rows.column(0).as_dictionary_opt::<Int32Type>().and_then(|d| d.downcast_dict::<StringArray>()) {
            use arrow::array::ArrayAccessor;
            // Sorted by this column: the first and the last row bound it.
            let (first, last) = (texts.value(0), texts.value(texts.len() - 1));
            match &mut self.keys {
                Some((_, high)) => last.clone_into(high),
                None => self.keys = Some((first.to_owned(), last.to_owned())),
            }
        }
        Ok(())
    }
}

fn widen(bounds: &mut Option<(i64, i64)>, values: impl Iterator<Item = i64>) {
    for value in values {
        let (low, high) = bounds.get_or_insert((value, value));
        *low = value.min(*low);
        *high = value.max(*high);
    }
}

/// The ids that [`catalog::FileEntry::id_range`] bounds.
fn ids(table: Table, rows: &RecordBatch) -> Box<dyn Iterator<Item = i64> + '_> {
    let column = match table {
        Table::Resources | Table::Spans => rows.column(0),
        Table::Metadata | Table::QueryLog | Table::User => return Box::new(std::iter::empty()),
        _ => rows.column(1),
    };
    match column.data_type() {
        DataType::FixedSizeBinary(16) => {
            let ids = column.as_fixed_size_binary();
            // Sorted by this column.
            Box::new([0, ids.len() - 1].into_iter().map(|row| trace_id_prefix(ids.value(row))))
        }
        _ => Box::new(column.as_primitive::<Int64Type>().values().iter().copied()),
    }
}

/// The first 8 bytes of a trace id as a number that orders as the bytes do. Shorter ids are filled up with zeros.
pub(crate) fn trace_id_prefix(id: &[u8]) -> i64 {
    let prefix = (0..8).fold(0_u64, |prefix, i| (prefix << 8) | u64::from(id.get(i).copied().unwrap_or(0)));
    (prefix ^ (1 << 63)) as i64
}

/// At most 64 bytes of `text`, not above it.
fn cut_down(text: &str) -> String {
    text[..text.floor_char_boundary(KEY_BYTES_MAX)].to_owned()
}

/// At most some 64 bytes, not below `text`: what is cut off is made up for by the next larger last character.
fn cut_up(text: &str) -> String {
    if text.len() <= KEY_BYTES_MAX {
        return text.to_owned();
    }
    let mut chars: Vec<char> = cut_down(text).chars().collect();
    while let Some(last) = chars.pop() {
        // Beyond the surrogates and the last code point there is none: raise the one before.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(next) = next {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    text.to_owned()
}

/// Checks that a batch has the columns of the table's rows and gives it their exact schema.
pub(super) fn conform(table: Table, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(catalog::schema::rows(table), rows.columns().iter().map(Arc::clone).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cut_bounds_hold(text in "\\PC{0,100}|[\u{10ffff}\u{d7ff}a]{0,100}") {
            prop_assert!(cut_down(&text) <= text);
            prop_assert!(cut_up(&text) >= text);
        }
    }
}
