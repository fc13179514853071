//! `telelake.user`: the tables that users of the tenant made, as one query sees them.
//!
//! ```text
//! view's snapshot ─► files of the table ─► footer of the oldest: its columns
//!                                       └► shared out to partitions, read one after the other, only the columns asked for
//! ```
//! # Invariants
//! - All files of a table have the columns of its oldest one; ingestion sees to that.
//! - Filters are left to the operators above: statistics of the manifest know nothing of these columns.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use catalog::{FileEntry, UserTableName};
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt};
use lake::UserScan;

use crate::view::View;

/// The schema.
#[derive(Debug)]
pub(crate) struct UserTables(pub(crate) Arc<View>);

/// One of its tables.
#[derive(Debug)]
struct UserTable {
    view: Arc<View>,
    files: Vec<Arc<FileEntry>>,
    schema: SchemaRef,
}

/// Some of the files of a table.
#[derive(Debug)]
struct Share {
    view: Arc<View>,
    files: Vec<Arc<FileEntry>>,
    /// What is read of them.
    columns: Vec<usize>,
    schema: SchemaRef,
}

#[async_trait]
impl SchemaProvider for UserTables {
    fn table_names(&self) -> Vec<String> {
        self.0.snapshot().user_tables(self.0.tenant()).into_keys().map(String::from).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Ok(name) = UserTableName::parse(name) else { return Ok(None) };
        let view = Arc::clone(&self.0);
        let files = view.snapshot().user_table(view.tenant(), &name);
        let Some(first) = files.first() else { return Ok(None) };
        let schema = view.lake().user_schema(first).await.map_err(outward)?;
        Ok(Some(Arc::new(UserTable { view, files, schema })))
    }

    fn table_exist(&self, name: &str) -> bool {
        let name = UserTableName::parse(name);
        name.is_ok_and(|name| !self.0.snapshot().user_table(self.0.tenant(), &name).is_empty())
    }
}

#[async_trait]
impl TableProvider for UserTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.view.open(&self.files)?;
        let asked = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        // A reader gives columns in the order of the file.
        let mut columns = asked.clone();
        columns.sort_unstable();
        columns.dedup();
        let schema = Arc::new(self.schema.project(&columns)?);
        let count = state.config().target_partitions().clamp(1, self.files.len().max(1));
        let shares = (0..count).map(|first| {
            let files = self.files.iter().skip(first).step_by(count).cloned().collect();
            let (view, columns, schema) = (Arc::clone(&self.view), columns.clone(), Arc::clone(&schema));
            Arc::new(Share { view, files, columns, schema }) as Arc<dyn PartitionStream>
        });
        let order: Vec<usize> = asked.iter().filter_map(|wanted| columns.iter().position(|column| column == wanted)).collect();
        let reorder = (asked != columns).then_some(&order);
        let plan = StreamingTableExec::try_new(Arc::clone(&schema), shares.collect(), reorder, None, false, limit)?;
        Ok(Arc::new(plan))
    }
}

impl PartitionStream for Share {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let what = UserScan { columns: self.columns.clone(), batch_rows: context.session_config().batch_size() };
        let view = Arc::clone(&self.view);
        let scans = self.files.clone().into_iter().map(move |file| view.lake().scan_user(file, what.clone()));
        let batches = futures::stream::iter(scans).flatten().map_err(outward);
        let expected = Arc::clone(&self.schema);
        // The columns are those of the table, whatever a file says of nulls and metadata.
        let batches = batches.map(move |batch| {
            let batch = batch?;
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            RecordBatch::try_new_with_options(Arc::clone(&expected), columns, &options).map_err(DataFusionError::from)
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

fn outward(error: lake::Error) -> DataFusionError {
    crate::Error::from(error).into()
}
