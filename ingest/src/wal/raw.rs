//! Records and segments as bytes, without a log around them: for benchmarks, fuzzing and tools that look at a copy.

use arrow::array::RecordBatch;
use catalog::{Table, TenantId, Timestamp};

use super::columns::Cursor;
use super::frame::{HEADER_BYTES, HeadState, SegmentHead};
use super::{record, recover};

/// The body of the frame that keeps the rows of one request: compressed, without the frame's header.
///
/// # Errors
/// What does not fit: rows of another schema, or more than a record may hold.
pub fn encode_record(
    tenant: &TenantId,
    fingerprint: Option<u128>,
    at: Timestamp,
    rows: &[(Table, RecordBatch)],
) -> Result<Vec<u8>, String> {
    let mut encoded = record::encode(tenant, fingerprint, at, rows).map_err(|e| e.to_string())?;
    Ok(encoded.frame.split_off(HEADER_BYTES))
}

/// Whose rows a record's body holds, and the rows.
///
/// # Errors
/// What is wrong with the bytes. Never panics on any.
pub fn decode_record(body: &[u8]) -> Result<(TenantId, Vec<(Table, RecordBatch)>), String> {
    let mut cursor = Cursor { rest: body };
    let head = record::head(&mut cursor).map_err(|e| e.to_string())?;
    let record = record::rows(head, &mut cursor).map_err(|e| e.to_string())?;
    Ok((record.tenant, record.rows))
}

/// How many records recovery would find in the bytes of the log's last segment, and how many durable ones it would miss.
///
/// # Errors
/// The head is no head, or one of a newer version. Never panics on any bytes.
pub fn scan_segment(bytes: &[u8]) -> Result<(u64, u64), String> {
    let head = match SegmentHead::read(bytes) {
        HeadState::Good(head) => head,
        HeadState::Newer(version) => return Err(format!("format version {version} is newer than this build")),
        HeadState::None => return Err("bytes do not begin with a segment's head".to_owned()),
    };
    let found = recover::scan(head.writer, head.number, bytes, head.first, None);
    let missing = found.missing.iter().map(|range| range.end - range.start).sum();
    Ok((found.records.len() as u64, missing))
}
