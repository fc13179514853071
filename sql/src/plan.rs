//! From a checked statement to a plan that can run, and what can be said about a statement without running it.
//!
//! ```text
//! statement ─► logical plan ─► values for its placeholders ─► verified ─► JSON as text ─► optimized ─edge─► schema
//!                    └ placeholders and their types                            └─► physical plan ─► batches
//! ```
//!
//! # Invariants
//! - The schema of an answer is the edge of its optimized logical plan. Whoever describes a statement and whoever runs it go through
//!   [`plan`], so that both say the same, field by field.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use catalog::TenantId;
use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::{DFParser, ExplainStatement, Statement};
use query::{Engine, QueryLimits, Session};

use crate::edge::{edge_schema, edge_type};
use crate::engine::{Deadline, SqlEngine, SqlRequest};
use crate::error::{Error, Result};
use crate::statement::{self, Checked};

/// What a statement answers with and what it wants to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The schema of the answer, as it will be sent.
    pub schema: SchemaRef,
    /// Its placeholders without the `$`: numbered ones by number, then named ones by name. A type that does not follow from where the
    /// placeholder stands is text.
    pub placeholders: SchemaRef,
}

/// A plan that can run.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) schema: SchemaRef,
    state: SessionState,
    plan: LogicalPlan,
}

impl Planned {
    /// Starts it. Batches have the types of the plan, not yet those of the edge.
    ///
    /// # Errors
    /// No physical plan can be made.
    pub(crate) async fn execute(self) -> DataFusionResult<SendableRecordBatchStream> {
        let plan = self.state.query_planner().create_physical_plan(&self.plan, &self.state).await?;
        query::threads::settle().await;
        execute_stream(plan, self.state.task_ctx())
    }
}

impl SqlEngine {
    /// What the answer of `request` will look like. Values for placeholders may be missing; then a type that depends on them is a guess.
    ///
    /// # Errors
    /// Everything that planning finds; limits of time and turns as for a query.
    pub async fn describe(&self, tenant: &TenantId, request: SqlRequest) -> Result<Described> {
        let id = self.engine().env().new_uuid();
        // What is only described is no query; one that cannot be described will never be one.
        let asking = self.ask_as(id, tenant, &request.origin, &request.text);
        let described = self.describe_unlogged(tenant, request).await;
        match (asking, &described) {
            (Some(asking), Ok(_)) => asking.forget(),
            (Some(asking), Err(error)) => asking.fail(error.outcome(), &error.public_message()),
            (None, _) => {}
        }
        described
    }

    async fn describe_unlogged(&self, tenant: &TenantId, request: SqlRequest) -> Result<Described> {
        let checked = statement::check(&request.text)?;
        let deadline = Deadline::of(&request, &self.config);
        let (engine, admission) = (Arc::clone(self.engine()), Arc::clone(&self.admission));
        let (tenant, queue_wait) = (tenant.clone(), self.config.queue_wait);
        let work = async move {
            let _turn = admission.turn(&tenant, queue_wait).await?;
            let session = session(&engine, &tenant, &request).await?;
            session.stop_flag().stop_at(deadline.at);
            describe(&session, &request, checked).await
        };
        let task = self.threads.spawn(work);
        match tokio::time::timeout_at(deadline.grace(), task).await {
            Ok(Ok(Err(Error::Query(query::Error::Stopped)))) | Err(_) => Err(deadline.passed()),
            Ok(Ok(described)) => described,
            Ok(Err(_)) => {
                let id = self.engine().env().new_uuid();
                Err(Error::Internal { id, message: "the task that describes a statement died".to_owned() })
            }
        }
    }
}

/// A session with the limits that `request` sets itself.
///
/// # Errors
/// There is no such snapshot.
pub(crate) async fn session(engine: &Engine, tenant: &TenantId, request: &SqlRequest) -> Result<Session> {
    let mut limits: QueryLimits = engine.config().limits.clone();
    if let Some(bytes) = request.max_bytes_scanned {
        limits.scan_bytes_max = limits.scan_bytes_max.min(bytes);
    }
    Ok(match (request.snapshot, &request.extras) {
        (Some(snapshot), _) => engine.session_at(tenant, limits, snapshot).await?,
        (None, Some(extras)) => engine.session_with(tenant, limits, Arc::clone(extras))?,
        (None, None) => engine.session(tenant, limits)?,
    })
}

/// Plans a statement with the values that `request` has for its placeholders.
///
/// # Errors
/// What the planner says, with limits named.
pub(crate) async fn plan(session: &Session, request: &SqlRequest, checked: Checked) -> Result<Planned> {
    let explain = |error| Error::from(session.explain(error));
    let mut state = state(session, request);
    let plan = logical(session, &state, request, checked).await?;
    let plan = bind(session, request, plan)?;
    let plan = state.optimize(&plan).map_err(explain)?;
    query::bound_batches(&plan, &mut state).map_err(explain)?;
    Ok(Planned { schema: edge_schema(plan.schema().as_arrow(), request.times), state, plan })
}

