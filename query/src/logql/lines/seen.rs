//! Of equal lines one is seen.
//!
//! A sender that repeats a batch in another shape brings the same line (stream, time, text, metadata) twice; Loki shows it once. Equal lines
//! have equal times, so only rows need a look that share their time with another row of their stream, or that lie where two units overlap.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Float64Type, Int64Type, TimestampNanosecondType};
use catalog::TimeRange;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use hashbrown::HashSet;
use parking_lot::Mutex;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Shards, so that partitions do not queue for one lock. A power of two.
const SHARDS: usize = 16;
/// Columns that tell lines of one text apart.
pub(super) const METADATA: [&str; 8] =
    ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json", "trace_id", "span_id", "resource_id"];
/// Overlaps up to which services are looked at.
const SPANS_MAX: usize = 1_024;
/// What a remembered line costs: 16 bytes, and room of the set.
const KEY_BYTES: usize = 36;

/// When lines of a file are, and of which services.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) time: TimeRange,
    /// Bounds, if they are known.
    pub(super) services: Option<(String, String)>,
}

impl Span {
    /// Times and services of both, if there are any.
    fn shared(&self, other: &Self) -> Option<Self> {
        let time = self.time.intersect(other.time);
        let services = match (&self.services, &other.services) {
            (Some((low, high)), Some((others_low, others_high))) => {
                Some((low.max(others_low).clone(), high.min(others_high).clone()))
            }
            (known, other) => known.clone().or_else(|| other.clone()),
        };
        (!time.is_empty() && services.as_ref().is_none_or(|(low, high)| low <= high)).then_some(Self { time, services })
    }

    fn meets(&self, time: TimeRange, services: Option<(&str, &str)>) -> bool {
        self.time.overlaps(time)
            && match (&self.services, services) {
                (Some((low, high)), Some((others_low, others_high))) => {
                    low.as_str() <= others_high && others_low <= high.as_str()
                }
                _ => true,
            }
    }
}

/// The lines that were seen where two may be equal. Shared by the partitions of a scan.
#[derive(Debug)]
pub(super) struct Seen {
    shards: Vec<Mutex<HashSet<u128>>>,
    /// Where units overlap: in time, disjoint and ascending.
    overlaps: Vec<TimeRange>,
    /// The same with the services of each; none if there are too many.
    spans: Vec<Span>,
}

impl Seen {
    /// For files with these spans; units of `fresh`, by their times, may hold equal lines among their own.
    pub(super) fn new(files: impl Iterator<Item = Span>, fresh: impl Iterator<Item = TimeRange>) -> Self {
        let mut spans: Vec<Span> = fresh.map(|time| Span { time, services: None }).collect();
        let mut files: Vec<Span> = files.collect();
        files.sort_by_key(|file| file.time.start);
        let mut open: Vec<&Span> = Vec::new();
        for file in &files {
            open.retain(|before| before.time.end >= file.time.start);
            spans.extend(open.iter().filter_map(|before| before.shared(file)));
            open.push(file);
            if spans.len() + open.len() > SPANS_MAX {
                let times = spans.iter().map(|span| span.time).chain(overlapping(&files)).collect();
                return Self { shards: shards(), overlaps: merged(times), spans: Vec::new() };
            }
        }
        Self { shards: shards(), overlaps: merged(spans.iter().map(|span| span.time).collect()), spans }
    }

    /// The times in `range` at which rows of other units may have lines that rows of `services` have; disjoint, ascending.
    pub(super) fn overlaps_in(&self, range: TimeRange, services: Option<(&str, &str)>) -> Vec<TimeRange> {
        let at = self.overlaps.partition_point(|overlap| overlap.end < range.start);
        let near = self.overlaps[at..].iter().take_while(|overlap| overlap.start <= range.end);
        if self.spans.is_empty() || near.clone().next().is_none() {
            return near.map(|overlap| overlap.intersect(range)).collect();
        }
        let meeting = self.spans.iter().filter(|span| span.meets(range, services));
        merged(meeting.map(|span| span.time.intersect(range)).collect())
    }

    /// Whether rows of other units may have the time `ts`. `last` keeps the range that was found last, and the answer for it.
    fn is_contested(&self, ts: i64, last: &mut Option<(std::ops::RangeInclusive<i64>, bool)>) -> bool {
        if let Some((range, answer)) = last
            && range.contains(&ts)
        {
            return *answer;
        }
        let at = self.overlaps.partition_point(|overlap| overlap.end.as_nanos() < ts);
        let before = at.checked_sub(1).map_or(i64::MIN, |at| self.overlaps[at].end.as_nanos().saturating_add(1));
        let found = match self.overlaps.get(at) {
            Some(next) if next.start.as_nanos() <= ts => (next.start.as_nanos()..=next.end.as_nanos(), true),
            Some(next) => (before..=next.start.as_nanos() - 1, false),
            None => (before..=i64::MAX, false),
        };
        last.insert(found).1
    }

