//! SQL filters as lake predicates: what a scan may skip.
//!
//! ```text
//! ts >= '...' AND metric = 'up' AND body LIKE '%timeout%' AND labels['job'] = 'api'
//!      │              │                    │                        └─ Exact: tested against the dictionary, ids into the scan
//!      └ TimeRange    └ In                 └ Contains                  (see `lookup`)
//! ```
//!
//! # Invariants
//! - A translated test never excludes a row for which the filter is true. What cannot be translated is left out.
//! - Of a table with an identity only tests are pushed that treat equal rows alike.
//! - Everything but dictionary filters is `Inexact`: DataFusion tests the rows again.

use arrow::datatypes::DataType;
use catalog::{TimeRange, Timestamp};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, Like, Operator, TableProviderFilterPushDown, TryCast};
use lake::{ColumnTest, Predicate, Scalar, Test};

use super::layout::whole_days;
use super::texts::{self, Need};
use crate::tables::{Lookup, Source, SqlTable, unit_ns};

/// Most values of a list that are worth a look at every file.
const IN_VALUES_MAX: usize = 512;

/// What the filters of a query say about a scan.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// Tests on stored columns.
    pub(crate) predicate: Predicate,
    /// Event times wanted; closed.
    pub(crate) time: Option<TimeRange>,
    /// Filters that read nothing but one dictionary.
    pub(crate) dictionary: Vec<(Lookup, Expr)>,
}

/// How `filter` can be used by a scan of `table`.
pub(crate) fn support(table: &SqlTable, filter: &Expr) -> TableProviderFilterPushDown {
    if dictionary_of(table, filter).is_some() {
        return TableProviderFilterPushDown::Exact;
    }
    let mut pushed = Pushed::default();
    translate(table, filter, &mut pushed);
    finish(table, &mut pushed);
    match pushed.predicate.all.is_empty() && pushed.time.is_none() {
        true => TableProviderFilterPushDown::Unsupported,
        false => TableProviderFilterPushDown::Inexact,
    }
}

/// Translates the filters of a scan.
pub(crate) fn translate_all(table: &SqlTable, filters: &[Expr]) -> Pushed {
    let mut pushed = Pushed::default();
    for filter in filters {
        match dictionary_of(table, filter) {
            Some(lookup) => pushed.dictionary.push((lookup, filter.clone())),
            None => translate(table, filter, &mut pushed),
        }
    }
    finish(table, &mut pushed);
    pushed
}

/// Takes out what would change which of two equal rows is seen: a filter may hide a row only together with its equals.
fn finish(table: &SqlTable, pushed: &mut Pushed) {
    let Some(identity) = table.identity else { return };
    let decided = |column: &str| column == identity.id || matches!(column, "metric" | "service" | "labels" | "attrs_str");
    pushed.predicate.all.retain(|test| decided(&test.column));
    if identity.per_day {
        pushed.time = pushed.time.map(whole_days);
    }
}

