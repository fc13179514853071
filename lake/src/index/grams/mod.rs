//! Which 4-byte sequences occur in a block of log lines, lower-cased.
//!
//! ```text
//! line   "refused 9f3a7c"   refu efus fuse used sed_ ed_9 d_9f _9f3 │ 9f3a f3a7 3a7c
//!                           hashed: one bit of up to 2^20            │ hexadecimal: one bit of 2^16, its own
//!
//! ```
//! Ids, times and numbers make most of the grams of a block, and nearly all of these are of hexadecimal digits, of which there are 65,536: a bit
//! for each costs less than a hashed one, and cannot be set by others. So small blocks are affordable, in which an id of 16 digits, 13 grams of
//! which one half to four fifths are there by chance, can be told to be absent. Of other grams at most one bit in six is set.
//!
//! How that is written is in [`rows`]; how it was, in [`blocks`].

mod blocks;
mod rows;

use std::ops::Range;

use bytes::Bytes;

use super::{BLOCK_ROWS, Cursor};

/// Rows of a block of grams. Divides [`BLOCK_ROWS`].
pub(super) const GRAM_ROWS: usize = 8 << 10;
const LOG2_BITS_MAX: u32 = 20;
const LOG2_BITS_MIN: u32 = 6;
/// Bitmaps are folded in half as long as at most one bit in this many is set.
const SPARSE: usize = 6;
/// Bytes of a bit for each gram of four hexadecimal digits.
const DIGITS_BYTES: usize = (1 << 16) / 8;
/// A block with fewer of them has them among the others.
const DIGITS_MIN: usize = 2 << 10;
/// The value of a byte as a hexadecimal digit of either case, or 16.
const DIGITS: [u8; 256] = {
    let mut digits = [16; 256];
    let mut at = 0;
    while at < 16 {
        digits[b"0123456789abcdef"[at] as usize] = at as u8;
        digits[b"0123456789ABCDEF"[at] as usize] = at as u8;
        at += 1;
    }
    digits
};

/// The bit of a gram in the largest bitmap; in one of 2^n bits, its lowest n bits.
#[inline]
fn bit_of(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> (32 - LOG2_BITS_MAX)) as usize
}

/// Calls `digits` with the four digits of each gram of `text` that has nothing else, and `others` with each other gram.
#[inline]
fn each_gram(text: &[u8], mut digits: impl FnMut(u16), mut others: impl FnMut(u32)) {
    let (mut gram, mut run, mut value) = (0_u32, 0_usize, 0_u16);
    for (at, byte) in text.iter().enumerate() {
        gram = (gram >> 8) | (u32::from(byte.to_ascii_lowercase()) << 24);
        let digit = DIGITS[usize::from(*byte)];
        run = if digit < 16 { run + 1 } else { 0 };
        value = (value << 4) | u16::from(digit & 15);
        match (at >= 3, run >= 4) {
            (false, _) => {}
            (true, true) => digits(value),
            (true, false) => others(gram),
        }
    }
}

/// The gram of four digits.
fn gram_of(value: u16) -> u32 {
    let digit = |shift: u32| u32::from(b"0123456789abcdef"[usize::from(value >> shift) & 15]);
    digit(12) | digit(8) << 8 | digit(4) << 16 | digit(0) << 24
}

/// Words of both bitmaps of a block that is open: the hashed bits, and from [`DIGITS_AT`] on those of digits. A power of two, so that no index is out of bounds.
const OPEN_WORDS: usize = (2 << LOG2_BITS_MAX) / 64;
/// The first bit of digits.
const DIGITS_AT: usize = 1 << LOG2_BITS_MAX;
/// A byte in lower case, and 256 times its value of [`DIGITS`].
const BYTES: [u16; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < 256 {
        bytes[at] = (at as u8).to_ascii_lowercase() as u16 | (DIGITS[at] as u16) << 8;
        at += 1;
    }
    bytes
};