    /// Whether the line was not seen before.
    fn insert(&self, key: u128) -> bool {
        self.shards[(key >> 124) as usize % SHARDS].lock().insert(key)
    }
}

fn shards() -> Vec<Mutex<HashSet<u128>>> {
    (0..SHARDS).map(|_| Mutex::default()).collect()
}

/// Times at which two of `files`, ascending by their starts, have lines, whatever their services.
fn overlapping(files: &[Span]) -> impl Iterator<Item = TimeRange> + '_ {
    let mut reach: Option<catalog::Timestamp> = None;
    files.iter().filter_map(move |Span { time, .. }| {
        let before = reach;
        reach = Some(before.map_or(time.end, |before| before.max(time.end)));
        before.filter(|before| time.start <= *before).map(|before| TimeRange::new(time.start, time.end.min(before)))
    })
}

/// The same times in disjoint ranges, ascending.
fn merged(mut ranges: Vec<TimeRange>) -> Vec<TimeRange> {
    ranges.sort_by_key(|range| range.start);
    let mut out: Vec<TimeRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// Whether lines at the ends of a unit may be equal to lines at the ends of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// They are as any others.
    Own,
    /// The unit was cut from others, anywhere between two rows.
    Shared,
}

/// One partition's look at its batches.
#[derive(Debug)]
pub(super) struct Once {
    seen: Arc<Seen>,
    memory: Arc<dyn MemoryPool>,
    reservation: MemoryReservation,
    /// The last row of the unit at hand.
    last: Option<Last>,
    /// What is known of that unit's ends.
    ends: Ends,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    stream: i64,
    ts: i64,
    key: u128,
    /// Whether the key is in the set already.
    is_entered: bool,
}

impl Once {
    pub(super) fn new(seen: Arc<Seen>, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("LinesExec[equal lines]").register(pool);
        Self { seen, memory: Arc::clone(pool), reservation, last: None, ends: Ends::Own }
    }

    /// Where it takes its memory from.
    pub(super) fn memory(&self) -> &Arc<dyn MemoryPool> {
        &self.memory
    }

    /// The next batch comes from another unit, with such `ends`.
    pub(super) fn start_unit(&mut self, ends: Ends) {
        (self.last, self.ends) = (None, ends);
    }

    /// The rows of `batch` that were not seen before. See [`Once::repeated`].
    pub(super) fn pass(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let gone = self.repeated(&batch)?;
        if gone.is_empty() {
            return Ok(batch);
        }
        let mut gone = gone.into_iter().peekable();
        let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(gone.next_if_eq(&row).is_none())).collect();
        Ok(filter_record_batch(&batch, &kept)?)
    }

    /// The rows of `batch` that were seen before, ascending. Columns `stream_id`, `ts`, `body`, and whichever of [`METADATA`] it has; in
    /// files, rows of one stream and time stand side by side.
    pub(super) fn repeated(&mut self, batch: &RecordBatch) -> Result<Vec<usize>> {
        let missing = || DataFusionError::Internal("lines lack a column".to_owned());
        let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
        let streams = column("stream_id")?.as_primitive::<Int64Type>().values();
        let times = column("ts")?.as_primitive::<TimestampNanosecondType>().values();
        let bodies = column("body")?.as_string::<i32>();
        let metadata: Vec<&ArrayRef> = METADATA.iter().filter_map(|name| batch.column_by_name(name)).collect();
        let key_of = |row: usize| key(streams[row], times[row], bodies.value(row), &metadata, row);
        let mut gone: Vec<usize> = Vec::new();
        let mut entered = 0;
        let mut contest = None;
        // Which batch is the last one of a unit is not known, so the ends of all of them are looked at.
        let ends = (self.ends == Ends::Shared && batch.num_rows() > 0).then(|| {
            let at = |row: usize| (streams[row], times[row]);
            [at(0), at(batch.num_rows() - 1)]
        });
        // Of the row before: whether its key is in the set.
        let mut before_is_entered = false;
        for row in 0..batch.num_rows() {
            let (stream, ts) = (streams[row], times[row]);
            let repeats = match row.checked_sub(1) {
                Some(before) => (streams[before], times[before]) == (stream, ts),
                None => self.last.is_some_and(|last| (last.stream, last.ts) == (stream, ts)),
            };
            let is_shared = ends.is_some_and(|ends| ends.contains(&(stream, ts)));
            if !repeats && !is_shared && !self.seen.is_contested(ts, &mut contest) {
                before_is_entered = false;
                continue;
            }
            if repeats {
                let before = match row.checked_sub(1) {
                    Some(before) => (!before_is_entered).then(|| key_of(before)),
                    None => self.last.filter(|last| !last.is_entered).map(|last| last.key),
                };
                entered += usize::from(before.is_some_and(|key| self.seen.insert(key)));
            }
            if self.seen.insert(key_of(row)) {
                entered += 1;
            } else {
                gone.push(row);
            }
            before_is_entered = true;
        }
        if let Some(row) = batch.num_rows().checked_sub(1) {
            let (stream, ts, key) = (streams[row], times[row], key_of(row));
            self.last = Some(Last { stream, ts, key, is_entered: before_is_entered });
        }
        self.reservation.try_grow(entered * KEY_BYTES)?;
        Ok(gone)
    }
}

