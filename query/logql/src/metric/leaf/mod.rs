//! Leaves: from samples to a value per step, for one range aggregation.
//!
//! ```text
//! (group, time, value) ─► pane of the group ─┐
//! (group, time, value) ─► pane of the group ─┤ merge (of parallel parts) ─► windows over panes ─► one series per group
//! ```
//! # Invariants
//! - A sample costs the same however many windows see it; a group costs memory for the panes it has samples in, at most two per step,
//!   except that `quantile_over_time` and `rate_counter` keep samples.
//! - Samples may come in any order, and in any parts that are merged in any order. Counts and sums of bytes are exact; other sums differ by
//!   what rounding does to another order.

mod accumulate;
mod counter;
mod panes;
mod quantile;
#[cfg(test)]
mod tests;

use hashbrown::HashMap;

use super::grid::{StepGrid, Windows};
use super::labels::Labels;
use super::plan::Leaf;
use super::steps::{StepSeries, Steps};
use crate::ast::{MatchOp, RangeOp};
use crate::labels::ERROR_LABEL;
use accumulate::{All, Count, First, Greatest, Last, Least, Moments, Sum};
use panes::Panes;

/// A set of labels that samples are collected under, as [`LeafState::group`] numbers them: from 0, in the order of their coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u32);

/// The samples of a leaf so far.
#[derive(Debug, Clone)]
pub struct LeafState {
    leaf: Leaf,
    windows: Windows,
    ids: HashMap<Labels, GroupId>,
    groups: Vec<Labels>,
    table: Table,
}

#[derive(Debug, Clone)]
enum Table {
    Count(Panes<Count>),
    Sum(Panes<Sum>),
    Moments(Panes<Moments>),
    Least(Panes<Least>),
    Greatest(Panes<Greatest>),
    First(Panes<First>),
    Last(Panes<Last>),
    All(Panes<All>),
}

/// Runs `$call` on the panes of whatever kind.
macro_rules! with_panes {
    ($table:expr, $panes:ident => $call:expr) => {
        match $table {
            Table::Count($panes) => $call,
            Table::Sum($panes) => $call,
            Table::Moments($panes) => $call,
            Table::Least($panes) => $call,
            Table::Greatest($panes) => $call,
            Table::First($panes) => $call,
            Table::Last($panes) => $call,
            Table::All($panes) => $call,
        }
    };
}

impl Table {
    fn of(leaf: &Leaf) -> Self {
        match leaf.op {
            RangeOp::CountOverTime | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::AbsentOverTime => {
                Table::Count(Panes::default())
            }
            RangeOp::Rate if leaf.range.unwrap.is_none() => Table::Count(Panes::default()),
            RangeOp::Rate | RangeOp::SumOverTime | RangeOp::AvgOverTime => Table::Sum(Panes::default()),
            RangeOp::StddevOverTime | RangeOp::StdvarOverTime => Table::Moments(Panes::default()),
            RangeOp::MinOverTime => Table::Least(Panes::default()),
            RangeOp::MaxOverTime => Table::Greatest(Panes::default()),
            RangeOp::FirstOverTime => Table::First(Panes::default()),
            RangeOp::LastOverTime => Table::Last(Panes::default()),
            RangeOp::QuantileOverTime | RangeOp::RateCounter => Table::All(Panes::default()),
        }
    }
}

/// How many of `times_ns`, which ascend and begin at `last_ns` or before, are not after it: by doubling steps, then bisection.
fn run_len(times_ns: &[i64], last_ns: i64) -> usize {
    let mut step = 1;
    while step < times_ns.len() && times_ns[step] <= last_ns {
        step *= 2;
    }
    let (low, high) = (step / 2, step.min(times_ns.len()));
    low + times_ns[low..high].partition_point(|time_ns| *time_ns <= last_ns)
}

impl LeafState {
    /// No samples yet.
    pub fn new(leaf: &Leaf, grid: StepGrid) -> Self {
        let windows = Windows::new(grid, leaf.range.range_ns, leaf.range.offset_ns);
        LeafState { leaf: leaf.clone(), windows, ids: HashMap::new(), groups: Vec::new(), table: Table::of(leaf) }
    }

    /// The number of a set of labels. Whoever adds many samples of one set asks once.
    pub fn group(&mut self, labels: &Labels) -> GroupId {
        if let Some(id) = self.ids.get(labels) {
            return *id;
        }
        let id = GroupId(u32::try_from(self.groups.len()).expect("more sets of labels than memory holds"));
        self.groups.push(labels.clone());
        self.ids.insert(labels.clone(), id);
        id
    }

    /// How many sets of labels have been seen: what a limit of series is held against.
    pub fn groups_len(&self) -> usize {
        self.groups.len()
    }

    /// Adds a sample; one that no window sees is nothing. `group` is a number of this state.
    pub fn add(&mut self, group: GroupId, time_ns: i64, value: f64) {
        if let Some(pane) = self.windows.pane(time_ns) {
            with_panes!(&mut self.table, panes => panes.add(group.0 as usize, pane, time_ns, value));
        }
    }

