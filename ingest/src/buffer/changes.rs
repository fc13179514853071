//! When the metrics are of that came in of late, by tenant: who keeps answers asks for it.

use std::collections::HashMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampMillisecondType;
use catalog::{Changes, Partition, Table, TenantId, TimeRange, Timestamp};

/// Tenants that are told apart; beyond it everything is forgotten, which costs kept answers, not truth.
const TENANTS_MAX: usize = 10_000;

/// What records changed, by tenant.
#[derive(Debug, Default)]
pub(super) struct TenantChanges {
    /// What records up to this one changed is not known.
    forgotten: u64,
    tenants: HashMap<TenantId, Changes>,
}

impl TenantChanges {
    /// Notes that `record`, the newest, has rows of `time`.
    pub(super) fn record(&mut self, tenant: &TenantId, record: u64, time: TimeRange) {
        if let Some(changes) = self.tenants.get_mut(tenant) {
            return changes.record(record, time);
        }
        if self.tenants.len() >= TENANTS_MAX {
            self.tenants.clear();
            self.forgotten = record;
            return;
        }
        self.tenants.entry(tenant.clone()).or_default().record(record, time);
    }

    /// The newest record of `tenant`; what is forgotten counts as everybody's.
    pub(super) fn newest(&self, tenant: &TenantId) -> u64 {
        self.tenants.get(tenant).map_or(0, Changes::newest).max(self.forgotten)
    }

    /// The times of rows of `tenant` in records after `record`.
    pub(super) fn since(&self, tenant: &TenantId, record: u64) -> Option<Vec<TimeRange>> {
        if record < self.forgotten {
            return None;
        }
        Some(self.tenants.get(tenant).map_or_else(Vec::new, |changes| changes.since(record).collect()))
    }
}

/// The times at which the rows of one record change what is known of metrics.
///
/// The row of a series comes with its first sample of the day and changes nothing but what that sample changes. One that comes alone may
/// show samples of its day that were there.
pub(super) fn times_of(rows: &[(Table, RecordBatch)]) -> Option<TimeRange> {
    let facts = of(rows, |table| matches!(table, Table::Samples | Table::Histograms));
    facts.or_else(|| {
        let days = of(rows, |table| table == Table::Series)?;
        let day = |at| Partition::of(Table::Series, at).range();
        Some(TimeRange::new(day(days.start).start, day(days.end).end))
    })
}

fn of(rows: &[(Table, RecordBatch)], wanted: impl Fn(Table) -> bool) -> Option<TimeRange> {
    let times = rows.iter().filter(|(table, batch)| wanted(*table) && batch.num_rows() > 0).map(|(_, batch)| {
        let times = batch.column_by_name("ts").and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        // Rows whose times cannot be read may be of any time.
        times.and_then(|times| Some(TimeRange::new(Timestamp::from_millis(min(times)?), Timestamp::from_millis(max(times)?))))
    });
    let hull = |a: TimeRange, b: TimeRange| TimeRange::new(a.start.min(b.start), a.end.max(b.end));
    times.map(|time| time.unwrap_or(TimeRange::ALL)).reduce(hull)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, TimestampMillisecondArray};

    use super::*;

    fn rows(table: Table, times: &[i64]) -> (Table, RecordBatch) {
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(times.to_vec()));
        (table, RecordBatch::try_from_iter([("ts", times)]).unwrap())
    }

    fn millis(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    #[test]
    fn samples_say_when_a_record_is_of() {
        let day = 86_400_000;
        let series = rows(Table::Series, &[day + 5, 2 * day + 5]);
        assert_eq!(times_of(&[rows(Table::Logs, &[1]), rows(Table::Exemplars, &[2])]), None);
        assert_eq!(times_of(&[rows(Table::Samples, &[])]), None);
        let facts = [series.clone(), rows(Table::Samples, &[7, 3]), rows(Table::Histograms, &[9])];
        assert_eq!(times_of(&facts), Some(millis(3, 9)));
        let days = times_of(&[series]).expect("they may show something");
        assert_eq!((days.start.as_millis(), days.end.as_millis()), (day, 3 * day - 1));
    }

    #[test]
    fn tenants_are_told_apart_and_forgotten_at_once() {
        let [a, b] = ["a", "b"].map(|name| TenantId::parse(name).unwrap());
        let mut changes = TenantChanges::default();
        changes.record(&a, 1, millis(0, 5));
        changes.record(&b, 2, millis(7, 9));
        assert_eq!((changes.newest(&a), changes.newest(&b)), (1, 2));
        assert_eq!(changes.since(&a, 0), Some(vec![millis(0, 5)]));
        assert_eq!(changes.since(&a, 1), Some(vec![]));
        for n in 0..TENANTS_MAX {
            changes.record(&TenantId::parse(&format!("t{n}")).unwrap(), 3 + n as u64, millis(0, 1));
        }
        assert_eq!(changes.since(&a, 1), None, "it may have changed");
        assert!(changes.newest(&a) > 2 && changes.tenants.len() <= TENANTS_MAX);
    }
}
