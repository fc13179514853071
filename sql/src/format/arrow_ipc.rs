//! The Arrow IPC stream.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;

use super::broken;
use crate::error::Result;

pub(super) struct Arrow {
    writer: StreamWriter<Vec<u8>>,
}

impl Arrow {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        Ok(Self { writer: StreamWriter::try_new(Vec::new(), schema).map_err(broken)? })
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
