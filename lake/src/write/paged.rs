//! Parquet bytes in the making, whatever their columns: with a table of pages before the footer, and the checksum of everything.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use crate::pages::PageNotes;

/// One file.
pub(super) struct PagedWriter {
    writer: ArrowWriter<Vec<u8>>,
    crc: crc32fast::Hasher,
    pages: PageNotes,
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
    /// A file with the columns of `schema`.
    pub(super) fn new(schema: SchemaRef, options: ArrowWriterOptions) -> Result<Self, ParquetError> {
        let pages = PageNotes::default();
        let options = options.with_page_store_factory(Arc::new(pages.clone()));
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options)?;
        Ok(Self { writer, crc: crc32fast::Hasher::new(), pages })
    }

    /// Adds rows to the row group that is open.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(rows)
    }

    /// Encoded bytes of the row group that is open, about.
    pub(super) fn in_progress_size(&self) -> usize {
        self.writer.in_progress_size()
    }

    /// Adds to what the footer says.
    pub(super) fn note(&mut self, note: KeyValue) {
        self.writer.append_key_value_metadata(note);
    }

    /// Ends the row group.
    pub(super) fn end_row_group(&mut self) -> Result<(), ParquetError> {
        self.writer.flush()
    }

    /// Bytes of finished row groups, taken or not.
    pub(super) fn bytes_written(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// The bytes that are final and were not taken yet.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, ParquetError> {
        self.writer.sync()?;
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
