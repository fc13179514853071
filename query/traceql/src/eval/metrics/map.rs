//! Cells by series and bucket.
//!
//! ```text
//! series 0: [b0 b1 b2 ...]  series 1: [b0 b1 b2 ...]  ... up to DENSE_MAX places         further series: (series, bucket) ► cell
//! ```
//! Most queries have few series, whose cells are found by arithmetic. Of many series most buckets may be empty: these are hashed.

use hashbrown::HashMap;

/// Places that are laid out side by side.
const DENSE_MAX: usize = 1 << 16;

/// See the module. A cell is there once it was asked for.
#[derive(Debug, Clone)]
pub(super) struct CellMap<T> {
    /// Buckets of a series.
    width: usize,
    dense: Vec<Option<T>>,
    sparse: HashMap<(u32, u32), T>,
}

impl<T> CellMap<T> {
    /// No cell, of series with `width` buckets.
    pub(super) fn new(width: usize) -> Self {
        Self { width, dense: Vec::new(), sparse: HashMap::new() }
    }

    /// The cell of a series and a bucket, which is less than the width; `first` makes it when there is none.
    pub(super) fn get_or(&mut self, (series, bucket): (u32, u32), first: impl FnOnce() -> T) -> &mut T {
        let end = (series as usize + 1).saturating_mul(self.width);
        if end > DENSE_MAX {
            return self.sparse.entry((series, bucket)).or_insert_with(first);
        }
        if self.dense.len() < end {
            self.dense.resize_with(end, || None);
        }
        self.dense[end - self.width + bucket as usize].get_or_insert_with(first)
    }

    /// The cell of a series and a bucket, if there is one.
    pub(super) fn get(&self, (series, bucket): (u32, u32)) -> Option<&T> {
        let end = (series as usize + 1).saturating_mul(self.width);
        if end > DENSE_MAX {
            return self.sparse.get(&(series, bucket));
        }
        self.dense.get(end - self.width + bucket as usize)?.as_ref()
    }

    /// Every cell.
    pub(super) fn iter(&self) -> impl Iterator<Item = ((u32, u32), &T)> {
        let (width, at) = (self.width.max(1), |number: usize| u32::try_from(number).unwrap_or(u32::MAX));
        let dense = self
            .dense
            .iter()
            .enumerate()
            .filter_map(move |(place, cell)| Some(((at(place / width), at(place % width)), cell.as_ref()?)));
        dense.chain(self.sparse.iter().map(|(at, cell)| (*at, cell)))
    }

    /// Bytes beside what cells hold themselves.
    pub(super) fn bytes(&self) -> usize {
        self.dense.capacity() * size_of::<Option<T>>() + self.sparse.capacity() * (size_of::<((u32, u32), T)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{CellMap, DENSE_MAX};

    #[test]
    fn cells_are_found_again_wherever_they_are() {
        for width in [1, 7, DENSE_MAX / 2, DENSE_MAX + 1] {
            let mut cells = CellMap::new(width);
            let mut places = vec![(0, 0), (0, width as u32 - 1), (1, 0), (3, 0), (90_000, 0)];
            places.dedup();
            for round in 1..=2 {
                for place in places.iter().copied() {
                    assert_eq!(cells.get(place).copied(), (round > 1).then_some(1), "{place:?} of {width}");
                    *cells.get_or(place, || 0_u64) += 1;
                    assert_eq!(*cells.get_or(place, || 9), round, "{place:?} of {width}");
                }
            }
            let mut found: Vec<_> = cells.iter().map(|(at, count)| (at, *count)).collect();
            found.sort_unstable();
            places.sort_unstable();
            assert_eq!(found, places.into_iter().map(|place| (place, 2)).collect::<Vec<_>>());
        }
    }
}
