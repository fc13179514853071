//! Rows in pieces of about one size, so that readers have equal shares.
//!
//! ```text
//! rows of a row group   ···#######·····############···     wanted: #
//! pieces                   0000000·····111111222222         two thirds of one are in one run
//! ```
//! A cut may part two lines that are equal, so that readers of pieces look at the lines of their ends together: see [`super::seen::Once::start_unit`].

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::super::error::Result;
use super::{FileUnit, Lines, Unit};

/// Rows that are worth a turn of their own when units are cut: three pages of texts, of which those at the ends are unpacked for both neighbours.
const PIECE_ROWS_MIN: u64 = 4 << 10;
/// Pieces for each partition: with few, one is idle at the end while another is at its last.
const PIECES_PER_PARTITION: u64 = 4;

impl Lines {
    /// Cuts what is left to read into pieces for `partitions` readers, where it is less than a few units for each: lines of one service are often most
    /// of one row group. Tells how many readers are worth their task then.
    ///
    /// # Errors
    /// The lake's.
    pub(in super::super) async fn cut(&self, partitions: usize) -> Result<usize> {
        let units: Vec<Unit> = self.units.lock().drain(..).collect();
        let most = PIECES_PER_PARTITION * partitions as u64;
        let waiting = units.len() as u64;
        if partitions < 2 || waiting >= most || !self.takes_every_line() || self.wanted.may_end {
            self.units.lock().extend(units);
            return Ok(self.partitions(partitions));
        }
        let (mut cut, mut files) = (Vec::new(), Vec::new());
        for unit in units {
            match unit {
                Unit::File(file) => files.push((self.candidates(&file).await?, file)),
                fresh => cut.push(fresh),
            }
        }
        let rows: u64 = files.iter().map(|(rows, _)| rows.len()).sum();
        let piece_rows = (rows / most).max(PIECE_ROWS_MIN);
        for (rows, file) in files {
            let pieces = pieces(&rows, piece_rows).into_iter();
            cut.extend(pieces.map(|piece| Unit::File(FileUnit { piece: Some(Arc::new(piece)), ..file.clone() })));
        }
        let waiting = cut.len();
        self.units.lock().extend(cut);
        Ok(waiting.clamp(1, partitions))
    }
}

/// `rows` in pieces of at least half of `piece_rows` rows and at most one and a half, ascending: disjoint, none is empty, and nothing is left out. One that
/// is smaller stays as it is.
fn pieces(rows: &RoaringBitmap, piece_rows: u64) -> Vec<RoaringBitmap> {
    let count = (rows.len() + piece_rows / 2) / piece_rows.max(1);
    if count < 2 {
        return if rows.is_empty() { Vec::new() } else { vec![rows.clone()] };
    }
    // Where each piece begins.
    let start = |piece: u64| rows.select(u32::try_from(rows.len() * piece / count).unwrap_or(u32::MAX));
    let starts: Vec<u32> = (0..count).filter_map(start).collect();
    let ends = starts.iter().skip(1).map(|start| u64::from(*start)).chain([1 << 32]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let mut piece = RoaringBitmap::new();
            match rows.range_cardinality(*start..=(end - 1) as u32) {
                all if all == end - u64::from(*start) => {
                    piece.insert_range(*start..=(end - 1) as u32);
                }
                _ => piece = rows.range(*start..=(end - 1) as u32).collect(),
            }
            piece.optimize();
            piece
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_whole(ranges in prop::collection::vec((0_u32..100_000, 1_u32..5_000), 0..20), piece_rows in 1_u64..9_000) {
            let mut rows = RoaringBitmap::new();
            for (start, length) in ranges {
                rows.insert_range(start..start + length);
            }
            let pieces = pieces(&rows, piece_rows);
            let again: Vec<u32> = pieces.iter().flat_map(RoaringBitmap::iter).collect();
            prop_assert!(again.into_iter().eq(rows.iter()));
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            if pieces.len() > 1 {
                prop_assert!(pieces.iter().all(|piece| 2 * piece.len() + 2 >= piece_rows && 2 * piece.len() <= 3 * piece_rows + 2));
            }
        }
    }
}
