//! Deletes by log query.
//!
//! ```text
//! what is in memory becomes files ──► predicate into the manifest ──► answers leave out the lines of files up to that snapshot that pass
//!                                                                     its selector, its time and its stages ([`LineTest`])
//! ```
//! Lines that come later, with whatever times, are not meant and are seen. Compaction takes the hidden ones out: see [`lake::deletes`].
//! A predicate is remembered until no file needs it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use catalog::manifest::{DeletePredicate, Operation, Snapshot};
use catalog::{Signal, TenantId, Timestamp};
use lake::ColumnTest;
use lake::deletes::{RowTest, Selection};
use lake::dictionary::Lookup;
use lake::series::Series;
use logql::ast::{LogExpr, Stage};
use logql::pipeline::{Hints, Pipeline};
use uuid::Uuid;

use super::answer::DeleteState;
use super::error::{Error, Result};
use super::evaluate::parse_log;
use super::lines::has_one_of;
use super::metadata::Need;
use super::request::DeleteRequest;
use super::resources::Resources;
use super::rows::{Runner, Stages};
use super::streams::{self, Streams};
use crate::deletes::PREDICATES_MAX;
use crate::engine::Engine;

/// What the text of `delete` means, or why it cannot be read.
pub(crate) fn read_delete(delete: &DeletePredicate) -> std::result::Result<Selection, String> {
    read(&delete.predicate, delete.created().as_nanos()).map_err(|error| error.to_string())
}

/// What `text` means; a template takes `now_ns` for the time of the delete.
fn read(text: &str, now_ns: i64) -> Result<Selection> {
    let log = parse_log(text)?;
    let matchers = streams::matchers(&log.selector.matchers)?;
    let test = LineTest::new(&log, now_ns)?;
    Ok(Selection { matchers, rows: test.map(|test| Box::new(test) as Box<dyn RowTest>) })
}

/// Tells lines that pass the stages of a log query from others.
#[derive(Debug)]
struct LineTest {
    stages: Arc<Stages>,
    columns: Vec<&'static str>,
    prunes: Vec<ColumnTest>,
}

impl LineTest {
    /// `None` when every line passes.
    fn new(log: &LogExpr, now_ns: i64) -> Result<Option<Self>> {
        // Line filters look at no label. Behind other stages all labels count: `__error__` tells of those that nobody asked for, too.
        let is_plain = log.stages.iter().all(|stage| matches!(stage, Stage::LineFilter(_)));
        let hints = if is_plain { Hints::only([""; 0]) } else { Hints::all() };
        let pipeline = logql::interpret::pipeline(&log.stages, hints, now_ns).map_err(|e| Error::invalid(e.to_string()))?;
        if pipeline.is_empty() {
            return Ok(None);
        }
        let need = pipeline.required_labels().map_or_else(Need::all, Need::of);
        let columns = need.columns().iter().copied().chain(["body"]).collect();
        let prunes = Pipeline::required_literals(&log.stages).iter().map(|literals| has_one_of(literals)).collect();
        let stages = Arc::new(Stages { pipeline, streams: Arc::default(), resources: Resources::default() });
        Ok(Some(Self { stages, columns, prunes }))
    }
}

impl RowTest for LineTest {
    fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    fn prunes(&self) -> &[ColumnTest] {
        &self.prunes
    }

    fn learn(&mut self, streams: Vec<Series>, resources: Option<&Lookup>) -> lake::Result<()> {
        let resources = match resources {
            Some(lookup) => Resources::of(lookup).ok_or_else(|| lake::Error::Internal("resources lack a column".to_owned()))?,
            None => Resources::default(),
        };
        let (pipeline, streams) = (self.stages.pipeline.clone(), Arc::new(Streams::new(streams, false)));
        self.stages = Arc::new(Stages { pipeline, streams, resources });
        Ok(())
    }

    fn meant(&self, batch: &RecordBatch) -> lake::Result<BooleanBuffer> {
        let mut meant = vec![false; batch.num_rows()];
        let mut runner = Runner::new(Arc::clone(&self.stages));
        let each = |meant: &mut Vec<bool>, row: super::rows::Row, _: logql::pipeline::Line<'_>| {
            meant[row.at] = true;
            Ok(())
        };
        let ran = runner.run(batch, &mut meant, |_, _| true, each);
        ran.map_err(|error| lake::Error::Internal(error.to_string()))?;
        Ok(BooleanBuffer::from(meant))
    }
}

/// Deletes what `request` selects; the id by which it can be taken back.
pub(super) async fn delete(engine: &Engine, tenant: &TenantId, request: &DeleteRequest) -> Result<String> {
    let id = engine.env().new_uuid();
    if request.end_ns < request.start_ns {
        return Err(Error::invalid("a delete must not end before it starts"));
    }
    read(&request.text, engine.env().now().as_nanos())?;
    let catalog = engine.lake().catalog();
    let known = catalog.snapshot().delete_predicates(tenant).count() + 1;
    if known > PREDICATES_MAX {
        let message = format!(
            "the tenant would have {known} deletes that are not through files yet, limit is {PREDICATES_MAX}; wait for compaction"
        );
        return Err(Error::Limit { name: "deletes of one tenant", message });
    }
    let settled = engine.fresh().settle(tenant).await;
    // Until the commit: from now on lines bring their streams' rows along, so that those before may go with the lines.
    let _settled = settled.map_err(|message| Error::Query(crate::Error::Internal { message }))?;
    let operation = Operation::DeletePredicate {
        id,
        tenant: tenant.clone(),
        signal: Signal::Logs,
        predicate: request.text.clone(),
        start: Timestamp::from_nanos(request.start_ns),
        end: Timestamp::from_nanos(request.end_ns),
    };
    catalog.commit(vec![operation]).await.map_err(crate::Error::Catalog)?;
    Ok(id.to_string())
}

/// The deletes of logs that the manifest remembers, oldest first.
pub(super) fn list(engine: &Engine, tenant: &TenantId) -> Vec<DeleteState> {
    let snapshot = engine.lake().catalog().snapshot();
    of_logs(&snapshot, tenant)
        .map(|delete| DeleteState {
            id: delete.id.to_string(),
            start_s: delete.time.start.as_secs(),
            end_s: delete.time.end.as_secs(),
            text: delete.predicate.clone(),
            is_processed: !snapshot.is_needed(delete),
            created_s: delete.created().as_secs(),
        })
        .collect()
}

/// Takes the delete `id` back.
pub(super) async fn cancel(engine: &Engine, tenant: &TenantId, id: &str, is_forced: bool) -> Result<()> {
    let catalog = engine.lake().catalog();
    let snapshot = catalog.snapshot();
    let unknown =
        || Error::NotFound { message: format!("there is no delete request {id:?}, or its lines are gone from all files") };
    let uuid = Uuid::try_parse(id).map_err(|_| unknown())?;
    let delete = of_logs(&snapshot, tenant).find(|delete| delete.id == uuid).ok_or_else(unknown)?;
    if !is_forced && !snapshot.is_needed(delete) {
        return Err(Error::invalid(format!("delete request {id} has been processed and cannot be cancelled without force")));
    }
    catalog.commit(vec![Operation::CancelDelete { id: uuid }]).await.map_err(crate::Error::Catalog)?;
    Ok(())
}

fn of_logs<'a>(snapshot: &'a Snapshot, tenant: &'a TenantId) -> impl Iterator<Item = &'a DeletePredicate> {
    snapshot.delete_predicates(tenant).filter(|delete| delete.signal == Signal::Logs)
}
