//! What is kept of the spans of one series in one bucket.

use hashbrown::HashMap;

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

/// Cells by series and bucket, all of one kind.
#[derive(Debug, Clone)]
pub(super) enum Cells {
    Count(HashMap<(u32, u32), u64>),
    Min(HashMap<(u32, u32), f64>),
    Max(HashMap<(u32, u32), f64>),
    Sum(HashMap<(u32, u32), Sum>),
    Avg(HashMap<(u32, u32), Sum>),
    Sketch(HashMap<(u32, u32), Sketch>),
}

impl Cells {
    pub(super) fn of(function: AggregateFunction) -> Self {
        match function {
            AggregateFunction::Count => Self::Count(HashMap::new()),
            AggregateFunction::Min => Self::Min(HashMap::new()),
            AggregateFunction::Max => Self::Max(HashMap::new()),
            AggregateFunction::Sum => Self::Sum(HashMap::new()),
            AggregateFunction::Avg => Self::Avg(HashMap::new()),
        }
    }

    pub(super) fn sketches() -> Self {
        Self::Sketch(HashMap::new())
    }

    /// Adds a number to a cell; a count does not look at it. Returns the bytes that it grew by beside the table itself.
    pub(super) fn add(&mut self, at: (u32, u32), value: f64) -> usize {
        match self {
            Self::Count(cells) => *cells.entry(at).or_default() += 1,
            Self::Min(cells) => {
                let cell = cells.entry(at).or_insert(value);
                *cell = cell.min(value);
            }
            Self::Max(cells) => {
                let cell = cells.entry(at).or_insert(value);
                *cell = cell.max(value);
            }
            Self::Sum(cells) | Self::Avg(cells) => cells.entry(at).or_default().add(value),
            Self::Sketch(cells) => {
                let cell = cells.entry(at).or_default();
                let before = cell.heap_bytes();
                cell.add(value);
                return cell.heap_bytes() - before;
            }
        }
        0
    }

    /// Adds the cells of `other`, whose series `s` is this one's `series[s]`. Returns the bytes as [`Cells::add`] does.
    pub(super) fn merge(&mut self, other: Self, series: &[u32]) -> usize {
        let mut grown = 0;
        let here = |(s, bucket): (u32, u32)| (series[s as usize], bucket);
        match (self, other) {
            (Self::Count(cells), Self::Count(other)) => {
                other.into_iter().for_each(|(at, count)| *cells.entry(here(at)).or_default() += count);
            }
            (Self::Min(cells), Self::Min(other)) => {
                other.into_iter().for_each(|(at, value)| {
                    let cell = cells.entry(here(at)).or_insert(value);
                    *cell = cell.min(value);
                });
            }
            (Self::Max(cells), Self::Max(other)) => {
                other.into_iter().for_each(|(at, value)| {
                    let cell = cells.entry(here(at)).or_insert(value);
                    *cell = cell.max(value);
                });
            }
            (Self::Sum(cells), Self::Sum(other)) | (Self::Avg(cells), Self::Avg(other)) => {
                other.into_iter().for_each(|(at, sum)| cells.entry(here(at)).or_default().merge(&sum));
            }
            (Self::Sketch(cells), Self::Sketch(other)) => {
                other.into_iter().for_each(|(at, sketch)| {
                    let cell = cells.entry(here(at)).or_default();
                    let before = cell.heap_bytes();
                    cell.merge(&sketch);
                    grown += cell.heap_bytes() - before;
                });
            }
            _ => debug_assert!(false, "states of one leaf have cells of one kind"),
        }
        grown
    }

    /// The value of every cell; of sketches the quantile `q`.
    pub(super) fn each(&self, q: f64, take: &mut dyn FnMut(u32, u32, f64)) {
        match self {
            Self::Count(cells) => cells.iter().for_each(|((s, b), count)| take(*s, *b, *count as f64)),
            Self::Min(cells) | Self::Max(cells) => cells.iter().for_each(|((s, b), value)| take(*s, *b, *value)),
            Self::Sum(cells) => cells.iter().for_each(|((s, b), sum)| take(*s, *b, sum.total())),
            Self::Avg(cells) => cells.iter().for_each(|((s, b), sum)| take(*s, *b, sum.total() / sum.count)),
            Self::Sketch(cells) => {
                cells.iter().for_each(|((s, b), sketch)| take(*s, *b, sketch.quantile(q).unwrap_or(f64::NAN)));
            }
        }
    }

    /// Bytes of the table.
    pub(super) fn table_bytes(&self) -> usize {
        const CELL: usize = size_of::<(u32, u32)>() + 1;
        match self {
            Self::Count(cells) => cells.capacity() * (CELL + size_of::<u64>()),
            Self::Min(cells) | Self::Max(cells) => cells.capacity() * (CELL + size_of::<f64>()),
            Self::Sum(cells) | Self::Avg(cells) => cells.capacity() * (CELL + size_of::<Sum>()),
            Self::Sketch(cells) => cells.capacity() * (CELL + size_of::<Sketch>()),
        }
    }
}
