//! Statistics against predicates.

use catalog::{FileEntry, TimeRange};

use crate::predicate::Predicate;

/// Whether `file` may hold rows in `time` that match `predicate`, by its manifest entry alone.
pub fn file_may_match(file: &FileEntry, _predicate: &Predicate, time: TimeRange) -> bool {
    file.time.overlaps(time)
}
