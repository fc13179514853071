//! Words that mean another thing to Postgres than to DataFusion, or nothing to it, put into words that DataFusion has.
//!
//! ```text
//! statement ─ about the catalog? ─ yes ─► datafusion-pg-catalog's rules ─► `catalog_dialect` ─┐
//!                                 no ──► the harmless ones of them ──────────────────────────┴─► [`words`]
//! ```
//! The rules of the library were written for what clients ask of `pg_catalog`. Some of them change what a statement over other tables
//! means (a correlated subquery in a projection becomes NULL), so those are for questions about the catalog alone.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    Ident, ObjectName, Query, SelectItem, SetExpr, Statement, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixVersionColumnName, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
    SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

/// Functions that have another name here.
const RENAMED: [(&str, &str); 2] = [("every", "bool_and"), ("localtimestamp", "now")];

/// Whether `statement` asks about the catalog: names a table of it, or casts to one of its types of names.
pub(super) fn is_about_catalog(statement: &Statement) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
            let mut parts = name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.to_ascii_lowercase());
            if parts.any(|part| part == "information_schema" || part.starts_with("pg_")) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Cast { data_type, .. } if is_oid_type(data_type) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    statement.visit(&mut Finder).is_break()
}

/// `regclass`, `regtype`, `oid` ...
fn is_oid_type(data_type: &DataType) -> bool {
    let name = data_type.to_string().to_ascii_lowercase();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    name == "oid" || name.starts_with("reg")
}

/// The library's rules that keep what any statement means.
pub(super) fn harmless(statement: Statement) -> Statement {
    let rules: [&dyn SqlStatementRewriteRule; 6] = [
        &RewriteArrayAnyAllOperation,
        &StripCallableQualifier,
        &CurrentUserVariableToSessionUserFunctionCall,
        &StripCollate,
        &RewritePgCatalogOperator,
        &FixVersionColumnName,
    ];
    rules.iter().fold(statement, |statement, rule| rule.rewrite(statement))
}

/// Puts what has another meaning, or none, into words that have that of Postgres.
pub(super) fn words(statement: &mut Statement) {
    let _ = statement.visit(&mut Words);
}

struct Words;

impl VisitorMut for Words {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                    && is_call(expr, "generate_series")
                {
                    // A function of many rows makes rows, not a list.
                    *expr = call("unnest", vec![expr.clone()]);
                }
            }
            tell_apart(&mut select.projection);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match right.as_ref() {
                Expr::Subquery(subquery) => {
                    *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated: false };
                }
                _ => elements(right),
            },
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => match right.as_ref() {
                Expr::Subquery(subquery) => {
                    *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated: true };
                }
                _ => elements(right),
            },
            Expr::Cast { kind: CastKind::DoubleColon | CastKind::Cast, expr: array, data_type: DataType::Array(_), .. } => {
                elements(array);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            // DataFusion takes the pattern for a regular expression that may match anywhere.
            Expr::SimilarTo { negated, expr: text, pattern, escape_char } => {
                let escape = match escape_char.as_ref().map(|escape| text_of_value(escape)) {
                    None => Some('\\'),
                    Some(escape) => escape.and_then(|escape| escape.chars().next()),
                };
                if let Some(pattern) = text_of(pattern) {
                    let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
                    let pattern = literal(&similar_pattern(pattern, escape));
                    *expr = Expr::BinaryOp { left: text.clone(), op, right: Box::new(pattern) };
                }
            }
            Expr::Function(function) => {
                let name = function.name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.to_ascii_lowercase());
                let name = name.unwrap_or_default();
                if let Some((_, here)) = RENAMED.iter().find(|(there, _)| *there == name) {
                    function.name = ObjectName::from(vec![Ident::new(*here)]);
                    if function.args == FunctionArguments::None {
                        *expr = call(here, Vec::new());
                    }
                } else if name == "mod"
                    && let Some([left, right]) = arguments(&function.args).as_deref()
                {
                    let nested = |side: &Expr| Box::new(Expr::Nested(Box::new(side.clone())));
                    let (left, right) = (nested(left), nested(right));
                    *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Modulo, right }));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Columns without a name may read alike, which DataFusion does not have: the second gets a name with its number.
