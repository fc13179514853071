//! What only questions about the catalog have, put into words that there are, once datafusion-pg-catalog's rules have done theirs.
//!
//! Some of it changes what a statement over other tables would mean, so it is for those questions alone: a correlated subquery gives its first row,
//! lists of privileges and options are null or empty, since the catalog has none.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArguments, Ident,
    ObjectName, Query, Select, SelectItem, SetExpr, Statement, TableFactor, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::dialect::{arguments, call, literal, text_of};
use super::views;

/// Columns of `pg_type` that name a function. Here they are text; compared with a `regproc` they are compared with its name.
const PROCEDURES: [&str; 9] =
    ["typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze", "typsubscript", "prosupport"];

/// Puts what only questions about the catalog have into words that there are.
pub(super) fn words(statement: &mut Statement) {
    let _ = statement.visit(&mut CatalogWords);
}

struct CatalogWords;

impl VisitorMut for CatalogWords {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        let alone = match name.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.to_ascii_lowercase()),
            _ => None,
        };
        if alone.is_some_and(|alone| views::NAMES.contains(&alone.as_str())) {
            let mut parts = ObjectName::from(vec![Ident::new("pg_catalog")]).0;
            parts.append(&mut name.0);
            name.0 = parts;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
                if is_procedure(left)
                    && let Some(name) = procedure_name(right)
                {
                    **right = name;
                }
            }
            Expr::Subquery(query) if is_correlated(query) => first_of(query),
            Expr::Function(function) if is_array_of_rows(function) => {
                if let FunctionArguments::Subquery(query) = &function.args {
                    *expr = array_of(query.clone());
                }
            }
            Expr::Function(function) => {
                if is_in_text(function) {
                    *expr = Expr::Value(Value::Boolean(false).with_empty_span());
                } else if let Some(column) = absent_list(function) {
                    *expr = column;
                }
            }
            // As Postgres 15 and 16 call it.
            Expr::CompoundIdentifier(idents) if idents.last().is_some_and(|name| name.value == "colliculocale") => {
                if let Some(name) = idents.last_mut() {
                    *name = Ident::new("colllocale");
                }
            }
            // No table says of its rows which one it is.
            Expr::CompoundIdentifier(idents) if idents.last().is_some_and(|name| name.value == "tableoid") => {
                *expr = Expr::Value(Value::Number("0".to_owned(), false).with_empty_span());
            }
            // (keys).n: a field of a composite value.
            Expr::CompoundFieldAccess { root, access_chain } => {
                if let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice() {
                    *expr = call("get_field", vec![root.as_ref().clone(), literal(&field.value)]);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `ARRAY(SELECT ...)`.
fn is_array_of_rows(function: &Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("array")) && matches!(function.args, FunctionArguments::Subquery(_))
}

/// The array of a subquery's rows, in no order. What is unnested of a column is a list of options or privileges, and there are none.
fn array_of(mut query: Box<Query>) -> Expr {
    let empty = || Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(Expr::Array(Array { elem: Vec::new(), named: true })),
        data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None)),
        array: false,
        format: None,
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return empty() };
    let unnests = select.from.iter().any(|from| match &from.relation {
        TableFactor::Table { name, args: Some(_), .. } => is_named(name, &["unnest", "pg_options_to_table"]),
        TableFactor::Function { name, .. } => is_named(name, &["unnest", "pg_options_to_table"]),
        TableFactor::UNNEST { .. } => true,
        _ => false,
    });
    let [SelectItem::UnnamedExpr(row) | SelectItem::ExprWithAlias { expr: row, .. }] = select.projection.as_mut_slice() else {
        return empty();
    };
    if unnests {
        return empty();
    }
    *row = call("array_agg", vec![row.clone()]);
    query.order_by = None;
    Expr::Subquery(query)
}

fn is_named(name: &ObjectName, names: &[&str]) -> bool {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.is_some_and(|last| names.iter().any(|name| last.value.eq_ignore_ascii_case(name)))
}

/// `x = ANY (column)`, as the library puts it, where the column is a list of roles or kinds that the library has as a text, in a table without rows.
fn is_in_text(function: &Function) -> bool {
    let list = || arguments(&function.args)?.into_iter().next();
    is_named(&function.name, &["array_contains"]) && list().is_some_and(|list| is_column(&list, &["polroles", "stxkind"]))
}

/// Privileges and options that the library has as null texts, where a list is wanted: the null itself.
fn absent_list(function: &Function) -> Option<Expr> {
    const LISTS: [&str; 11] =
        ["attacl", "defaclacl", "fdwacl", "lanacl", "lomacl", "nspacl", "proacl", "setconfig", "spcacl", "srvacl", "typacl"];
    if !is_named(&function.name, &["array_to_string"]) {
        return None;
    }
    let [list, _] = arguments(&function.args)?.try_into().ok()?;
    let name = match &list {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(idents) => idents.last()?,
        _ => return None,
    };
    LISTS.contains(&name.value.to_ascii_lowercase().as_str()).then_some(list)
}

