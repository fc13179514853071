//! The nearest lines first: large units are read a slice of time after the other.
//!
//! ```text
//! newest first            rest of the time     │  an eighth  │ 1/64 │
//! row group of stream 1   ─────────────────────┼─────────────┼──────┤
//! row group of stream 2   ─────────────────────┼─────────────┼──────┤   the last slice of every unit, then the one before, ...
//! ```
//! A row group has few streams and all of their time. Whoever wants the newest thousand lines of all would read one whole before the next one,
//! although a few minutes of each are enough. What lies beyond the lines that were found is not read: see [`super::Bound`].

use catalog::{TimeRange, Timestamp};

use super::super::request::Direction;
use super::Unit;

/// Parts of the time, nearest first, that the slices before the last one take.
const PARTS: [i64; 2] = [64, 8];
/// Units with fewer rows are read whole.
const ROWS_MIN: u64 = 16 << 10;

/// `units`, which are ordered, cut at the same times, nearest slices first. Rows are in one slice each.
pub(super) fn sliced(units: Vec<Unit>, time: TimeRange, direction: Direction) -> Vec<Unit> {
    let span = units
        .iter()
        .map(|unit| unit.time().intersect(time))
        .reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)));
    let Some(span) = span.filter(|span| !span.is_empty()) else { return units };
    let mut whole: Vec<Option<Unit>> = units.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(whole.len());
    for slice in slices(span, direction) {
        for place in &mut whole {
            let Some(unit) = place else { continue };
            if !unit.time().overlaps(slice) {
                continue;
            }
            match unit {
                Unit::File(file) if file.rows >= ROWS_MIN => out.push(unit.at(slice.intersect(unit.time()))),
                // Where it is met first.
                _ => out.extend(place.take()),
            }
        }
    }
    out
}

/// `span` in slices, nearest first: disjoint, and nothing is left out.
fn slices(span: TimeRange, direction: Direction) -> Vec<TimeRange> {
    let (start, end) = (span.start.as_nanos(), span.end.as_nanos());
    let length = end.saturating_sub(start);
    let cut = |part: i64| length / part;
    let at = Timestamp::from_nanos;
    let mut slices = Vec::with_capacity(PARTS.len() + 1);
    let (mut low, mut high) = (start, end);
    for part in PARTS.map(cut) {
        match direction {
            Direction::Backward if end - part > low && end - part < high => {
                slices.push(TimeRange::new(at(end - part + 1), at(high)));
                high = end - part;
            }
            Direction::Forward if start + part > low && start + part < high => {
                slices.push(TimeRange::new(at(low), at(start + part - 1)));
                low = start + part;
            }
            _ => {}
        }
    }
    slices.push(TimeRange::new(at(low), at(high)));
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_the_whole() {
        #[track_caller]
        fn check(span: (i64, i64), direction: Direction, expected: &[(i64, i64)]) {
            let range = |(start, end): (i64, i64)| TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(end));
            assert_eq!(slices(range(span), direction), expected.iter().copied().map(range).collect::<Vec<_>>());
        }
        check((0, 640), Direction::Backward, &[(631, 640), (561, 630), (0, 560)]);
        check((0, 640), Direction::Forward, &[(0, 9), (10, 79), (80, 640)]);
        check((5, 5), Direction::Backward, &[(5, 5)]);
        check((5, 15), Direction::Forward, &[(5, 5), (6, 15)]);
        let all = slices(TimeRange::ALL, Direction::Backward);
        assert_eq!((all.len(), all[0].end, all[2].start), (3, TimeRange::ALL.end, TimeRange::ALL.start));
    }
}
