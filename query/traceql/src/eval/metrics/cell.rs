//! What is kept of the spans of one series in one bucket.

use super::map::CellMap;
use super::sketch::Sketch;
use crate::ast::AggregateFunction;

/// A sum that carries what its additions round away (Neumaier).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
    count: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.plus(value);
        self.count += 1.0;
    }

    fn plus(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn merge(&mut self, other: &Self) {
        self.plus(other.sum);
        self.lost += other.lost;
        self.count += other.count;
    }

    fn total(&self) -> f64 {
        // What was lost on the way to infinity is not a number.
        if self.sum.is_finite() && self.lost.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

/// Numbers whose places are looked at together: more are not waited for at once.
const TOGETHER: usize = 64;

/// Cells by series and bucket, all of one kind.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    Count(CellMap<u64>),
    Min(CellMap<f64>),
    Max(CellMap<f64>),
    Sum(CellMap<Sum>),
    Avg(CellMap<Sum>),
    Sketch(CellMap<Sketch>),
}

impl Cells {
    /// None yet; series have `width` buckets.
    pub(super) fn of(function: AggregateFunction, width: usize) -> Self {
        match function {
            AggregateFunction::Count => Self::Count(CellMap::new(width)),
            AggregateFunction::Min => Self::Min(CellMap::new(width)),
            AggregateFunction::Max => Self::Max(CellMap::new(width)),
            AggregateFunction::Sum => Self::Sum(CellMap::new(width)),
            AggregateFunction::Avg => Self::Avg(CellMap::new(width)),
        }
    }

    pub(super) fn sketches(width: usize) -> Self {
        Self::Sketch(CellMap::new(width))
    }

    /// Adds a number to a cell; a count does not look at it. Returns the bytes that it grew by beside the table itself, or less than 0 when it shrank.
    pub(super) fn add(&mut self, at: (u32, u32), value: f64) -> isize {
        match self {
            Self::Count(cells) => *cells.get_or(at, || 0) += 1,
            Self::Min(cells) => {
                let cell = cells.get_or(at, || value);
                *cell = cell.min(value);
            }
            Self::Max(cells) => {
                let cell = cells.get_or(at, || value);
                *cell = cell.max(value);
            }
            Self::Sum(cells) | Self::Avg(cells) => cells.get_or(at, Sum::default).add(value),
            Self::Sketch(cells) => {
                let cell = cells.get_or(at, Sketch::default);
                let before = cell.heap_bytes();
                cell.add(value);
                return cell.heap_bytes() as isize - before as isize;
            }
        }
        0
    }

    /// Adds numbers that are known together. The places of sketches lie all over memory: they are looked at some time before they are counted up, so that
    /// one is not waited for after the other. Returns the bytes as [`Cells::add`] does.
    pub(super) fn add_all(&mut self, numbers: &[((u32, u32), f64)]) -> isize {
        let mut grown = 0;
        for some in numbers.chunks(TOGETHER) {
            if let Self::Sketch(cells) = self {
                let counts = some.iter().filter_map(|(at, value)| Some(cells.get(*at)?.count_near(*value)));
                std::hint::black_box(counts.fold(0, u32::wrapping_add));
            }
            grown += some.iter().map(|(at, value)| self.add(*at, *value)).sum::<isize>();
        }
        grown
    }

    /// Adds the cells of `other`, whose series `s` is this one's `series[s]`. Returns the bytes as [`Cells::add`] does.
    pub(super) fn merge(&mut self, other: &Self, series: &[u32]) -> isize {
        let mut grown = 0;
        let here = |(s, bucket): (u32, u32)| (series[s as usize], bucket);
        match (self, other) {
            (Self::Count(cells), Self::Count(other)) => {
                other.iter().for_each(|(at, count)| *cells.get_or(here(at), || 0) += count);
            }
            (Self::Min(cells), Self::Min(other)) => {
                other.iter().for_each(|(at, value)| {
                    let cell = cells.get_or(here(at), || *value);
                    *cell = cell.min(*value);
                });
            }
            (Self::Max(cells), Self::Max(other)) => {
                other.iter().for_each(|(at, value)| {
                    let cell = cells.get_or(here(at), || *value);
                    *cell = cell.max(*value);
                });
            }
            (Self::Sum(cells), Self::Sum(other)) | (Self::Avg(cells), Self::Avg(other)) => {
                other.iter().for_each(|(at, sum)| cells.get_or(here(at), Sum::default).merge(sum));
            }
            (Self::Sketch(cells), Self::Sketch(other)) => {
                other.iter().for_each(|(at, sketch)| {
                    let cell = cells.get_or(here(at), Sketch::default);
                    let before = cell.heap_bytes();
                    cell.merge(sketch);
                    grown += cell.heap_bytes() as isize - before as isize;
                });
            }
            _ => debug_assert!(false, "states of one leaf have cells of one kind"),
        }
        grown
    }

    /// The value of every cell; of sketches the quantile `q`.
    pub(super) fn each(&self, q: f64, take: &mut dyn FnMut(u32, u32, f64)) {
        match self {
            Self::Count(cells) => cells.iter().for_each(|((s, b), count)| take(s, b, *count as f64)),
            Self::Min(cells) | Self::Max(cells) => cells.iter().for_each(|((s, b), value)| take(s, b, *value)),
            Self::Sum(cells) => cells.iter().for_each(|((s, b), sum)| take(s, b, sum.total())),
            Self::Avg(cells) => cells.iter().for_each(|((s, b), sum)| take(s, b, sum.total() / sum.count)),
            Self::Sketch(cells) => {
                cells.iter().for_each(|((s, b), sketch)| take(s, b, sketch.quantile(q).unwrap_or(f64::NAN)));
            }
        }
    }

    /// Bytes of the table.
    pub(super) fn table_bytes(&self) -> usize {
        match self {
            Self::Count(cells) => cells.bytes(),
            Self::Min(cells) | Self::Max(cells) => cells.bytes(),
            Self::Sum(cells) | Self::Avg(cells) => cells.bytes(),
            Self::Sketch(cells) => cells.bytes(),
        }
    }
}
