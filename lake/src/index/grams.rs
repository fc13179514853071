//! Which 4-byte sequences occur in a block of log lines.
//!
//! One bit per gram in a bitmap of up to 2^20 bits: with the 80,000 distinct grams of a usual block one bit in thirteen is set, so a
//! needle of eight bytes (five grams) passes a block that lacks it once in 370,000 times. A bitmap with one hash is filled at a
//! nanosecond a byte without ever collecting the set of grams, and zstd brings it close to its entropy.
//!
//! ```text
//! blocks u32 | blocks * { log2 of bits u8 | bitmap }
//! ```

use bytes::Bytes;

use super::Cursor;

const LOG2_BITS_MAX: u32 = 20;
const LOG2_BITS_MIN: u32 = 6;
/// Bitmaps are folded in half as long as at most one bit in this many is set.
const SPARSE: usize = 10;

/// The bit of a gram in the largest bitmap; in one of 2^n bits, its lowest n bits.
#[inline]
fn bit_of(gram: [u8; 4]) -> usize {
    (u32::from_le_bytes(gram).wrapping_mul(0x9e37_79b1) >> (32 - LOG2_BITS_MAX)) as usize
}

/// Collects the grams of a file block by block.
#[derive(Debug, Default)]
pub(super) struct GramBuilder {
    bits: Vec<u64>,
    lower: Vec<u8>,
    blocks: u32,
    out: Vec<u8>,
}

impl GramBuilder {
    /// Adds a line to the current block.
    pub(super) fn add(&mut self, line: &[u8]) {
        if self.bits.is_empty() {
            self.bits = vec![0; (1 << LOG2_BITS_MAX) / 64];
        }
        self.lower.clear();
        self.lower.extend_from_slice(line);
        self.lower.make_ascii_lowercase();
        for gram in self.lower.windows(4) {
            let bit = bit_of([gram[0], gram[1], gram[2], gram[3]]);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// The next line begins a block.
    pub(super) fn end_block(&mut self) {
        if self.bits.is_empty() {
            self.bits = vec![0; (1 << LOG2_BITS_MAX) / 64];
        }
        let mut log2 = LOG2_BITS_MAX;
        let mut bits = self.bits.clone();
        let mut ones: usize = bits.iter().map(|w| w.count_ones() as usize).sum();
        while log2 > LOG2_BITS_MIN && ones * SPARSE <= 1 << (log2 - 1) {
            let half = bits.len() / 2;
            let (low, high) = bits.split_at_mut(half);
            low.iter_mut().zip(&*high).for_each(|(l, h)| *l |= h);
            bits.truncate(half);
            ones = bits.iter().map(|w| w.count_ones() as usize).sum();
            log2 -= 1;
        }
        self.out.push(log2 as u8);
        bits.iter().for_each(|word| self.out.extend_from_slice(&word.to_le_bytes()));
        self.bits.fill(0);
        self.blocks += 1;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.bits.iter().any(|word| *word != 0) {
            self.end_block();
        }
        let mut section = self.blocks.to_le_bytes().to_vec();
        section.append(&mut self.out);
        section
    }
}

/// The grams of the blocks of a file.
#[derive(Debug)]
pub struct GramFilters {
    blocks: Vec<Bytes>,
}

impl GramFilters {
    pub(super) fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(&bytes);
        let short = "grams end early";
        let count = cursor.u32().ok_or(short)? as usize;
        let mut blocks = Vec::new();
        for _ in 0..count {
            let log2 = u32::from(cursor.take(1).ok_or(short)?[0]);
            if !(LOG2_BITS_MIN..=LOG2_BITS_MAX).contains(&log2) {
                return Err("a bitmap has a size that is never written");
            }
            let start = cursor.at;
            cursor.take(1 << (log2 - 3)).ok_or(short)?;
            blocks.push(bytes.slice(start..cursor.at));
        }
        Ok(Self { blocks })
    }

    /// Whether a line of `block` may contain `needle`, whatever the case of its ASCII letters. Needles of fewer than four bytes may
    /// be anywhere.
    pub fn may_contain(&self, block: usize, needle: &[u8]) -> bool {
        let Some(bits) = self.blocks.get(block) else { return true };
        let mask = bits.len() * 8 - 1;
        needle.to_ascii_lowercase().windows(4).all(|gram| {
            let bit = bit_of([gram[0], gram[1], gram[2], gram[3]]) & mask;
            bits[bit / 8] & (1 << (bit % 8)) != 0
        })
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn substrings_are_never_ruled_out(lines in prop::collection::vec("[a-zA-Z0-9 ü=]{0,60}", 1..20), at in 0_usize..60, len in 0_usize..20) {
            let mut builder = GramBuilder::default();
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
}