    /// Adds a sample for each of `times_ns`, which ascend: of value 1, or of what `lengths`, one for each time, says. Costs a look at each
    /// pane, not at each sample, where there are no lengths.
    ///
    /// # Panics
    /// If the operation of the leaf does not count, or there are fewer lengths than times.
    pub fn add_run(&mut self, group: GroupId, times_ns: &[i64], lengths: Option<&[u32]>) {
        debug_assert!(times_ns.is_sorted(), "times of a run must ascend");
        let Table::Count(panes) = &mut self.table else { unreachable!("only lines and bytes are added by runs") };
        let mut at = 0;
        while let Some(first_ns) = times_ns.get(at) {
            let last_ns = self.windows.pane_end_ns(*first_ns);
            let end = at + run_len(&times_ns[at..], last_ns);
            if let Some(pane) = self.windows.pane(*first_ns) {
                let value = match lengths {
                    None => (end - at) as f64,
                    Some(lengths) => lengths[at..end].iter().map(|length| u64::from(*length)).sum::<u64>() as f64,
                };
                panes.add(group.0 as usize, pane, *first_ns, value);
            }
            at = end;
        }
    }

    /// Whether all times from `first_ns` to `last_ns` are seen by the same windows.
    pub fn is_one_pane(&self, first_ns: i64, last_ns: i64) -> bool {
        last_ns <= self.windows.pane_end_ns(first_ns)
    }

    /// Adds the samples of another part of the same leaf over the same steps.
    pub fn merge(&mut self, other: &LeafState) {
        debug_assert_eq!(self.leaf, other.leaf, "parts of one leaf");
        let groups: Vec<usize> = other.groups.iter().map(|labels| self.group(labels).0 as usize).collect();
        match (&mut self.table, &other.table) {
            (Table::Count(a), Table::Count(b)) => a.merge(b, &groups),
            (Table::Sum(a), Table::Sum(b)) => a.merge(b, &groups),
            (Table::Moments(a), Table::Moments(b)) => a.merge(b, &groups),
            (Table::Least(a), Table::Least(b)) => a.merge(b, &groups),
            (Table::Greatest(a), Table::Greatest(b)) => a.merge(b, &groups),
            (Table::First(a), Table::First(b)) => a.merge(b, &groups),
            (Table::Last(a), Table::Last(b)) => a.merge(b, &groups),
            (Table::All(a), Table::All(b)) => a.merge(b, &groups),
            _ => unreachable!("parts of one leaf have tables of one kind"),
        }
    }

    /// The series: one per set of labels that a window sees, sorted by labels.
    pub fn finish(&self) -> Vec<StepSeries> {
        if self.leaf.op == RangeOp::AbsentOverTime {
            return self.absent();
        }
        let series =
            self.groups.iter().enumerate().map(|(group, labels)| StepSeries { labels: labels.clone(), steps: self.steps(group) });
        let mut series: Vec<StepSeries> = series.filter(|series| !series.steps.is_empty()).collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series
    }

    fn steps(&self, group: usize) -> Steps {
        let windows = &self.windows;
        let range_ns = self.leaf.range.range_ns;
        let seconds = range_ns as f64 / 1e9;
        let op = self.leaf.op;
        match &self.table {
            Table::Count(panes) => match op {
                RangeOp::Rate | RangeOp::BytesRate => panes.windows(group, windows, |Count(count)| count / seconds),
                _ => panes.windows(group, windows, |Count(count)| count),
            },
            Table::Sum(panes) => match op {
                RangeOp::Rate => panes.windows(group, windows, |sum| sum.sum() / seconds),
                RangeOp::AvgOverTime => panes.windows(group, windows, Sum::mean),
                _ => panes.windows(group, windows, Sum::sum),
            },
            Table::Moments(panes) if op == RangeOp::StddevOverTime => panes.windows(group, windows, |m| m.variance().sqrt()),
            Table::Moments(panes) => panes.windows(group, windows, Moments::variance),
            Table::Least(panes) => panes.windows(group, windows, |Least(value)| value),
            Table::Greatest(panes) => panes.windows(group, windows, |Greatest(value)| value),
            Table::First(panes) => panes.windows(group, windows, First::value),
            Table::Last(panes) => panes.windows(group, windows, Last::value),
            Table::All(panes) if op == RangeOp::QuantileOverTime => {
                let quantile = self.leaf.param.unwrap_or(f64::NAN);
                panes.ordered_windows(group, windows, |samples, _| quantile::quantile(quantile, samples))
            }
            Table::All(panes) => panes.ordered_windows(group, windows, |samples, end_ns| {
                samples.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
                counter::rate(samples, end_ns, range_ns)
            }),
        }
    }

    /// A 1 at every step whose window has no sample of any group, under the labels that the selector says for sure.
    fn absent(&self) -> Vec<StepSeries> {
        let mut steps = Steps::constant(self.windows.len(), 1.0);
        for group in 0..self.groups.len() {
            for (at, _) in self.steps(group).iter() {
                steps.clear(at);
            }
        }
        // lines with errors are not absent, and must be seen above
        let failed = self.groups.iter().enumerate().filter(|(_, labels)| labels.get(ERROR_LABEL).is_some());
        let failed = failed.map(|(group, labels)| StepSeries { labels: labels.clone(), steps: self.steps(group) });
        let absent = StepSeries { labels: self.absent_labels(), steps };
        failed.chain([absent]).filter(|series| !series.steps.is_empty()).collect()
    }

    /// Loki: `absentLabels`. A label with two matchers, or one that is no `=`, is not known.
    fn absent_labels(&self) -> Labels {
        let matchers = &self.leaf.range.log.selector.matchers;
        let once = |name: &str| matchers.iter().filter(|m| m.name == name).count() == 1;
        matchers.iter().filter(|m| m.op == MatchOp::Equal && once(&m.name)).map(|m| (m.name.as_str(), m.value.as_str())).collect()
    }
}
