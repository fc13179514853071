//! Who reads what: files and fresh rows dealt into partitions. Pure.
//!
//! ```text
//! no identity (logs, spans)              identity (samples, dictionaries): equal rows must meet, and equal rows have equal times
//!   files by size, largest first,          time ──────────────────────────────►
//!   to the lightest partition              [f1][f2 ][f3]│[f4][f5]│[fresh]      cut where few bytes straddle; a file that straddles
//!                                            window 1   │window 2│ window 3    a cut is read by both sides, each row by one
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, Partition, Table, TimeRange, Timestamp};

use crate::tables::{Identity, Keep};

/// A partition is not worth its task below this many bytes of files.
const PARTITION_BYTES_MIN: u64 = 1 << 20;

/// Rows that are read together.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    /// A file.
    File(Arc<FileEntry>),
    /// Rows in memory.
    Fresh(Arc<Fresh>),
}

/// Rows in memory.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// The batches, oldest first.
    pub(crate) batches: Vec<RecordBatch>,
    /// Times of the first and the last row.
    pub(crate) time: TimeRange,
    /// Rows.
    pub(crate) rows: u64,
}

/// What one partition reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Share {
    /// In reading order; with an identity, the unit whose rows stay comes before those whose equal rows go.
    pub(crate) units: Vec<Unit>,
    /// Only rows inside belong to this partition. `None`: all.
    pub(crate) window: Option<TimeRange>,
}

impl Unit {
    pub(crate) fn time(&self) -> TimeRange {
        match self {
            Self::File(file) => file.time,
            Self::Fresh(fresh) => fresh.time,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes,
            // Rows in memory need no decoding; count them as their size in a file would be.
            Self::Fresh(fresh) => fresh.rows * 8,
        }
    }

