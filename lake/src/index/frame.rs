//! The frame around the sections.
//!
//! ```text
//! "TLIX" | version u16 | sections u16 | sections * { kind u16, packed u16, stored u32, raw u32, crc32 u32 } | crc32 of the head u32 | bodies
//! ```
//! All little-endian. A body is zstd when `packed` is 1, which it is where that made it smaller, unless its parts are packed already. Kinds that a reader does not know are stepped over.

use bytes::Bytes;

use super::Cursor;

const MAGIC: &[u8; 4] = b"TLIX";
const VERSION: u16 = 1;
/// Most bytes that a body may unpack to: a damaged length must not take the memory.
const RAW_BYTES_MAX: u32 = 1 << 30;
const PACK_LEVEL: i32 = 3;

/// What a section holds. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Postings = 1,
    /// Of files that were written before there were [`Kind::FineGrams`].
    Grams = 2,
    TraceIds = 3,
    SpanIds = 4,
    FileTraceIds = 6,
    /// Of files that were written before there were [`Kind::GramRows`].
    FineGrams = 7,
    Streams = 8,
    /// 5 had the whole texts of JSON, which says nothing of the elements of lists.
    Attributes = 9,
    GramRows = 10,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Postings,
        Self::Grams,
        Self::TraceIds,
        Self::SpanIds,
        Self::Attributes,
        Self::FileTraceIds,
        Self::FineGrams,
        Self::GramRows,
        Self::Streams,
    ];

    /// Whether its body has parts that are packed by themselves.
    fn is_packed_in_parts(self) -> bool {
        self == Self::GramRows
    }

    fn name(self) -> &'static str {
        match self {
            Self::Postings => "postings",
            Self::Grams => "grams",
            Self::TraceIds => "trace_ids",
            Self::SpanIds => "span_ids",
            Self::Attributes => "attributes",
            Self::FileTraceIds => "file_trace_ids",
            Self::FineGrams => "fine_grams",
            Self::GramRows => "gram_rows",
            Self::Streams => "streams",
        }
    }
}

#[derive(Debug)]
struct Entry {
    kind: u16,
    packed: bool,
    raw: u32,
    body: Bytes,
}

/// A checked frame.
#[derive(Debug, Default)]
pub(super) struct Frame {
    entries: Vec<Entry>,
}

/// Frames `sections`; nothing for an empty list.
pub(super) fn write(sections: Vec<(Kind, Vec<u8>)>) -> Vec<u8> {
    let sections: Vec<_> = sections.into_iter().filter(|(_, raw)| raw.len() <= RAW_BYTES_MAX as usize).collect();
    if sections.is_empty() {
        return Vec::new();
    }
    let mut head = Vec::with_capacity(8 + sections.len() * 16 + 4);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&(sections.len() as u16).to_le_bytes());
    let mut bodies = Vec::new();
    for (kind, raw) in sections {
        let packed = (!kind.is_packed_in_parts()).then(|| zstd::bulk::compress(&raw, PACK_LEVEL).ok()).flatten();
        let packed = packed.filter(|packed| packed.len() < raw.len());
        let body = packed.as_ref().unwrap_or(&raw);
        head.extend_from_slice(&(kind as u16).to_le_bytes());
        head.extend_from_slice(&u16::from(packed.is_some()).to_le_bytes());
        for word in [body.len() as u32, raw.len() as u32, crc32fast::hash(body)] {
            head.extend_from_slice(&word.to_le_bytes());
        }
        bodies.extend_from_slice(body);
    }
    let crc = crc32fast::hash(&head);
    head.extend_from_slice(&crc.to_le_bytes());
    head.append(&mut bodies);
    head
}

impl Frame {
    pub(super) fn parse(bytes: Bytes) -> Result<Self, String> {
        let mut cursor = Cursor::new(&bytes);
        let short = || "it ends early".to_owned();
        if cursor.take(4).ok_or_else(short)? != MAGIC {
            return Err("it does not start with TLIX".to_owned());
        }
        let version = cursor.u16().ok_or_else(short)?;
        if version != VERSION {
            return Err(format!("it has version {version}, this build reads {VERSION}"));
        }
        let count = cursor.u16().ok_or_else(short)?;
        let mut heads = Vec::new();
        for _ in 0..count {
            let (kind, packed) = (cursor.u16().ok_or_else(short)?, cursor.u16().ok_or_else(short)?);
            let (stored, raw) = (cursor.u32().ok_or_else(short)?, cursor.u32().ok_or_else(short)?);
            heads.push((kind, packed, stored, raw, cursor.u32().ok_or_else(short)?));
        }
        let head_end = cursor.at;
        if cursor.u32().ok_or_else(short)? != crc32fast::hash(&bytes[..head_end]) {
            return Err("the checksum of its head does not match".to_owned());
        }
        let mut entries = Vec::with_capacity(heads.len());
        for (kind, packed, stored, raw, crc) in heads {
            let start = cursor.at;
            let body = cursor.take(stored as usize).ok_or_else(short)?;
            if crc32fast::hash(body) != crc {
                return Err(format!("the checksum of section {kind} does not match"));
            }
            if packed > 1 || raw > RAW_BYTES_MAX {
                return Err(format!("section {kind} claims to unpack to {raw} bytes by method {packed}"));
            }
            entries.push(Entry { kind, packed: packed == 1, raw, body: bytes.slice(start..cursor.at) });
        }
        Ok(Self { entries })
    }

    /// Whether a section is there.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind as u16)
    }

    /// The unpacked bytes of a section, if it is there and unpacks.
    pub(super) fn section(&self, kind: Kind) -> Option<Bytes> {
        let entry = self.entries.iter().find(|e| e.kind == kind as u16)?;
        if !entry.packed {
            return Some(entry.body.clone());
        }
        let raw = zstd::bulk::decompress(&entry.body, entry.raw as usize).ok()?;
        (raw.len() == entry.raw as usize).then(|| raw.into())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.iter().map(|e| e.body.len() + if e.packed { e.raw as usize } else { 0 }).sum()
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        let name = |kind| Kind::ALL.into_iter().find(|k| *k as u16 == kind).map_or("unknown", Kind::name);
        self.entries.iter().map(move |e| (name(e.kind), e.body.len()))
    }
}