fn tell_apart(projection: &mut [SelectItem]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for item in projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            continue;
        }
        let text = expr.to_string();
        let times = seen.entry(text).or_default();
        *times += 1;
        if *times > 1 {
            let name = match &*expr {
                Expr::Function(function) => function.name.to_string(),
                _ => "?column?".to_owned(),
            };
            let alias = Ident::with_quote('"', format!("{name}_{times}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// Makes an array of a text like `{a,"b c",NULL}`.
fn elements(expr: &mut Expr) {
    if let Some(elem) = text_of(expr).and_then(array_elements) {
        let elem = elem.into_iter().map(|element| element.map_or_else(null, |text| literal(&text))).collect();
        *expr = Expr::Array(Array { elem, named: true });
    }
}

/// The elements of an array's text; `None` for NULL. Arrays of arrays are none.
fn array_elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut elements = Vec::new();
    let mut rest = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(elements);
    }
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut element = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next()? {
                    '"' => break,
                    '\\' => element.push(rest.next()?),
                    c => element.push(c),
                }
            }
            elements.push(Some(element));
        } else {
            while let Some(c) = rest.next_if(|c| !matches!(c, ',' | '{' | '}' | '"')) {
                element.push(if c == '\\' { rest.next()? } else { c });
            }
            let element = element.trim_end();
            elements.push((!element.eq_ignore_ascii_case("null")).then(|| element.to_owned()));
        }
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.next() {
            None => return Some(elements),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// The regular expression of a pattern of SIMILAR TO (SQL:2016, 8.6): `%` and `_` as in LIKE, `|*+?{}()[]` as in regular expressions, for the
/// whole text.
fn similar_pattern(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => regex.extend(chars.next().map(quoted).into_iter().flatten()),
            '[' => {
                in_class = true;
                regex.push(c);
            }
            ']' => {
                in_class = false;
                regex.push(c);
            }
            c if in_class => regex.push(c),
            '%' => regex.push_str("(?s:.*)"),
            '_' => regex.push_str("(?s:.)"),
            '.' | '^' | '$' | '\\' => regex.extend(quoted(c)),
            c => regex.push(c),
        }
    }
    regex.push_str(")$");
    regex
}

/// A character that stands for itself.
fn quoted(c: char) -> impl Iterator<Item = char> {
    (c.is_ascii_punctuation()).then_some('\\').into_iter().chain([c])
}

pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => text_of_value(value),
        _ => None,
    }
}

fn text_of_value(value: &datafusion::sql::sqlparser::ast::ValueWithSpan) -> Option<&str> {
    match &value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn literal(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_empty_span())
}

fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

fn is_call(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case(name))
}

pub(super) fn arguments(arguments: &FunctionArguments) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = arguments else { return None };
    let expr = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(expr).collect()
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(datafusion::sql::sqlparser::ast::Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        args: FunctionArguments::List(FunctionArgumentList { args, duplicate_treatment: None, clauses: Vec::new() }),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn parsed(text: &str) -> Statement {
        Parser::parse_sql(&PostgreSqlDialect {}, text).expect("a statement").remove(0)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut statement = parsed(text);
        words(&mut statement);
        assert_eq!(harmless(statement).to_string(), expected, "{text}");
    }

    #[test]
    fn words_of_postgres() {
        check("SELECT 'abc' SIMILAR TO 'a%'", "SELECT 'abc' ~ '^(?:a(?s:.*))$'");
        check("SELECT a NOT SIMILAR TO '(b|c)_.' ESCAPE '#'", "SELECT a !~ '^(?:(b|c)(?s:.)\\.)$'");
        check("SELECT every(a), mod(a + 1, 2)", "SELECT bool_and(a), ((a + 1) % (2))");
        check("SELECT localtimestamp", "SELECT now()");
        check("SELECT generate_series(1, 3)", "SELECT unnest(generate_series(1, 3))");
        check("SELECT NULL, NULL, count(*), count(*)", "SELECT NULL, NULL AS \"?column?_2\", count(*), count(*) AS \"count_2\"");
        check("SELECT a, a FROM t", "SELECT a, a FROM t");
        check("SELECT 1 WHERE a = ANY (SELECT b FROM c)", "SELECT 1 WHERE a IN (SELECT b FROM c)");
        check("SELECT 1 WHERE a = ANY ('{x, \"y,z\", NULL}')", "SELECT 1 WHERE array_contains(ARRAY['x', 'y,z', NULL], a)");
        check("SELECT 1 WHERE a <> ALL ($1)", "SELECT 1 WHERE NOT array_contains($1, a)");
        check("SELECT '{}'::TEXT[]", "SELECT ARRAY[]::TEXT[]");
        check("SELECT '{a}'", "SELECT '{a}'");
        let correlated = "SELECT (SELECT count(*) FROM logs AS l WHERE l.service = s.service) FROM streams AS s";
        check(correlated, correlated);
        check("SELECT ts, l.* FROM logs AS l", "SELECT ts, l.* FROM logs AS l");
    }

    #[test]
    fn questions_about_the_catalog_are_known() {
        for text in
            ["SELECT 1 FROM pg_class", "SELECT 'a'::regclass", "SELECT 1 FROM a JOIN information_schema.columns c ON true"]
        {
            assert!(is_about_catalog(&parsed(text)), "{text}");
        }
        for text in ["SELECT 1 FROM logs", "SELECT 'pg_class' FROM spans", "SELECT pg_backend_pid()"] {
            assert!(!is_about_catalog(&parsed(text)), "{text}");
        }
    }

    #[test]
    fn arrays_as_text() {
        let read =
            |text| array_elements(text).map(|all| all.into_iter().map(|one| one.unwrap_or("-".to_owned())).collect::<Vec<_>>());
        assert_eq!(read("{}"), Some(vec![]));
        assert_eq!(read("{a, b}"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(read(r#"{"a\"b", null, "null"}"#), Some(vec!["a\"b".to_owned(), "-".to_owned(), "null".to_owned()]));
        assert_eq!(read("{{1},{2}}"), None);
        assert_eq!(read("a"), None);
        assert_eq!(read("{\"a"), None);
    }
}
