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

/// The newest body version that this build reads; the one it writes. Version 2 has [`Operation::RaiseFloor`], version 3
/// [`Operation::ForgetDeletes`], [`Operation::CleanFiles`] and compactions that apply deletes, version 4 [`Operation::CancelDelete`] and
/// compactions that say which deletes they applied, version 5 the query log's table and [`Operation::ChangeUserTable`].
pub(super) const VERSION: u32 = 5;
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

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::testing::{START, file, tenant};
    use crate::manifest::{FileId, TableChange, leaf_file};
    use crate::table::Table;
    use crate::user_table::UserTableName;

    /// The frame with another version and the right checksum.
    pub(in crate::manifest) fn with_version(frame: &[u8], version: u32) -> Vec<u8> {
        let mut frame = frame.to_vec();
        frame[4..8].copy_from_slice(&version.to_le_bytes());
        let crc = checksum(&frame);
        frame[16..20].copy_from_slice(&crc.to_le_bytes());
        frame
    }

    fn entry(ids: &[u128], numbers: (u64, u64, i64), text: &str) -> LogEntry {
        let (seq, from, at) = numbers;
        let uuid = |at: usize| FileId::from_u128(ids.get(at).copied().unwrap_or(0));
        let (tenant, table, day) = (tenant(), Table::Spans, at as i32);
        let mut odd = file(uuid(0), table, 3);
        (odd.key_range, odd.id_range, odd.index) = (Some((text.to_owned(), String::new())), Some((at, at)), None);
        (odd.time.start, odd.partition.slice) = (Timestamp::from_nanos(at), None);
        let operations = vec![
            Operation::AddFile { file: Box::new(odd.clone()) },
            Operation::RemoveFile { tenant: tenant.clone(), table, day, id: uuid(1) },
            Operation::ReplaceFiles {
                tenant: tenant.clone(),
                table,
                day,
                inputs: vec![uuid(2)],
                outputs: vec![odd],
                cleaned: (at % 2 == 0).then_some(seq),
                applied: ids.iter().skip(5).copied().map(FileId::from_u128).collect(),
            },
            Operation::CleanFiles { tenant: tenant.clone(), table, day, ids: vec![uuid(3)], cleaned: from },
            Operation::ForgetDeletes { ids: vec![uuid(4)] },
            Operation::CancelDelete { id: uuid(5) },
            Operation::WalCommit { writer: uuid(3), epoch: seq, from, to: from },
            Operation::WriterFence { writer: uuid(3), epoch: from },
            Operation::DeletePredicate {
                id: uuid(4),
                tenant: tenant.clone(),
                signal: table.signal().unwrap_or(crate::table::Signal::Metrics),
                predicate: text.to_owned(),
                start: Timestamp::MIN,
                end: Timestamp::from_nanos(at),
            },
            Operation::RetentionDrop { tenant: tenant.clone(), table, before: START },
            Operation::ChangeUserTable {
                tenant,
                name: UserTableName::parse("mine").expect("a name"),
                first: (at % 2 == 0).then_some(uuid(1)),
                change: if at % 3 == 0 { TableChange::Append } else { TableChange::Replace },
                files: vec![file(uuid(2), Table::User, 0)],
            },
            Operation::SchemaChange { version: at as u32 },
            Operation::RaiseFloor { minted_before: Timestamp::from_nanos(at) },
            Operation::ForgetFiles { ids: vec![uuid(5), uuid(6)] },
        ];
        LogEntry { seq, commit: uuid(7), prev: uuid(8), at: Timestamp::from_nanos(at), operations }
    }

    proptest! {
        #[test]
        fn entries_survive_the_round_trip(ids: [u128; 9], numbers: (u64, u64, i64), text: String) {
            let entry = entry(&ids, numbers, &text);
            let bytes = encode_log_entry(&entry).expect("encodes");
            prop_assert_eq!(decode_log_entry(entry.seq, &bytes).expect("decodes"), entry);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, json: String, version in 0_u32..6) {
            let _any = decode_log_entry(1, &bytes);
            // Bytes with an honest frame get as far as the body.
            for body in [bytes.as_slice(), json.as_bytes()] {
                let mut frame = encode(Kind::Log, &()).expect("encodes");
                frame.truncate(HEADER);
                frame.extend_from_slice(body);
                frame[8..16].copy_from_slice(&(body.len() as u64).to_le_bytes());
                let _any = decode_log_entry(1, &with_version(&frame, version));
            }
        }

        #[test]
        fn one_flipped_bit_is_seen(at: prop::sample::Index, bit in 0_u32..8) {
            let entry = entry(&[1, 2, 3], (9, 8, 7), "text");
            let mut bytes = encode_log_entry(&entry).expect("encodes");
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let is_corrupt = matches!(decode_log_entry(9, &bytes), Err(Error::Corrupt { .. }));
            prop_assert!(is_corrupt);
        }
    }

    #[test]
    fn entries_of_another_version_or_slot_are_refused() {
        let bytes = encode_log_entry(&entry(&[], (9, 8, 7), "")).expect("encodes");
        assert!(matches!(decode_log_entry(8, &bytes), Err(Error::Corrupt { .. })));
        let newer = decode_log_entry(9, &with_version(&bytes, VERSION + 1));
        assert!(matches!(newer, Err(Error::Unsupported { found, .. }) if found == VERSION + 1));
        for older in 1..VERSION {
            assert!(decode_log_entry(9, &with_version(&bytes, older)).is_ok(), "older versions are read");
        }
        assert!(matches!(decode_log_entry(9, &with_version(&bytes, 0)), Err(Error::Unsupported { found: 0, .. })));
        // As version 3 wrote a compaction that applied deletes: it does not say which.
        let replace =
            r#"{"op":"replace_files","tenant":"anonymous","table":"logs","day":1,"inputs":[],"outputs":[],"cleaned":4}"#;
        let json = format!(r#"{{"seq":9,"commit":"{0}","prev":"{0}","at":0,"operations":[{replace}]}}"#, Uuid::nil());
        let body: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let frame = with_version(&encode(Kind::Log, &body).expect("encodes"), 3);
        let read = decode_log_entry(9, &frame).expect("version 3 is read");
        assert!(
            matches!(&read.operations[..], [Operation::ReplaceFiles { cleaned: Some(4), applied, .. }] if applied.is_empty()),
            "{read:?}"
        );
        assert!(matches!(decode::<()>(Kind::Boundary, &Path::from("b"), &bytes), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn leaves_survive_the_round_trip() {
        let mut leaf = crate::manifest::Leaf::default();
        for n in 0..100_u64 {
            let mut file = file(FileId::from_u128(u128::from(n) << 64 | 7), Table::Logs, 0);
            (file.bytes, file.rows, file.raw_bytes, file.footer_bytes) = (u64::MAX - n, n, n << 40, 3);
            file.level = [super::super::Level::L0, super::super::Level::L1, super::super::Level::L2][n as usize % 3];
            if n % 2 == 0 {
                (file.key_range, file.id_range, file.index, file.partition.slice) = (None, None, None, None);
            }
            leaf.insert(std::sync::Arc::new(file), n * 3);
        }
        let first = leaf.files().next().expect("100 files");
        let key = leaf_file::LeafKey { tenant: first.tenant.clone(), table: first.table, day: first.partition.day };
        let bytes = leaf_file::encode(&leaf).expect("encodes");
        let read = leaf_file::decode(&key, &Path::from("x"), bytes.clone().into()).expect("decodes");
        assert!(read.files().eq(leaf.files()) && read.added().eq(leaf.added()));
        assert_eq!((read.fingerprint(), read.rows(), read.time()), (leaf.fingerprint(), leaf.rows(), leaf.time()));
        assert!(matches!(leaf_file::decode(&key, &Path::from("x"), bytes[..50].to_vec().into()), Err(Error::Corrupt { .. })));
    }
}
