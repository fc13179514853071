//! Parts of a file that were fetched, for a reader of Parquet that wants a file.

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

/// Parts of a file by their place in it.
pub(super) struct Parts(Vec<(u64, Bytes)>);

impl Parts {
    /// Each part with the byte of the file that it begins with, ascending.
    pub(super) fn new(parts: Vec<(u64, Bytes)>) -> Self {
        Self(parts)
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let missing = || ParquetError::General(format!("byte {start} was not fetched"));
        let at = self.0.partition_point(|(first, _)| *first <= start).checked_sub(1).ok_or_else(missing)?;
        let (first, bytes) = &self.0[at];
        let from = usize::try_from(start - first).ok().filter(|from| *from <= bytes.len()).ok_or_else(missing)?;
        Ok(bytes.slice(from..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.get_read(start)?.into_inner();
        if rest.len() < length {
            return Err(ParquetError::General(format!("bytes {start}..{} were not fetched", start + length as u64)));
        }
        Ok(rest.slice(..length))
    }
}
