//! SQL functions: DataFusion's, with caps where an argument decides how much memory one call takes, and a few of our own.

mod attr;
mod caps;
mod label;
mod map_value;
mod prom;
mod series_caps;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

use crate::promql::table::{self, PromqlFunction};

/// Functions that tell of the node, not of the data.
const REMOVED: [&str; 2] = ["input_file_name", "file_row_index"];

/// Every function of a session; built once, shared by all.
#[derive(Debug)]
pub(crate) struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    higher_order: Vec<Arc<HigherOrderUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
    window: Vec<Arc<WindowUDF>>,
    table: HashMap<String, Arc<TableFunction>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let mut scalar: Vec<Arc<ScalarUDF>> = SessionStateDefaults::default_scalar_functions()
            .into_iter()
            .filter(|function| !REMOVED.contains(&function.name()))
            .map(caps::capped)
            .collect();
        scalar.push(Arc::new(ScalarUDF::from(attr::Attr::new())));
        scalar.push(Arc::new(ScalarUDF::from(label::Label::new())));
        let mut aggregate = SessionStateDefaults::default_aggregate_functions();
        aggregate.extend(prom::aggregates());
        let table = SessionStateDefaults::default_table_functions()
            .into_iter()
            .map(|function| (function.name().to_owned(), series_caps::capped(&function)))
            .collect();
        Self {
            scalar,
            higher_order: SessionStateDefaults::default_higher_order_functions(),
            aggregate,
            window: SessionStateDefaults::default_window_functions(),
            table,
            planners: SessionStateDefaults::default_expr_planners(),
        }
    }

    /// Gives them to a session, with `promql` if it is spoken.
    pub(crate) fn install(&self, builder: SessionStateBuilder, promql: Option<PromqlFunction>) -> SessionStateBuilder {
        let mut table = self.table.clone();
        if let Some(promql) = promql {
            table.insert(table::NAME.to_owned(), Arc::new(TableFunction::new(table::NAME.to_owned(), Arc::new(promql))));
        }
        builder
            .with_expr_planners(self.planners.clone())
            .with_scalar_functions(self.scalar.clone())
            .with_higher_order_functions(self.higher_order.clone())
            .with_aggregate_functions(self.aggregate.clone())
            .with_window_functions(self.window.clone())
            .with_table_functions(table)
    }
}
