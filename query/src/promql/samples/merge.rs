//! The rows of one series out of many blocks: ascending by time, each time once.
//!
//! ```text
//! precedence 0 (fresh)                 ├── d e ──┤
//!            1 (newest file)     ├── b' c ──┤             of equal times the row of the lower number stays
//!            2 (older)     ├─ a b ─┤                  ►   a b' c d e
//! ```
//! Pieces that do not overlap, as they mostly do not, are put one behind the other.

use promql::value::HistogramSample;

use super::Deleted;
use super::block::{Block, Columns, Run};

/// Rows of one series in one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) block: &'a Block,
    pub(super) run: Run,
    /// Of equal times the piece with the lowest stays.
    pub(super) precedence: u32,
    /// Stretches of time whose rows are deleted.
    pub(super) hidden: &'a [Deleted],
}

impl Piece<'_> {
    fn append(&self, from_ms: i64, to_ms: i64, columns: &mut Columns) {
        if self.hidden.is_empty() {
            return self.block.append(self.run, from_ms, to_ms, columns);
        }
        for (from_ms, to_ms) in visible(self.hidden, from_ms, to_ms) {
            self.block.append(self.run, from_ms, to_ms, columns);
        }
    }
}

/// What is left of a closed range when the deleted stretches are taken out, ascending.
fn visible(hidden: &[Deleted], from_ms: i64, to_ms: i64) -> Vec<(i64, i64)> {
    let mut stretches: Vec<(i64, i64)> = hidden.iter().map(|deleted| (deleted.from_ms, deleted.to_ms)).collect();
    stretches.sort_unstable();
    let mut left = Vec::new();
    let mut from = Some(from_ms);
    for (first, last) in stretches {
        let Some(start) = from.filter(|start| *start <= to_ms) else { break };
        if first > start {
            left.push((start, to_ms.min(first - 1)));
        }
        from = last.checked_add(1).map(|next| next.max(start));
    }
    if let Some(start) = from.filter(|start| *start <= to_ms) {
        left.push((start, to_ms));
    }
    left
}

/// Puts the rows of `pieces` from `from_ms` to `to_ms`, both included, into `columns`, which are empty.
pub(super) fn floats(pieces: &mut [Piece<'_>], from_ms: i64, to_ms: i64, columns: &mut Columns) {
    pieces.sort_unstable_by_key(|piece| (piece.run.times().0, piece.precedence));
    if pieces.windows(2).all(|pair| pair[0].run.times().1 < pair[1].run.times().0) {
        for piece in pieces.iter() {
            piece.append(from_ms, to_ms, columns);
        }
        return;
    }
    let mut all = Columns::default();
    let mut rows: Vec<(i64, u32, u32)> = Vec::new();
    for piece in pieces.iter() {
        let first = all.floats.len();
        piece.append(from_ms, to_ms, &mut all);
        rows.extend((first..all.floats.len()).map(|row| (all.times_ms[row], piece.precedence, row as u32)));
    }
    rows.sort_unstable();
    rows.dedup_by_key(|(time, ..)| *time);
    columns.times_ms.extend(rows.iter().map(|(time, ..)| *time));
    columns.floats.extend(rows.iter().map(|(.., row)| all.floats[*row as usize]));
    if !all.starts_ms.is_empty() {
        all.starts_ms.resize(all.floats.len(), 0);
        columns.starts_ms.extend(rows.iter().map(|(.., row)| all.starts_ms[*row as usize]));
    }
}

/// The histograms of `pieces`, each with its precedence and the stretches deleted, from `from_ms` to `to_ms`, both included.
pub(super) fn histograms(pieces: &[(u32, &[HistogramSample], &[Deleted])], from_ms: i64, to_ms: i64) -> Vec<HistogramSample> {
    let mut rows: Vec<(i64, u32, &HistogramSample)> = Vec::new();
    for (precedence, samples, hidden) in pieces {
        for (from, to) in visible(hidden, from_ms, to_ms) {
            let inside = samples.iter().filter(|sample| from <= sample.time_ms && sample.time_ms <= to);
            rows.extend(inside.map(|sample| (sample.time_ms, *precedence, sample)));
        }
    }
    rows.sort_by_key(|(time, precedence, _)| (*time, *precedence));
    rows.dedup_by_key(|(time, ..)| *time);
    rows.into_iter().map(|(.., sample)| sample.clone()).collect()
}

/// Takes the floats out that stand at the time of a histogram: a series has one sample at a time.
pub(super) fn without_times_of(histograms: &[HistogramSample], columns: &mut Columns) {
    if histograms.is_empty() || columns.times_ms.is_empty() {
        return;
    }
    let keep: Vec<bool> =
        columns.times_ms.iter().map(|time| histograms.binary_search_by_key(time, |sample| sample.time_ms).is_err()).collect();
    if keep.iter().all(|keep| *keep) {
        return;
    }
    let kept = |at: usize| keep.get(at).copied().unwrap_or(true);
    let mut at = 0..;
    columns.times_ms.retain(|_| kept(at.next().unwrap_or(usize::MAX)));
    let mut at = 0..;
    columns.floats.retain(|_| kept(at.next().unwrap_or(usize::MAX)));
    let mut at = 0..;
    columns.starts_ms.retain(|_| kept(at.next().unwrap_or(usize::MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_stretches_are_cut_out() {
        #[track_caller]
        fn check(hidden: &[(i64, i64)], range: (i64, i64), expected: &[(i64, i64)]) {
            let hidden: Vec<Deleted> =
                hidden.iter().map(|(from_ms, to_ms)| Deleted { since: 1, from_ms: *from_ms, to_ms: *to_ms }).collect();
            assert_eq!(visible(&hidden, range.0, range.1), expected, "{hidden:?}");
        }
        check(&[], (0, 9), &[(0, 9)]);
        check(&[(3, 5)], (0, 9), &[(0, 2), (6, 9)]);
        check(&[(4, 6), (3, 5)], (0, 9), &[(0, 2), (7, 9)]);
        check(&[(1, 8), (2, 3)], (0, 9), &[(0, 0), (9, 9)]);
        check(&[(i64::MIN, 3)], (0, 9), &[(4, 9)]);
        check(&[(3, i64::MAX)], (0, 9), &[(0, 2)]);
        check(&[(i64::MIN, i64::MAX)], (0, 9), &[]);
        check(&[(20, 30)], (0, 9), &[(0, 9)]);
        check(&[(-5, -1)], (0, 9), &[(0, 9)]);
    }
}
