//! One Parquet file, zstd. Complete or not at all: a cut file has no footer.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::broken;
use crate::error::Result;

pub(super) struct Parquet {
    writer: ArrowWriter<Vec<u8>>,
}

impl Parquet {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let zstd = Compression::ZSTD(ZstdLevel::try_new(1).map_err(broken)?);
        let properties = WriterProperties::builder().set_compression(zstd).build();
        let writer = ArrowWriter::try_new(Vec::new(), std::sync::Arc::clone(schema), Some(properties)).map_err(broken)?;
        Ok(Self { writer })
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        self.writer.write(batch).map_err(broken)?;
        Ok(Vec::new())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.writer.into_inner().map_err(broken)
    }
}
