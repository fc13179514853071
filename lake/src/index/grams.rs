//! Which 4-byte sequences occur in a block of log lines, lower-cased.
//!
//! ```text
//! line   "refused 9f3a7c"   refu efus fuse used sed_ ed_9 d_9f _9f3 │ 9f3a f3a7 3a7c
//!                           hashed: one bit of up to 2^20            │ hexadecimal: one bit of 2^16, its own
//!
//! rows of a block u32 | blocks u32 | blocks * { hexadecimal: 1 and 2^16 bits, or 0 | log2 of bits u8 | bits }
//! ```
//! Ids, times and numbers make most of the grams of a block, and nearly all of these are of hexadecimal digits, of which there are 65,536: a bit
//! for each costs less than a hashed one, and cannot be set by others. So small blocks are affordable, in which an id of 16 digits, 13 grams of
//! which one half to four fifths are there by chance, can be told to be absent. Of other grams at most one bit in six is set.
//!
//! Files of before have `blocks u32 | blocks * { log2 of bits u8 | bits }` over blocks of [`BLOCK_ROWS`] rows, all grams hashed.

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

/// Collects the grams of a file block by block.
#[derive(Debug, Default)]
pub(super) struct GramBuilder {
    bits: Vec<u64>,
    blocks: u32,
    out: Vec<u8>,
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
        if ones(digits) >= DIGITS_MIN {
            self.out.push(1);
            digits.iter().for_each(|word| self.out.extend_from_slice(&word.to_le_bytes()));
        } else {
            self.out.push(0);
            let set = |value: &u16| digits[usize::from(*value) / 64] & (1 << (value % 64)) != 0;
            for bit in (0..=u16::MAX).filter(set).map(|value| bit_of(gram_of(value))) {
                hashed[bit / 64] |= 1 << (bit % 64);
            }
        }
        let mut log2 = LOG2_BITS_MAX;
        let mut bits = hashed.to_vec();
        while log2 > LOG2_BITS_MIN && ones(&bits) * SPARSE <= 1 << (log2 - 1) {
            let half = bits.len() / 2;
            let (low, high) = bits.split_at_mut(half);
            low.iter_mut().zip(&*high).for_each(|(l, h)| *l |= h);
            bits.truncate(half);
            log2 -= 1;
        }
        self.out.push(log2 as u8);
        bits.iter().for_each(|word| self.out.extend_from_slice(&word.to_le_bytes()));
        self.bits.fill(0);
        self.blocks += 1;
        self.is_open = false;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.is_open {
            self.end_block();
        }
        let mut section = (GRAM_ROWS as u32).to_le_bytes().to_vec();
        section.extend_from_slice(&self.blocks.to_le_bytes());
        section.append(&mut self.out);
        section
    }
}

/// The grams of the blocks of a file.
#[derive(Debug)]
pub struct GramFilters {
    block_rows: usize,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// A bit for each gram of digits; `None`: they are among the others.
    digits: Option<Bytes>,
    others: Bytes,
}

impl GramFilters {
    pub(super) fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(&bytes);
        let block_rows = cursor.u32().ok_or(SHORT)? as usize;
        if block_rows == 0 || !BLOCK_ROWS.is_multiple_of(block_rows) {
            return Err("grams are of blocks that are never written");
        }
        let count = cursor.u32().ok_or(SHORT)?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            let digits = match cursor.take(1).ok_or(SHORT)?[0] {
                0 => None,
                1 => Some(take(&bytes, &mut cursor, DIGITS_BYTES)?),
                _ => return Err("grams of digits are marked as nothing that is known"),
            };
            blocks.push(Block { digits, others: bitmap(&bytes, &mut cursor)? });
        }
        Ok(Self { block_rows, blocks })
    }

    /// Those of files of before.
    pub(super) fn parse_coarse(bytes: Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(&bytes);
        let count = cursor.u32().ok_or(SHORT)?;
        let blocks = (0..count).map(|_| Ok(Block { digits: None, others: bitmap(&bytes, &mut cursor)? }));
        Ok(Self { block_rows: BLOCK_ROWS, blocks: blocks.collect::<Result<_, &'static str>>()? })
    }

    /// Rows of a block: a part of [`BLOCK_ROWS`], or that.
    pub fn block_rows(&self) -> usize {
        self.block_rows
    }

    /// Whether a line of `block` may contain `needle`, whatever the case of its ASCII letters. Needles of fewer than four bytes may
    /// be anywhere.
    pub fn may_contain(&self, block: usize, needle: &[u8]) -> bool {
        let Some(Block { digits, others }) = self.blocks.get(block) else { return true };
        let mask = others.len() * 8 - 1;
        let is_set = |bits: &Bytes, bit: usize| bits[bit / 8] & (1 << (bit % 8)) != 0;
        let (mut digits_set, mut others_set) = (true, true);
        each_gram(
            needle,
            |value| {
                digits_set &= match digits {
                    Some(digits) => is_set(digits, usize::from(value)),
                    None => is_set(others, bit_of(gram_of(value)) & mask),
                }
            },
            |gram| others_set &= is_set(others, bit_of(gram) & mask),
        );
        digits_set && others_set
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

const SHORT: &str = "grams end early";

fn take(bytes: &Bytes, cursor: &mut Cursor<'_>, n: usize) -> Result<Bytes, &'static str> {
    let start = cursor.at;
    cursor.take(n).ok_or(SHORT)?;
    Ok(bytes.slice(start..cursor.at))
}

fn bitmap(bytes: &Bytes, cursor: &mut Cursor<'_>) -> Result<Bytes, &'static str> {
    let log2 = u32::from(cursor.take(1).ok_or(SHORT)?[0]);
    if !(LOG2_BITS_MIN..=LOG2_BITS_MAX).contains(&log2) {
        return Err("a bitmap has a size that is never written");
    }
    take(bytes, cursor, 1 << (log2 - 3))
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
            let filters = GramFilters::parse(builder.finish().into()).expect("valid");
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
        let filters = GramFilters::parse(builder.finish().into()).expect("valid");
        let found = |n: u64| (0..4).filter(|block| filters.may_contain(*block, id(n).as_bytes())).count();
        assert!((0..4).all(|block| filters.may_contain(block, id((block as u64) << 20 | 5).as_bytes())));
        let by_chance: usize = (0..500).map(|n| found(1 << 40 | n)).sum();
        assert!(by_chance < 500, "{by_chance} of 2,000 blocks may have ids that they lack");
    }

    #[test]
    fn filters_of_before_are_read() {
        let mut bits = vec![0_u8; 1 << 7];
        for gram in b"refused".windows(4) {
            let bit = bit_of(u32::from_le_bytes(gram.try_into().expect("four"))) & 1023;
            bits[bit / 8] |= 1 << (bit % 8);
        }
        let section = [&1_u32.to_le_bytes()[..], &[10], &bits].concat();
        let filters = GramFilters::parse_coarse(section.into()).expect("valid");
        assert_eq!((filters.block_rows(), filters.blocks()), (BLOCK_ROWS, 1));
        assert!(filters.may_contain(0, b"REFUSED") && !filters.may_contain(0, b"accepted"));
    }
}
