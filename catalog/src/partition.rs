//! Where a row falls: the UTC day and, for fact tables, the two-hour slice of its event time.

use serde::{Deserialize, Serialize};

use crate::table::Table;
use crate::time::{TimeRange, Timestamp};

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
/// Two-hour slices in a day.
pub const SLICES_PER_DAY: u8 = 12;

/// One partition of a table: a day, and one of its twelve two-hour slices or the whole day.
///
/// Dictionary tables and files of level 2 span the day (`slice == None`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Partition {
    /// Days since the Unix epoch, negative before 1970.
    pub day: i32,
    /// Two-hour slice `0..12`, or the whole day.
    pub slice: Option<u8>,
}

impl Partition {
    /// Where files lie that have no time: those of users' tables.
    pub const UNDATED: Self = Self { day: 0, slice: None };

    /// The partition of level 0 and 1 files of `table` into which a row at `at` falls.
    pub fn of(table: Table, at: Timestamp) -> Self {
        let day = at.as_nanos().div_euclid(DAY_NS) as i32;
        let slice = (at.as_nanos().rem_euclid(DAY_NS) / (2 * HOUR_NS)) as u8;
        Self { day, slice: (!table.is_dictionary()).then_some(slice) }
    }
    /// The partition of the whole day.
    pub const fn whole_day(self) -> Self {
        Self { day: self.day, slice: None }
    }
    /// The closed range of instants that fall here.
    pub fn range(self) -> TimeRange {
        let day = i64::from(self.day).saturating_mul(DAY_NS);
        let (start, length) = match self.slice {
            Some(slice) => (day.saturating_add(i64::from(slice) * 2 * HOUR_NS), 2 * HOUR_NS),
            None => (day, DAY_NS),
        };
        TimeRange::new(Timestamp::from_nanos(start), Timestamp::from_nanos(start.saturating_add(length - 1)))
    }
    /// The path below the table: `20000/03` or `20000/day`. Days are numbers since the epoch, so that they sort and need no calendar.
    pub fn path(self) -> String {
        match self.slice {
            Some(slice) => format!("{}/{slice:02}", self.day),
            None => format!("{}/day", self.day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fall_into_slices() {
        let at = Timestamp::from_secs(86_400 * 3 + 7_200 * 5 + 1);
        let partition = Partition::of(Table::Samples, at);
        assert_eq!(partition, Partition { day: 3, slice: Some(5) });
        assert!(partition.range().contains(at));
        assert_eq!(Partition::of(Table::Series, at), Partition { day: 3, slice: None });
        let before = Partition::of(Table::Logs, Timestamp::from_nanos(-1));
        assert_eq!(before, Partition { day: -1, slice: Some(11) });
        for extreme in [Timestamp::MIN, Timestamp::MAX] {
            assert!(Partition::of(Table::Logs, extreme).range().overlaps(TimeRange::ALL));
        }
    }
}