async fn describe(session: &Session, request: &SqlRequest, checked: Checked) -> Result<Described> {
    let state = state(session, request);
    let plan = logical(session, &state, request, checked).await?;
    let mut wanted = plan.get_parameter_types().map_err(|e| Error::from(session.explain(e)))?;
    if request.extras.is_some() {
        // Clients of Flight send values with their types; those of Postgres ask in what type a value is wanted.
        take_casts(&plan, &mut wanted).map_err(|e| Error::from(session.explain(e)))?;
    }
    let plan = bind(session, request, plan)?;
    let plan = match state.optimize(&plan) {
        Ok(plan) => plan,
        // The optimizer may stumble over a placeholder without a value; the plan as it was written has a schema as well.
        Err(_) if request.params.is_none() && !wanted.is_empty() => plan,
        Err(error) => return Err(session.explain(error).into()),
    };
    let schema = edge_schema(plan.schema().as_arrow(), request.times);
    Ok(Described { schema, placeholders: placeholders(wanted, request) })
}

/// A placeholder that says nothing of itself has the type that it is cast to, as in `$1::bigint`.
fn take_casts(plan: &LogicalPlan, wanted: &mut HashMap<String, Option<DataType>>) -> DataFusionResult<()> {
    plan.apply(|node| {
        for expr in node.expressions() {
            expr.apply(|expr| {
                if let Expr::Cast(cast) = expr
                    && let Expr::Placeholder(placeholder) = &*cast.expr
                    && let Some(kind) = wanted.get_mut(&placeholder.id)
                    && kind.is_none()
                {
                    *kind = Some(cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn placeholders(wanted: HashMap<String, Option<DataType>>, request: &SqlRequest) -> SchemaRef {
    let mut wanted: Vec<_> = wanted.into_iter().map(|(id, kind)| (id.trim_start_matches('$').to_owned(), kind)).collect();
    let number = |name: &str| name.parse::<u64>().unwrap_or(u64::MAX);
    wanted.sort_by(|(a, _), (b, _)| number(a).cmp(&number(b)).then_with(|| a.cmp(b)));
    let field = |(name, kind): (String, Option<DataType>)| {
        let kind = kind.filter(|kind| !kind.is_null()).map_or(DataType::Utf8, |kind| edge_type(&kind, request.times));
        Field::new(name, kind, true)
    };
    Arc::new(Schema::new(wanted.into_iter().map(field).collect::<Vec<_>>()))
}

/// The session's state, with the schema that the request wants for names without one.
fn state(session: &Session, request: &SqlRequest) -> SessionState {
    let mut state = session.state();
    if let Some(schema) = &request.schema {
        state.config_mut().options_mut().catalog.default_schema.clone_from(schema);
    }
    state
}

async fn logical(session: &Session, state: &SessionState, request: &SqlRequest, checked: Checked) -> Result<LogicalPlan> {
    let statement = match request.explain_analyze && checked.is_query {
        true => analyze(checked.statement)?,
        false => checked.statement,
    };
    state.statement_to_plan(statement).await.map_err(|e| session.explain(e).into())
}

/// Gives placeholders their values; the second gate, behind which nothing can write; JSON leaves as text.
fn bind(session: &Session, request: &SqlRequest, mut plan: LogicalPlan) -> Result<LogicalPlan> {
    let explain = |error| Error::from(session.explain(error));
    if let Some(params) = request.params.clone() {
        plan = plan.with_param_values(params).map_err(explain)?;
    }
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(&plan).map_err(explain)?;
    query::json_as_text(without_settings(plan).map_err(explain)?).map_err(explain)
}

/// The planner's settings tell of the machine: that table is there, as in every DataFusion, and has no rows.
fn without_settings(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let empty = |node: LogicalPlan| match &node {
        LogicalPlan::TableScan(scan)
            if scan.table_name.schema() == Some("information_schema") && scan.table_name.table() == "df_settings" =>
        {
            let schema = Arc::clone(&scan.projected_schema);
            Ok(Transformed::yes(LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })))
        }
        _ => Ok(Transformed::no(node)),
    };
    plan.transform_down_with_subqueries(empty).data()
}

/// EXPLAIN ANALYZE of a query.
fn analyze(query: Statement) -> Result<Statement> {
    let parse = |text: &str| DFParser::parse_sql(text).ok().and_then(|mut all| all.pop_front());
    match parse("EXPLAIN ANALYZE SELECT 1") {
        Some(Statement::Explain(explain)) => Ok(Statement::Explain(ExplainStatement { statement: Box::new(query), ..explain })),
        _ => Err(Error::Syntax { message: "EXPLAIN ANALYZE is not understood".to_owned() }),
    }
}
