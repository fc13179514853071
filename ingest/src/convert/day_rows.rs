//! The dictionary rows that one request needs: each id once per day, unless its row is stored already.
//!
//! ```text
//! record at ts ─► (id, day) in this request? ─ no ► seen before? ─ no ► row + mark, to be confirmed after the append
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringBuilder};
use catalog::{Partition, Table, TenantId, Timestamp, schema};
use hashbrown::HashMap;

use super::columns::{DictionaryColumn, MapColumn};
use super::ids::{Pending, SeenIds, SeenKey};
use super::resources::times;
use super::streams::Stream;
use super::{DecodeError, field_of};
use crate::registry::reliance::Reliance;

/// The dictionary rows that one request needs in one table, each with the earliest time of its day. `T` is what a row is made from.
#[derive(Debug)]
pub(crate) struct DayRows<'s, T> {
    table: Table,
    tenant: &'s TenantId,
    seen: &'s Arc<SeenIds>,
    /// Where the row of an id and day is; `None`: it was stored before.
    index: HashMap<(i64, i32), Option<usize>>,
    rows: Vec<(Arc<T>, i64)>,
    keys: Vec<SeenKey>,
    /// By which marks are looked at, where rows may go: those of streams.
    reliance: Option<Reliance>,
    last: Option<((i64, i32), Option<usize>)>,
}

impl<'s, T> DayRows<'s, T> {
    /// None yet.
    pub(crate) fn new(table: Table, tenant: &'s TenantId, seen: &'s Arc<SeenIds>) -> Self {
        let reliance = (table == Table::Streams).then(|| seen.rely(tenant));
        Self { table, tenant, seen, index: HashMap::new(), rows: Vec::new(), keys: Vec::new(), reliance, last: None }
    }

    /// A record at `ts_ns` points to `id`, which stands for `what`.
    pub(crate) fn point(&mut self, id: i64, what: &Arc<T>, ts_ns: i64) {
        let day = Partition::of(self.table, Timestamp::from_nanos(ts_ns)).day;
        let at = match self.last {
            Some((last, at)) if last == (id, day) => at,
            _ => self.find(id, day, what, ts_ns),
        };
        self.last = Some(((id, day), at));
        if let Some(at) = at {
            let ts = &mut self.rows[at].1;
            *ts = ts_ns.min(*ts);
        }
    }

    fn find(&mut self, id: i64, day: i32, what: &Arc<T>, ts_ns: i64) -> Option<usize> {
        let Self { table, tenant, seen, rows, keys, reliance, .. } = self;
        let epoch = reliance.as_ref().map_or(Some(0), Reliance::epoch);
        *self.index.entry((id, day)).or_insert_with(|| {
            let key = epoch.map(|epoch| SeenKey::new(tenant, *table, id, day, epoch));
            if key.is_some_and(|key| seen.contains(key)) {
                return None;
            }
            keys.extend(key);
            rows.push((Arc::clone(what), ts_ns));
            Some(rows.len() - 1)
        })
    }

    /// The rows and their earliest times.
    pub(crate) fn rows(&self) -> &[(Arc<T>, i64)] {
        &self.rows
    }

    /// The marks to confirm, and what they were looked at by; `None` when nobody waits for either.
    pub(crate) fn pending(&mut self) -> Option<Pending> {
        let (seen, keys) = (Arc::clone(self.seen), std::mem::take(&mut self.keys));
        match self.reliance.take().filter(|_| !self.index.is_empty()) {
            Some(reliance) => Some(Pending::relying(seen, keys, reliance)),
            None => (!keys.is_empty()).then(|| Pending::new(seen, keys)),
        }
    }
}

impl DayRows<'_, Stream> {
    /// The rows of [`Table::Streams`], none when all are stored, and their marks.
    pub(crate) fn into_streams(mut self) -> Result<(Option<RecordBatch>, Option<Pending>), DecodeError> {
        let pending = self.pending();
        if self.rows.is_empty() {
            return Ok((None, pending));
        }
        let schema = schema::rows(Table::Streams);
        let (mut service, mut labels) = (DictionaryColumn::default(), MapColumn::<StringBuilder>::default());
        for (stream, _) in &self.rows {
            service.push(stream.service());
            for (name, value) in stream.labels.iter() {
                labels.push(name, value);
            }
            labels.end_row();
        }
        let arrays: Vec<ArrayRef> = vec![
            service.finish()?,
            Arc::new(Int64Array::from_iter_values(self.rows.iter().map(|(stream, _)| stream.id))),
            times(self.rows.iter().map(|(_, ts)| *ts)),
            labels.finish(field_of(&schema, "labels")?)?,
        ];
        Ok((Some(RecordBatch::try_new(schema, arrays)?), pending))
    }
}
