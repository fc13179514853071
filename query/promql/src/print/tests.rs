//! Texts of trees.

use super::{float, json, pretty};
use crate::ast::Expr;
use crate::parse::{ParseOptions, parse};

fn parsed(query: &str) -> Expr {
    parse(query, &ParseOptions { experimental: true }).unwrap_or_else(|e| panic!("{query}: {e}"))
}

#[test]
fn canonical() {
    #[track_caller]
    fn check(query: &str, expected: &str) {
        let printed = parsed(query).to_string();
        assert_eq!(printed, expected, "{query}");
        assert_eq!(parsed(&printed).to_string(), expected, "again: {query}");
    }
    #[track_caller]
    fn same(query: &str) {
        check(query, query);
    }
    check("sum by() (a:b{job=\"s\"})", "sum(a:b{job=\"s\"})");
    check("SUM by(code) (a)", "sum by (code) (a)");
    check("sum(a) without(\"foo.bar\", x)", "sum without (\"foo.bar\", x) (a)");
    check("sum without() (a)", "sum without () (a)");
    check("sum by (\"without\", \"a:b\", on,) (a)", "sum by (\"without\", \"a:b\", on) (a)");
    same("topk(5, a{job=\"s\"})");
    same("count_values(\"value\", a)");
    check("a - on() c", "a - on () c");
    check("a - on(b) group_left c", "a - on (b) group_left () c");
    check("a - on(b) group_right(x,y) (c)", "a - on (b) group_right (x, y) (c)");
    check("a - ignoring() c", "a - c");
    check("a - ignoring() group_left c", "a - ignoring () group_left () c");
    check("a + fill(-23) b", "a + fill (-23) b");
    check("a + fill_right(42) fill_left(1e30) b", "a + fill_left (1e+30) fill_right (42) b");
    check("a + fill_left(5) fill_right(5) b", "a + fill (5) b");
    check("foo / on(\"ü\") group_left(\"ö\", x) bar", "foo / on (\"ü\") group_left (\"ö\", x) bar");
    same("up > bool 0");
    same("a offset -1h30m");
    check("a{c=\"d\"}[90s] offset 60", "a{c=\"d\"}[1m30s] offset 1m");
    check("a[1h:5m] offset 1m @ 10", "a[1h:5m] @ 10.000 offset 1m");
    check("a offset 1m @ start() anchored", "a @ start() anchored offset 1m");
    check("a[5m] offset 1m @ -0.5 smoothed", "a[5m] smoothed @ -0.500 offset 1m");
    same("rate(a[5m] anchored @ end())[1h:]");
    check("{\"a.b\", \"l.x\"=~\"v\", z='\"'}", "{\"l.x\"=~\"v\",__name__=\"a.b\",z=\"\\\"\"}");
    check("a{b!~`c\\d`,a!=\"\u{7f}\"}", "a{a!=\"\\x7f\",b!~\"c\\\\d\"}");
    same("{__name__=\"\",a=\"x\"}");
    check("{``=\"0\",\"_0\"=\"1\"}", "{\"\"=\"0\",_0=\"1\"}");
    check("info(a, {})", "info(a, {})");
    check("0x1F + 1_000 + .5e3 + 017", "31 + 1000 + 500 + 15");
    check("-Inf + NaN + 1e30", "-Inf + NaN + 1000000000000000000000000000000");
    check("inf ^ 2 + +Inf", "Inf ^ 2 + +Inf");
    check("- 5m ^ +30s", "-5m ^ 30s");
    check("2 ^ 3 ^ -a * +b % (c)", "2 ^ 3 ^ -a * +b % (c)");
    check("a </ 5 >/ 7 atan2 b", "a </ 5 >/ 7 atan2 b");
    check("# note\nsum(# more\na)", "sum(a)");
    check("\"a\\n\\u00fc\\xc3\\xbc\\101\"", "\"a\\nüüA\"");
    check("\"\\xc5z\\377\"", "\"\\xc5z\\xff\"");
    check("\"\u{301}\\u00a0\\U0001F600\\x00\\v\"", "\"\u{301}\\u00a0😀\\x00\\v\"");
    for duration in
        ["step()", "-step()", "(step())", "-(step())", "(5m)", "-(5m)", "-min_of(10s, max_of(step() ^ 2, 2))", "range()"]
    {
        same(&format!("a offset {duration}"));
        same(&format!("a[{duration}]"));
    }
    check("a offset +(5)", "a offset (5)");
    check("a[200-min_of(-step()^+step(),1)]", "a[200 - min_of(-step() ^ step(), 1)]");
    check("a[1+(2*3m):-(1)+5]", "a[1 + (2 * 3m):-(1) + 5]");
    check("a offset (5m) + 1", "a offset (5m) + 1");
    check("a offset 5m + 1", "a offset 5m + 1");
    check("a offset --1 * step()", "a offset (1 * step())");
    check("a offset -+step() ^ 2", "a offset (-step() ^ 2)");
    check("a offset --step() ^ 2 - 1", "a offset --step() ^ 2 - 1");
    check("a offset (2) ^ 2 * 3", "a offset (2) ^ 2 * 3");
}

