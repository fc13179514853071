//! One request in the log: whose it is, its fingerprint, and its rows, compressed.
//!
//! ```text
//! record := format u8, flags u8, schema version u32, received ms i64, tenant (u8 length, bytes), [fingerprint 16]
//!           compression u8, raw length u32, tables: (count, (code u8, columns)*)
//! ```
//! Built by the caller before it queues, so that the log only adds a header and writes.

use std::cell::RefCell;

use arrow::array::RecordBatch;
use catalog::{Table, TenantId, Timestamp, schema};

use super::columns::{self, CodecError, Cursor, put_varint};
use super::frame::HEADER_BYTES;

const FORMAT: u8 = 1;
const HAS_FINGERPRINT: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// The fastest level with entropy coding, about 1 GB/s a core; `benches/examples/wal_rate.rs` shows what it leaves.
const ZSTD_LEVEL: i32 = 1;
/// A thread keeps a buffer of up to this size for the next record.
const SCRATCH_BYTES_MAX: usize = 1 << 20;
/// Below this a compressor only adds bytes.
const COMPRESS_BYTES_MIN: usize = 256;
/// A record never unpacks to more than this.
pub(crate) const RAW_BYTES_MAX: usize = 512 << 20;

/// A record ready for the log: room for the frame header, then the body.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// [`HEADER_BYTES`] zero bytes, then the body.
    pub(crate) frame: Vec<u8>,
    /// crc32 of the body.
    pub(crate) crc32: u32,
}

/// A record as it comes back.
#[derive(Debug)]
pub(crate) struct Record {
    /// Owner.
    pub(crate) tenant: TenantId,
    /// Its rows.
    pub(crate) rows: Vec<(Table, RecordBatch)>,
}

/// What is known of a record without unpacking its rows.
#[derive(Debug)]
pub(crate) struct Head {
    schema_version: u32,
    /// When the request came in, to the millisecond.
    pub(crate) at: Timestamp,
    /// Owner.
    pub(crate) tenant: TenantId,
    /// The request's fingerprint.
    pub(crate) fingerprint: Option<u128>,
}

/// Encodes a request.
///
/// # Errors
/// [`CodecError::Shape`] when a batch does not have its table's schema, [`CodecError::Range`] when it is larger than [`RAW_BYTES_MAX`].
pub(crate) fn encode(
    tenant: &TenantId,
    fingerprint: Option<u128>,
    at: Timestamp,
    rows: &[(Table, RecordBatch)],
) -> Result<Encoded, CodecError> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.push(FORMAT);
    frame.push(if fingerprint.is_some() { HAS_FINGERPRINT } else { 0 });
    frame.extend_from_slice(&schema::SCHEMA_VERSION.to_le_bytes());
    frame.extend_from_slice(&at.as_millis().to_le_bytes());
    frame.push(u8::try_from(tenant.as_str().len()).map_err(|_| CodecError::Range("tenant"))?);
    frame.extend_from_slice(tenant.as_str().as_bytes());
    if let Some(fingerprint) = fingerprint {
        frame.extend_from_slice(&fingerprint.to_le_bytes());
    }

    SCRATCH.with_borrow_mut(|scratch| {
        let written = scratch.write(rows, &mut frame);
        scratch.give_back();
        written
    })?;
    let crc32 = crc32fast::hash(&frame[HEADER_BYTES..]);
    Ok(Encoded { frame, crc32 })
}

/// The front of a record.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn head(body: &mut Cursor<'_>) -> Result<Head, CodecError> {
    let format = body.u8("format")?;
    if format != FORMAT {
        return Err(CodecError::Newer { found: u32::from(format), supported: u32::from(FORMAT) });
    }
    let flags = body.u8("flags")?;
    let schema_version = u32::from_le_bytes(body.array("schema version")?);
    if schema_version > schema::SCHEMA_VERSION {
        return Err(CodecError::Newer { found: schema_version, supported: schema::SCHEMA_VERSION });
    }
    let at = Timestamp::from_millis(i64::from_le_bytes(body.array("time")?));
    let length = usize::from(body.u8("tenant")?);
    let tenant = std::str::from_utf8(body.take(length, "tenant")?).map_err(|_| CodecError::Range("tenant"))?;
    let tenant = TenantId::parse(tenant).map_err(|e| CodecError::Shape(e.to_string()))?;
    let fingerprint = match flags & HAS_FINGERPRINT {
        0 => None,
        _ => Some(u128::from_le_bytes(body.array("fingerprint")?)),
    };
    Ok(Head { schema_version, at, tenant, fingerprint })
}