/// The grams of a block that has ended.
#[derive(Debug)]
struct EndedBlock {
    /// Hashed bits, as many as are needed.
    hashed: Vec<u64>,
    /// A bit for each gram of digits; `None`: they are among the others.
    digits: Option<Vec<u64>>,
}

impl EndedBlock {
    fn log2(&self) -> u32 {
        (self.hashed.len() * 64).ilog2()
    }
}

/// Collects the grams of a file block by block.
#[derive(Debug, Default)]
pub(super) struct GramBuilder {
    bits: Vec<u64>,
    blocks: Vec<EndedBlock>,
    is_open: bool,
}

impl GramBuilder {
    /// Adds a line to the current block. Says what [`each_gram`] says without a branch: where ids begin and end in a line is what no processor guesses.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.open();
        let Ok(bits) = <&mut [u64; OPEN_WORDS]>::try_from(self.bits.as_mut_slice()) else { return };
        let (mut gram, mut value, mut others) = (0_u32, 0_u16, 0xf_u8);
        for (at, byte) in line.iter().enumerate() {
            let byte = BYTES[usize::from(*byte)];
            gram = (gram >> 8) | (u32::from(byte) << 24);
            value = (value << 4) | (byte >> 8 & 15);
            // One bit for each of the last four bytes: set when it is no digit.
            others = others << 1 | (byte >> 12) as u8;
            if at < 3 {
                continue;
            }
            let is_digits = usize::from(others & 0xf == 0).wrapping_neg();
            let bit = (is_digits & (DIGITS_AT | usize::from(value))) | (!is_digits & bit_of(gram));
            bits[bit / 64 % OPEN_WORDS] |= 1 << (bit % 64);
        }
    }

    fn open(&mut self) {
        if self.bits.is_empty() {
            self.bits = vec![0; OPEN_WORDS];
        }
        self.is_open = true;
    }

    /// The next line begins a block.
    pub(super) fn end_block(&mut self) {
        self.open();
        let ones = |bits: &[u64]| bits.iter().map(|w| w.count_ones() as usize).sum::<usize>();
        let (hashed, rest) = self.bits.split_at_mut(DIGITS_AT / 64);
        let digits = &rest[..DIGITS_BYTES / 8];
        let digits = match ones(digits) >= DIGITS_MIN {
            true => Some(digits.to_vec()),
            false => {
                let set = |value: &u16| digits[usize::from(*value) / 64] & (1 << (value % 64)) != 0;
                for bit in (0..=u16::MAX).filter(set).map(|value| bit_of(gram_of(value))) {
                    hashed[bit / 64] |= 1 << (bit % 64);
                }
                None
            }
        };
        let mut log2 = LOG2_BITS_MAX;
        let mut bits = hashed.to_vec();
        while log2 > LOG2_BITS_MIN && ones(&bits) * SPARSE <= 1 << (log2 - 1) {
            let half = bits.len() / 2;
            let (low, high) = bits.split_at_mut(half);
            low.iter_mut().zip(&*high).for_each(|(l, h)| *l |= h);
            bits.truncate(half);
            log2 -= 1;
        }
        self.blocks.push(EndedBlock { hashed: bits, digits });
        self.bits.fill(0);
        self.is_open = false;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.is_open {
            self.end_block();
        }
        rows::section(GRAM_ROWS, &self.blocks)
    }
}

/// The grams of the blocks of a file.
#[derive(Debug)]
pub struct GramFilters(Form);

#[derive(Debug)]
enum Form {
    Rows(rows::Rows),
    Blocks(blocks::Blocks),
}

