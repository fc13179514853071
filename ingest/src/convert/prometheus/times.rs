//! Which times are taken.

use super::config::RemoteWriteConfig;
use super::refused::Refusal;
use crate::convert::series::rows::Times;

/// The first and the last millisecond that nanoseconds in 64 bits can hold.
const FIRST_MS: i64 = i64::MIN / 1_000_000;
const LAST_MS: i64 = i64::MAX / 1_000_000;

/// The times that are taken, both ends included, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    first: i64,
    last: i64,
}

impl Window {
    /// Around `now_ns`, as the configuration says.
    pub(crate) fn new(config: &RemoteWriteConfig, now_ns: i64) -> Self {
        let now = now_ns / 1_000_000;
        let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            first: config.past_max.map_or(FIRST_MS, |past| now.saturating_sub(ms(past)).max(FIRST_MS)),
            last: now.saturating_add(ms(config.future_max)).min(LAST_MS),
        }
    }

    /// The times of a sample. A start of 0 is none. One that is after its sample is kept: queries tell it
    /// from one that counts.
    ///
    /// # Errors
    /// Times outside the window.
    #[inline]
    pub(crate) fn times(self, ts: i64, start: i64) -> Result<Times, Refusal> {
        if ts < self.first || ts > self.last {
            return Err(self.outside(ts));
        }
        Ok(Times { ts, start: (start != 0 && (FIRST_MS..=LAST_MS).contains(&start)).then_some(start) })
    }

    #[cold]
    fn outside(self, ts: i64) -> Refusal {
        if !(FIRST_MS..=LAST_MS).contains(&ts) {
            Refusal::TimeRange
        } else if ts > self.last {
            Refusal::Future
        } else {
            Refusal::TooOld
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_window_is_closed_on_both_sides() {
        let config = RemoteWriteConfig { past_max: Some(Duration::from_secs(60)), ..RemoteWriteConfig::default() };
        let now = 1_700_000_000_000;
        let window = Window::new(&config, now * 1_000_000);
        #[track_caller]
        fn check(window: Window, ts: i64, start: i64, expected: Result<Option<i64>, Refusal>) {
            assert_eq!(window.times(ts, start).map(|times| times.start), expected);
        }
        check(window, now, 0, Ok(None));
        check(window, now, now - 1, Ok(Some(now - 1)));
        check(window, now, now + 1, Ok(Some(now + 1)));
        check(window, now + 600_000, 0, Ok(None));
        check(window, now + 600_001, 0, Err(Refusal::Future));
        check(window, now - 60_000, 0, Ok(None));
        check(window, now - 60_001, 0, Err(Refusal::TooOld));
        check(window, i64::MAX, 0, Err(Refusal::TimeRange));
        let open = Window::new(&RemoteWriteConfig::default(), now * 1_000_000);
        check(open, 0, 0, Ok(None));
        check(open, -1, 0, Ok(None));
        check(open, i64::MIN, 0, Err(Refusal::TimeRange));
        check(open, 0, i64::MIN, Ok(None));
    }
}
