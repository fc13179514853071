//! The times at which a query is evaluated, and which samples each of them sees.

use std::ops::RangeInclusive;

/// `start`, `start + step`, ... up to `end`. An instant query has one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepGrid {
    /// The first step, nanoseconds since the epoch.
    pub start_ns: i64,
    /// No step is later; not before `start_ns`.
    pub end_ns: i64,
    /// Distance of two steps, positive where there are two.
    pub step_ns: i64,
}

impl StepGrid {
    /// One step.
    pub fn instant(at_ns: i64) -> Self {
        StepGrid { start_ns: at_ns, end_ns: at_ns, step_ns: 1 }
    }

    /// How many steps.
    pub fn len(&self) -> usize {
        let span = i128::from(self.end_ns) - i128::from(self.start_ns);
        if span < 0 { 0 } else { (span / i128::from(self.step_ns.max(1))) as usize + 1 }
    }

    /// Whether there is no step at all.
    pub fn is_empty(&self) -> bool {
        self.end_ns < self.start_ns
    }

    /// The time of step `at`.
    pub fn time_ns(&self, at: usize) -> i64 {
        self.start_ns.saturating_add(self.step_ns.saturating_mul(at as i64))
    }
}

/// Windows cut into panes: stretches of time in which no window begins or ends.
///
/// ```text
/// windows        (────────]   (────────]
///                     (────────]
/// panes      0  ) 1 ) 2  )3) 4 )5)  6 ) 7      the pane of a time: how many windows began before it, plus how many ended
/// ```
/// A sample goes into one pane, however many windows see it; a window is a range of panes. There are two panes per window, at most, and
/// one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    grid: StepGrid,
    len: usize,
    /// Where windows begin and end, from their step.
    begin_ns: i64,
    end_ns: i64,
}

impl Windows {
    /// Windows `(T - range - offset, T - offset]`.
    pub(super) fn new(grid: StepGrid, range_ns: i64, offset_ns: i64) -> Self {
        let end_ns = offset_ns.saturating_neg();
        Windows { grid, len: grid.len(), begin_ns: end_ns.saturating_sub(range_ns), end_ns }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many steps `T` fulfil `T + shift < time`.
    fn before(&self, time_ns: i64, shift_ns: i64) -> usize {
        let since_start = time_ns.saturating_sub(shift_ns).saturating_sub(self.grid.start_ns);
        if since_start <= 0 { 0 } else { self.len.min(((since_start - 1) / self.grid.step_ns.max(1)) as usize + 1) }
    }

    /// The pane of a time, and whether any window sees it.
    pub(super) fn pane(&self, time_ns: i64) -> Option<u32> {
        let ended = self.before(time_ns, self.end_ns);
        let begun = self.before(time_ns, self.begin_ns);
        (begun > ended).then_some((begun + ended) as u32)
    }

    /// The last time that is in the pane of `time_ns`, or in the same gap between windows.
    pub(super) fn pane_end_ns(&self, time_ns: i64) -> i64 {
        let next = |shift_ns: i64| {
            let passed = self.before(time_ns, shift_ns);
            if passed < self.len { self.grid.time_ns(passed).saturating_add(shift_ns) } else { i64::MAX }
        };
        next(self.begin_ns).min(next(self.end_ns)).max(time_ns)
    }

    /// The panes of window `at`; of an empty window none.
    pub(super) fn panes(&self, at: usize) -> RangeInclusive<u32> {
        let step_ns = self.grid.time_ns(at);
        let (begin, end) = (step_ns.saturating_add(self.begin_ns), step_ns.saturating_add(self.end_ns));
        // of the first time behind the begin, and of the end
        let first = self.before(begin.saturating_add(1), self.end_ns) + at + 1;
        let last = at + self.before(end, self.begin_ns);
        first as u32..=last as u32
    }

    /// The end of window `at`.
    pub(super) fn end_ns(&self, at: usize) -> i64 {
        self.grid.time_ns(at).saturating_add(self.end_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps() {
        assert_eq!(StepGrid::instant(5).len(), 1);
        let grid = StepGrid { start_ns: 10, end_ns: 35, step_ns: 10 };
        assert_eq!((grid.len(), grid.time_ns(2)), (3, 30));
        assert_eq!(StepGrid { start_ns: i64::MIN, end_ns: i64::MAX, step_ns: i64::MAX }.len(), 3);
        assert_eq!(StepGrid { start_ns: 1, end_ns: 0, step_ns: 10 }.len(), 0);
    }

    proptest! {
        #[test]
        fn a_window_is_a_range_of_panes(
            start in -50..50_i64, steps in 0..12_i64, step in 1..20_i64, range in 0..40_i64, offset in -30..30_i64, time in -200..300_i64,
        ) {
            let windows = Windows::new(StepGrid { start_ns: start, end_ns: start + steps * step, step_ns: step }, range, offset);
            for at in 0..windows.len() {
                let end = start + at as i64 * step - offset;
                let seen = time > end - range && time <= end;
                prop_assert_eq!(windows.pane(time).is_some_and(|pane| windows.panes(at).contains(&pane)), seen);
            }
            let last = windows.pane_end_ns(time);
            prop_assert!(last >= time);
            prop_assert!((time..=last.min(time + 500)).all(|t| windows.pane(t) == windows.pane(time)));
            let behind = last.saturating_add(1);
            prop_assert!(last == i64::MAX || windows.pane(behind) != windows.pane(time) || windows.pane(behind).is_none());
        }
    }
}