/// The rows behind the head.
///
/// # Errors
/// Any [`CodecError`].
pub(crate) fn rows(head: Head, body: &mut Cursor<'_>) -> Result<Record, CodecError> {
    debug_assert!(head.schema_version <= schema::SCHEMA_VERSION, "checked by head");
    let compression = body.u8("compression")?;
    let raw_length = u32::from_le_bytes(body.array("raw length")?) as usize;
    if raw_length > RAW_BYTES_MAX {
        return Err(CodecError::Range("raw length"));
    }
    let unpacked;
    let tables = match compression {
        PLAIN => body.rest,
        ZSTD => {
            unpacked = zstd::bulk::decompress(body.rest, raw_length).map_err(|e| CodecError::Shape(e.to_string()))?;
            &unpacked
        }
        other => return Err(CodecError::Shape(format!("compression {other} is unknown"))),
    };
    if tables.len() != raw_length {
        return Err(CodecError::Short("rows"));
    }
    let mut tables = Cursor { rest: tables };
    let count = tables.varint("table count")?;
    let mut rows = Vec::new();
    for _ in 0..count {
        let code = tables.u8("table")?;
        let table = Table::from_code(code).ok_or_else(|| CodecError::Shape(format!("table {code} is unknown")))?;
        rows.push((table, columns::decode(table, &mut tables)?));
    }
    if !tables.rest.is_empty() {
        return Err(CodecError::Shape(format!("{} bytes behind the last table", tables.rest.len())));
    }
    Ok(Record { tenant: head.tenant, rows })
}

thread_local! {
    // Buffers of a request are too large for the allocator to keep at hand, and a context costs more to make than a small request to compress.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// What records are made in, one after the other.
struct Scratch {
    /// Tables as they are encoded.
    raw: Vec<u8>,
    packed: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

impl Scratch {
    fn new() -> Self {
        Self { raw: Vec::new(), packed: Vec::new(), compressor: zstd::bulk::Compressor::new(ZSTD_LEVEL).ok() }
    }

    /// Appends `rows` to `frame`, compressed if that gains something.
    fn write(&mut self, rows: &[(Table, RecordBatch)], frame: &mut Vec<u8>) -> Result<(), CodecError> {
        self.raw.clear();
        put_varint(&mut self.raw, rows.len() as u64);
        for (table, batch) in rows {
            self.raw.push(table.code());
            columns::encode(*table, batch, &mut self.raw)?;
        }
        if self.raw.len() > RAW_BYTES_MAX {
            return Err(CodecError::Range("record size"));
        }
        let raw_length = (self.raw.len() as u32).to_le_bytes();
        let is_packed = self.raw.len() >= COMPRESS_BYTES_MIN && self.compress();
        let (compression, body) = if is_packed { (ZSTD, &self.packed) } else { (PLAIN, &self.raw) };
        frame.reserve_exact(1 + raw_length.len() + body.len());
        frame.push(compression);
        frame.extend_from_slice(&raw_length);
        frame.extend_from_slice(body);
        Ok(())
    }

    /// Compresses what is encoded; `false` when that gains nothing.
    fn compress(&mut self) -> bool {
        let Some(compressor) = &mut self.compressor else { return false };
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        compressor.compress_to_buffer(&self.raw, &mut self.packed).is_ok_and(|packed| packed < self.raw.len())
    }

    /// Gives the memory of an unusual request back.
    fn give_back(&mut self) {
        for buffer in [&mut self.raw, &mut self.packed] {
            if buffer.capacity() > SCRATCH_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wal::columns::tests::any_batch;

    fn decode(body: &[u8]) -> Result<(Option<u128>, Timestamp, Record), CodecError> {
        let mut cursor = Cursor { rest: body };
        let head = head(&mut cursor)?;
        Ok((head.fingerprint, head.at, rows(head, &mut cursor)?))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn round_trip(batches in prop::collection::vec(any_batch(), 0..4), fingerprint: Option<u128>, ms in -1_000_000_i64..4_000_000_000_000) {
            let tenant = TenantId::parse("team-a").expect("a valid id");
            let at = Timestamp::from_millis(ms);
            let encoded = encode(&tenant, fingerprint, at, &batches).expect("rows of the house encode");
            let (fingerprint_back, at_back, record) = decode(&encoded.frame[HEADER_BYTES..]).expect("what was encoded decodes");
            prop_assert_eq!(record.tenant, tenant);
            prop_assert_eq!(fingerprint_back, fingerprint);
            prop_assert_eq!(at_back, at);
            prop_assert_eq!(record.rows, batches);
        }

        #[test]
        fn damaged_bytes_never_panic(batches in prop::collection::vec(any_batch(), 1..3), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let encoded = encode(&TenantId::anonymous(), Some(7), Timestamp::from_millis(1), &batches).expect("rows of the house encode");
            let mut body = encoded.frame[HEADER_BYTES..].to_vec();
            for (at, byte) in flips {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let _ = decode(&body);
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
        }
    }
}