impl GramFilters {
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, &'static str> {
        rows::Rows::parse(bytes).map(Form::Rows).map(Self)
    }

    /// Those of files of before.
    pub(super) fn parse_blocks(bytes: &Bytes) -> Result<Self, &'static str> {
        blocks::Blocks::parse(bytes).map(Form::Blocks).map(Self)
    }

    /// Those of files of before that.
    pub(super) fn parse_coarse(bytes: &Bytes) -> Result<Self, &'static str> {
        blocks::Blocks::parse_coarse(bytes).map(Form::Blocks).map(Self)
    }

    /// Rows of a block: a part of [`BLOCK_ROWS`], or that.
    pub fn block_rows(&self) -> usize {
        match &self.0 {
            Form::Rows(rows) => rows.block_rows(),
            Form::Blocks(blocks) => blocks.block_rows(),
        }
    }

    /// The blocks in which a line may contain `needle`, whatever the case of its ASCII letters. Needles of fewer than four bytes may be
    /// anywhere, and so may any in blocks that are not `within`.
    pub fn blocks_with(&self, needle: &[u8], within: Range<usize>) -> BlockSet {
        match &self.0 {
            Form::Rows(rows) => rows.with(needle),
            Form::Blocks(blocks) => blocks.with(needle, within),
        }
    }

    /// Whether a line of `block` may contain `needle`: see [`GramFilters::blocks_with`].
    pub fn may_contain(&self, block: usize, needle: &[u8]) -> bool {
        self.blocks_with(needle, block..block.saturating_add(1)).contains(block)
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        match &self.0 {
            Form::Rows(rows) => rows.len(),
            Form::Blocks(blocks) => blocks.len(),
        }
    }

    /// Bytes that are there once all of it was asked for, beside the section as it is stored.
    pub(super) fn unpacked_bytes(&self) -> usize {
        match &self.0 {
            Form::Rows(rows) => rows.raw_bytes(),
            Form::Blocks(_) => 0,
        }
    }
}

/// Blocks of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockSet {
    /// A bit for each block.
    words: Vec<u64>,
}

impl BlockSet {
    /// All of `blocks` blocks.
    fn all(blocks: usize) -> Self {
        Self { words: vec![u64::MAX; blocks.div_ceil(64)] }
    }

    fn remove(&mut self, block: usize) {
        self.words[block / 64] &= !(1 << (block % 64));
    }

    /// Whether `block` is one of them. One that the file has not may be anything.
    pub fn contains(&self, block: usize) -> bool {
        self.words.get(block / 64).is_none_or(|word| word & (1 << (block % 64)) != 0)
    }
}

const SHORT: &str = "grams end early";

