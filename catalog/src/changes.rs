//! Which times changed since when: what a reader that kept an answer asks before it gives it again.
//!
//! ```text
//! versions   7 ──────── 8 ───────── 9 ──────────── 12
//! changed     [10:00,10:01] [09:58,10:02] [03:00,03:10]        since(8) = [09:58,10:02], [03:00,03:10]
//! ```
//! Versions are whatever counts: records of a log, snapshots.
//!
//! # Invariants
//! - Nothing that changed is ever left out. What is told may be more, or newer, than what changed: entries are put together, the old
//!   ones coarsely, so that memory is bounded however long a process lives.

use crate::time::{TimeRange, Timestamp};

/// Entries that are kept.
const ENTRIES_MAX: usize = 256;
/// Changes whose times differ by less than this are one: rows that come in as time goes by are a few entries an hour.
const SLACK_NS: i64 = 15 * 1_000_000_000;

/// The changes of one thing, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ascending by version. A version stands for itself and those before it back to the entry before.
    entries: Vec<(u64, TimeRange)>,
}

impl Changes {
    /// Notes that `version`, which is no smaller than those before, changed something at some of `time`.
    pub fn record(&mut self, version: u64, time: TimeRange) {
        if time.is_empty() {
            return;
        }
        // The newest first: what comes in is mostly like what just came in. An entry may be told as newer than it is.
        let alike = self.entries.iter().rposition(|(_, known)| is_like(*known, time));
        let time = match alike {
            Some(at) => hull(self.entries.remove(at).1, time),
            None => time,
        };
        if self.entries.len() >= ENTRIES_MAX {
            self.thin();
        }
        debug_assert!(self.newest() <= version, "versions ascend");
        self.entries.push((version, time));
    }

    /// Puts neighbours of the older half together.
    fn thin(&mut self) {
        let newer = self.entries.split_off(ENTRIES_MAX / 2);
        let pairs = self.entries.chunks(2).map(|pair| {
            let all = pair.iter().map(|(_, time)| *time).reduce(hull);
            (pair.last().map_or(0, |(version, _)| *version), all.unwrap_or(TimeRange::ALL))
        });
        self.entries = pairs.chain(newer).collect();
    }

    /// The version that changed something last; 0 when there is none.
    pub fn newest(&self) -> u64 {
        self.entries.last().map_or(0, |(version, _)| *version)
    }

    /// The times at which something may have changed after `version`.
    pub fn since(&self, version: u64) -> impl Iterator<Item = TimeRange> + '_ {
        let first = self.entries.partition_point(|(known, _)| *known <= version);
        self.entries[first..].iter().map(|(_, time)| *time)
    }
}

/// Whether taking `known` and `new` together tells hardly more than `new` alone.
fn is_like(known: TimeRange, new: TimeRange) -> bool {
    let near = |a: Timestamp, b: Timestamp| a.as_nanos().saturating_sub(b.as_nanos()) <= SLACK_NS;
    near(new.start, known.start) && near(known.end, new.end)
}

fn hull(a: TimeRange, b: TimeRange) -> TimeRange {
    TimeRange::new(a.start.min(b.start), a.end.max(b.end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_secs(start), Timestamp::from_secs(end))
    }

    #[test]
    fn what_comes_in_as_time_goes_by_is_few_entries() {
        let mut changes = Changes::default();
        for second in 0..3_600 {
            changes.record(second as u64 + 1, seconds(second - 20, second));
            changes.record(second as u64 + 1, seconds(second - 620, second - 600)); // somebody is ten minutes late
        }
        assert!(changes.entries.len() <= ENTRIES_MAX, "{}", changes.entries.len());
        let live: Vec<_> = changes.since(3_590).filter(|time| time.end > Timestamp::from_secs(3_500)).collect();
        assert!(live.iter().all(|time| time.start >= Timestamp::from_secs(3_550)), "{live:?}");
        assert_eq!(changes.since(3_600).count(), 0);
        assert_eq!(changes.newest(), 3_600);
    }

    proptest! {
        #[test]
        fn nothing_is_left_out(steps in prop::collection::vec((0u64..3, -50_000i64..50_000, 0i64..200), 1..1_500), asked in 0u64..3_000) {
            let (mut changes, mut all, mut version) = (Changes::default(), Vec::new(), 0);
            for (more, start, length) in steps {
                version += more;
                let time = seconds(start, start + length);
                changes.record(version, time);
                all.push((version, time));
            }
            prop_assert!(changes.entries.len() <= ENTRIES_MAX);
            prop_assert_eq!(changes.newest(), version);
            let told: Vec<_> = changes.since(asked).collect();
            for (version, time) in all.iter().filter(|(version, _)| *version > asked) {
                let covers = |told: &TimeRange| told.start <= time.start && time.end <= told.end;
                prop_assert!(told.iter().any(covers), "{version}: {time:?} is not in {told:?}");
            }
            prop_assert!(changes.since(version).next().is_none());
        }
    }
}
