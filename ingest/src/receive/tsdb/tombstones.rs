//! What was deleted from a block and is still in its chunks.

use std::collections::HashMap;
use std::path::Path;

use super::bytes::{Cursor, Short, crc32c};
use super::error::TsdbError;

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;

/// Closed ranges of time, in milliseconds, by series reference.
#[derive(Debug, Default)]
pub(super) struct Tombstones(HashMap<u64, Vec<(i64, i64)>>);

impl Tombstones {
    /// Reads the file; none means that nothing was deleted.
    pub(super) fn read(path: &Path) -> Result<Self, TsdbError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(TsdbError::io(path, error)),
        };
        let corrupt = |offset: usize, reason| TsdbError::corrupt(path, offset as u64, reason);
        let Some((body, checksum)) = bytes.split_last_chunk::<4>().filter(|(body, _)| body.len() >= 5) else {
            return Err(corrupt(0, "the file is too short"));
        };
        let mut cursor = Cursor(body);
        if cursor.u32() != Ok(MAGIC) {
            return Err(corrupt(0, "this is no file of tombstones"));
        }
        match cursor.u8() {
            Ok(VERSION) => {}
            found => return Err(TsdbError::Version { path: path.to_owned(), found: found.unwrap_or(0), supported: VERSION }),
        }
        // The checksum is that of the tombstones alone.
        if crc32c(cursor.0) != u32::from_be_bytes(*checksum) {
            return Err(corrupt(5, "the tombstones do not match their checksum"));
        }
        let mut this = Self::default();
        while !cursor.0.is_empty() {
            let stone =
                Self::stone(&mut cursor).map_err(|Short| corrupt(body.len() - cursor.0.len(), "a tombstone ends too early"))?;
            this.0.entry(stone.0).or_default().push((stone.1, stone.2));
        }
        Ok(this)
    }

    fn stone(cursor: &mut Cursor<'_>) -> Result<(u64, i64, i64), Short> {
        Ok((cursor.uvarint()?, cursor.varint()?, cursor.varint()?))
    }

    /// What was deleted of a series.
    pub(super) fn of(&self, reference: u64) -> &[(i64, i64)] {
        self.0.get(&reference).map(Vec::as_slice).unwrap_or_default()
    }
}
