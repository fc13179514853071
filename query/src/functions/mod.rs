//! SQL functions: DataFusion's, with caps where an argument decides how much memory one call takes, and a few of our own.

mod attr;
pub(crate) mod caps;
mod json;
mod label;
mod logfmt_get;
mod map_value;
mod prom;
mod series_caps;
mod time_bucket;
mod version;

pub use json::as_text as json_as_text;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::common::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateDefaults};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, WindowUDF};

/// Functions that tell of the node, not of the data; `version` has a better one.
const REMOVED: [&str; 3] = ["input_file_name", "file_row_index", "version"];

/// Aggregates that people look for under another name as well.
const ALIASES: [(&str, &[&str]); 4] = [
    ("approx_percentile_cont", &["approx_percentile"]),
    ("prom_histogram_quantile", &["histogram_quantile"]),
    ("prom_increase", &["increase"]),
    ("prom_rate", &["rate"]),
];

fn aliased(function: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match ALIASES.into_iter().find(|(name, _)| *name == function.name()) {
        Some((_, aliases)) => Arc::new(AggregateUDF::clone(&function).with_aliases(aliases.iter().copied())),
        None => function,
    }
}

/// Every function of a session; built once, shared by all.
#[derive(Debug)]
pub(crate) struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    higher_order: Vec<Arc<HigherOrderUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
    window: Vec<Arc<WindowUDF>>,
    table: HashMap<String, Arc<TableFunction>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    rewrites: Vec<Arc<dyn FunctionRewrite + Send + Sync>>,
}

impl Functions {
    pub(crate) fn new() -> Self {
        let mut scalar: Vec<Arc<ScalarUDF>> = SessionStateDefaults::default_scalar_functions()
            .into_iter()
            .filter(|function| !REMOVED.contains(&function.name()))
            .collect();
        scalar.push(Arc::new(ScalarUDF::from(caps::JoinTexts::new())));
        let mut scalar: Vec<_> = scalar.into_iter().map(caps::capped).collect();
        let date_bin = scalar.iter().find(|function| function.name() == "date_bin").map(Arc::clone);
        scalar.extend(date_bin.map(|date_bin| Arc::new(ScalarUDF::from(time_bucket::TimeBucket::new(date_bin)))));
        scalar.push(Arc::new(ScalarUDF::from(attr::Attr::new())));
        scalar.push(Arc::new(ScalarUDF::from(label::Label::new())));
        scalar.push(Arc::new(ScalarUDF::from(logfmt_get::LogfmtGet::new())));
        let mut json = json::Json::new();
        scalar.append(&mut json.scalar);
        json.rewrites.push(Arc::new(caps::CappedCalls::of(&scalar)));
        scalar.push(Arc::new(ScalarUDF::from(version::Version::new())));
        let mut planners = json.planners;
        planners.extend(SessionStateDefaults::default_expr_planners());
        let mut aggregate: Vec<_> = SessionStateDefaults::default_aggregate_functions().into_iter().map(aliased).collect();
        aggregate.extend(prom::aggregates().into_iter().map(aliased));
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
            planners,
            rewrites: json.rewrites,
        }
    }

    /// A session with them, and with the languages that are spoken.
    ///
    /// # Errors
    /// DataFusion refuses one of them.
    pub(crate) fn install(&self, builder: SessionStateBuilder, languages: Vec<TableFunction>) -> Result<SessionState> {
        let mut table = self.table.clone();
        table.extend(languages.into_iter().map(|language| (language.name().to_owned(), Arc::new(language))));
        let mut state = builder
            .with_expr_planners(self.planners.clone())
            .with_scalar_functions(self.scalar.clone())
            .with_higher_order_functions(self.higher_order.clone())
            .with_aggregate_functions(self.aggregate.clone())
            .with_window_functions(self.window.clone())
            .with_table_functions(table)
            .build();
        for rewrite in &self.rewrites {
            state.register_function_rewrite(Arc::clone(rewrite))?;
        }
        Ok(state)
    }
}
