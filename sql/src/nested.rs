//! What a query may not have in it, however deep: a statement that writes, a lock, a sample.
//!
//! `WITH x AS (DELETE ...) SELECT`, `SELECT ... INTO`, `(INSERT ...)` as a table: the parser takes them as parts of a query. The planner
//! does not know them and says so in its own words; here they are refused by name. A lock and a sample it would pass over in silence.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor};

/// What makes `query` more than a question, by its name.
pub(crate) fn forbidden(query: &Query) -> Option<&'static str> {
    match query.visit(&mut Forbidden) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

struct Forbidden;

impl Visitor for Forbidden {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let found = match &*query.body {
            SetExpr::Insert(_) => Some("INSERT"),
            SetExpr::Update(_) => Some("UPDATE"),
            SetExpr::Delete(_) => Some("DELETE"),
            SetExpr::Merge(_) => Some("MERGE"),
            _ if !query.locks.is_empty() => Some("SELECT FOR UPDATE"),
            _ if query.settings.is_some() => Some("SETTINGS"),
            _ => None,
        };
        found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        match &select.into {
            Some(_) => ControlFlow::Break("SELECT INTO"),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                ControlFlow::Break("TABLESAMPLE")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// No query has a statement in it that is none of the above.
    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Self::Break> {
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            Statement::Insert(_) => ControlFlow::Break("INSERT"),
            Statement::Update { .. } => ControlFlow::Break("UPDATE"),
            Statement::Delete(_) => ControlFlow::Break("DELETE"),
            Statement::Merge { .. } => ControlFlow::Break("MERGE"),
            _ => ControlFlow::Break("a statement within a query"),
        }
    }
}
