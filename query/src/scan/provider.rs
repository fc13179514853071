//! A lake table for DataFusion: decides at planning time what will be read.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use catalog::{Table, TimeRange, Timestamp};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use lake::{ColumnTest, Predicate, Scalar, Test};

use super::dedup::times_ns;
use super::deletes::Deletes;
use super::exec::{LakeScanExec, ScanPlan};
use super::filter::{self, Pushed};
use super::layout::{Fresh, lay_out};
use super::lookup::{Dictionary, KeySet};
use crate::tables::{Source, SqlTable, text_map};
use crate::view::View;

/// Most ids that a scan looks for one by one; of more it uses the smallest and the largest.
const IDS_MAX: usize = 512;

/// A table of the schema `public`, as one query sees it.
#[derive(Debug)]
pub(crate) struct LakeTable {
    table: &'static SqlTable,
    view: Arc<View>,
    schema: SchemaRef,
}

impl LakeTable {
    pub(crate) fn new(table: &'static SqlTable, view: Arc<View>) -> Self {
        Self { table, view, schema: table.schema() }
    }

    /// The ids that the dictionary filters leave, one set per dictionary.
    async fn key_sets(&self, state: &dyn Session, pushed: &Pushed, time: TimeRange) -> Result<Vec<KeySet>> {
        let mut sets = Vec::new();
        let mut done = Vec::new();
        for (lookup, _) in &pushed.dictionary {
            if done.contains(lookup) {
                continue;
            }
            done.push(*lookup);
            let filters = pushed.dictionary.iter().filter(|(l, _)| l == lookup).map(|(_, filter)| filter.clone());
            let Some(filter) = conjunction(filters) else { continue };
            let column = self.table.columns.iter().find(|c| c.source == Source::Lookup(*lookup));
            let name = column.map_or("labels", |c| c.name);
            let schema = DFSchema::try_from(Schema::new(vec![Field::new(name, text_map(), false)]))?;
            let filter = state.create_physical_expr(filter, &schema)?;
            let dictionary = Dictionary::load(&self.view, *lookup, time, &state.runtime_env().memory_pool).await?;
            sets.push(dictionary.matching(filter.as_ref(), name)?);
        }
        Ok(sets)
    }

    /// The rows in memory that can lie in `time`.
    fn fresh(&self, time: TimeRange) -> Result<Option<Fresh>> {
        let mut fresh = Fresh { batches: Vec::new(), time: TimeRange::new(Timestamp::MAX, Timestamp::MIN), rows: 0 };
        for batch in self.view.fresh(self.table.table) {
            let Some(column) = batch.column_by_name("ts") else { continue };
            let (times, unit) = times_ns(column.as_ref())?;
            let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { continue };
            let at = |value: &i64| Timestamp::from_nanos(value.saturating_mul(unit));
            let range = TimeRange::new(at(first), at(last));
            if range.overlaps(time) {
                fresh.time = TimeRange::new(fresh.time.start.min(range.start), fresh.time.end.max(range.end));
                fresh.rows += batch.num_rows() as u64;
                fresh.batches.push(batch);
            }
        }
        Ok((fresh.rows > 0).then_some(fresh))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| filter::support(self.table, filter)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = projection.cloned().unwrap_or_else(|| (0..self.table.columns.len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let pushed = filter::translate_all(self.table, filters);
        let time = pushed.time.unwrap_or(TimeRange::ALL);
        let key_sets = self.key_sets(state, &pushed, time).await?;
        let mut predicate = pushed.predicate;
        let mut nothing = time.is_empty();
        for set in &key_sets {
            nothing |= !set.negated && set.ids.is_empty();
            narrow(&mut predicate, set, self.table.table);
        }
        let all = self.view.files(self.table.table, TimeRange::ALL);
        let live = all.len();
        let in_time = match pushed.time {
            Some(time) => self.view.files(self.table.table, time),
            None => all,
        };
        let in_time_count = in_time.len();
        let files = if nothing { Vec::new() } else { self.view.lake().prune(&in_time, &predicate, time) };
        self.view.open(&files)?;
        let fresh = if nothing { None } else { self.fresh(time)? };
        let deletes = Deletes::load(&self.view, self.table.table, time).await?;
        let (file_count, bytes) = (files.len(), files.iter().map(|f| f.bytes).sum());
        let fresh_rows = fresh.as_ref().map_or(0, |f| f.rows);
        let shares = lay_out(files, fresh, self.table.identity, state.config().target_partitions());
        let exact_rows = filters.is_empty()
            && shares.iter().all(|share| !share.repeats)
            && self.table.shape == crate::tables::Shape::Row
            && self.view.snapshot().delete_predicates(self.view.tenant()).next().is_none();
        Ok(Arc::new(LakeScanExec::new(ScanPlan {
            table: self.table,
            view: Arc::clone(&self.view),
            columns,
            schema,
            time,
            predicate,
            key_sets,
            deletes,
            shares,
            fetch: limit,
            exact_rows,
            live,
            in_time: in_time_count,
            files: file_count,
            bytes,
            fresh_rows,
        })))
    }
}

/// Adds what `set` says about stored columns. The id of a series follows from its metric, so samples of these ids have these
/// metrics, by which files are sorted.
fn narrow(predicate: &mut Predicate, set: &KeySet, table: Table) {
    if set.negated || set.ids.is_empty() {
        return;
    }
    let test = if set.ids.len() <= IDS_MAX {
        let mut ids: Vec<i64> = set.ids.iter().copied().collect();
        ids.sort_unstable();
        Test::In(ids.into_iter().map(Scalar::Int).collect())
    } else {
        let bound = |id: Option<&i64>| id.copied().map(Scalar::Int);
        Test::Between(bound(set.ids.iter().min()), bound(set.ids.iter().max()))
    };
    predicate.all.push(ColumnTest { column: set.key.to_owned(), test });
    if let Some(metrics) = set.metrics.as_ref().filter(|m| !m.is_empty() && table == Table::Samples) {
        let mut metrics = metrics.clone();
        metrics.sort_unstable();
        let test = Test::In(metrics.into_iter().map(Scalar::Text).collect());
        predicate.all.push(ColumnTest { column: "metric".to_owned(), test });
    }
}