    /// Whether the two may hold a row of the same identity, times aside.
    pub(crate) fn may_share_ids(&self, other: &Self) -> bool {
        let (Self::File(a), Self::File(b)) = (self, other) else { return true };
        let ids = match (a.id_range, b.id_range) {
            (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
            _ => true,
        };
        let keys = match (&a.key_range, &b.key_range) {
            (Some(a), Some(b)) => a.0 <= b.1 && b.0 <= a.1,
            _ => true,
        };
        ids && keys
    }
}

/// The closed range of the days that `range` touches.
pub(crate) fn whole_days(range: TimeRange) -> TimeRange {
    let day = |at| Partition::of(Table::Series, at).range();
    if range.is_empty() { range } else { TimeRange::new(day(range.start).start, day(range.end).end) }
}

/// Deals `files` and `fresh` into at most about `target` partitions; at least one.
pub(crate) fn lay_out(files: Vec<Arc<FileEntry>>, fresh: Option<Fresh>, identity: Option<Identity>, target: usize) -> Vec<Share> {
    let units: Vec<Unit> = files.into_iter().map(Unit::File).chain(fresh.map(|fresh| Unit::Fresh(Arc::new(fresh)))).collect();
    let bytes: u64 = units.iter().map(Unit::bytes).sum();
    let target = usize::try_from(bytes / PARTITION_BYTES_MIN).unwrap_or(usize::MAX).clamp(1, target.max(1));
    let mut shares = match identity {
        Some(identity) => cut_by_time(units, identity, bytes / target as u64),
        None => deal_by_size(units, target),
    };
    for share in &mut shares {
        match identity {
            Some(identity) => share.units.sort_by_cached_key(|unit| rank(unit, identity.keep)),
            None => share.units.sort_by_key(|unit| unit.time().start),
        }
    }
    shares
}

/// The place of a unit among those whose equal rows must give way. Fresh rows were written last; of files, those of a lower level.
fn rank(unit: &Unit, keep: Keep) -> (u8, u128) {
    let age = match unit {
        Unit::Fresh(_) => (0, 0),
        Unit::File(file) => (1 + file.level as u8, u128::MAX - file.id.as_u128()),
    };
    match keep {
        Keep::Newest => age,
        Keep::Oldest => (u8::MAX - age.0, u128::MAX - age.1),
    }
}

fn deal_by_size(mut units: Vec<Unit>, target: usize) -> Vec<Share> {
    units.sort_by_key(|unit| Reverse(unit.bytes()));
    let mut shares = vec![Share::default(); target.min(units.len()).max(1)];
    let mut lightest: BinaryHeap<_> = (0..shares.len()).map(|i| Reverse((0, i))).collect();
    for unit in units {
        let Some(Reverse((bytes, i))) = lightest.pop() else { break };
        lightest.push(Reverse((bytes + unit.bytes().max(1), i)));
        shares[i].units.push(unit);
    }
    shares
}

fn cut_by_time(mut units: Vec<Unit>, identity: Identity, share_bytes: u64) -> Vec<Share> {
    let range = |unit: &Unit| if identity.per_day { whole_days(unit.time()) } else { unit.time() };
    units.sort_by_key(|unit| range(unit).start);
    let mut cuts: Vec<Timestamp> = Vec::new();
    let mut gathered = 0u64;
    // What reaches beyond the time at hand, by where it ends.
    let mut open: BinaryHeap<(Reverse<Timestamp>, u64)> = BinaryHeap::new();
    let mut open_bytes = 0u64;
    for unit in &units {
        let range = range(unit);
        while let Some(&(Reverse(end), bytes)) = open.peek()
            && end < range.start
        {
            open.pop();
            open_bytes -= bytes;
        }
        let worth_it = gathered >= share_bytes.max(1) && open_bytes <= gathered / 4;
        if worth_it && cuts.last().is_none_or(|cut| *cut < range.start) {
            cuts.push(range.start);
            gathered = 0;
        }
        gathered += unit.bytes();
        open.push((Reverse(range.end), unit.bytes()));
        open_bytes += unit.bytes();
    }
    windows(&cuts)
        .into_iter()
        .map(|window| {
            let units = units.iter().filter(|unit| window.is_none_or(|w| w.overlaps(range(unit)))).cloned().collect();
            Share { units, window }
        })
        .collect()
}

/// The closed windows between `cuts`; each cut is the first instant of the window after it.
fn windows(cuts: &[Timestamp]) -> Vec<Option<TimeRange>> {
    if cuts.is_empty() {
        return vec![None];
    }
    let starts = std::iter::once(Timestamp::MIN).chain(cuts.iter().copied());
    let ends = cuts.iter().map(|cut| Timestamp::from_nanos(cut.as_nanos() - 1)).chain(std::iter::once(Timestamp::MAX));
    starts.zip(ends).map(|(start, end)| Some(TimeRange::new(start, end))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: Identity = Identity { id: "sid", per_day: false, keep: Keep::Newest };

    fn file(id: u128, start_s: i64, end_s: i64, bytes: u64) -> Arc<FileEntry> {
        let start = Timestamp::from_secs(start_s);
        Arc::new(FileEntry {
            id: catalog::FileId::from_u128(id),
            tenant: catalog::TenantId::anonymous(),
            table: Table::Samples,
            partition: Partition::of(Table::Samples, start),
            level: catalog::Level::L0,
            bytes,
            rows: bytes,
            time: TimeRange::new(start, Timestamp::from_secs(end_s)),
            key_range: None,
            id_range: None,
            index: None,
            footer_bytes: 0,
            crc32: 0,
            raw_bytes: bytes,
            schema_version: 1,
        })
    }

    fn ids(share: &Share) -> Vec<u128> {
        share.units.iter().map(|u| if let Unit::File(f) = u { f.id.as_u128() } else { 0 }).collect()
    }

    #[test]
    fn facts_are_dealt_by_size() {
        let mib = 1 << 20;
        let files = vec![file(1, 0, 9, 5 * mib), file(2, 10, 19, 3 * mib), file(3, 20, 29, 3 * mib)];
        let shares = lay_out(files, None, None, 2);
        assert_eq!(shares.iter().map(ids).collect::<Vec<_>>(), [vec![1], vec![2, 3]]);
        assert_eq!(lay_out(vec![file(1, 0, 9, 100), file(2, 0, 9, 100)], None, None, 8).len(), 1, "small: one task");
        assert_eq!(lay_out(vec![], None, None, 8).len(), 1);
    }

    #[test]
    fn samples_are_cut_where_little_straddles() {
        let mib = 1 << 20;
        let files = vec![file(1, 0, 10, 4 * mib), file(2, 10, 20, 4 * mib), file(3, 21, 30, 4 * mib), file(4, 31, 40, 4 * mib)];
        let shares = lay_out(files, None, Some(SAMPLES), 2);
        assert_eq!(shares.iter().map(ids).collect::<Vec<_>>(), [vec![2, 1], vec![4, 3]], "newest first inside");
        let (first, second) = (shares[0].window.expect("cut"), shares[1].window.expect("cut"));
        assert_eq!(first.end.as_nanos() + 1, second.start.as_nanos());
        // All overlap: no cut helps.
        let files = (1..5).map(|id| file(id, 0, 100, 4 * mib)).collect();
        assert_eq!(lay_out(files, None, Some(SAMPLES), 4).len(), 1);
    }
}
