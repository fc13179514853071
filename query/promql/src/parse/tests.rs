//! Queries, trees and errors.

use proptest::prelude::*;

use super::{
    NESTING_MAX, ParseOptions, TEXT_BYTES_MAX, duration, duration_or_seconds, format_duration, matches_nothing_empty, parse,
    parse_selector,
};
use crate::ast::{Expr, ExprKind, MatchOp, ValueType};
use crate::print::trees::shape;

const ALL: ParseOptions = ParseOptions { experimental: true };
const STABLE: ParseOptions = ParseOptions { experimental: false };

/// The queries of Prometheus' own test files, when they are beside the repository: each parses, and is the same tree when printed.
#[test]
fn the_queries_of_prometheus_parse() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance/promql");
    let Ok(files) = std::fs::read_dir(folder) else {
        eprintln!("SKIPPED: no {folder}");
        return;
    };
    let (mut queries, mut failed) = (0, Vec::new());
    for file in files.map(|f| f.unwrap().path()).filter(|f| f.extension().is_some_and(|e| e == "test")) {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let Some(query) = query_of(line.trim()) else { continue };
            queries += 1;
            let again = parse(query, &ALL).and_then(|expr| Ok((shape(&parse(&expr.to_string(), &ALL)?), shape(&expr))));
            match again {
                Ok((again, first)) if again == first => {}
                other => failed.push(format!("{}: {query}: {other:?}", file.display())),
            }
        }
    }
    println!("{queries} queries");
    assert!(failed.is_empty(), "{} of {queries} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(queries > 1500, "only {queries} queries were found in {folder}");
}

/// The query of an `eval` line.
fn query_of(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("eval")?;
    let (_, rest) = rest.split_once(' ')?;
    let words_before = if rest.starts_with("range") { 7 } else { 3 };
    let mut rest = rest.trim_start();
    for _ in 0..words_before {
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
    }
    Some(rest)
}

#[track_caller]
fn message(query: &str, options: ParseOptions) -> String {
    match parse(query, &options) {
        Ok(expr) => panic!("{query:?} is {expr:?}"),
        Err(e) => e.to_string(),
    }
}

