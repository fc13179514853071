//! The panes of each group, and the windows over them.

use super::accumulate::{Accumulate, All};
use crate::metric::grid::Windows;
use crate::metric::steps::Steps;

/// Per group the panes that have samples, by pane.
///
/// A list, since a group often has few; samples of a stream ascend, so that nearly all go to its end. The cost of those in between
/// is bounded by the number of panes, two per step.
#[derive(Debug, Clone)]
pub(super) struct Panes<A> {
    groups: Vec<Vec<(u32, A)>>,
}

impl<A> Default for Panes<A> {
    fn default() -> Self {
        Panes { groups: Vec::new() }
    }
}

impl<A: Accumulate> Panes<A> {
    pub(super) fn add(&mut self, group: usize, pane: u32, time_ns: i64, value: f64) {
        self.pane(group, pane).add(time_ns, value);
    }

    fn pane(&mut self, group: usize, pane: u32) -> &mut A {
        if group >= self.groups.len() {
            self.groups.resize_with(group + 1, Vec::new);
        }
        let panes = &mut self.groups[group];
        let at = match panes.last() {
            Some((last, _)) if *last == pane => panes.len() - 1,
            Some((last, _)) if *last > pane => match panes.binary_search_by_key(&pane, |(p, _)| *p) {
                Ok(at) => at,
                Err(at) => {
                    panes.insert(at, (pane, A::default()));
                    at
                }
            },
            _ => {
                panes.push((pane, A::default()));
                panes.len() - 1
            }
        };
        &mut panes[at].1
    }

    /// Adds those of `other`, whose group `g` is `groups[g]` here.
    pub(super) fn merge(&mut self, other: &Self, groups: &[usize]) {
        for (panes, group) in other.groups.iter().zip(groups) {
            for (pane, accumulator) in panes {
                self.pane(*group, *pane).merge(accumulator);
            }
        }
    }

    /// The value of every window of `group` in which there is a sample. Each pane is merged a bounded number of times, however many
    /// windows it is in: windows share the merged tails of what came before.
    pub(super) fn windows(&self, group: usize, windows: &Windows, value: impl Fn(A) -> f64) -> Steps {
        let mut steps = Steps::none(windows.len());
        let panes = self.groups.get(group).map_or(&[][..], Vec::as_slice);
        // tails[i] is all of the panes from + i .. to, `since` all of the panes to .. to + merged
        let (mut tails, mut from, mut to) = (Vec::new(), 0, 0);
        let (mut since, mut merged) = (A::default(), 0);
        let (mut first, mut last) = (0, 0);
        for at in 0..windows.len() {
            let range = windows.panes(at);
            let begin = skip(panes, first, *range.start());
            let end = skip(panes, last.max(begin), range.end() + 1);
            (first, last) = (begin, end);
            if begin >= end {
                continue;
            }
            if begin >= to {
                tails = tails_of(&panes[begin..end]);
                (from, to, since, merged) = (begin, end, A::default(), 0);
            }
            for (_, accumulator) in &panes[to + merged..end] {
                since.merge(accumulator);
            }
            merged = end - to;
            let mut whole: A = tails[begin - from].clone();
            whole.merge(&since);
            steps.set(at, value(whole));
        }
        steps
    }
}

/// The first of `panes` from `at` on that is not before `pane`.
fn skip<A>(panes: &[(u32, A)], mut at: usize, pane: u32) -> usize {
    while at < panes.len() && panes[at].0 < pane {
        at += 1;
    }
    at
}

fn tails_of<A: Accumulate>(panes: &[(u32, A)]) -> Vec<A> {
    let mut tails: Vec<A> = panes.iter().map(|(_, accumulator)| accumulator.clone()).collect();
    for at in (0..tails.len().saturating_sub(1)).rev() {
        let (tail, behind) = tails.split_at_mut(at + 1);
        tail[at].merge(&behind[0]);
    }
    tails
}

impl Panes<All> {
    /// The value of every window of `group` in which there is a sample, of its samples by time and its end.
    pub(super) fn ordered_windows(
        &self,
        group: usize,
        windows: &Windows,
        value: impl Fn(&mut [(i64, f64)], i64) -> f64,
    ) -> Steps {
        let mut steps = Steps::none(windows.len());
        let panes = self.groups.get(group).map_or(&[][..], Vec::as_slice);
        let (mut first, mut last) = (0, 0);
        let mut samples = Vec::new();
        for at in 0..windows.len() {
            let range = windows.panes(at);
            first = skip(panes, first, *range.start());
            last = skip(panes, last.max(first), range.end() + 1);
            samples.clear();
            for (_, All(pane)) in &panes[first..last] {
                samples.extend_from_slice(pane);
            }
            if !samples.is_empty() {
                steps.set(at, value(&mut samples, windows.end_ns(at)));
            }
        }
        steps
    }
}
