//! The buckets of time that samples stand for.
//!
//! ```text
//! start 300, end 540, step 60:   (220, 280] (280, 340] (340, 400] (400, 460] (460, 520] (520, 580]
//! labelled by their ends            280        340        400        460        520        580
//! ```
//! As Tempo's front end has it: the start is floored to the step and the end ceiled, a bucket is open on the left, and the first one ends at
//! the floored start.

/// Buckets of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    first_end_ns: i64,
    step_ns: i64,
    len: usize,
}

impl Grid {
    /// The buckets of a range; a step of less than a nanosecond is one. A range that ends before it starts is its start.
    pub fn range(start_ns: i64, end_ns: i64, step_ns: i64) -> Self {
        let step = i128::from(step_ns.max(1));
        let first = i128::from(start_ns).div_euclid(step) * step;
        let last = (i128::from(end_ns.max(start_ns)) + step - 1).div_euclid(step) * step;
        let len = usize::try_from((last - first) / step + 1).unwrap_or(usize::MAX);
        let first_end_ns = i64::try_from(first).unwrap_or(i64::MIN);
        Self { first_end_ns, step_ns: step_ns.max(1), len }
    }

    /// One bucket, the spans that start in `(start, end]`.
    pub fn instant(start_ns: i64, end_ns: i64) -> Self {
        Self { first_end_ns: end_ns, step_ns: end_ns.saturating_sub(start_ns).max(1), len: 1 }
    }

    /// Tempo's step for a range that comes without: about 240 buckets, a whole number of hours, 5 minutes, minutes, 15, 5 or single
    /// seconds, whichever is the longest of these that is shorter than the step.
    pub fn default_step_ns(start_ns: i64, end_ns: i64) -> i64 {
        const SECOND: i64 = 1_000_000_000;
        let about = end_ns.saturating_sub(start_ns).max(0) / 240;
        let unit = [3_600, 300, 60, 15, 5, 1].into_iter().map(|seconds| seconds * SECOND).find(|unit| about > *unit);
        unit.map_or(SECOND, |unit| about / unit * unit)
    }

    /// How many buckets.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none; there always is one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The moments that matter: after the first, until the second, which is included.
    pub fn window_ns(&self) -> (i64, i64) {
        (self.first_end_ns.saturating_sub(self.step_ns), self.end_ns(self.len.saturating_sub(1)))
    }

    /// The bucket of a moment.
    pub fn bucket(&self, time_ns: i64) -> Option<usize> {
        if let Some(after_ns) = self.first_end_ns.checked_sub(self.step_ns) {
            // The difference of two such numbers, the first of which is greater, is right as one without a sign.
            let bucket =
                (time_ns > after_ns).then(|| (time_ns.wrapping_sub(after_ns).cast_unsigned() - 1) / self.step_ns.cast_unsigned());
            return bucket.and_then(|bucket| usize::try_from(bucket).ok()).filter(|bucket| *bucket < self.len);
        }
        let after = i128::from(time_ns) - (i128::from(self.first_end_ns) - i128::from(self.step_ns));
        let bucket = usize::try_from((after - 1).div_euclid(i128::from(self.step_ns))).ok()?;
        (bucket < self.len).then_some(bucket)
    }

    /// The end of a bucket, milliseconds since the epoch.
    pub fn end_ms(&self, bucket: usize) -> i64 {
        self.end_ns(bucket).div_euclid(1_000_000)
    }

    fn end_ns(&self, bucket: usize) -> i64 {
        self.first_end_ns.saturating_add(self.step_ns.saturating_mul(i64::try_from(bucket).unwrap_or(i64::MAX)))
    }

    /// The length of a bucket.
    pub fn step_seconds(&self) -> f64 {
        self.step_ns as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_ends_are_aligned_and_the_first_bucket_ends_at_the_start() {
        let grid = Grid::range(300 * SECOND, 540 * SECOND, 60 * SECOND);
        assert_eq!((0..grid.len()).map(|b| grid.end_ms(b) / 1_000).collect::<Vec<_>>(), [300, 360, 420, 480, 540]);
        let grid = Grid::range(290 * SECOND, 541 * SECOND, 60 * SECOND);
        assert_eq!((grid.len(), grid.end_ms(0), grid.end_ms(6)), (7, 240_000, 600_000));
        assert_eq!(grid.window_ns(), (180 * SECOND, 600 * SECOND));
    }

    #[test]
    fn a_bucket_is_open_on_the_left() {
        let grid = Grid::range(300, 340, 10);
        assert_eq!(
            [289, 290, 291, 300, 301, 340, 341].map(|t| grid.bucket(t)),
            [None, None, Some(0), Some(0), Some(1), Some(4), None]
        );
        let instant = Grid::instant(299, 540);
        assert_eq!([299, 300, 540, 541].map(|t| instant.bucket(t)), [None, Some(0), Some(0), None]);
    }

    #[test]
    fn buckets_are_those_of_exact_arithmetic() {
        let ends = [i64::MIN, i64::MIN + 7, -5, 0, 9, i64::MAX - 3, i64::MAX];
        for (first_end_ns, step_ns) in ends.into_iter().flat_map(|end| [1, 7, i64::MAX].map(|step| (end, step))) {
            let grid = Grid { first_end_ns, step_ns, len: 5 };
            for time_ns in ends.into_iter().flat_map(|time| (-8..8).map(move |by| time.saturating_add(by))) {
                let after = i128::from(time_ns) - (i128::from(first_end_ns) - i128::from(step_ns));
                let bucket = usize::try_from((after - 1).div_euclid(i128::from(step_ns))).ok().filter(|bucket| *bucket < 5);
                assert_eq!(grid.bucket(time_ns), bucket, "{grid:?} at {time_ns}");
            }
        }
    }

    #[test]
    fn no_range_overflows() {
        for (start, end, step) in [(i64::MIN, i64::MAX, 1), (i64::MAX, i64::MIN, i64::MAX), (-5, 5, 0), (i64::MAX, i64::MAX, 60)]
        {
            let grid = Grid::range(start, end, step);
            assert!(!grid.is_empty());
            let _ = (grid.bucket(i64::MIN), grid.bucket(i64::MAX), grid.window_ns(), grid.end_ms(grid.len() - 1));
            let _ = Grid::instant(start, end).bucket(0);
        }
    }

    #[test]
    fn default_steps_are_round() {
        assert_eq!(Grid::default_step_ns(0, 3_600 * SECOND), 15 * SECOND);
        assert_eq!(Grid::default_step_ns(0, 86_400 * SECOND), 300 * SECOND);
        assert_eq!(Grid::default_step_ns(0, 60 * SECOND), SECOND);
        assert_eq!(Grid::default_step_ns(5, 0), SECOND);
    }
}
