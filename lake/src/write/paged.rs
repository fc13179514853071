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
