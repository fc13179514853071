//! Grams as files of before have them: block after block, so that whoever asks for one gram unpacks all of them.
//!
//! ```text
//! rows of a block u32 | blocks u32 | blocks * { hexadecimal: 1 and 2^16 bits, or 0 | log2 of bits u8 | bits }
//!                       blocks u32 | blocks * { log2 of bits u8 | bits }         over BLOCK_ROWS rows, all grams hashed: older still
//! ```

use std::ops::Range;

use bytes::Bytes;

use super::super::{BLOCK_ROWS, Cursor};
use super::{BlockSet, DIGITS_BYTES, LOG2_BITS_MAX, LOG2_BITS_MIN, SHORT, bit_of, each_gram, gram_of};

#[derive(Debug)]
pub(super) struct Blocks {
    block_rows: usize,
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    /// A bit for each gram of digits; `None`: they are among the others.
    digits: Option<Bytes>,
    others: Bytes,
}

impl Blocks {
    pub(super) fn parse(bytes: &Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(bytes);
        let block_rows = super::block_rows(&mut cursor)?;
        let count = cursor.u32().ok_or(SHORT)?;
        let mut blocks = Vec::new();
        for _ in 0..count {
            let digits = match cursor.take(1).ok_or(SHORT)?[0] {
                0 => None,
                1 => Some(take(bytes, &mut cursor, DIGITS_BYTES)?),
                _ => return Err("grams of digits are marked as nothing that is known"),
            };
            blocks.push(Block { digits, others: bitmap(bytes, &mut cursor)? });
        }
        Ok(Self { block_rows, blocks })
    }

    pub(super) fn parse_coarse(bytes: &Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.u32().ok_or(SHORT)?;
        let blocks = (0..count).map(|_| Ok(Block { digits: None, others: bitmap(bytes, &mut cursor)? }));
        Ok(Self { block_rows: BLOCK_ROWS, blocks: blocks.collect::<Result<_, &'static str>>()? })
    }

    pub(super) fn block_rows(&self) -> usize {
        self.block_rows
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks that may have all grams of `needle`; only those `within` are looked at.
    pub(super) fn with(&self, needle: &[u8], within: Range<usize>) -> BlockSet {
        let mut set = BlockSet::all(self.blocks.len());
        let asked = self.blocks.iter().enumerate().take(within.end).skip(within.start);
        asked.filter(|(_, block)| !block.may_contain(needle)).for_each(|(at, _)| set.remove(at));
        set
    }
}

impl Block {
    fn may_contain(&self, needle: &[u8]) -> bool {
        let Self { digits, others } = self;
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
}

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
