//! Grams as they are written: of each bit, which blocks have it.
//!
//! ```text
//!              block 0 1 2 3 4 ...          a row for each bit: who looks for a needle reads the rows of its grams and ands them
//! bit of "refu"      1 1 0 1 1  ─┐
//! bit of "efus"      1 1 0 1 1  ─┼─ chunk of neighbouring rows, packed by itself and unpacked when one of them is asked for
//! bit of "9f3a"      0 1 1 1 0  ─┘
//!
//! rows of a block u32 | groups u32 | groups * group
//! group: log2 of bits u8 | digits u8 | log2 of the rows of a chunk u8 | blocks u32 | blocks * number u32 | chunks * length u32 | chunks
//! ```
//! Blocks whose bitmaps are of one size are a group; usually all but the last block are one. A row has a bit for each block of its group, and rows are those of
//! the hashed bits, and, if `digits` is 1, 2^16 more for grams of digits. A chunk as long as its rows is not packed. Neighbouring blocks have most words in
//! common, so that rows are nearly all ones or all zeros: of 1.9 million lines they take 2.0 MB where the bitmaps of blocks took 3.4.

use std::sync::OnceLock;

use bytes::Bytes;

use super::super::Cursor;
use super::{BlockSet, DIGITS_BYTES, EndedBlock, LOG2_BITS_MAX, LOG2_BITS_MIN, SHORT, bit_of, each_gram, gram_of};

/// Bytes of the rows of a chunk, about.
const CHUNK_BYTES: usize = 16 << 10;
/// Most that a chunk is unpacked to. Rows of a chunk are at least 64, so that this is met by files of a billion lines, which are none.
const CHUNK_BYTES_MAX: usize = 1 << 20;
const CHUNK_LOG2_MIN: u32 = 6;
const CHUNK_LOG2_MAX: u32 = 16;
const PACK_LEVEL: i32 = 3;
/// Rows of grams of digits.
const DIGITS_ROWS: usize = DIGITS_BYTES * 8;

/// The section of `blocks`, in file order, each of `block_rows` rows.
pub(super) fn section(block_rows: usize, blocks: &[EndedBlock]) -> Vec<u8> {
    let mut groups: Vec<((u32, bool), Vec<u32>)> = Vec::new();
    for (number, block) in (0_u32..).zip(blocks) {
        let key = (block.log2(), block.digits.is_some());
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, numbers)) => numbers.push(number),
            None => groups.push((key, vec![number])),
        }
    }
    let mut out = (block_rows as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&(groups.len() as u32).to_le_bytes());
    for ((log2, has_digits), numbers) in groups {
        let row_bytes = numbers.len().div_ceil(8);
        let chunk_log2 = (CHUNK_BYTES / row_bytes).max(1).ilog2().clamp(CHUNK_LOG2_MIN, CHUNK_LOG2_MAX);
        out.extend_from_slice(&[log2 as u8, u8::from(has_digits), chunk_log2 as u8]);
        out.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        let rows = (1 << log2) + if has_digits { DIGITS_ROWS } else { 0 };
        let mut compressor = zstd::bulk::Compressor::new(PACK_LEVEL).ok();
        let (mut lengths, mut chunks) = (Vec::new(), Vec::new());
        for first in (0..rows).step_by(1 << chunk_log2) {
            let raw = chunk(blocks, &numbers, first..rows.min(first + (1 << chunk_log2)), 1 << log2);
            let packed = compressor.as_mut().and_then(|compressor| compressor.compress(&raw).ok());
            let body = packed.filter(|packed| packed.len() < raw.len()).unwrap_or(raw);
            lengths.extend_from_slice(&(body.len() as u32).to_le_bytes());
            chunks.extend_from_slice(&body);
        }
        out.append(&mut lengths);
        out.append(&mut chunks);
    }
    out
}

/// Those of `rows` of the blocks `numbers`, of which the first `hashed` are of hashed bits. Both ends of `rows` are multiples of 64.
fn chunk(blocks: &[EndedBlock], numbers: &[u32], rows: std::ops::Range<usize>, hashed: usize) -> Vec<u8> {
    let row_bytes = numbers.len().div_ceil(8);
    let mut raw = vec![0; rows.len() * row_bytes];
    for (at, number) in numbers.iter().enumerate() {
        let EndedBlock { hashed: bits, digits } = &blocks[*number as usize];
        debug_assert_eq!(bits.len() * 64, hashed, "blocks of a group have as many bits");
        let words = bits.iter().chain(digits.as_deref().unwrap_or_default());
        for (word_at, word) in words.enumerate().take(rows.end / 64).skip(rows.start / 64) {
            let mut left = *word;
            while left != 0 {
                let row = word_at * 64 + left.trailing_zeros() as usize - rows.start;
                raw[row * row_bytes + at / 8] |= 1 << (at % 8);
                left &= left - 1;
            }
        }
    }
    raw
}

