//! The series of many spans whose labels repeat: each combination of labels is looked up once.

use std::borrow::Cow;

use super::leaf::By;
use crate::spans::Spans;

/// Combinations that are kept.
const COMBINATIONS_MAX: usize = 1 << 16;
/// Rows below which it is not worth its set-up.
const ROWS_MIN: usize = 64;
/// No series yet.
const UNKNOWN: u32 = u32::MAX;

/// The labels of `spans` as numbers, and the series of each combination of them.
pub(super) struct Groups<'a> {
    /// Of every label the numbers by row, and what they count in a combination.
    columns: Vec<(Cow<'a, [u32]>, usize)>,
    series: Vec<u32>,
}

impl<'a> Groups<'a> {
    /// Those of `rows` spans; `None` when storage does not know a label by numbers, or there are too many combinations.
    pub(super) fn of(by: &[By], spans: &'a dyn Spans, rows: usize) -> Option<Self> {
        if rows < ROWS_MIN {
            return None;
        }
        let (mut columns, mut combinations) = (Vec::with_capacity(by.len()), 1_usize);
        for by in by {
            let coded = spans.coded(by.row_slot()?)?;
            columns.push((coded.places, combinations));
            combinations = combinations.checked_mul(coded.len).filter(|all| *all <= COMBINATIONS_MAX.min(rows))?;
        }
        Some(Self { columns, series: vec![UNKNOWN; combinations] })
    }

    /// The series of a row, which `look_up` finds when the combination is new.
    pub(super) fn series<E>(&mut self, row: usize, look_up: impl FnOnce() -> Result<u32, E>) -> Result<u32, E> {
        let place: usize = self.columns.iter().map(|(places, unit)| places[row] as usize * unit).sum();
        if self.series[place] == UNKNOWN {
            self.series[place] = look_up()?;
        }
        Ok(self.series[place])
    }
}
