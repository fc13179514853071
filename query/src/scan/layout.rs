//! Who reads what: files and fresh rows dealt into partitions. Pure.
//!
//! ```text
//! no identity (logs, spans)              identity (samples, dictionaries): equal rows must meet, and equal rows have equal times
//!   by size, largest first, to the         time ──────────────────────────────►
//!   lightest partition; a file that        [f1][f2 ][f3]│[f4][f5]│[fresh]      cut where few bytes straddle; a file that straddles
//!   is more than a partition's fair          window 1   │window 2│ window 3    a cut is read by both sides, each row by one
//!   share is dealt by row groups
//! ```
//! A compacted file holds no two equal rows. If no other unit can hold one of its rows either, it is dealt like a file without identity.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{FileEntry, Level, Partition, Table, TimeRange, Timestamp};
use lake::Part;

use super::dedup;
use crate::tables::{Identity, Keep};

/// A partition is not worth its task below this many bytes of files.
const PARTITION_BYTES_MIN: u64 = 1 << 20;

/// Rows that are read together.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    /// A file, or part of one.
    File(Arc<FileEntry>, Part),
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
    /// Whether a row may be there twice.
    pub(crate) repeats: bool,
}

impl Unit {
    pub(crate) fn time(&self) -> TimeRange {
        match self {
            Self::File(file, _) => file.time,
            Self::Fresh(fresh) => fresh.time,
        }
    }