fn is_procedure(expr: &Expr) -> bool {
    is_column(expr, &PROCEDURES)
}

/// Whether `expr` is a column with one of these names, of whatever relation.
fn is_column(expr: &Expr, names: &[&str]) -> bool {
    let name = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(idents) => idents.last(),
        Expr::Nested(inner) => return is_column(inner, names),
        _ => None,
    };
    name.is_some_and(|name| names.contains(&name.value.to_ascii_lowercase().as_str()))
}

/// The name of a procedure that is looked up: `(SELECT oid FROM pg_catalog.pg_proc WHERE proname = 'array_in')`, as the library has it.
fn procedure_name(expr: &Expr) -> Option<Expr> {
    let Expr::Subquery(query) = expr else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let Some(Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) = &select.selection else { return None };
    match left.as_ref() {
        Expr::Identifier(ident) if ident.value == "proname" => {}
        _ => return None,
    }
    Some(match text_of(right) {
        Some(text) => literal(text.strip_prefix("pg_catalog.").unwrap_or(text)),
        None => right.as_ref().clone(),
    })
}

/// Whether a subquery names a relation that it does not have.
fn is_correlated(query: &Query) -> bool {
    struct Finder(Vec<String>);
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::CompoundIdentifier(idents) if idents.len() > 1 && !self.0.contains(&idents[idents.len() - 2].value) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    struct Relations(Vec<String>);
    impl Visitor for Relations {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let (alias, name) = match factor {
                TableFactor::Table { alias, name, .. } => (alias, name.0.last().and_then(|part| part.as_ident())),
                TableFactor::Derived { alias, .. } | TableFactor::NestedJoin { alias, .. } => (alias, None),
                _ => return ControlFlow::Continue(()),
            };
            self.0.extend(alias.as_ref().map(|alias| &alias.name).or(name).map(|name| name.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut relations = Relations(Vec::new());
    let _ = query.visit(&mut relations);
    query.visit(&mut Finder(relations.0)).is_break()
}

/// Makes a scalar subquery one that has a row at most by its form, as DataFusion wants it: the oids of the catalog see to it that it has.
fn first_of(query: &mut Query) {
    query.limit_clause = None;
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Select { projection, group_by, .. } = select.as_mut();
    if *group_by != datafusion::sql::sqlparser::ast::GroupByExpr::Expressions(Vec::new(), Vec::new()) {
        return;
    }
    if let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = projection.as_mut_slice()
        && !matches!(expr, Expr::Function(_))
    {
        *expr = call("first_value", vec![expr.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    #[test]
    fn what_only_the_catalog_is_asked() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, text).expect("a statement").remove(0);
            words(&mut statement);
            assert_eq!(statement.to_string(), expected, "{text}");
        }
        check("SELECT ARRAY(SELECT a FROM t ORDER BY 1)", "SELECT (SELECT array_agg(a) FROM t)");
        check(
            "SELECT ARRAY(SELECT 'toast.' || x FROM pg_catalog.unnest(c.reloptions) x) FROM c",
            "SELECT ARRAY[]::TEXT[] FROM c",
        );
        check("SELECT ARRAY(SELECT x FROM unnest(c.tags) AS t(x)) FROM c", "SELECT ARRAY[]::TEXT[] FROM c");
        check("SELECT pg_catalog.array_to_string(n.nspacl, 'x') FROM n", "SELECT n.nspacl FROM n");
        check("SELECT array_to_string(a.tags, 'x') FROM a", "SELECT array_to_string(a.tags, 'x') FROM a");
        check("SELECT l.tableoid FROM l", "SELECT 0 FROM l");
        check("SELECT 1 FROM p WHERE array_contains(p.polroles, oid)", "SELECT 1 FROM p WHERE false");
        check("SELECT 1 FROM p WHERE array_contains(p.others, oid)", "SELECT 1 FROM p WHERE array_contains(p.others, oid)");
        check("SELECT c.colliculocale FROM c", "SELECT c.colllocale FROM c");
        check("SELECT * FROM pg_locks", "SELECT * FROM pg_catalog.pg_locks");
        check(
            "SELECT 1 FROM t WHERE typinput = (SELECT oid FROM pg_proc WHERE proname = 'array_in')",
            "SELECT 1 FROM t WHERE typinput = 'array_in'",
        );
        check(
            "SELECT (SELECT c.collname FROM pg_collation c WHERE c.oid = t.typcollation) FROM pg_type t",
            "SELECT (SELECT first_value(c.collname) FROM pg_collation c WHERE c.oid = t.typcollation) FROM pg_type t",
        );
    }
}
