//! Bloom filters over 64-bit hashes, one per block.
//!
//! ```text
//! blocks u32 | blocks * bytes u32 | bits of block 0 | bits of block 1 | ...
//! ```
//! A block of no bytes has no keys.

use bytes::Bytes;

use super::Cursor;

/// 10 bits and 6 probes a key: one false "may be" in 120.
const BITS_PER_KEY: usize = 10;
const PROBES: u32 = 6;

/// Collects filters block by block.
#[derive(Debug, Default)]
pub(super) struct FilterBuilder {
    lengths: Vec<u32>,
    bits: Vec<u8>,
    keys: usize,
}

impl FilterBuilder {
    /// Adds the filter of the next block over its distinct hashes.
    pub(super) fn add_block(&mut self, hashes: impl ExactSizeIterator<Item = u64>) {
        let bytes = (hashes.len() * BITS_PER_KEY).div_ceil(8);
        self.keys += hashes.len();
        let start = self.bits.len();
        self.bits.resize(start + bytes, 0);
        let bits = &mut self.bits[start..];
        for hash in hashes {
            for position in positions(hash, bytes) {
                bits[position / 8] |= 1 << (position % 8);
            }
        }
        self.lengths.push(bytes as u32);
    }

    /// Whether no block has a key.
    pub(super) fn is_empty(&self) -> bool {
        self.keys == 0
    }

    pub(super) fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.lengths.len() * 4 + self.bits.len());
        out.extend_from_slice(&(self.lengths.len() as u32).to_le_bytes());
        self.lengths.iter().for_each(|length| out.extend_from_slice(&length.to_le_bytes()));
        out.extend_from_slice(&self.bits);
        out
    }
}

/// Filters of the blocks of a file.
#[derive(Debug)]
pub struct BlockFilters {
    blocks: Vec<Bytes>,
}

impl BlockFilters {
    pub(super) fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(&bytes);
        let short = "filters end early";
        let count = cursor.u32().ok_or(short)? as usize;
        if count > bytes.len() / 4 {
            return Err(short);
        }
        let lengths: Option<Vec<u32>> = (0..count).map(|_| cursor.u32()).collect();
        let mut blocks = Vec::with_capacity(count);
        for length in lengths.ok_or(short)? {
            let start = cursor.at;
            cursor.take(length as usize).ok_or(short)?;
            blocks.push(bytes.slice(start..cursor.at));
        }
        Ok(Self { blocks })
    }

    /// Whether `block` may hold a key with that hash. A block that the filters do not know may hold anything.
    pub fn may_contain(&self, block: usize, hash: u64) -> bool {
        let Some(bits) = self.blocks.get(block) else { return true };
        !bits.is_empty() && positions(hash, bits.len()).all(|position| bits[position / 8] & (1 << (position % 8)) != 0)
    }

    /// Whether `block` is known to have no key.
    pub fn is_empty(&self, block: usize) -> bool {
        self.blocks.get(block).is_some_and(Bytes::is_empty)
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }
}

/// The bits of a key in a filter of `bytes` bytes, which must not be 0.
fn positions(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = bytes as u64 * 8;
    let (start, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..PROBES).map(move |i| ((u64::from(start.wrapping_add(i.wrapping_mul(step))) * bits) >> 32) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_few_others() {
        let hash = |i: u64| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes());
        let mut builder = FilterBuilder::default();
        builder.add_block((0..10_000).map(hash).collect::<Vec<_>>().into_iter());
        builder.add_block(Vec::new().into_iter());
        let filters = BlockFilters::parse(builder.finish().into()).expect("valid");
        assert!((0..10_000).all(|i| filters.may_contain(0, hash(i))));
        let wrong = (10_000..110_000).filter(|i| filters.may_contain(0, hash(*i))).count();
        assert!(wrong < 2_000, "{wrong} of 100000");
        assert!(!filters.may_contain(1, hash(1)), "an empty block has nothing");
        assert!(filters.may_contain(2, hash(1)), "an unknown block may have anything");
    }
}
