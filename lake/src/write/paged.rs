//! Parquet bytes in the making, whatever their columns: with a table of pages before the footer, and the checksum of everything.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::packing::{Packer, Packing};
use crate::pages::PageNotes;

/// One file.
pub(super) struct PagedWriter {
    schema: SchemaRef,
    writer: SerializedFileWriter<Vec<u8>>,
    groups: ArrowRowGroupWriterFactory,
    /// The leaves of the row group that is open.
    open: Vec<ArrowColumnWriter>,
    crc: crc32fast::Hasher,
    pages: PageNotes,
    packer: Option<Packer>,
}

/// What is known of a file once all of it is written. Its last bytes are in `tail`.
pub(super) struct Finished {
    pub(super) tail: Vec<u8>,
    pub(super) bytes: u64,
    /// Where the index section begins, and the footer if there is none.
    pub(super) index_offset: u64,
    pub(super) footer_bytes: u64,
    pub(super) crc32: u32,
}

impl PagedWriter {
    /// A file with the columns of `schema`. The column of `packing` is none that `options` compresses.
    pub(super) fn new(schema: SchemaRef, options: ArrowWriterOptions, packing: Option<Packing>) -> Result<Self, ParquetError> {
        let packer = packing.map(Packer::new).transpose()?;
        let pages = PageNotes::new(packer.clone());
        let options = options.with_page_store_factory(Arc::new(pages.clone()));
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)?;
        let (writer, groups) = writer.into_serialized_writer()?;
        Ok(Self { schema, writer, groups, open: Vec::new(), crc: crc32fast::Hasher::new(), pages, packer })
    }

    /// Adds rows to the row group that is open.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.open.is_empty() {
            self.open = self.groups.create_column_writers(self.writer.flushed_row_groups().len())?;
        }
        let mut writers = self.open.iter_mut();
        for (field, column) in self.schema.fields().iter().zip(rows.columns()) {
            for leaf in compute_leaves(field, column)? {
                let writer = writers.next().ok_or_else(|| ParquetError::General(format!("{} has no place", field.name())))?;
                writer.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// Encoded bytes of the row group that is open, about.
    pub(super) fn in_progress_size(&self) -> usize {
        let encoded: usize = self.open.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum();
        encoded.saturating_sub(self.packer.as_ref().map_or(0, Packer::saved))
    }

    /// Adds to what the footer says.
    pub(super) fn note(&mut self, note: KeyValue) {
        self.writer.append_key_value_metadata(note);
    }

    /// Ends the row group.
    pub(super) fn end_row_group(&mut self) -> Result<(), ParquetError> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut chunks =
            std::mem::take(&mut self.open).into_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        if let Some(packer) = &self.packer {
            let packed = packer.take();
            let found = chunks.iter_mut().find(|chunk| packer.packs(chunk.close().metadata.column_path()));
            found.map_or(Ok(()), |chunk| packed.correct(chunk.close_mut()))?;
        }
        let mut group = self.writer.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        Ok(())
    }

    /// Bytes of finished row groups, taken or not.
    pub(super) fn bytes_written(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// The bytes that are final and were not taken yet.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ParquetError> {
        self.writer.flush()?;
        let bytes = std::mem::take(self.writer.inner_mut());
        self.crc.update(&bytes);
        Ok(bytes)
    }

    /// Ends the file: last row group, index section, page table, page indexes, footer.
    pub(super) fn finish(mut self, index: &[u8]) -> Result<Finished, ParquetError> {
        self.end_row_group()?;
        let index_offset = self.bytes_written();
        self.writer.write_all(index)?;
        let footer_start = self.bytes_written();
        let mut tail = self.take()?;
        self.writer.write_all(&self.pages.table(self.crc.clone().finalize(), index_offset)?)?;
        self.writer.finish()?;
        let bytes = self.bytes_written();
        tail.append(&mut self.take()?);
        Ok(Finished { tail, bytes, index_offset, footer_bytes: bytes - footer_start, crc32: self.crc.finalize() })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use bytes::Bytes;
    use catalog::{Level, Table};
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
    use parquet::basic::{CompressionCodec, Encoding};
    use parquet::file::metadata::PageIndexPolicy;
    use parquet::file::properties::WriterProperties;
    use parquet::schema::types::ColumnPath;

    use super::*;
    use crate::write::layout;

    fn lines(rows: usize) -> RecordBatch {
        let body: StringArray =
            (0..rows).map(|row| Some(format!("GET /api/items/{row} took {} ms", row * 7919 % 1000))).collect();
        let level: StringArray = (0..rows).map(|row| Some(if row % 3 == 0 { "info" } else { "warn" })).collect();
        let fields = vec![Field::new("level", DataType::Utf8, true), Field::new("body", DataType::Utf8, false)];
        let columns: Vec<ArrayRef> = vec![Arc::new(level), Arc::new(body)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("fits")
    }

    fn written(rows: &RecordBatch, group_rows: usize, level: Level) -> Bytes {
        let properties = WriterProperties::builder()
            .set_column_encoding(ColumnPath::from("body"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_dictionary_enabled(ColumnPath::from("body"), false)
            .set_data_page_size_limit(4 << 10)
            .set_write_batch_size(32)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let mut writer = PagedWriter::new(rows.schema(), options, layout::packing(Table::Logs, level)).expect("known parameters");
        let mut file = Vec::new();
        for start in (0..rows.num_rows()).step_by(group_rows) {
            writer.write(&rows.slice(start, group_rows.min(rows.num_rows() - start))).expect("fits");
            writer.end_row_group().expect("ends");
            file.append(&mut writer.take().expect("in memory"));
        }
        file.append(&mut writer.finish(&[]).expect("ends").tail);
        file.into()
    }

    /// By the library's own reader, which knows nothing of this module.
    #[test]
    fn other_readers_read_packed_pages() {
        let rows = lines(5_000);
        for level in [Level::L0, Level::L1, Level::L2] {
            let file = written(&rows, 2_000, level);
            let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
            let open = || ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options.clone()).expect("a file");
            let metadata = Arc::clone(open().metadata());
            assert_eq!(metadata.num_row_groups(), 3);
            let body = metadata.row_group(0).column(1);
            assert_eq!(body.compression_codec(), CompressionCodec::ZSTD, "{level:?}");
            assert!(body.compressed_size() * 2 < body.uncompressed_size(), "{level:?}: {}", body.compressed_size());
            let pages = metadata.offset_index().expect("asked for")[0][1].page_locations();
            assert!(pages.len() > 5, "{level:?}: {} pages", pages.len());
            let all = open().with_batch_size(8_192).build().expect("readable").next().expect("rows").expect("readable");
            assert_eq!(all.columns(), rows.columns(), "{level:?}");
            // A few rows, found by the offset index.
            let selection = RowSelection::from(vec![RowSelector::skip(3_100), RowSelector::select(2)]);
            let some = open().with_row_selection(selection).build().expect("readable").next().expect("rows").expect("readable");
            assert_eq!(some.columns(), rows.slice(3_100, 2).columns(), "{level:?}");
        }
    }
}
