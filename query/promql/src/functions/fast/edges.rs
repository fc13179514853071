//! Which samples lie in which window.

use std::ops::Range;

use super::Windows;

/// Goes from step to step.
pub(super) struct Edges<'a> {
    times_ms: &'a [i64],
    pub(super) windows: Windows,
    /// How many samples the fullest window had so far.
    pub(super) widest: usize,
}

impl<'a> Edges<'a> {
    pub(super) const fn new(times_ms: &'a [i64], windows: Windows) -> Self {
        Self { times_ms, windows, widest: 0 }
    }

    /// Calls `each` with every step whose window has samples, and with these.
    #[inline]
    pub(super) fn for_each(&mut self, mut each: impl FnMut(usize, Range<usize>)) {
        let (mut first, mut end) = (Cursor::default(), Cursor::default());
        for at in 0..self.windows.grid.len() {
            let (left_ms, right_ms) = self.windows.edges_ms(at);
            first.move_behind(left_ms, self.times_ms);
            end.move_behind(right_ms, self.times_ms);
            if first.at < end.at {
                self.widest = self.widest.max(end.at - first.at);
                each(at, first.at..end.at);
            } else if first.at == self.times_ms.len() {
                return;
            }
        }
    }
}

/// A place between samples that only moves on.
#[derive(Default)]
struct Cursor {
    at: usize,
    /// How far it moved last: with samples at regular times that is how far it moves next.
    stride: usize,
}

impl Cursor {
    /// Moves behind the last sample that is not later than `time_ms`.
    #[inline]
    fn move_behind(&mut self, time_ms: i64, times_ms: &[i64]) {
        let guess = self.at + self.stride;
        if let Some([before, behind]) = guess.checked_sub(1).and_then(|before| times_ms.get(before..=guess))
            && *before <= time_ms
            && time_ms < *behind
        {
            self.at = guess;
            return;
        }
        let from = self.at;
        self.search(time_ms, times_ms);
        self.stride = self.at - from;
    }

    /// Doubles its steps until one is too far, then halves them.
    #[inline(never)]
    fn search(&mut self, time_ms: i64, times_ms: &[i64]) {
        let rest = &times_ms[self.at..];
        let mut far = 1;
        while far < rest.len() && rest[far] <= time_ms {
            far *= 2;
        }
        self.at += rest[..rest.len().min(far + 1)].partition_point(|time| *time <= time_ms);
    }
}