/// The dictionary that alone decides `filter`: its only column is the looked-up one and it gives the same answer every time.
fn dictionary_of(table: &SqlTable, filter: &Expr) -> Option<Lookup> {
    let mut lookup = None;
    let mut alone = true;
    let visited = filter.apply(|expr| {
        match expr {
            Expr::Column(column) => match source_of(table, &column.name) {
                Some(Source::Lookup(found)) if lookup.is_none_or(|l| l == found) => lookup = Some(found),
                _ => alone = false,
            },
            Expr::ScalarFunction(call) => {
                alone &= call.func.signature().volatility != datafusion::logical_expr::Volatility::Volatile;
            }
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::OuterReferenceColumn(..) => alone = false,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Placeholder(_) => alone = false,
            _ => {}
        }
        Ok(if alone { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    (visited.is_ok() && alone).then_some(lookup).flatten()
}

fn source_of(table: &SqlTable, name: &str) -> Option<Source> {
    table.columns.iter().find(|c| c.name == name).map(|c| c.source)
}

fn translate(table: &SqlTable, filter: &Expr, pushed: &mut Pushed) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            translate(table, left, pushed);
            translate(table, right, pushed);
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
            // A long chain is not looked into, neither deep nor often.
            let Some(alternatives) = alternatives(filter) else { return };
            match equal_to_one_of(table, filter) {
                Some(test) => push_equality(test, pushed),
                None => pushed.predicate.all.extend(one_of(table, &alternatives)),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::RegexMatch, right }) => {
            if let (Some(column), Some(pattern)) = (text_column(table, left), text_literal(right)) {
                contains(column, texts::of_regex(pattern), pushed);
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => comparison(table, left, *op, right, pushed),
        Expr::Between(Between { expr, negated: false, low, high }) => {
            comparison(table, expr, Operator::GtEq, low, pushed);
            comparison(table, expr, Operator::LtEq, high, pushed);
        }
        Expr::InList(_) => {
            if let Some(test) = equal_to_one_of(table, filter) {
                push_equality(test, pushed);
            }
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
            if let (Some(column), Some(pattern)) = (text_column(table, expr), text_literal(pattern)) {
                contains(column, texts::of_like(pattern), pushed);
            }
        }
        Expr::ScalarFunction(call) => match (call.name(), call.args.as_slice()) {
            ("contains" | "starts_with" | "ends_with", [text, part]) => {
                if let (Some(column), Some(part)) = (text_column(table, text), text_literal(part)) {
                    contains(column, of_part(part), pushed);
                }
            }
            ("regexp_like", [text, pattern]) => {
                if let (Some(column), Some(pattern)) = (text_column(table, text), text_literal(pattern)) {
                    contains(column, texts::of_regex(pattern), pushed);
                }
            }
            ("json_contains", _) => json(table, filter, None, pushed),
            _ => {}
        },
        _ => {}
    }
}

fn comparison(table: &SqlTable, left: &Expr, op: Operator, right: &Expr, pushed: &mut Pushed) {
    let (expr, op, literal) = match (literal(left), literal(right)) {
        (None, Some(value)) => (left, op, value),
        (Some(value), None) => match op.swap() {
            Some(op) => (right, op, value),
            None => return,
        },
        _ => return,
    };
    if matches!(op, Operator::Gt | Operator::GtEq)
        && let Some((column, part)) = position_call(table, expr)
        && at_least_one(op, literal)
    {
        return contains(column, of_part(part), pushed);
    }
    if let Some((slack_ns, unit)) = time_column(table, expr) {
        return time_comparison(op, literal, slack_ns, unit, pushed);
    }
    match op {
        Operator::Eq => match equality(table, expr, literal) {
            Some(test) => push_equality(test, pushed),
            None => json(table, expr, text_scalar(literal), pushed),
        },
        Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
            if let Some(test) = bound(table, expr, op, literal) {
                pushed.predicate.all.push(test);
            }
        }
        _ => {}
    }
}

/// What a JSON function reads must have the keys and, if it gives text, the value in it.
fn json(table: &SqlTable, expr: &Expr, value: Option<&str>, pushed: &mut Pushed) {
    if let Some((text, needs)) = texts::of_json(expr, value)
        && let Some(column) = text_column(table, text)
    {
        contains(column, needs, pushed);
    }
}

/// A column is one of some values; of a body, which has no order worth statistics, the index knows more.
fn push_equality(test: ColumnTest, pushed: &mut Pushed) {
    let bodies = match &test.test {
        Test::In(values) if test.column == "body" => Some(values),
        _ => None,
    };
    let needs = bodies.and_then(|values| {
        let text = |value: &Scalar| match value {
            Scalar::Text(text) => texts::of_text(text),
            _ => None,
        };
        values.iter().map(text).collect::<Option<Vec<_>>>().map(|needs| needs.concat())
    });
    let column = test.column.clone();
    pushed.predicate.all.push(test);
    contains(&column, needs.into_iter().collect(), pushed);
}

/// The parts of `a OR b OR ...`; `None` for more than are worth a look.
fn alternatives(filter: &Expr) -> Option<Vec<&Expr>> {
    let (mut open, mut found) = (vec![filter], Vec::new());
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => open.extend([right.as_ref(), left.as_ref()]),
            other => found.push(other),
        }
        if open.len() + found.len() > IN_VALUES_MAX {
            return None;
        }
    }
    Some(found)
}

/// `a OR b`, of which each says something, whatever columns it is about.
fn one_of(table: &SqlTable, alternatives: &[&Expr]) -> Option<ColumnTest> {
    let mut tests = Vec::new();
    for alternative in alternatives {
        let mut pushed = Pushed::default();
        translate(table, alternative, &mut pushed);
        // Of what must hold together one test is enough; the one that tells most of a body, if there is one.
        match pushed.predicate.all.into_iter().max_by_key(telling)? {
            ColumnTest { test: Test::AnyOf(more), .. } => tests.extend(more),
            one => tests.push(one),
        }
    }
    (tests.len() <= IN_VALUES_MAX).then(|| ColumnTest::any_of(tests))
}

/// How much a test of a body tells; tests on other columns come first, which statistics know.
fn telling(test: &ColumnTest) -> usize {
    match &test.test {
        Test::Contains(text) => text.len(),
        Test::AnyOf(tests) => tests.iter().map(telling).min().unwrap_or_default(),
        Test::In(_) if test.column == "body" => 0,
        _ => usize::MAX,
    }
}

