//! The frame around every object of the manifest, and the log entry inside it.
//!
//! ```text
//! 0      4         8          16       20
//! magic  version   length     crc32    body: JSON, `length` bytes      integers little endian
//! ```
//! The checksum covers magic, version, length and body. This frame never changes; `version` says how to read the body. An object
//! whose checksum holds and whose version is unknown comes from a newer build and is refused, not guessed at.

use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::Operation;
use super::layout;
use super::snapshot::SnapshotId;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// The newest body version that this build reads; the one it writes.
pub(super) const VERSION: u32 = 1;
/// Longest body that is read.
const BODY_BYTES_MAX: usize = 256 << 20;
const HEADER: usize = 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Log,
    Checkpoint,
    Boundary,
    Dead,
}

impl Kind {
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Log => *b"TLml",
            Self::Checkpoint => *b"TLmc",
            Self::Boundary => *b"TLmb",
            Self::Dead => *b"TLmd",
        }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its slot.
    pub seq: SnapshotId,
    /// The commit's identity: tells our own entry from another's after a lost answer.
    pub commit: Uuid,
    /// [`LogEntry::commit`] of the entry before; nil for the first. Each entry proves which history it was built on.
    pub prev: Uuid,
    /// When it was written; never earlier than the entry before.
    pub at: Timestamp,
    /// What it does.
    pub operations: Vec<Operation>,
}

/// [`LogEntry`] with borrowed operations, to write.
#[derive(Serialize)]
pub(super) struct LogEntryRef<'a> {
    pub(super) seq: SnapshotId,
    pub(super) commit: Uuid,
    pub(super) prev: Uuid,
    pub(super) at: Timestamp,
    pub(super) operations: Vec<&'a Operation>,
}

/// Frames the JSON of `body`.
pub(super) fn encode(kind: Kind, body: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, body).map_err(|e| Error::InvalidEdit { reason: e.to_string() })?;
    let length = (bytes.len() - HEADER) as u64;
    bytes[..4].copy_from_slice(&kind.magic());
    bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..16].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&bytes);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..16]);
    hasher.update(&frame[HEADER..]);
    hasher.finalize()
}

/// Reads a frame of `kind`. `path` is for the message only.
pub(super) fn decode<T: DeserializeOwned>(kind: Kind, path: &Path, bytes: &[u8]) -> Result<T> {
    let corrupt = |reason: String| Error::Corrupt { path: path.clone(), reason };
    let header: &[u8; HEADER] =
        bytes.first_chunk().ok_or_else(|| corrupt(format!("{} bytes are shorter than a header", bytes.len())))?;
    let [m0, m1, m2, m3, v0, v1, v2, v3, l0, l1, l2, l3, l4, l5, l6, l7, c0, c1, c2, c3] = *header;
    if [m0, m1, m2, m3] != kind.magic() {
        return Err(corrupt(format!("magic is not that of a {kind:?} object")));
    }
    let length = u64::from_le_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
    let body = &bytes[HEADER..];
    if body.len() as u64 != length || body.len() > BODY_BYTES_MAX {
        return Err(corrupt(format!("body has {} bytes, header says {length}, limit is {BODY_BYTES_MAX}", body.len())));
    }
    if checksum(bytes) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(corrupt("checksum does not match".to_owned()));
    }
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if version > VERSION || version == 0 {
        return Err(Error::Unsupported { path: path.clone(), found: version, supported: VERSION });
    }
    serde_json::from_slice(body).map_err(|e| corrupt(format!("body: {e}")))
}

/// Reads a log entry. Never panics, whatever the bytes.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Unsupported`].
pub fn decode_log_entry(seq: SnapshotId, bytes: &[u8]) -> Result<LogEntry> {
    let path = layout::log_entry(seq);
    let entry: LogEntry = decode(Kind::Log, &path, bytes)?;
    if entry.seq != seq {
        return Err(Error::Corrupt { path, reason: format!("it is entry {}", entry.seq) });
    }
    Ok(entry)
}

/// The bytes of a log entry as they lie on the store.
///
/// # Errors
/// [`Error::InvalidEdit`] when an operation has no JSON form, which no operation of this build is without.
pub fn encode_log_entry(entry: &LogEntry) -> Result<Vec<u8>> {
    encode(Kind::Log, entry)
}
