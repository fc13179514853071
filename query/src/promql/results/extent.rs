//! One kept answer, and how answers are put together.

use std::sync::Arc;

use promql::annotation::Annotations;
use promql::value::{Grid, StepSeries};

use super::steps::Run;
use crate::version::DataVersion;

/// The series of an answer, ascending by labels.
pub(crate) type Series = Vec<Arc<StepSeries>>;

/// What a whole query would hold at most, as far as its parts tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Samples at once.
    pub(crate) samples: u64,
    /// Series of a vector.
    pub(crate) series: u64,
    /// Of so many steps.
    pub(crate) steps: u64,
}

impl Cost {
    /// Of a query of `steps` that has these parts, or more than these. Each part may have series of its own, which the whole query holds
    /// at all of its steps.
    pub(crate) fn whole(steps: usize, parts: impl IntoIterator<Item = Self>) -> Self {
        let none = Self { samples: 0, series: 0, steps: steps as u64 };
        parts.into_iter().fold(none, |all, part| {
            let samples = match part.steps.max(1) {
                known if known >= all.steps => part.samples,
                known => part.samples.saturating_mul(all.steps).div_ceil(known),
            };
            Self { samples: all.samples.saturating_add(samples), series: all.series.saturating_add(part.series), ..all }
        })
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Extent {
    /// Its steps; the end is the last one.
    pub(crate) grid: Grid,
    pub(crate) series: Series,
    /// It shows at least this version.
    pub(crate) version: DataVersion,
    /// How the series were shared out that its values were made of.
    pub(crate) shares: u64,
    pub(crate) cost: Cost,
    /// What was said; it speaks of places in `text`.
    pub(crate) annotations: Annotations,
    pub(crate) text: Option<String>,
}

impl Extent {
    /// Memory, about.
    pub(crate) fn bytes(&self) -> usize {
        const PAIR: usize = 32;
        let place = size_of::<f64>() + size_of::<bool>();
        let one = |series: &Arc<StepSeries>| size_of::<StepSeries>() + series.steps() * place + series.labels.len() * PAIR + 64;
        size_of::<Self>() + self.series.iter().map(one).sum::<usize>() + self.annotations.iter().len() * 256
    }
}

/// Some steps of some series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// The steps of the series.
    pub(crate) grid: Grid,
    pub(crate) series: &'a [Arc<StepSeries>],
    /// Those of them that are meant.
    pub(crate) run: Run,
}

/// The series on the steps of `grid`, out of pieces that have its step and phase and share no step. A series that has nothing at any step
/// is left out.
pub(crate) fn join(grid: Grid, pieces: &[Piece<'_>]) -> Series {
    let mut all: Vec<(&Arc<StepSeries>, Span)> = Vec::new();
    for piece in pieces {
        let Some(span) = Span::of(piece, grid) else { continue };
        all.extend(piece.series.iter().map(|series| (series, span)));
    }
    // Each piece is in order already, which this sort is good at.
    all.sort_by(|a, b| a.0.labels.cmp(&b.0.labels));
    let mut out = Vec::with_capacity(all.len());
    for same in all.chunk_by(|a, b| a.0.labels == b.0.labels) {
        let mut joined = StepSeries::empty(same[0].0.labels.clone(), grid.len());
        same.iter().for_each(|(series, span)| span.copy(series, &mut joined));
        if !joined.is_empty() {
            out.push(Arc::new(joined));
        }
    }
    out
}

/// Where steps come from, and where they go.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
    len: usize,
}

impl Span {
    fn of(piece: &Piece<'_>, grid: Grid) -> Option<Self> {
        let run = piece.run.within(piece.grid)?.within(grid)?;
        let index = |grid: Grid| usize::try_from((run.first_ms - grid.start_ms) / grid.step_ms).ok();
        let len = usize::try_from((run.last_ms - run.first_ms) / grid.step_ms).ok()? + 1;
        Some(Self { from: index(piece.grid)?, to: index(grid)?, len })
    }

    fn copy(self, series: &StepSeries, into: &mut StepSeries) {
        let (from, to) = (self.from..self.from + self.len, self.to..self.to + self.len);
        into.floats[to.clone()].copy_from_slice(&series.floats[from.clone()]);
        into.present[to].copy_from_slice(&series.present[from]);
        for at in 0..self.len {
            if let Some(histogram) = series.histogram(self.from + at) {
                into.set_histogram(self.to + at, Arc::clone(histogram));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use promql::labels::Labels;

    use super::*;

    fn series(name: &str, values: &[Option<f64>]) -> Arc<StepSeries> {
        let mut series = StepSeries::empty(Labels::new([("n", name)]), values.len());
        values.iter().enumerate().filter_map(|(at, v)| v.map(|v| (at, v))).for_each(|(at, v)| series.set_float(at, v));
        Arc::new(series)
    }

    fn grid(start_ms: i64, end_ms: i64) -> Grid {
        Grid { start_ms, end_ms, step_ms: 10 }
    }

    #[test]
    fn pieces_become_one() {
        let old = [series("a", &[Some(1.0), Some(2.0), Some(3.0)]), series("b", &[Some(9.0), None, None])];
        let tail = [series("a", &[Some(4.0)]), series("c", &[Some(5.0)])];
        let pieces = [
            Piece { grid: grid(100, 120), series: &old, run: Run { first_ms: 100, last_ms: 110 } },
            Piece { grid: grid(120, 120), series: &tail, run: Run { first_ms: 120, last_ms: 120 } },
        ];
        // `b` has nothing at the steps that are asked for, the old step at 120 is not meant.
        let joined = join(grid(110, 125), &pieces);
        assert_eq!(joined, [series("a", &[Some(2.0), Some(4.0)]), series("c", &[None, Some(5.0)])]);
        assert_eq!(join(grid(200, 210), &pieces), Vec::<Arc<StepSeries>>::new());
    }

    #[test]
    fn parts_cost_no_less_than_the_whole() {
        let of = |samples, series, steps| Cost { samples, series, steps };
        assert_eq!(Cost::whole(100, [of(1_000, 10, 100)]), of(1_000, 10, 100));
        assert_eq!(Cost::whole(50, [of(1_000, 10, 100)]), of(1_000, 10, 50));
        assert_eq!(Cost::whole(100, [of(1_000, 10, 99), of(11, 10, 1)]), of(1_011 + 1_100, 20, 100));
        assert_eq!(Cost::whole(7, []), of(0, 0, 7));
    }
}