/// What is wrong is said in Prometheus' words, and where it is, too.
#[test]
fn errors() {
    #[track_caller]
    fn check(query: &str, position: &str, expected: &str) {
        assert_eq!(message(query, ALL), format!("{position}: parse error: {expected}"), "{query:?}");
    }
    let offset_wants = "number, duration, step(), or range()";

    // words
    check("", "unknown position", "no expression found in input");
    check(" # only this\n", "1:1", "no expression found in input");
    check("up ?", "1:4", "unexpected character: '?'");
    check("up =~ down", "1:4", "unexpected character after '=': '~'");
    check("up ! down", "1:4", "unexpected character after '!': ' '");
    check("up !", "1:4", "unexpected character after '!': '\u{fffd}'");
    check("\n  up)", "2:6", "unexpected right parenthesis ')'");
    check("(up", "1:4", "unclosed left parenthesis");
    check("up]", "1:3", "unexpected right bracket ']'");
    check("up{", "1:4", "unexpected end of input inside braces");
    check("up{job}}", "1:7", "unexpected \"}\" in label matching, expected label matching operator");
    check("up{a{", "1:5", "unexpected left brace '{'");
    check("up{a!b}", "1:5", "unexpected character after '!' inside braces: 'b'");
    check("up{a.b=\"\"}", "1:5", "unexpected character inside braces: '.'");
    check("\"open", "1:1", "unterminated quoted string");
    check("up + 'a\nb'", "1:6", "unterminated quoted string");
    check("`open", "1:1", "unterminated raw string");
    check("\"\\d\"", "1:1", "unknown escape sequence U+0064 'd'");
    check("\"\\x4g\"", "1:1", "illegal character U+0067 'g' in escape sequence");
    check("\"\\400\"", "1:1", "escape sequence is an invalid Unicode code point");
    check("\"\\ud800\"", "1:1", "escape sequence is an invalid Unicode code point");
    check("\"\\", "1:1", "escape sequence not terminated");
    check("\"\u{fffd}\"", "1:1", "invalid UTF-8 rune");

    // numbers and durations
    check("7.7.7", "1:1", "bad number or duration syntax: \"7.7.\"");
    check("7x", "1:1", "bad number or duration syntax: \"7\"");
    check("0b11", "1:1", "bad number or duration syntax: \"0\"");
    check("0xf.f", "1:1", "bad number or duration syntax: \"0xf.\"");
    check("7_", "1:1", "bad number or duration syntax: \"7_\"");
    check("3e ", "1:1", "error parsing number: strconv.ParseFloat: parsing \"3e\": invalid syntax");
    check("1 + 4e400", "1:5", "error parsing number: strconv.ParseFloat: parsing \"4e400\": value out of range");
    check("7m1x", "1:1", "bad number or duration syntax: \"7m1\"");
    check("7s2h", "1:1", "not a valid duration string: \"7s2h\"");
    check("7ds", "1:1", "unknown unit \"ds\" in duration \"7ds\"");
    check("1.5h", "1:1", "unknown unit \".\" in duration \"1.5h\"");
    check("300y", "1:1", "duration out of range");

    // operators
    check("/ up", "1:1", "unexpected <op:/>");
    check("up / ", "1:6", "unexpected end of input");
    check("up down", "1:4", "unexpected identifier \"down\"");
    check("up a:down", "1:4", "unexpected metric identifier \"a:down\"");
    check("up \"much too long\"", "1:4", "unexpected string \"\\\"much too \"...");
    check("up sum(down)", "1:4", "unexpected <aggr:sum>");
    check("up start()", "1:4", "unexpected \"start\"");
    check("up + on down", "1:9", "unexpected identifier \"down\" in grouping opts, expected \"(\"");
    check("up + on(a) on(b) down", "1:12", "unexpected <on>");
    check("up + group_left down", "1:6", "unexpected <group_left>");
    check("up + on(a) group_left * down", "1:23", "unexpected <op:*> in grouping opts, expected \"(\"");
    check("up + fill(down) down", "1:11", "unexpected identifier \"down\"");
    check("2 < 3", "1:3", "comparisons between scalars must use BOOL modifier");
    check("up\n  atan2 bool\n 3", "2:3", "bool modifier can only be used on comparison operators");
    check("2 unless up", "1:1", "set operator \"unless\" not allowed in binary scalar expression");
    check("up * on(job) 2", "1:1", "vector matching only allowed between instant vectors");
    check("up * fill(1) 2", "1:1", "filling in missing series only allowed between instant vectors");
    check("up or fill(1) down", "1:1", "filling in missing series not allowed for set operators");
    check("up or on(a) group_left down", "1:1", "no grouping allowed for \"or\" operation");
    check("up / on(a, b) group_right(b) down", "1:4", "label \"b\" must not occur in ON and GROUP clause at once");
    check("1 + up[1m]", "1:5", "binary expression must contain only scalar and instant vector types");
    check("1 + -'up'", "1:5", "unary expression only allowed on expressions of type scalar or instant vector, got \"string\"");

    // aggregations and functions
    check("max()", "1:1", "no arguments for aggregate expression provided");
    check("max(up, down)", "1:1", "wrong number of arguments for aggregate expression provided, expected 1, got 2");
    check("bottomk(up)", "1:1", "wrong number of arguments for aggregate expression provided, expected 2, got 1");
    check("max(up down)", "1:8", "unexpected identifier \"down\" in aggregation");
    check("max by (a) up", "1:12", "unexpected identifier \"up\" in aggregation");
    check("max(up) by", "1:11", "unexpected end of input in grouping opts, expected \"(\"");
    check("max by (a;) (up)", "1:10", "unexpected character: ';'");
    check("max by (a b) (up)", "1:11", "unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"");
    check("max by (without) (up)", "1:9", "unexpected <without> in grouping opts, expected label");
    check("max by (,) (up)", "1:9", "unexpected \",\" in grouping opts, expected label");
    check("max by ('') (up)", "1:9", "invalid label name for grouping: \"\"");
    check("max(1)", "1:5", "expected type instant vector in aggregation expression, got scalar");
    check("quantile('a', up)", "1:10", "expected type scalar in aggregation parameter, got string");
    check("count_values(1, up)", "1:14", "expected type string in aggregation parameter, got scalar");
    check("rate(up down)", "1:9", "unexpected identifier \"down\"");
    check("1 + speed(up)", "1:5", "unknown function with name \"speed\"");
    check("START()", "1:1", "unknown function with name \"START\"");
    check("pi(up)", "1:1", "expected 0 argument(s) in call to \"pi\", got 1");
    check("year(up, up)", "1:1", "expected at most 1 argument(s) in call to \"year\", got 2");
    check("label_join(up)", "1:1", "expected at least 3 argument(s) in call to \"label_join\", got 1");
    check("irate(up)", "1:7", "expected type range vector in call to function \"irate\", got instant vector");
    check("label_join(up, 'a', 'b', 1)", "1:26", "expected type string in call to function \"label_join\", got scalar");
    check("abs(up,)", "1:7", "trailing commas not allowed in function call args");
    check("info(up, target_info)", "1:10", "expected label selectors only, got vector selector instead");
    check("info(up, ({a='b'}))", "1:10", "expected label selectors only");
    check("info(up, 1)", "1:1", "expected type instant vector in call to function \"info\", got scalar");

    // selectors
    check("1 + {}", "1:5", "vector selector must contain at least one non-empty matcher");
    check("{job=~\".*\",a!=\"b\"}", "1:1", "vector selector must contain at least one non-empty matcher");
    check("up{__name__=\"down\"}", "1:1", "metric name must not be set twice: \"up\" or \"down\"");
    check("up{job==\"a\"}", "1:8", "unexpected \"=\" in label matching, expected string");
    check("up{'job'=a}", "1:10", "unexpected identifier \"a\" in label matching, expected string");
    check("up{a=\"\" b=\"\"}", "1:9", "unexpected identifier \"b\" in label matching, expected \",\" or \"}\"");
    check("up{,}", "1:4", "unexpected \",\" in label matching, expected identifier or \"}\"");

    // ranges and modifiers
    check("up[", "1:4", "unexpected end of input in duration expression");
    check("up[5m", "1:6", "unclosed left bracket");
    check("up[]", "1:4", &format!("unexpected \"]\" in subquery or range selector, expected {offset_wants}"));
    check("up[a]", "1:4", "unexpected character in duration expression: 'a'");
    check("up[5m a]", "1:7", "unexpected character: 'a', expected ':'");
    check("up[5m 5m]", "1:7", "unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"");
    check("up[:5m]", "1:5", "unexpected colon before duration in duration expression");
    check("up[5m:1m:]", "1:9", "unexpected colon ':'");
    check("up[5m[", "1:6", "unexpected left bracket '['");
    check(
        "up[5m:/]",
        "1:7",
        &format!("unexpected <op:/> in subquery selector, expected {offset_wants}").replace("or range()", "range(), or \"]\""),
    );
    check("up[5m:1m 2m]", "1:10", "unexpected duration \"2m\" in subquery selector, expected \"]\"");
    check("up[1m - 1 % 0]", "1:11", "modulo by zero");
    check("up[step() / -0s]", "1:11", "division by zero");
    check("up[-5m]", "1:4", "duration must be greater than 0");
    check("up[1h:0]", "1:7", "duration must be greater than 0");
    check("up[1e10]", "1:4", "duration out of range");
    check("(up)[5m]", "1:5", "ranges only allowed for vector selectors");
    check("up offset 1m[5m]", "1:13", "no offset modifiers allowed before range");
    check("up offset step()[5m]", "1:17", "no offset modifiers allowed before range");
    check("up @ end()[5m]", "1:11", "no @ modifiers allowed before range");
    check("up offset", "1:10", &format!("unexpected end of input in offset, expected {offset_wants}"));
    check("up offset (5m) + down", "1:18", &format!("unexpected identifier \"down\" in offset, expected {offset_wants}"));
    check(
        "1 offset 5m",
        "1:1",
        "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    check("up offset 5m offset 5m", "1:1", "offset may not be set multiple times");
    check("up @", "1:5", "unexpected end of input in @, expected timestamp");
    check("up @ start", "1:11", "unexpected end of input in @, expected timestamp");
    check("up @ (1)", "1:6", "unexpected \"(\" in @, expected timestamp");
    check("-1 @ 5", "1:2", "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery");
    check("up @ 1 offset 1m @ end()", "1:1", "@ <timestamp> may not be set multiple times");
    check("up @ 1e20", "1:1", "timestamp out of bounds for @ modifier: 100000000000000000000.000000");
    check("up @ NaN", "1:1", "timestamp out of bounds for @ modifier: NaN");
    check("up[1h:] anchored", "1:1", "anchored modifier is not supported for subqueries");
    check("(up) smoothed", "1:1", "smoothed modifier not implemented");
    check("up smoothed anchored", "1:1", "anchored and smoothed modifiers cannot be used together");
    check("up[5m][5m:]", "1:1", "subquery is only allowed on instant vector, got matrix instead");
}

/// What is experimental is refused by its name.
#[test]
fn experimental_parts() {
    #[track_caller]
    fn check(query: &str, expected: &str) {
        assert_eq!(message(query, STABLE), format!("1:1: parse error: {expected}"), "{query:?}");
        parse(query, &ALL).unwrap();
    }
    check("info(up)", "function \"info\" is not enabled");
    check("end()", "function \"end\" is not enabled");
    let flag = "is experimental and must be enabled with --enable-feature=promql-experimental-functions";
    check("limitk(1, up)", &format!("limitk() {flag}"));
    check("up anchored", "anchored modifier is experimental and not enabled");
    check("up[5m] smoothed", "smoothed modifier is experimental and not enabled");
    check("up + fill_left(1) down", "binop fill modifiers are experimental and not enabled");
    parse("up[1m * 2] offset (step() + max_of(1, range()))", &STABLE).unwrap();
}

/// Whether keywords are names, and names keywords, depends on where they stand.
#[test]
fn keywords_are_names_too() {
    #[track_caller]
    fn check(query: &str) {
        parse(query, &ALL).unwrap_or_else(|e| panic!("{query}: {e}"));
    }
    let metrics = "sum avg count min max group stddev stdvar topk bottomk count_values quantile limitk limit_ratio and or unless by \
                   without offset anchored smoothed start end step range min_of max_of fill fill_left fill_right";
    for metric in metrics.split(' ') {
        check(metric);
        check(&format!("sum({metric}{{{metric}=\"a\"}}) + {metric}"));
    }
    for label in metrics.split(' ').chain(["bool", "on", "ignoring", "group_left", "group_right", "atan2"]) {
        if label != "without" {
            check(&format!("sum by ({label}, {label},) (up) / on({label}) group_left({label}x) up"));
        }
        check(&format!("up{{{label}=\"a\", \"{label}\"!='b',}}"));
    }
    check("SUM BY (a) (up) OR up Offset 5m");
    check("up + fill(0) fill");
    check("fill + fill_left (1) fill_right(2) fill_right");
    check("up @ start() + start");
    check("group_left:a + on:b");
}

/// Where nodes stand: annotations point there.
#[test]
fn spans() {
    #[track_caller]
    fn check(query: &str, expected: &[&str]) {
        let mut texts = Vec::new();
        parse(query, &ALL).unwrap().visit(&mut |e| texts.push(query[e.span.start..e.span.end].to_owned()));
        assert_eq!(texts, expected, "{query}");
    }
    check(" - 5", &["- 5"]);
    check("-a ^ 2", &["-a ^ 2", "a ^ 2", "a", "2"]);
    check("a + ( b )* c ", &["a + ( b )* c", "a", "( b )* c", "( b )", "b", "c"]);
    check("sum( a ) + 1", &["sum( a ) + 1", "sum( a )", "a", "1"]);
    check("sum (a) by (x) ", &["sum (a) by (x)", "a"]);
    check("(topk by (x) (5,a) )", &["(topk by (x) (5,a) )", "topk by (x) (5,a)", "a", "5"]);
    check("rate( a{x='y'} [5m] offset -1m ) ", &["rate( a{x='y'} [5m] offset -1m )", "a{x='y'} [5m] offset -1m", "a{x='y'}"]);
    check("a @ 5 offset 1m smoothed", &["a @ 5 offset 1m"]);
    check("a[5m:1m] @ end() ", &["a[5m:1m] @ end()", "a"]);
}

#[test]
fn what_binds_tighter() {
    #[track_caller]
    fn check(query: &str, parenthesized: &str) {
        fn full(expr: &Expr) -> String {
            match &expr.kind {
                ExprKind::Binary(b) => format!("({} {} {})", full(&b.lhs), b.op.as_str(), full(&b.rhs)),
                ExprKind::Unary(u) => format!("({}{})", if u.negate { '-' } else { '+' }, full(&u.expr)),
                _ => expr.to_string(),
            }
        }
        assert_eq!(full(&parse(query, &ALL).unwrap()), parenthesized, "{query}");
    }
    check("a or b and c unless d", "(a or ((b and c) unless d))");
    check("a > b + c * d ^ e ^ f", "(a > (b + (c * (d ^ (e ^ f)))))");
    check("a - b - c", "((a - b) - c)");
    check("a % b atan2 c / d", "(((a % b) atan2 c) / d)");
    check("a </ b + c == d", "((a </ (b + c)) == d)");
    check("-a ^ b * c", "((-(a ^ b)) * c)");
    check("a ^ -b ^ c + -1 * d", "((a ^ (-(b ^ c))) + (-1 * d))");
    check("- - 1", "1");
    check("-a offset 5m + 2", "((-a offset 5m) + 2)");
    check("a offset -2 ^ 2", "(a offset -2s ^ 2)");
    check("a offset step() * 0", "(a offset step() * 0)");
    check("a offset -(2) * 0", "(a offset -(2) * 0)");
    check("a offset (2) * 0", "a offset (2) * 0");
}

/// Too long, too deep: an error that names the limit, wherever the depth comes from.
#[test]
fn limits() {
    #[track_caller]
    fn too_deep(query: &str) {
        let error = message(query, ALL);
        assert!(error.contains(&format!("nested too deep, limit is {NESTING_MAX} levels")), "{}...: {error}", &query[..20]);
    }
    for count in [NESTING_MAX + 1, 100_000] {
        let nested = |open: &str, inner: &str, close: &str| open.repeat(count) + inner + &close.repeat(count);
        too_deep(&nested("(", "a", ")"));
        too_deep(&nested("-(", "a", ")"));
        too_deep(&nested("abs(", "a", ")"));
        too_deep(&nested("sum(", "a", ")"));
        too_deep(&nested("1 ^ ", "1", ""));
        too_deep(&nested("a or ", "a", ""));
        too_deep(&nested("a * a + ", "a", ""));
        too_deep(&nested("-", "a", ""));
        too_deep(&nested("", "a", "[5m:1m]"));
        too_deep(&format!("a[{}]", nested("(", "1", ")")));
        too_deep(&format!("a[{}]", nested("-", "1", "")));
        too_deep(&format!("a[{}]", nested("1 ^ ", "1", "")));
        too_deep(&format!("a[{}]", nested("1 + ", "1", "")));
        too_deep(&format!("a offset {}", nested("max_of(", "1", ",1)")));
    }
    let fits = NESTING_MAX - 1;
    for query in ["(".repeat(fits) + "a" + &")".repeat(fits), "a or ".repeat(fits) + "a", "1 ^ ".repeat(fits / 2) + "1"] {
        let expr = parse(&query, &ALL).unwrap();
        assert_eq!(expr.clone(), expr);
        assert_eq!(parse(&expr.to_string(), &ALL).map(|e| shape(&e)), Ok(shape(&expr)));
        assert!(crate::print::pretty(&expr).len() >= query.len() && crate::print::json(&expr).is_object());
    }
    let wide = format!("label_join(a, \"b\", \"c\"{})", ", \"d\"".repeat(100_000));
    assert!(parse(&wide, &ALL).is_ok());
    let long = "a".repeat(10 << 20);
    let expected = format!("1:1: parse error: query is {} bytes long, limit is {TEXT_BYTES_MAX}", long.len());
    assert_eq!(message(&long, ALL), expected);
    assert_eq!(parse_selector(&long).unwrap_err().to_string(), expected);
}

#[test]
fn lone_selectors() {
    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let matchers = parse_selector(text);
        let shown = matchers.as_ref().map(|m| m.iter().map(ToString::to_string).collect::<Vec<_>>()).map_err(ToString::to_string);
        assert_eq!(shown, expected.map(|m| m.iter().map(ToString::to_string).collect()).map_err(str::to_owned), "{text}");
    }
    check("up", Ok(&["__name__=\"up\""]));
    check(" sum{a=~\"b|c\", \"d.e\"!=\"\"} ", Ok(&["a=~\"b|c\"", "\"d.e\"!=\"\"", "__name__=\"sum\""]));
    check("{'a b'}", Ok(&["__name__=\"a b\""]));
    check("{}", Ok(&[]));
    check("", Err("unknown position: parse error: unexpected end of input"));
    check("up[5m]", Err("1:3: parse error: unexpected \"[\""));
    check("1", Err("1:1: parse error: unexpected number \"1\""));
    check("up + up", Err("1:4: parse error: unexpected <op:+>"));

    #[track_caller]
    fn refuses_empty(text: &str, expected: bool) {
        assert_eq!(matches_nothing_empty(&parse_selector(text).unwrap()), expected, "{text}");
    }
    refuses_empty("up", true);
    refuses_empty("{}", false);
    refuses_empty("{a=''}", false);
    refuses_empty("{a!=''}", true);
    refuses_empty("{a=~'b?'}", false);
    refuses_empty("{a=~'b+'}", true);
    refuses_empty("{a!~'b?'}", true);
    refuses_empty("{a!~'b', c='d'}", true);
}

#[test]
fn lengths_of_time() {
    #[track_caller]
    fn check(text: &str, expected: Result<i64, &str>) {
        assert_eq!(duration(text), expected.map_err(str::to_owned), "{text}");
    }
    check("0", Ok(0));
    check("0s", Ok(0));
    check("1h30m", Ok(5_400_000));
    check("1y2w3d4h5m6s7ms", Ok(33_019_506_007));
    check("90d", Ok(7_776_000_000));
    check("", Err("empty duration string"));
    check("5", Err("not a valid duration string: \"5\""));
    check("m", Err("not a valid duration string: \"m\""));
    check("-5m", Err("not a valid duration string: \"-5m\""));
    check("1m1m", Err("not a valid duration string: \"1m1m\""));
    check("5µs", Err("unknown unit \"µs\" in duration \"5µs\""));
    check("99999999999999999999s", Err("not a valid duration string: \"99999999999999999999s\""));
    check("293y", Err("duration out of range"));

    #[track_caller]
    fn parameter(text: &str, expected: Result<i64, &str>) {
        assert_eq!(duration_or_seconds(text), expected.map_err(str::to_owned), "{text}");
    }
    parameter("1.5", Ok(1500));
    parameter("-0.25", Ok(-250));
    parameter("5m", Ok(300_000));
    parameter("soon", Err("cannot parse \"soon\" to a valid duration"));
    parameter("1e12", Err("cannot parse \"1e12\" to a valid duration. It overflows int64"));

    #[track_caller]
    fn formatted(ms: i64, expected: &str) {
        assert_eq!(format_duration(ms), expected);
    }
    formatted(0, "0s");
    formatted(5_400_001, "1h30m1ms");
    formatted(-300_000, "-5m");
    formatted(7 * 86_400_000, "1w");
    formatted(8 * 86_400_000, "8d");
    formatted(365 * 86_400_000, "1y");
    formatted(i64::MIN, "-106751991167d7h12m55s808ms");
}

#[test]
fn types() {
    #[track_caller]
    fn check(query: &str, expected: ValueType) {
        assert_eq!(parse(query, &ALL).unwrap().value_type(), expected, "{query}");
    }
    check("(1 + 2)", ValueType::Scalar);
    check("1 + up", ValueType::Vector);
    check("-up", ValueType::Vector);
    check("'a'", ValueType::String);
    check("up[1m]", ValueType::Matrix);
    check("up[1h:]", ValueType::Matrix);
    check("scalar(up)", ValueType::Scalar);
}

#[test]
fn walks() {
    let query = "label_replace(topk(scalar(a), -b[1h:] / (c)), 'x', '', '', '') + 1";
    let query = query.replace("-b[1h:]", "rate(b[5m])");
    let mut expr = parse(&query, &ALL).unwrap();
    let names: Vec<_> = expr.selectors().into_iter().filter_map(|s| s.name.clone()).collect();
    assert_eq!(names, ["b", "c", "a"]);
    expr.visit_mut(&mut |e| {
        if let ExprKind::Vector(selector) = &mut e.kind {
            selector.at = Some(crate::ast::At::Time(7000));
            selector.matchers.retain(|m| m.op == MatchOp::Equal);
        }
    });
    assert_eq!(
        expr.to_string(),
        "label_replace(topk(scalar(a @ 7.000), rate(b[5m] @ 7.000) / (c @ 7.000)), \"x\", \"\", \"\", \"\") + 1"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any text is a tree or an error that points into the text.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,40}") {
        answers(&text)?;
    }

    /// Texts made of the language's own words, which get further.
    #[test]
    fn any_words_are_answered(words in prop::collection::vec(word(), 0..24), gap in prop::bool::ANY) {
        answers(&words.join(if gap { " " } else { "" }))?;
    }
}

fn answers(text: &str) -> Result<(), TestCaseError> {
    for options in [ALL, STABLE] {
        match parse(text, &options) {
            Ok(expr) => {
                let printed = expr.to_string();
                let again =
                    parse(&printed, &options).map_err(|e| TestCaseError::fail(format!("{text:?} is {printed:?}: {e}")))?;
                prop_assert_eq!(shape(&again), shape(&expr), "{:?} is {:?}", text, printed);
                expr.visit(&mut |e| assert!(text.get(e.span.start..e.span.end).is_some(), "{text:?}: {:?}", e.span));
                crate::print::pretty(&expr);
                crate::print::json(&expr);
            }
            Err(e) => prop_assert!(e.span.start <= text.len() && e.position.is_some() != text.is_empty(), "{:?}: {:?}", text, e),
        }
    }
    let _ = parse_selector(text);
    let _ = duration_or_seconds(text);
    Ok(())
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "(",
            ")",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "=",
            "==",
            "!=",
            "=~",
            "!~",
            "<",
            ">",
            "</",
            ">/",
            "<=",
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "@",
            "a",
            "b",
            "job",
            "1",
            "5m",
            "0",
            "0.5",
            "Inf",
            "NaN",
            "\"x\"",
            "'a.b'",
            "`\\`",
            "sum",
            "topk",
            "by",
            "without",
            "on",
            "ignoring",
            "group_left",
            "group_right",
            "bool",
            "fill",
            "fill_left",
            "fill_right",
            "offset",
            "anchored",
            "smoothed",
            "start",
            "end",
            "step",
            "range",
            "min_of",
            "max_of",
            "and",
            "or",
            "unless",
            "atan2",
            "rate",
            "abs",
            "info",
            "time",
            "label_join",
            "(a)",
            "[5m]",
            "[1h:1m]",
            "{a=\"b\"}",
            "by (a)",
            "()",
            " # c\n",
            "\\",
            "é",
        ][..],
    )
}
