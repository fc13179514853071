//! What is read from storage, and which part of it a step sees.

use crate::ast::{Extension, Matcher};
use crate::value::Grid;

/// What a query needs of storage: series that match, with their samples of a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// All must hold. A label that a series lacks has the value `""`.
    pub matchers: Vec<Matcher>,
    /// First time, milliseconds, itself included.
    pub from_ms: i64,
    /// Last time, milliseconds, itself included.
    pub to_ms: i64,
    /// Whether start timestamps are needed.
    pub starts: bool,
}

/// `@` and `offset`: which time a step speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reference {
    /// `@`, milliseconds.
    pub at_ms: Option<i64>,
    /// `offset`, milliseconds.
    pub offset_ms: i64,
}

impl Reference {
    /// The time a step at `time_ms` speaks of.
    pub fn of(self, time_ms: i64) -> i64 {
        self.at_ms.unwrap_or(time_ms).saturating_sub(self.offset_ms)
    }

    /// The times the first and the last step of `grid` speak of. No step of it speaks of an earlier or a later one.
    pub fn range(self, grid: Grid) -> (i64, i64) {
        (self.of(grid.start_ms), self.of(grid.time_ms(grid.len().saturating_sub(1))))
    }
}

/// What a range selector shows of a series at one step.
///
/// ```text
///         before           range          after
///  -----(---------(-----------------------]------]---->  time
///     lookback    left                  right   lookback
///     anchored, smoothed                        smoothed
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its right edge.
    pub time: Reference,
    /// Its length, milliseconds.
    pub range_ms: i64,
    /// Whether samples around it count.
    pub extension: Extension,
    /// How far around it.
    pub lookback_ms: i64,
}

impl Window {
    /// How long before its right edge the first sample lies at most; the sample exactly there is outside.
    pub fn before_ms(&self) -> i64 {
        match self.extension {
            Extension::None => self.range_ms,
            Extension::Anchored | Extension::Smoothed => self.range_ms.saturating_add(self.lookback_ms),
        }
    }

    /// How long after its right edge the last sample lies at most.
    pub fn after_ms(&self) -> i64 {
        if self.extension == Extension::Smoothed { self.lookback_ms } else { 0 }
    }

    /// All samples a step at `time_ms` sees: later than the first, not later than the second.
    pub fn samples(&self, time_ms: i64) -> (i64, i64) {
        let right = self.time.of(time_ms);
        (right.saturating_sub(self.before_ms()), right.saturating_add(self.after_ms()))
    }

    /// The edges of the window itself.
    pub fn edges(&self, time_ms: i64) -> (i64, i64) {
        let right = self.time.of(time_ms);
        (right.saturating_sub(self.range_ms), right)
    }
}