/// The rows of a block, with which a section begins.
fn block_rows(cursor: &mut Cursor<'_>) -> Result<usize, &'static str> {
    let block_rows = cursor.u32().ok_or(SHORT)? as usize;
    match block_rows > 0 && BLOCK_ROWS.is_multiple_of(block_rows) {
        true => Ok(block_rows),
        false => Err("grams are of blocks that are never written"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn substrings_are_never_ruled_out(lines in prop::collection::vec("[a-zA-Z0-9 ü=]{0,60}", 1..20), at in 0_usize..60, len in 0_usize..20,
            filler in "[0-9a-f]{0,9000}") {
            let mut builder = GramBuilder::default();
            builder.add(filler.as_bytes());
            lines.iter().for_each(|line| builder.add(line.as_bytes()));
            builder.end_block();
            let filters = GramFilters::parse(&builder.finish().into()).expect("valid");
            for line in &lines {
                let line = line.as_bytes();
                let from = at.min(line.len());
                let needle = &line[from..(from + len).min(line.len())];
                prop_assert!(filters.may_contain(0, needle));
                prop_assert!(filters.may_contain(0, &needle.to_ascii_uppercase()));
            }
        }
    }

    #[test]
    fn an_id_is_told_to_be_absent_among_ids() {
        let id = |n: u64| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 7));
        let mut builder = GramBuilder::default();
        for block in 0..4 {
            (0..GRAM_ROWS as u64).for_each(|row| builder.add(format!("id={}", id(block << 20 | row)).as_bytes()));
            builder.end_block();
        }
        let filters = GramFilters::parse(&builder.finish().into()).expect("valid");
        let found = |n: u64| (0..4).filter(|block| filters.may_contain(*block, id(n).as_bytes())).count();
        assert!((0..4).all(|block| filters.may_contain(block, id((block as u64) << 20 | 5).as_bytes())));
        let by_chance: usize = (0..500).map(|n| found(1 << 40 | n)).sum();
        assert!(by_chance < 500, "{by_chance} of 2,000 blocks may have ids that they lack");
    }

    /// The section as files of before have it.
    fn section_of_before(blocks: &[EndedBlock]) -> Vec<u8> {
        let mut section = (GRAM_ROWS as u32).to_le_bytes().to_vec();
        section.extend_from_slice(&(blocks.len() as u32).to_le_bytes());
        for block in blocks {
            section.push(u8::from(block.digits.is_some()));
            block.digits.iter().flatten().for_each(|word| section.extend_from_slice(&word.to_le_bytes()));
            section.push(block.log2() as u8);
            block.hashed.iter().for_each(|word| section.extend_from_slice(&word.to_le_bytes()));
        }
        section
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn rows_say_what_blocks_say(
            blocks in prop::collection::vec((prop::collection::vec("[a-f0-9 xyz]{0,40}", 0..30), prop::option::of(any::<u64>())), 1..20),
            needles in prop::collection::vec("[a-f0-9 xyz]{0,9}", 1..8),
        ) {
            let mut builder = GramBuilder::default();
            for (lines, ids) in &blocks {
                lines.iter().for_each(|line| builder.add(line.as_bytes()));
                // Enough of them have a bitmap of their own.
                (0..ids.map_or(0, |_| 400)).for_each(|n: u64| {
                    let id = ids.unwrap_or(0).wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    builder.add(format!("{id:016x}").as_bytes());
                });
                builder.end_block();
            }
            let before = GramFilters::parse_blocks(&section_of_before(&builder.blocks).into()).expect("valid");
            let filters = GramFilters::parse(&builder.finish().into()).expect("valid");
            prop_assert_eq!((filters.blocks(), filters.block_rows()), (before.blocks(), before.block_rows()));
            let texts = blocks.iter().flat_map(|(lines, _)| lines).filter_map(|line| line.get(3..12));
            for needle in needles.iter().map(String::as_str).chain(texts) {
                let (all, needle) = (0..filters.blocks(), needle.as_bytes());
                prop_assert_eq!(filters.blocks_with(needle, all.clone()), before.blocks_with(needle, all), "{:?}", needle);
            }
        }
    }

    #[test]
    fn chunks_are_read_alone() {
        let mut builder = GramBuilder::default();
        builder.add(b"connection refused");
        builder.end_block();
        let good = builder.finish();
        let filters = GramFilters::parse(&good.clone().into()).expect("valid");
        assert!(
            filters.may_contain(0, b"refused") && !filters.may_contain(0, b"accepted") && filters.may_contain(7, b"accepted")
        );
        // A chunk that does not unpack rules nothing out.
        let mut bad = good.clone();
        let chunks = good.len() - 8;
        bad[chunks..].fill(0xff);
        let filters = GramFilters::parse(&bad.into()).expect("the lengths are right");
        assert!(filters.may_contain(0, b"refused"));
    }

    #[test]
    fn filters_of_before_are_read() {
        let mut bits = vec![0_u8; 1 << 7];
        for gram in b"refused".windows(4) {
            let bit = bit_of(u32::from_le_bytes(gram.try_into().expect("four"))) & 1023;
            bits[bit / 8] |= 1 << (bit % 8);
        }
        let section = [&1_u32.to_le_bytes()[..], &[10], &bits].concat();
        let filters = GramFilters::parse_coarse(&section.into()).expect("valid");
        assert_eq!((filters.block_rows(), filters.blocks()), (BLOCK_ROWS, 1));
        assert!(filters.may_contain(0, b"REFUSED") && !filters.may_contain(0, b"accepted"));
    }
}
