//! Which steps of a kept answer are still right.

use catalog::TimeRange;
use promql::eval::Steady;
use promql::value::Grid;

/// Steps in a row: times in milliseconds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
}

/// `grid` with its last step as its end.
pub(crate) fn aligned(grid: Grid) -> Grid {
    Grid { end_ms: grid.time_ms(grid.len().saturating_sub(1)), ..grid }
}

impl Run {
    /// What of it lies in `grid`, whose steps are of the same length and phase.
    pub(crate) fn within(self, grid: Grid) -> Option<Self> {
        let grid = aligned(grid);
        let run = Self { first_ms: self.first_ms.max(grid.start_ms), last_ms: self.last_ms.min(grid.end_ms) };
        (run.first_ms <= run.last_ms).then_some(run)
    }
}

/// Of the steps of `kept` that read nothing that lies in `changes`, the run that has most in common with `asked`, which is of the same
/// length of steps and phase. `None` when they have nothing in common.
pub(crate) fn unchanged(kept: Grid, asked: Grid, changes: &[TimeRange], steady: Steady) -> Option<Run> {
    let steps = kept.len();
    // How many more changes there are from a step on than before it.
    let mut more = vec![0_i64; steps + 1];
    for change in changes {
        // A step at t reads (t - before, t + after].
        let first = index_from(kept, change.start.as_millis().saturating_sub(steady.after_ms));
        let end = index_from(kept, change.end.as_millis().saturating_add(steady.before_ms));
        if first < end {
            more[first] += 1;
            more[end] -= 1;
        }
    }
    let mut best: Option<(i64, Run)> = None;
    let (mut touched, mut begun) = (0, None);
    for (at, more) in more.into_iter().enumerate() {
        touched += more;
        if at < steps && touched == 0 {
            begun.get_or_insert(at);
            continue;
        }
        let Some(first) = begun.take() else { continue };
        let run = Run { first_ms: kept.time_ms(first), last_ms: kept.time_ms(at - 1) };
        if let Some(common) = run.within(asked) {
            let length = common.last_ms - common.first_ms;
            if best.is_none_or(|(longest, _)| longest < length) {
                best = Some((length, run));
            }
        }
    }
    best.map(|(_, run)| run)
}

/// The first step of `grid` at `time_ms` or later; how many steps there are when there is none.
fn index_from(grid: Grid, time_ms: i64) -> usize {
    let steps = grid.len();
    if time_ms <= grid.start_ms {
        return 0;
    }
    let past = time_ms.abs_diff(grid.start_ms).div_ceil(grid.step_ms.unsigned_abs());
    usize::try_from(past).unwrap_or(usize::MAX).min(steps)
}

#[cfg(test)]
mod tests {
    use catalog::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const STEADY: Steady = Steady { before_ms: 30, after_ms: 0, adds_up: false, by_name: false };

    fn grid(start_ms: i64, end_ms: i64) -> Grid {
        Grid { start_ms, end_ms, step_ms: 10 }
    }

    fn times(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    #[test]
    fn steps_that_see_a_change_are_left_out() {
        #[track_caller]
        fn check(asked: Grid, changes: &[TimeRange], steady: Steady, expected: Option<(i64, i64)>) {
            let run = unchanged(grid(100, 200), asked, changes, steady);
            assert_eq!(run.map(|run| (run.first_ms, run.last_ms)), expected);
        }
        check(grid(150, 300), &[], STEADY, Some((100, 200)));
        check(grid(210, 300), &[], STEADY, None);
        check(grid(0, 99), &[], STEADY, None);
        // The step at the time of a row sees it, the one before does not.
        check(grid(150, 300), &[times(170, i64::MAX / 1_000_000)], STEADY, Some((100, 160)));
        check(grid(150, 300), &[times(171, 171)], STEADY, Some((100, 170)));
        // A window is open on the left: the row that lies its length back is gone.
        check(grid(100, 200), &[times(60, 110)], STEADY, Some((140, 200)));
        check(grid(100, 200), &[times(60, 111)], STEADY, Some((150, 200)));
        check(grid(170, 200), &[times(120, 121)], STEADY, Some((160, 200)));
        check(grid(100, 200), &[TimeRange::ALL], STEADY, None);
        // One that looks ahead, and one that looks back.
        check(grid(100, 200), &[times(170, 500)], Steady { after_ms: 20, ..STEADY }, Some((100, 140)));
        check(grid(100, 200), &[times(170, 500)], Steady { before_ms: 130, after_ms: -100, ..STEADY }, Some((100, 200)));
    }

    proptest! {
        #[test]
        fn no_step_of_the_run_sees_a_change(
            changes in prop::collection::vec((0i64..400, 0i64..60), 0..6),
            before_ms in 0i64..80,
            after_ms in -60i64..60,
            asked in (0i64..40, 0i64..40),
        ) {
            let steady = Steady { before_ms, after_ms, ..STEADY };
            let kept = grid(50, 350);
            let asked = grid(asked.0 * 10, (asked.0 + asked.1) * 10);
            let changes: Vec<TimeRange> = changes.into_iter().map(|(start, length)| times(start, start + length)).collect();
            let sees = |t: i64| changes.iter().any(|c| {
                let (start, end) = (c.start.as_millis(), c.end.as_millis());
                // Some whole millisecond in (t - before, t + after] and in the change.
                (t - before_ms + 1).max(start) <= (t + after_ms).min(end)
            });
            let run = unchanged(kept, asked, &changes, steady);
            let common = run.and_then(|run| run.within(asked));
            prop_assert_eq!(run.is_some(), common.is_some());
            if let Some(run) = run {
                prop_assert!(kept.iter().filter(|t| run.first_ms <= *t && *t <= run.last_ms).all(|t| !sees(t)));
            }
            // None is given away for nothing, windows that read nothing aside.
            if before_ms + after_ms > 0 && run.is_none() {
                let touched = |t: i64| {
                    changes.iter().any(|c| t >= c.start.as_millis() - after_ms && t < c.end.as_millis() + before_ms)
                };
                let all = kept.iter().filter(|t| asked.start_ms <= *t && *t <= asked.end_ms).all(touched);
                prop_assert!(all, "nothing is taken though nothing changed");
            }
        }
    }
}