/// Whether two neighbours among the rows of `batches`, which follow each other, have one stream and one time: only then may lines of one
/// file be equal.
pub(in super::super) fn has_ties(batches: &[RecordBatch]) -> bool {
    let mut last: Option<(i64, i64)> = None;
    batches.iter().any(|batch| {
        let ids = batch.column_by_name("stream_id").map(|ids| ids.as_primitive::<Int64Type>().values());
        let times = batch.column_by_name("ts").map(|times| times.as_primitive::<TimestampNanosecondType>().values());
        let (Some(ids), Some(times)) = (ids, times) else { return true };
        ids.iter().zip(times.iter()).any(|(id, ts)| last.replace((*id, *ts)) == Some((*id, *ts)))
    })
}

/// What makes lines equal.
fn key(stream: i64, ts: i64, body: &str, metadata: &[&ArrayRef], row: usize) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&stream.to_le_bytes());
    hasher.update(&ts.to_le_bytes());
    hasher.update(body.as_bytes());
    metadata.iter().for_each(|column| hash_value(column.as_ref(), row, &mut hasher));
    hasher.digest128()
}

/// Adds the value of a column of [`METADATA`], or of one inside.
fn hash_value(column: &dyn Array, row: usize, hasher: &mut Xxh3) {
    if column.is_null(row) {
        return hasher.update(&[0xfe]);
    }
    if let Some(map) = column.as_map_opt() {
        let offsets = map.value_offsets();
        for at in offsets[row] as usize..offsets[row + 1] as usize {
            hash_value(map.keys().as_ref(), at, hasher);
            hash_value(map.values().as_ref(), at, hasher);
        }
    } else if let Some(texts) = column.as_string_opt::<i32>() {
        hasher.update(texts.value(row).as_bytes());
    } else if let Some(ids) = column.as_fixed_size_binary_opt() {
        hasher.update(ids.value(row));
    } else if let Some(numbers) = column.as_primitive_opt::<Int64Type>() {
        hasher.update(&numbers.value(row).to_le_bytes());
    } else if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        hasher.update(&numbers.value(row).to_bits().to_le_bytes());
    } else if let Some(flags) = column.as_boolean_opt() {
        hasher.update(&[u8::from(flags.value(row))]);
    }
    // No text has this byte: what follows is another value.
    hasher.update(&[0xff]);
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, TimestampNanosecondArray};
    use catalog::Timestamp;
    use datafusion::execution::memory_pool::UnboundedMemoryPool;
    use proptest::prelude::*;

    use super::*;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end))
    }

    fn span(start: i64, end: i64) -> Span {
        Span { time: range(start, end), services: None }
    }

    fn batch(rows: &[(i64, i64, &str)]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("stream_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1)))),
            ("body", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
        ];
        RecordBatch::try_from_iter(columns).expect("one length")
    }

    fn texts(batch: &RecordBatch) -> Vec<&str> {
        batch.column(2).as_string::<i32>().iter().flatten().collect()
    }

    fn once(seen: &Arc<Seen>) -> Once {
        Once::new(Arc::clone(seen), &(Arc::new(UnboundedMemoryPool::default()) as Arc<dyn MemoryPool>))
    }

    #[test]
    fn equal_lines_of_one_file_stand_side_by_side() {
        let seen = Arc::new(Seen::new([span(0, 10)].into_iter(), [].into_iter()));
        let mut once = once(&seen);
        let first = batch(&[(1, 1, "a"), (1, 1, "a"), (1, 1, "b"), (1, 1, "a"), (1, 2, "a"), (2, 2, "a")]);
        assert_eq!(texts(&once.pass(first).expect("memory")), ["a", "b", "a", "a"]);
        let second = batch(&[(2, 2, "a"), (2, 2, "c"), (2, 3, "c")]);
        assert_eq!(texts(&once.pass(second).expect("memory")), ["c", "c"], "the run goes on from the batch before");
    }

    #[test]
    fn units_that_overlap_share_what_was_seen() {
        let seen = Arc::new(Seen::new([span(0, 10), span(8, 20)].into_iter(), [range(30, 40)].into_iter()));
        let (mut one, mut other) = (once(&seen), once(&seen));
        assert_eq!(one.pass(batch(&[(1, 7, "a"), (1, 9, "a")])).expect("memory").num_rows(), 2);
        assert_eq!(texts(&other.pass(batch(&[(1, 9, "a"), (1, 9, "b")])).expect("memory")), ["b"]);
        let fresh = batch(&[(1, 31, "a"), (2, 31, "a"), (1, 31, "a")]);
        other.start_unit(Ends::Own);
        assert_eq!(other.pass(fresh).expect("memory").num_rows(), 2, "fresh rows are in no order");
    }

    proptest! {
        #[test]
        fn pieces_of_a_file_have_each_line_once(
            mut rows in prop::collection::vec((0_i64..2, 0_i64..6, 0_usize..3), 1..60),
            cuts in prop::collection::vec(0_usize..60, 0..5),
            batch_rows in 1_usize..9,
            backwards in any::<bool>(),
        ) {
            rows.sort_by_key(|(stream, ts, _)| (*stream, *ts));
            let rows: Vec<(i64, i64, &str)> = rows.into_iter().map(|(stream, ts, text)| (stream, ts, ["a", "b", "c"][text])).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % rows.len()).chain([0, rows.len()]).collect();
            cuts.sort_unstable();
            let mut pieces: Vec<&[(i64, i64, &str)]> = cuts.windows(2).map(|ends| &rows[ends[0]..ends[1]]).collect();
            if backwards {
                pieces.reverse();
            }
            let seen = Arc::new(Seen::new([span(0, 10)].into_iter(), [].into_iter()));
            let mut readers = [once(&seen), once(&seen)];
            let mut found: Vec<(i64, i64, String)> = Vec::new();
            for (turn, piece) in pieces.into_iter().enumerate() {
                let reader = &mut readers[turn % 2];
                reader.start_unit(Ends::Shared);
                for rows in piece.chunks(batch_rows) {
                    let kept = reader.pass(batch(rows)).expect("memory");
                    let (streams, times) =
                        (kept.column(0).as_primitive::<Int64Type>(), kept.column(1).as_primitive::<TimestampNanosecondType>());
                    let texts = texts(&kept).into_iter().enumerate();
                    found.extend(texts.map(|(row, text)| (streams.value(row), times.value(row), text.to_owned())));
                }
            }
            found.sort_unstable();
            let mut expected: Vec<(i64, i64, String)> = rows.into_iter().map(|(stream, ts, text)| (stream, ts, text.to_owned())).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn files_of_other_services_share_no_lines() {
        let of = |start, end, low: &str, high: &str| Span { services: Some((low.into(), high.into())), ..span(start, end) };
        let files = [of(0, 10, "a", "c"), of(0, 10, "c", "f"), of(5, 20, "x", "z"), of(9, 30, "e", "y")];
        let seen = Seen::new(files.into_iter(), [range(50, 60)].into_iter());
        #[track_caller]
        fn check(seen: &Seen, time: (i64, i64), services: Option<(&str, &str)>, expected: &[(i64, i64)]) {
            let expected: Vec<TimeRange> = expected.iter().map(|(start, end)| range(*start, *end)).collect();
            assert_eq!(seen.overlaps_in(range(time.0, time.1), services), expected);
        }
        check(&seen, (0, 100), Some(("a", "b")), &[(50, 60)]);
        check(&seen, (0, 100), Some(("b", "c")), &[(0, 10), (50, 60)]);
        check(&seen, (0, 45), Some(("d", "f")), &[(9, 10)]);
        check(&seen, (12, 45), Some(("x", "x")), &[(12, 20)]);
        check(&seen, (0, 45), None, &[(0, 20)]);
        check(&seen, (21, 45), None, &[]);
    }
}
