//! One active series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use catalog::SeriesId;

use super::reliance::Reliance;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A series: its id, its labels, and what is known of its rows.
#[derive(Debug)]
pub struct Series {
    sid: SeriesId,
    salt: u64,
    metric: Arc<str>,
    /// `name 0xff value 0xff ...`, ascending: one allocation, and equal for equal label sets only (no text holds 0xff).
    labels: Box<[u8]>,
    stored: StoredDays,
    /// The epoch that `stored` is of; see [`super::reliance`].
    epoch: AtomicU32,
    /// Minutes since the epoch of the last sample.
    touched: AtomicU32,
}

impl Series {
    pub(super) fn new(sid: SeriesId, salt: u64, metric: Arc<str>, labels: Box<[u8]>, minute: u32) -> Self {
        let (stored, epoch, touched) = (StoredDays::default(), AtomicU32::new(0), AtomicU32::new(minute));
        Self { sid, salt, metric, labels, stored, epoch, touched }
    }

    /// The id.
    pub fn sid(&self) -> SeriesId {
        self.sid
    }
    /// 0, but for a series whose id collided.
    pub fn salt(&self) -> u64 {
        self.salt
    }
    /// The metric's name.
    pub fn metric(&self) -> &Arc<str> {
        &self.metric
    }
    /// The labels, ascending by name, without `__name__`.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.labels.split(|b| *b == 0xff);
        let text = |bytes| std::str::from_utf8(bytes).expect("parts between 0xff are the strings they were made of");
        std::iter::from_fn(move || match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => Some((text(name), text(value))),
            _ => None,
        })
    }

    /// Whether the series' row is stored for the day (see [`day_of`]), as far as the request may rely on it.
    #[inline]
    pub(crate) fn is_stored(&self, day: i32, reliance: &Reliance) -> bool {
        // Acquire: the days are those of the epoch, or newer.
        reliance.epoch().is_some_and(|epoch| self.epoch.load(Ordering::Acquire) == epoch) && self.stored.contains(day)
    }
    /// The append that carried the series' row of `day` succeeded.
    pub(crate) fn set_stored(&self, day: i32, reliance: &Reliance) {
        let Some(epoch) = reliance.epoch() else { return };
        if self.epoch.load(Ordering::Acquire) != epoch {
            // Requests of different epochs do not meet. Two of the new one may: at worst a day is forgotten again.
            self.stored.clear();
            self.epoch.store(epoch, Ordering::Release);
        }
        self.stored.insert(day);
    }

    /// A sample came in; `minute` is now.
    #[inline]
    pub fn touch(&self, minute: u32) {
        if self.touched.load(Ordering::Relaxed) != minute {
            self.touched.store(minute, Ordering::Relaxed);
        }
    }
    /// Whether no sample came in for `idle_minutes`.
    pub fn is_idle(&self, minute: u32, idle_minutes: u32) -> bool {
        minute.saturating_sub(self.touched.load(Ordering::Relaxed)) >= idle_minutes
    }

    pub(super) fn is(&self, metric: &str, labels: &[u8]) -> bool {
        *self.metric == *metric && *self.labels == *labels
    }
}

/// The day (since the epoch) of a time in milliseconds.
#[inline]
pub fn day_of(ts_ms: i64) -> i32 {
    i32::try_from(ts_ms.div_euclid(DAY_MS)).unwrap_or(if ts_ms < 0 { i32::MIN } else { i32::MAX })
}

/// The two days last confirmed. Two, because around midnight, and with late data, two alternate; forgetting a day costs a
/// repeated dictionary row, which compaction drops.
#[derive(Debug)]
pub(crate) struct StoredDays(AtomicU64);

/// No day: data of 5.8 million years ago does not fit a nanosecond timestamp.
const NO_DAY: i32 = i32::MIN;

impl Default for StoredDays {
    fn default() -> Self {
        Self(AtomicU64::new(pack(NO_DAY, NO_DAY)))
    }
}

impl StoredDays {
    #[inline]
    pub(crate) fn contains(&self, day: i32) -> bool {
        let days = self.0.load(Ordering::Relaxed);
        days as u32 == day as u32 || (days >> 32) as u32 == day as u32
    }
    fn clear(&self) {
        self.0.store(pack(NO_DAY, NO_DAY), Ordering::Release);
    }
    pub(crate) fn insert(&self, day: i32) {
        if !self.contains(day) {
            let newest = self.0.load(Ordering::Relaxed) as u32 as i32;
            self.0.store(pack(newest, day), Ordering::Relaxed);
        }
    }
}

fn pack(older: i32, newest: i32) -> u64 {
    u64::from(older as u32) << 32 | u64::from(newest as u32)
}

/// The labels in the form of [`Series::labels`]'s store.
pub(super) fn canonical(labels: &[(String, String)]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(labels.iter().map(|(n, v)| n.len() + v.len() + 2).sum());
    for (name, value) in labels {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0xff);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0xff);
    }
    bytes.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_days_are_remembered() {
        let days = StoredDays::default();
        for day in [20_000, 20_001, 20_000, 19_999] {
            days.insert(day);
        }
        assert_eq!([19_998, 19_999, 20_000, 20_001].map(|d| days.contains(d)), [false, true, false, true]);
    }

    #[test]
    fn days_round_down() {
        assert_eq!([-1, 0, 86_399_999, 86_400_000].map(day_of), [-1, 0, 0, 1]);
        assert_eq!([day_of(i64::MAX), day_of(i64::MIN)], [i32::MAX, i32::MIN]);
    }
}