/// `expr = value`.
fn equality(table: &SqlTable, expr: &Expr, value: &ScalarValue) -> Option<ColumnTest> {
    if let Some((column, key)) = map_access(table, expr) {
        let value = text_scalar(value)?;
        if value.is_empty() {
            return None; // `label` gives "" for an absent key
        }
        let test = |name: &str| ColumnTest {
            column: name.to_owned(),
            test: Test::KeyIs(key.to_owned(), Scalar::Text(value.to_owned())),
        };
        return match column {
            // The text may stand for a number, too, which lies in another map; a predicate has no "or".
            Source::Attributes => only_text(value).then(|| test("attrs_str")),
            Source::Column(name) => Some(test(name)),
            _ => None,
        };
    }
    let (name, scalar) = stored_scalar(table, expr, value)?;
    Some(ColumnTest { column: name.to_owned(), test: Test::In(vec![scalar]) })
}

/// `a = 1 OR a = 2`, `a IN (1, 2)`, nested.
fn equal_to_one_of(table: &SqlTable, filter: &Expr) -> Option<ColumnTest> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let (left, right) = (equal_to_one_of(table, left)?, equal_to_one_of(table, right)?);
            let (Test::In(mut values), Test::In(more)) = (left.test, right.test) else { return None };
            values.extend(more);
            (left.column == right.column && values.len() <= IN_VALUES_MAX)
                .then_some(ColumnTest { column: left.column, test: Test::In(values) })
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (literal(left), literal(right)) {
            (None, Some(value)) => equality(table, left, value),
            (Some(value), None) => equality(table, right, value),
            _ => None,
        },
        Expr::InList(list) if !list.negated && list.list.len() <= IN_VALUES_MAX => {
            let mut column = None;
            let mut values = Vec::with_capacity(list.list.len());
            for item in &list.list {
                let (name, value) = stored_scalar(table, &list.expr, literal(item)?)?;
                column = Some(name);
                values.push(value);
            }
            Some(ColumnTest { column: column?.to_owned(), test: Test::In(values) })
        }
        _ => None,
    }
}

/// A bound on an integer column. Floats are left out: SQL orders NaN above all numbers, file statistics ignore it.
fn bound(table: &SqlTable, expr: &Expr, op: Operator, value: &ScalarValue) -> Option<ColumnTest> {
    let Source::Column(name) = plain_column(table, expr)? else { return None };
    let value = Some(Scalar::Int(int_scalar(value)?));
    is_integer(table, name).then_some(())?;
    let test = match op {
        Operator::Gt | Operator::GtEq => Test::Between(value, None),
        _ => Test::Between(None, value),
    };
    Some(ColumnTest { column: name.to_owned(), test })
}

fn time_comparison(op: Operator, value: &ScalarValue, slack_ns: i64, unit: i64, pushed: &mut Pushed) {
    let Some(at) = time_scalar(value, unit) else { return };
    let earliest = Timestamp::from_nanos(at.saturating_sub(slack_ns));
    let latest = Timestamp::from_nanos(at.saturating_add(slack_ns));
    let range = match op {
        Operator::Eq => TimeRange::new(earliest, latest),
        Operator::Gt | Operator::GtEq => TimeRange::new(earliest, Timestamp::MAX),
        Operator::Lt | Operator::LtEq => TimeRange::new(Timestamp::MIN, latest),
        _ => return,
    };
    pushed.time = Some(pushed.time.map_or(range, |time| time.intersect(range)));
}

/// The event time column, as it is or cast to another unit: the width of the cast's rounding, nanoseconds per unit of the result.
fn time_column(table: &SqlTable, expr: &Expr) -> Option<(i64, i64)> {
    let (expr, cast) = match expr {
        Expr::Cast(Cast { expr, field }) => (expr.as_ref(), Some(unit_ns(field.data_type())?)),
        other => (other, None),
    };
    let Expr::Column(column) = expr else { return None };
    let Some(Source::Column("ts")) = source_of(table, &column.name) else { return None };
    let rows = catalog::schema::rows(table.table);
    let unit = unit_ns(rows.field_with_name("ts").ok()?.data_type())?;
    match cast {
        None => Some((0, unit)),
        // Coarser than stored: the cast rounds, by less than one of its units.
        Some(cast) if cast > unit => Some((cast, cast)),
        Some(cast) => Some((0, cast)),
    }
}

