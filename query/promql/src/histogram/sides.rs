//! One side of a histogram as a list of (index, count).

use super::BucketSpan;

/// Buckets ascending by index, each index once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Side(pub Vec<(i32, f64)>);

/// The indexes that `spans` stand for, ascending.
pub(super) fn indexes(spans: &[BucketSpan]) -> impl Iterator<Item = i32> + '_ {
    let mut next = 0_i32;
    spans.iter().flat_map(move |span| {
        let first = next.saturating_add(span.offset);
        next = first.saturating_add(i32::try_from(span.length).unwrap_or(i32::MAX));
        first..next
    })
}

impl Side {
    /// The buckets that `spans` and `counts` stand for.
    pub fn of(spans: &[BucketSpan], counts: &[f64]) -> Self {
        Self(indexes(spans).zip(counts.iter().copied()).collect())
    }

    /// Spans and counts: a new span wherever an index is missing.
    pub fn spans(&self) -> (Vec<BucketSpan>, Vec<f64>) {
        (spans_of(self.0.iter().map(|(index, _)| *index)), self.0.iter().map(|(_, count)| *count).collect())
    }

    /// Without buckets that count nothing.
    #[must_use]
    pub fn without_empty(&self) -> Self {
        Self(self.0.iter().copied().filter(|(_, count)| *count != 0.0).collect())
    }

    /// At a schema that is coarser `by` so many steps.
    #[must_use]
    pub fn reduced(&self, by: u32) -> Self {
        Self(merged(self.0.iter().map(|(index, count)| (coarser(*index, by), *count)), |a, b| *a += b))
    }

    /// The count of bucket `index`; 0 when there is none.
    pub fn count(&self, index: i32) -> f64 {
        self.0.binary_search_by_key(&index, |(i, _)| *i).map_or(0.0, |at| self.0[at].1)
    }
}

/// The index, at a schema coarser `by` so many steps, of the bucket that holds bucket `index`.
pub(super) const fn coarser(index: i32, by: u32) -> i32 {
    ((index - 1) >> by) + 1
}

/// The spans of ascending indexes.
pub(super) fn spans_of(indexes: impl Iterator<Item = i32>) -> Vec<BucketSpan> {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for index in indexes {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    spans
}

/// Ascending pairs with the values of equal indexes united.
pub(super) fn merged<T>(pairs: impl Iterator<Item = (i32, T)>, mut unite: impl FnMut(&mut T, T)) -> Vec<(i32, T)> {
    let mut out: Vec<(i32, T)> = Vec::new();
    for (index, value) in pairs {
        match out.last_mut() {
            Some((last, into)) if *last == index => unite(into, value),
            _ => out.push((index, value)),
        }
    }
    out
}
