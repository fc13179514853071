//! The Arrow IPC stream.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use super::{Compression, broken};
use crate::error::Result;

pub(super) struct Arrow {
    writer: StreamWriter<Vec<u8>>,
}

impl Arrow {
    pub(super) fn new(schema: &SchemaRef, compression: Option<Compression>) -> Result<Self> {
        let compression = compression.map(|compression| match compression {
            Compression::Lz4 => CompressionType::LZ4_FRAME,
            Compression::Zstd => CompressionType::ZSTD,
        });
        let options = IpcWriteOptions::default().try_with_compression(compression).map_err(broken)?;
        Ok(Self { writer: StreamWriter::try_new_with_options(Vec::new(), schema, options).map_err(broken)? })
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        self.writer.write(batch).map_err(broken)?;
        Ok(std::mem::take(self.writer.get_mut()))
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.writer.finish().map_err(broken)?;
        Ok(std::mem::take(self.writer.get_mut()))
    }
}