/// A stored column and the stored form of `value`, for which `expr = value` means the same.
fn stored_scalar(table: &SqlTable, expr: &Expr, value: &ScalarValue) -> Option<(&'static str, Scalar)> {
    match plain_column(table, expr)? {
        Source::Column(name) if is_text(table, name) => Some((name, Scalar::Text(text_scalar(value)?.to_owned()))),
        Source::Column(name) if is_integer(table, name) => Some((name, Scalar::Int(int_scalar(value)?))),
        Source::Hex(name) => Some((name, Scalar::Bytes(from_hex(text_scalar(value)?)?))),
        Source::Names(name, names) => {
            let text = text_scalar(value)?;
            Some((name, Scalar::Int(names.iter().position(|n| *n == text)? as i64)))
        }
        _ => None,
    }
}

/// The source of a column that is used as it is, or cast without loss.
fn plain_column(table: &SqlTable, expr: &Expr) -> Option<Source> {
    match expr {
        Expr::Column(column) => source_of(table, &column.name),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let source = plain_column(table, expr)?;
            let text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
            let lossless = match source {
                Source::Column(name) if is_integer(table, name) => *field.data_type() == DataType::Int64,
                Source::Column(name) if is_text(table, name) => text(field.data_type()),
                Source::Hex(_) | Source::Names(..) => text(field.data_type()),
                _ => false,
            };
            lossless.then_some(source)
        }
        _ => None,
    }
}

/// A text column whose stored form is the text.
fn text_column(table: &SqlTable, expr: &Expr) -> Option<&'static str> {
    match plain_column(table, expr)? {
        Source::Column(name) if is_text(table, name) => Some(name),
        _ => None,
    }
}

/// `map['key']` or `attr(map, 'key')`.
fn map_access<'e>(table: &SqlTable, expr: &'e Expr) -> Option<(Source, &'e str)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let ("get_field" | "attr" | "label", [map, key]) = (call.name(), call.args.as_slice()) else { return None };
    let Expr::Column(column) = map else { return None };
    Some((source_of(table, &column.name)?, text_literal(key)?))
}

/// `strpos(body, 'x')` and its other names.
fn position_call<'e>(table: &SqlTable, expr: &'e Expr) -> Option<(&'static str, &'e str)> {
    let expr = match expr {
        Expr::Cast(Cast { expr, .. }) => expr,
        other => other,
    };
    let Expr::ScalarFunction(call) = expr else { return None };
    let ("strpos" | "instr" | "position", [text, part]) = (call.name(), call.args.as_slice()) else { return None };
    Some((text_column(table, text)?, text_literal(part)?))
}

/// Whether `position > literal` (or `>=`) means that there is a position.
fn at_least_one(op: Operator, value: &ScalarValue) -> bool {
    let least = if op == Operator::Gt { 0 } else { 1 };
    int_scalar(value).is_some_and(|value| value >= least)
}

/// The text must have what is needed.
fn contains(column: &str, needs: Vec<Need>, pushed: &mut Pushed) {
    let test = |text: String| ColumnTest { column: column.to_owned(), test: Test::Contains(text) };
    pushed.predicate.all.extend(needs.into_iter().map(|need| {
        let mut tests: Vec<ColumnTest> = need.into_iter().map(test).collect();
        if tests.len() == 1 { tests.remove(0) } else { ColumnTest::any_of(tests) }
    }));
}

/// A part that must be there.
fn of_part(part: &str) -> Vec<Need> {
    if part.is_empty() { Vec::new() } else { vec![vec![part.to_owned()]] }
}

/// Whether a value of an attribute map with this text can only have been text: numbers, booleans and JSON lie in other maps.
fn only_text(value: &str) -> bool {
    value.parse::<f64>().is_err()
        && !matches!(value, "true" | "false")
        && !value.starts_with(['[', '{', '"'])
        && !matches!(value, "null" | "+Inf" | "-Inf" | "NaN")
}

fn is_text(table: &SqlTable, name: &str) -> bool {
    let rows = catalog::schema::rows(table.table);
    rows.field_with_name(name).is_ok_and(|f| matches!(f.data_type(), DataType::Utf8 | DataType::Dictionary(..)))
}

fn is_integer(table: &SqlTable, name: &str) -> bool {
    let rows = catalog::schema::rows(table.table);
    rows.field_with_name(name).is_ok_and(|f| f.data_type().is_integer())
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Some(value),
        _ => None,
    }
}

fn text_literal(expr: &Expr) -> Option<&str> {
    text_scalar(literal(expr)?)
}

