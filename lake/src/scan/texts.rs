//! The texts of a page, as they lie there: one after the other, with no copy of any.
//!
//! ```text
//! page of DELTA_LENGTH_BYTE_ARRAY   lengths (DELTA_BINARY_PACKED) │ text 0 text 1 text 2 ...
//!                                             └──► offsets          └──► one buffer to search
//! lengths   block values, miniblocks, values (varints), first (zigzag) | blocks * { least difference | bits * miniblocks | packed }
//! ```
//! Source of the format: Parquet's `Encodings.md`, "Delta encoding" and "Delta-length byte array".
//!
//! # Invariants
//! - Never panics on any bytes; offsets ascend and end within the buffer.

/// Values of a block are at most so many, which is more than any writer makes.
const BLOCK_VALUES_MAX: u64 = 1 << 16;

/// Finds the texts in the data of a page that has `texts` of them: text i is `buffer[offsets[i]..offsets[i + 1]]` of the result.
///
/// # Errors
/// What is wrong with the bytes.
pub fn of_page<'a>(page: &'a [u8], texts: usize, offsets: &mut Vec<i32>) -> Result<&'a [u8], &'static str> {
    offsets.clear();
    offsets.reserve(texts + 1);
    offsets.push(0);
    let mut end = 0_i32;
    let start = each_value(page, texts, |length| {
        end = end.checked_add(length).filter(|end| length >= 0 && *end >= 0).ok_or("a text has an impossible length")?;
        offsets.push(end);
        Ok(())
    })?;
    let buffer = page.get(start..).ok_or(SHORT)?;
    if buffer.len() < end.unsigned_abs() as usize {
        return Err(SHORT);
    }
    Ok(buffer)
}

const SHORT: &str = "a page of texts ends early";

/// Calls `each` with the values of DELTA_BINARY_PACKED `bytes`, which must be `count`, and tells where they end.
fn each_value(bytes: &[u8], count: usize, mut each: impl FnMut(i32) -> Result<(), &'static str>) -> Result<usize, &'static str> {
    let mut cursor = Cursor { bytes, at: 0 };
    let block_values = cursor.varint()?;
    let miniblocks = cursor.varint()?;
    let values = cursor.varint()?;
    let mut value = cursor.zigzag()? as i32;
    if block_values == 0 || block_values > BLOCK_VALUES_MAX || miniblocks == 0 || !block_values.is_multiple_of(miniblocks) {
        return Err("lengths have blocks that no writer makes");
    }
    if values != count as u64 {
        return Err("there are not as many lengths as texts");
    }
    if count == 0 {
        return Ok(cursor.at);
    }
    each(value)?;
    let miniblock_values = (block_values / miniblocks) as usize;
    let mut left = count - 1;
    while left > 0 {
        let least = cursor.zigzag()? as i32;
        let widths = cursor.take(miniblocks as usize)?;
        for width in widths {
            if left == 0 {
                break;
            }
            let width = usize::from(*width);
            if width > 32 {
                return Err("a length has more than 32 bits");
            }
            // The last miniblock is as long as the others.
            let packed = cursor.take((miniblock_values * width).div_ceil(8))?;
            for at in 0..miniblock_values.min(left) {
                value = value.wrapping_add(least).wrapping_add(unpacked(packed, at, width) as i32);
                each(value)?;
            }
            left = left.saturating_sub(miniblock_values);
        }
    }
    Ok(cursor.at)
}

/// Number `at` of those packed into `width` bits each, lowest bits first.
#[inline]
fn unpacked(packed: &[u8], at: usize, width: usize) -> u32 {
    let (bit, mask) = (at * width, (1_u64 << width) - 1);
    let from = &packed[(bit / 8).min(packed.len())..];
    let word = match from.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => from.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    };
    ((word >> (bit % 8)) & mask) as u32
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let taken = self.at.checked_add(n).and_then(|end| self.bytes.get(self.at..end)).ok_or(SHORT)?;
        self.at += n;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number has more than 64 bits")
    }

    fn zigzag(&mut self) -> Result<i64, &'static str> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a writer makes of these lengths, with `miniblocks` miniblocks of 32 values in a block.
    fn packed(lengths: &[i32], miniblocks: usize) -> Vec<u8> {
        let varint = |out: &mut Vec<u8>, mut value: u64| {
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
        };
        let zigzag = |value: i64| ((value << 1) ^ (value >> 63)) as u64;
        let mut out = Vec::new();
        varint(&mut out, 32 * miniblocks as u64);
        varint(&mut out, miniblocks as u64);
        varint(&mut out, lengths.len() as u64);
        varint(&mut out, zigzag(lengths.first().copied().unwrap_or(0).into()));
        let differences: Vec<i32> = lengths.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for block in differences.chunks(32 * miniblocks) {
            let least = *block.iter().min().expect("chunks have values");
            varint(&mut out, zigzag(least.into()));
            let above: Vec<u32> = block.iter().map(|value| value.wrapping_sub(least) as u32).collect();
            let width = |chunk: &[u32]| 32 - chunk.iter().fold(0, |all, value| all | value).leading_zeros() as usize;
            let chunks: Vec<&[u32]> = above.chunks(32).collect();
            out.extend((0..miniblocks).map(|at| chunks.get(at).map_or(0, |chunk| width(chunk) as u8)));
            for chunk in chunks {
                let width = width(chunk);
                let mut bits = vec![0_u8; 4 * width];
                for (at, value) in chunk.iter().enumerate() {
                    (0..width).filter(|bit| value >> bit & 1 == 1).for_each(|bit| {
                        let bit = at * width + bit;
                        bits[bit / 8] |= 1 << (bit % 8);
                    });
                }
                out.extend(bits);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn texts_are_found(texts in prop::collection::vec("[a-z]{0,300}", 0..400), miniblocks in 1_usize..9) {
            let lengths: Vec<i32> = texts.iter().map(|text| text.len() as i32).collect();
            let page = [packed(&lengths, miniblocks), texts.concat().into_bytes()].concat();
            let mut offsets = Vec::new();
            let buffer = of_page(&page, texts.len(), &mut offsets).expect("valid");
            let found = offsets.windows(2).map(|pair| &buffer[pair[0] as usize..pair[1] as usize]);
            prop_assert!(found.eq(texts.iter().map(String::as_bytes)));
        }

        #[test]
        fn no_bytes_panic(mut page in prop::collection::vec(any::<u8>(), 0..300), texts in 0_usize..300, well_begun in any::<bool>()) {
            if well_begun {
                page.splice(0..0, [0x80, 0x01, 0x04, texts as u8 & 0x7f, 0x02]);
            }
            let mut offsets = Vec::new();
            if let Ok(buffer) = of_page(&page, texts, &mut offsets) {
                prop_assert!(offsets.len() == texts + 1 && offsets.is_sorted() && offsets[texts] as usize <= buffer.len());
            }
        }
    }
}