#[test]
fn floats() {
    #[track_caller]
    fn check(value: f64, expected: &str) {
        assert_eq!(float(value), expected);
    }
    check(0.0, "0");
    check(-0.0, "-0");
    check(123456.0, "123456");
    check(1e6, "1e+06");
    check(1234567.5, "1.2345675e+06");
    check(1e20, "1e+20");
    check(1e21, "1e+21");
    check(0.0001, "0.0001");
    check(0.00001, "1e-05");
    check(-1.5e-7, "-1.5e-07");
    check(f64::NAN, "NaN");
    check(f64::NEG_INFINITY, "-Inf");
}

#[test]
fn indented() {
    #[track_caller]
    fn check(query: &str, expected: &str) {
        assert_eq!(pretty(&parsed(query)), expected, "{query}");
    }
    let long = "a".repeat(60);
    check("sum  (a)", "sum(a)");
    check(&format!("{long} + {long}"), &format!("  {long}\n+\n  {long}"));
    check(
        &format!("topk(5, rate({long}[5m]) > bool on(x) group_left {long})"),
        &format!("topk(\n  5,\n    rate({long}[5m])\n  > bool on (x) group_left ()\n    {long}\n)"),
    );
    check(
        &format!("clamp_max(sum by (x) ({long} / {long}), 1)"),
        &format!("clamp_max(\n  sum by (x) (\n      {long}\n    /\n      {long}\n  ),\n  1\n)"),
    );
    check(
        &format!("-(max_over_time(({long} - {long})[5m:1m] offset 1m))"),
        &format!("-(\n  max_over_time(\n    (\n        {long}\n      -\n        {long}\n    )[5m:1m] offset 1m\n  )\n)"),
    );
}

#[test]
fn tree_view() {
    #[track_caller]
    fn check(query: &str, expected: serde_json::Value) {
        assert_eq!(json(&parsed(query)), expected, "{query}");
    }
    let up = serde_json::json!({
        "type": "vectorSelector", "name": "up", "offset": 0, "offsetExpr": null, "timestamp": null, "startOrEnd": null,
        "anchored": false, "smoothed": false, "matchers": [{"name": "__name__", "value": "up", "type": "="}],
    });
    check("up", up.clone());
    check(
        "-sum without (a) (up)",
        serde_json::json!({"type": "unaryExpr", "op": "-", "expr": {
            "type": "aggregation", "op": "sum", "expr": up, "param": null, "grouping": ["a"], "without": true}}),
    );
    check(
        "1 < bool (5m)",
        serde_json::json!({"type": "binaryExpr", "op": "<", "bool": true, "matching": null,
            "lhs": {"type": "numberLiteral", "val": "1"},
            "rhs": {"type": "parenExpr", "expr": {"type": "numberLiteral", "val": "300"}}}),
    );
    check(
        "up and up",
        serde_json::json!({"type": "binaryExpr", "op": "and", "bool": false, "lhs": up, "rhs": up,
            "matching": {"card": "many-to-many", "labels": [], "on": false, "include": [], "fillValues": {"lhs": null, "rhs": null}}}),
    );
    check(
        "rate(up{x!~\"y\"}[2m] @ 1.5 offset (step() * 2))",
        serde_json::json!({"type": "call",
            "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
            "args": [{"type": "matrixSelector", "name": "up", "range": 120_000, "rangeExpr": null, "offset": 0,
                "offsetExpr": {"type": "durationExpr", "op": "*", "wrapped": true,
                    "lhs": {"type": "durationExpr", "op": "step", "lhs": null, "rhs": null, "wrapped": false},
                    "rhs": {"type": "numberLiteral", "val": "2", "duration": false}},
                "matchers": [{"name": "x", "value": "y", "type": "!~"}, {"name": "__name__", "value": "up", "type": "="}],
                "timestamp": 1500, "startOrEnd": null, "anchored": false, "smoothed": false}]}),
    );
    check(
        "up[1h:(1m)] @ end()",
        serde_json::json!({"type": "subquery", "expr": up, "range": 3_600_000, "rangeExpr": null, "offset": 0, "offsetExpr": null,
            "step": 0, "stepExpr": {"type": "durationExpr", "op": "+", "wrapped": true, "lhs": null,
                "rhs": {"type": "numberLiteral", "val": "60", "duration": true}},
            "timestamp": null, "startOrEnd": "end"}),
    );
}