    /// Rows, as storage counts them; of parts of a file about their share.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::File(file, part) => share_of(file.rows, *part),
            Self::Fresh(fresh) => fresh.rows,
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::File(file, part) => share_of(file.bytes, *part),
            // Rows in memory need no decoding; count them as their size in a file would be.
            Self::Fresh(fresh) => fresh.rows * 8,
        }
    }

    /// Whether no two rows inside are equal: compaction leaves one of them.
    pub(super) fn is_merged(&self) -> bool {
        matches!(self, Self::File(file, _) if file.level > Level::L0)
    }

    /// Whether the two may hold a row of the same identity, times aside.
    pub(crate) fn may_share_ids(&self, other: &Self) -> bool {
        let (Self::File(a, _), Self::File(b, _)) = (self, other) else { return true };
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

/// What of `whole` falls to `part`; the parts of a whole add up to it.
fn share_of(whole: u64, part: Part) -> u64 {
    let of = part.of.max(1) as u64;
    whole / of + u64::from((part.at as u64) < whole % of)
}

/// The closed range of the days that `range` touches.
pub(crate) fn whole_days(range: TimeRange) -> TimeRange {
    let day = |at| Partition::of(Table::Series, at).range();
    if range.is_empty() { range } else { TimeRange::new(day(range.start).start, day(range.end).end) }
}

/// Deals `files` and `fresh` into at most about `target` partitions; at least one.
pub(crate) fn lay_out(files: Vec<Arc<FileEntry>>, fresh: Option<Fresh>, identity: Option<Identity>, target: usize) -> Vec<Share> {
    let whole = |file| Unit::File(file, Part::WHOLE);
    let units: Vec<Unit> = files.into_iter().map(whole).chain(fresh.map(|fresh| Unit::Fresh(Arc::new(fresh)))).collect();
    let bytes: u64 = units.iter().map(Unit::bytes).sum();
    let target = usize::try_from(bytes / PARTITION_BYTES_MIN).unwrap_or(usize::MAX).clamp(1, target.max(1));
    let Some(identity) = identity else { return deal_by_size(units, target) };
    let (alone, others) = dedup::alone(units, identity);
    let alone_bytes: u64 = alone.iter().map(Unit::bytes).sum();
    let of_alone = usize::try_from((alone_bytes * target as u64).div_ceil(bytes.max(1))).unwrap_or(target);
    let mut shares = match others.is_empty() {
        true => Vec::new(),
        false => cut_by_time(others, identity, bytes / target as u64),
    };
    for share in &mut shares {
        share.units.sort_by_cached_key(|unit| rank(unit, identity.keep));
    }
    if !alone.is_empty() || shares.is_empty() {
        shares.extend(deal_by_size(alone, of_alone.max(1)));
    }
    shares
}

/// The place of a unit among those whose equal rows must give way. Fresh rows were written last; of files, those of a lower level.
fn rank(unit: &Unit, keep: Keep) -> (u8, u128) {
    let age = match unit {
        Unit::Fresh(_) => (0, 0),
        Unit::File(file, _) => (1 + file.level as u8, u128::MAX - file.id.as_u128()),
    };
    match keep {
        Keep::Newest => age,
        Keep::Oldest => (u8::MAX - age.0, u128::MAX - age.1),
    }
}

fn deal_by_size(units: Vec<Unit>, target: usize) -> Vec<Share> {
    let fair = units.iter().map(Unit::bytes).sum::<u64>() / target.max(1) as u64;
    let mut pieces: Vec<Unit> = Vec::with_capacity(units.len());
    for unit in units {
        match unit {
            Unit::File(file, Part::WHOLE) if target > 1 && file.bytes > fair => {
                pieces.extend((0..target).map(|at| Unit::File(Arc::clone(&file), Part { at, of: target })));
            }
            unit => pieces.push(unit),
        }
    }
    pieces.sort_by_key(|unit| Reverse(unit.bytes()));
    let mut shares = vec![Share::default(); target.min(pieces.len()).max(1)];
    let mut lightest: BinaryHeap<_> = (0..shares.len()).map(|i| Reverse((0, i))).collect();
    for unit in pieces {
        let Some(Reverse((bytes, i))) = lightest.pop() else { break };
        lightest.push(Reverse((bytes + unit.bytes().max(1), i)));
        shares[i].units.push(unit);
    }
    for share in &mut shares {
        share.units.sort_by_key(|unit| unit.time().start);
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
            Share { units, window, repeats: true }
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
        share.units.iter().map(|u| if let Unit::File(f, _) = u { f.id.as_u128() } else { 0 }).collect()
    }

    #[test]
    fn facts_are_dealt_by_size() {
        let mib = 1 << 20;
        let files = vec![file(1, 0, 9, 5 * mib), file(2, 10, 19, 3 * mib), file(3, 20, 29, 3 * mib)];
        let shares = lay_out(files, None, None, 2);
        assert_eq!(shares.iter().map(ids).collect::<Vec<_>>(), [vec![1], vec![2, 3]]);
        let parts =
            |share: &Share| share.units.iter().map(|u| if let Unit::File(_, p) = u { (p.at, p.of) } else { (0, 0) }).collect();
        let shares = lay_out(vec![file(1, 0, 9, 9 * mib), file(2, 10, 19, 2 * mib)], None, None, 2);
        assert_eq!(shares.iter().map(ids).collect::<Vec<_>>(), [vec![1, 2], vec![1]], "a big file is read by both");
        assert_eq!(shares.iter().map(parts).collect::<Vec<Vec<_>>>(), [vec![(0, 2), (0, 1)], vec![(1, 2)]]);
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
        // Compacted, and nothing else has its rows: by row groups.
        let compacted = |id, start, end| {
            let mut file = FileEntry::clone(&file(id, start, end, 4 * mib));
            file.level = Level::L2;
            Arc::new(file)
        };
        let shares = lay_out(vec![compacted(1, 0, 100)], None, Some(SAMPLES), 2);
        assert_eq!(
            shares.iter().map(|share| (ids(share), share.repeats)).collect::<Vec<_>>(),
            [(vec![1], false), (vec![1], false)]
        );
        let shares = lay_out(vec![compacted(1, 0, 100), file(2, 90, 110, mib)], None, Some(SAMPLES), 2);
        assert_eq!(shares.iter().map(|share| (ids(share), share.repeats)).collect::<Vec<_>>(), [(vec![2, 1], true)]);
        // All overlap: no cut helps.
        let files = (1..5).map(|id| file(id, 0, 100, 4 * mib)).collect();
        assert_eq!(lay_out(files, None, Some(SAMPLES), 4).len(), 1);
    }
}
