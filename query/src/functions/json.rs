//! JSON in texts: `json_get`, `json_get_str`, `json_contains`, ... and the operators `->`, `->>`, `#>`, `#>>`. (`?` is a
//! parameter in the dialect that we read, where `=` binds tighter than arrows, too.)
//!
//! They are those of `datafusion-functions-json`. What `json_get` and `->` give is a value of any kind, which no other column has: where
//! it would leave the statement, it leaves as its JSON text ([`as_text`]).

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Column, DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, WindowUDF};
use datafusion_functions_json::functions::json_union_to_text;
use datafusion_functions_json::{JSON_UNION_DATA_TYPE, register_all};

/// What the crate brings: collected once, so that a session is made without it.
#[derive(Debug, Default)]
pub(super) struct Json {
    pub(super) scalar: Vec<Arc<ScalarUDF>>,
    pub(super) planners: Vec<Arc<dyn ExprPlanner>>,
    pub(super) rewrites: Vec<Arc<dyn FunctionRewrite + Send + Sync>>,
}

impl Json {
    pub(super) fn new() -> Self {
        let mut collected = Self::default();
        register_all(&mut collected).expect("collecting does not fail");
        collected
    }
}

impl FunctionRegistry for Json {
    fn udfs(&self) -> HashSet<String> {
        self.scalar.iter().map(|function| function.name().to_owned()).collect()
    }

    fn udafs(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn udwfs(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn higher_order_function_names(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn udf(&self, name: &str) -> Result<Arc<ScalarUDF>> {
        let found = self.scalar.iter().find(|function| function.name() == name);
        found.cloned().ok_or_else(|| DataFusionError::Plan(format!("no function {name}")))
    }

    fn udaf(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        Err(DataFusionError::Plan(format!("no aggregate function {name}")))
    }

    fn udwf(&self, name: &str) -> Result<Arc<WindowUDF>> {
        Err(DataFusionError::Plan(format!("no window function {name}")))
    }

    fn higher_order_function(&self, name: &str) -> Result<Arc<HigherOrderUDF>> {
        Err(DataFusionError::Plan(format!("no higher-order function {name}")))
    }

    fn register_udf(&mut self, function: Arc<ScalarUDF>) -> Result<Option<Arc<ScalarUDF>>> {
        self.scalar.push(function);
        Ok(None)
    }

    fn register_function_rewrite(&mut self, rewrite: Arc<dyn FunctionRewrite + Send + Sync>) -> Result<()> {
        self.rewrites.push(rewrite);
        Ok(())
    }

    fn register_expr_planner(&mut self, planner: Arc<dyn ExprPlanner>) -> Result<()> {
        self.planners.push(planner);
        Ok(())
    }

    fn expr_planners(&self) -> Vec<Arc<dyn ExprPlanner>> {
        self.planners.clone()
    }
}

/// `plan` with its columns of JSON values as JSON text: formats have no type for a value of any kind. Other plans come back as they are.
///
/// # Errors
/// A column has such values inside of a list, a map or a struct.
pub fn as_text(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_json = |data_type: &DataType| *data_type == *JSON_UNION_DATA_TYPE;
    let hides_json = |field: &&FieldRef| !is_json(field.data_type()) && has_union(field.data_type());
    if let Some(field) = plan.schema().fields().iter().find(hides_json) {
        let message = format!("column {} has JSON values inside of other values; take them as text, with ->>", field.name());
        return Err(crate::Error::Invalid { message }.into());
    }
    let is_query = !matches!(
        plan,
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) | LogicalPlan::Statement(_)
    );
    if !is_query || !plan.schema().fields().iter().any(|field| is_json(field.data_type())) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            match is_json(field.data_type()) {
                true => json_union_to_text(column).alias(field.name()),
                false => column,
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// Whether values of any kind are in values of this type.
fn has_union(data_type: &DataType) -> bool {
    match data_type {
        DataType::Union(..) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item) => {
            has_union(item.data_type())
        }
        DataType::FixedSizeList(item, _) | DataType::Map(item, _) => has_union(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_union(field.data_type())),
        DataType::Dictionary(_, values) => has_union(values),
        DataType::RunEndEncoded(_, values) => has_union(values.data_type()),
        _ => false,
    }
}