#[derive(Debug)]
pub(super) struct Rows {
    block_rows: usize,
    blocks: usize,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    log2: u32,
    has_digits: bool,
    chunk_log2: u32,
    /// Numbers of its blocks.
    numbers: Vec<u32>,
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    stored: Bytes,
    /// Bytes of its rows.
    raw: usize,
    /// Its rows, once they were asked for; `None` if it does not unpack.
    rows: OnceLock<Option<Bytes>>,
}

impl Rows {
    /// Reads the section but for its chunks.
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(bytes);
        let block_rows = super::block_rows(&mut cursor)?;
        let count = cursor.u32().ok_or(SHORT)?;
        let mut groups = Vec::new();
        for _ in 0..count {
            groups.push(Group::parse(bytes, &mut cursor)?);
        }
        let blocks = groups.iter().map(|group| group.numbers.len()).sum();
        if groups.iter().flat_map(|group| &group.numbers).any(|number| *number as usize >= blocks) {
            return Err("grams are of blocks that are not there");
        }
        Ok(Self { block_rows, blocks, groups })
    }

    pub(super) fn block_rows(&self) -> usize {
        self.block_rows
    }

    pub(super) fn len(&self) -> usize {
        self.blocks
    }

    /// Bytes of all rows, unpacked.
    pub(super) fn raw_bytes(&self) -> usize {
        self.groups.iter().flat_map(|group| &group.chunks).map(|chunk| chunk.raw).sum()
    }

    /// The blocks that may have all grams of `needle`.
    pub(super) fn with(&self, needle: &[u8]) -> BlockSet {
        let mut set = BlockSet::all(self.blocks);
        for group in &self.groups {
            let found = group.with(needle);
            let is_absent = |at: usize| found[at / 8] & (1 << (at % 8)) == 0;
            let absent = group.numbers.iter().enumerate().filter(|(at, _)| is_absent(*at));
            absent.for_each(|(_, number)| set.remove(*number as usize));
        }
        set
    }
}

impl Group {
    fn parse(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<Self, &'static str> {
        let &[log2, digits, chunk_log2] = cursor.take(3).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
        let (log2, chunk_log2) = (u32::from(log2), u32::from(chunk_log2));
        let is_known = (LOG2_BITS_MIN..=LOG2_BITS_MAX).contains(&log2)
            && (CHUNK_LOG2_MIN..=CHUNK_LOG2_MAX).contains(&chunk_log2)
            && digits <= 1;
        if !is_known {
            return Err("grams have a size that is never written");
        }
        let count = cursor.u32().ok_or(SHORT)? as usize;
        let numbers = cursor.take(count.checked_mul(4).ok_or(SHORT)?).ok_or(SHORT)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let numbers: Vec<u32> = numbers.chunks_exact(4).map(word).collect();
        let (row_bytes, rows) = (count.div_ceil(8), (1_usize << log2) + if digits == 1 { DIGITS_ROWS } else { 0 });
        let chunk_rows = 1_usize << chunk_log2;
        if row_bytes == 0 || row_bytes.checked_mul(chunk_rows).is_none_or(|bytes| bytes > CHUNK_BYTES_MAX) {
            return Err("grams have chunks that are never written");
        }
        let lengths = cursor.take(rows.div_ceil(chunk_rows) * 4).ok_or(SHORT)?;
        let mut chunks = Vec::new();
        for (first, length) in (0..rows).step_by(chunk_rows).zip(lengths.chunks_exact(4).map(word)) {
            let start = cursor.at;
            cursor.take(length as usize).ok_or(SHORT)?;
            let raw = chunk_rows.min(rows - first) * row_bytes;
            chunks.push(Chunk { stored: bytes.slice(start..cursor.at), raw, rows: OnceLock::new() });
        }
        Ok(Self { log2, has_digits: digits == 1, chunk_log2, numbers, chunks })
    }

    /// Of each block of the group, by its place there, a bit that says whether it may have all grams of `needle`.
    fn with(&self, needle: &[u8]) -> Vec<u8> {
        let row_bytes = self.numbers.len().div_ceil(8);
        let mut found = vec![0xff; row_bytes];
        let mask = (1 << self.log2) - 1;
        let mut rows: Vec<usize> = Vec::new();
        let mut digits = Vec::new();
        each_gram(needle, |value| digits.push(value), |gram| rows.push(bit_of(gram) & mask));
        rows.extend(digits.into_iter().map(|value| match self.has_digits {
            true => (1 << self.log2) + usize::from(value),
            false => bit_of(gram_of(value)) & mask,
        }));
        for row in rows {
            // A chunk that does not unpack rules nothing out.
            let Some(chunk) = self.chunks[row >> self.chunk_log2].rows() else { continue };
            let at = (row & ((1 << self.chunk_log2) - 1)) * row_bytes;
            found.iter_mut().zip(&chunk[at..at + row_bytes]).for_each(|(found, has)| *found &= has);
        }
        found
    }
}

impl Chunk {
    fn rows(&self) -> Option<&Bytes> {
        let unpack = || {
            if self.stored.len() == self.raw {
                return Some(self.stored.clone());
            }
            let rows = zstd::bulk::decompress(&self.stored, self.raw).ok()?;
            (rows.len() == self.raw).then(|| rows.into())
        };
        self.rows.get_or_init(unpack).as_ref()
    }
}