fn text_scalar(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

fn int_scalar(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int8(v) => v.map(i64::from),
        ScalarValue::Int16(v) => v.map(i64::from),
        ScalarValue::Int32(v) => v.map(i64::from),
        ScalarValue::Int64(v) => *v,
        ScalarValue::UInt8(v) => v.map(i64::from),
        ScalarValue::UInt16(v) => v.map(i64::from),
        ScalarValue::UInt32(v) => v.map(i64::from),
        ScalarValue::UInt64(v) => v.and_then(|v| i64::try_from(v).ok()),
        _ => None,
    }
}

/// Nanoseconds; a plain number counts in `unit`.
fn time_scalar(value: &ScalarValue, unit: i64) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(v, _) => v.map(|v| v.saturating_mul(1_000_000_000)),
        ScalarValue::TimestampMillisecond(v, _) => v.map(|v| v.saturating_mul(1_000_000)),
        ScalarValue::TimestampMicrosecond(v, _) => v.map(|v| v.saturating_mul(1_000)),
        ScalarValue::TimestampNanosecond(v, _) => *v,
        _ => int_scalar(value).map(|v| v.saturating_mul(unit)),
    }
}

/// The bytes of lower-case hex; other text is the id of no row, which DataFusion finds out.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    #[track_caller]
    fn check(table: &str, filter: &Expr, expected: &str) {
        let table = SqlTable::by_name(table).expect("known");
        let pushed = translate_all(table, std::slice::from_ref(filter));
        let mut parts: Vec<String> = pushed.predicate.all.iter().map(|t| format!("{} {:?}", t.column, t.test)).collect();
        parts.extend(pushed.time.map(|t| format!("time {:?}..{:?}", t.start, t.end)));
        assert_eq!(parts.join("; "), expected, "{filter}");
        let supported = support(table, filter) != TableProviderFilterPushDown::Unsupported;
        assert_eq!(supported, !expected.is_empty(), "{filter}");
    }

    #[test]
    fn filters_become_tests() {
        check("logs", &col("service").eq(lit("a")), r#"service In([Text("a")])"#);
        check("logs", &lit("a").eq(col("service")), r#"service In([Text("a")])"#);
        check("logs", &col("service").eq(lit("a")).or(col("service").eq(lit("b"))), r#"service In([Text("a"), Text("b")])"#);
        check(
            "logs",
            &col("service").eq(lit("a")).or(col("body").like(lit("%timeout%"))),
            r#" AnyOf([ColumnTest { column: "service", test: In([Text("a")]) }, ColumnTest { column: "body", test: Contains("timeout") }])"#,
        );
        check("logs", &col("service").eq(lit("a")).or(col("value").gt(lit(1.0))), "");
        check("logs", &col("service").eq(lit("a")).or(col("ts").gt(lit(1i64))), "");
        check("metadata", &col("metric").eq(lit("a")).or(col("help").eq(lit("b"))), "");
        check("logs", &col("body").eq(lit("ab")), r#"body In([Text("ab")])"#);
        check("logs", &col("body").eq(lit("abcd")), r#"body In([Text("abcd")]); body Contains("abcd")"#);
        check("logs", &col("service").not_eq(lit("a")), "");
        check("logs", &col("body").like(lit("%time_out%x%")), r#"body Contains("time")"#);
        check("logs", &col("body").not_like(lit("%timeout%")), "");
        check("logs", &col("trace_id").eq(lit("00ff")), "trace_id In([Bytes([0, 255])])");
        check("logs", &col("trace_id").eq(lit("0")), "");
        check("spans", &col("kind").eq(lit("server")), "kind In([Int(2)])");
        check("spans", &col("duration_ns").gt(lit(5i64)), "duration_ns Between(Some(Int(5)), None)");
        check("spans", &col("ts").lt(lit(7i64)), "time -9223372036854775808ns..7ns");
        check(
            "metrics",
            &col("ts").gt_eq(lit(ScalarValue::TimestampMillisecond(Some(5), None))),
            "time 5000000ns..9223372036854775807ns",
        );
        check("metrics", &col("value").gt(lit(1.0)), "");
        // An event's time is not its span's.
        check("span_events", &col("ts").lt(lit(7i64)), "");
        // Of equal dictionary rows one is seen; a filter on what may differ must not choose it.
        check("metadata", &col("help").eq(lit("x")), "");
        check("metadata", &col("metric").eq(lit("x")), r#"metric In([Text("x")])"#);
        check("series", &col("first_ts").lt(lit(7i64)), "time -9223372036854775808ns..86399999999999ns");
    }

    #[test]
    fn texts_of_attributes() {
        for (value, expected) in
            [("GET", true), ("500", false), ("1e3", false), ("true", false), ("[1]", false), ("nan", false), ("", true)]
        {
            assert_eq!(only_text(value), expected, "{value}");
        }
    }
}
