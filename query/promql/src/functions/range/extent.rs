//! How far the samples of a window go, and how far the change between them is taken to go on.
//!
//! ```text
//!  left                                     right
//!   (----.-------.-------.-------.------.----]
//!    <-->                               <---->   as far as the edge if that is nearer than 1.1 gaps between samples, else half a gap;
//!                                                a counter not below its zero
//! ```

/// Where the first and the last sample of a window lie, and its edges. All times are milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) left_ms: i64,
    pub(crate) right_ms: i64,
    /// One less than there are samples.
    pub(crate) gaps: usize,
}

impl Extent {
    /// How much greater the change is over the extended stretch than over that of the samples. `start_ms`: when the counter was zero, if
    /// that is known to lie in the window; then nothing is extended to the left. `since_zero`: the first value in parts of the change, of a
    /// counter that rose.
    #[inline]
    pub(crate) fn factor(&self, start_ms: Option<i64>, since_zero: Option<f64>) -> f64 {
        let mut covered = thousandth(self.last_ms - self.first_ms);
        let gap = if self.gaps > 0 { covered / self.gaps as f64 } else { 0.0 };
        let near = gap * 1.1;
        let extend = |distance: f64| if distance >= near { gap / 2.0 } else { distance };
        let mut to_left = 0.0;
        if let Some(start_ms) = start_ms {
            covered = thousandth(self.last_ms - start_ms);
        } else {
            to_left = extend(thousandth(self.first_ms - self.left_ms));
            // Not `min`: what is NaN does not count.
            match since_zero {
                Some(part) if covered * part < to_left => to_left = covered * part,
                _ => {}
            }
        }
        let to_right = extend(thousandth(self.right_ms - self.last_ms));
        if covered == 0.0 { 1.0 } else { (covered + to_left + to_right) / covered }
    }
}

fn thousandth(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// A duration in seconds, rounded as Go's `Duration.Seconds` rounds.
pub(crate) fn seconds(duration_ms: i64) -> f64 {
    (duration_ms / 1000) as f64 + (duration_ms % 1000 * 1_000_000) as f64 / 1e9
}
