//! Queries, trees and errors.

use super::{ParseOptions, parse};

const ALL: ParseOptions = ParseOptions { experimental: true };

/// The queries of Prometheus' own test files, when they are beside the repository.
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
            if let Err(e) = parse(query, &ALL) {
                failed.push(format!("{}: {query}: {e}", file.display()));
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
    let times = if rest.starts_with("range") { 6 + 1 } else { 2 + 1 };
    let mut rest = rest.trim_start();
    for _ in 0..times {
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
    }
    Some(rest)
}

/// What is wrong, and that the parser says so in Prometheus' words.
#[test]
fn errors() {
    #[track_caller]
    fn check(query: &str, expected: &str) {
        match parse(query, &ALL) {
            Ok(expr) => panic!("{query:?} is {expr:?}"),
            Err(e) => assert_eq!(e.to_string().replacen(" parse error:", "", 1), expected, "{query:?}"),
        }
    }
    check("", "unknown position: no expression found in input");
    check("# just a comment\n\n", "1:1: no expression found in input");
    check("1+", "1:3: unexpected end of input");
    check(".", "1:1: unexpected character: '.'");
    check("2.5.", "1:1: bad number or duration syntax: \"2.5.\"");
    check("100..4", "1:1: bad number or duration syntax: \"100..\"");
    check("0deadbeef", "1:1: bad number or duration syntax: \"0de\"");
    check("1 /", "1:4: unexpected end of input");
    check("*1", "1:1: unexpected <op:*>");
    check("(1))", "1:5: unexpected right parenthesis ')'");
    check("((1)", "1:5: unclosed left parenthesis");
    check("((foo)", "1:7: unclosed left parenthesis");
    check("{", "1:2: unexpected end of input inside braces");
    check("1 and 1", "1:1: set operator \"and\" not allowed in binary scalar expression");
    check("1 == 1", "1:3: comparisons between scalars must use BOOL modifier");
    check("a + bool b", "1:3: bool modifier can only be used on comparison operators");
    check("foo[5m] == bar", "1:1: binary expression must contain only scalar and instant vector types");
    check("-\"string\"", "1:1: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"");
    check(
        "-test[5m]",
        "1:1: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
    );
    check("foo / on(bar) group_left(bar) baz", "1:5: label \"bar\" must not occur in ON and GROUP clause at once");
    check("sum()", "1:1: no arguments for aggregate expression provided");
    check("sum(1, 2)", "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2");
    check("sum(1)", "1:5: expected type instant vector in aggregation expression, got scalar");
    check("sum(foo bar)", "1:9: unexpected identifier \"bar\" in aggregation");
    check("rate(foo bar)", "1:10: unexpected identifier \"bar\"");
    check("rate(foo)", "1:6: expected type range vector in call to function \"rate\", got instant vector");
    check("nope(foo)", "1:1: unknown function with name \"nope\"");
    check("floor()", "1:1: expected 1 argument(s) in call to \"floor\", got 0");
    check("hour(a, b)", "1:1: expected at most 1 argument(s) in call to \"hour\", got 2");
    check("label_join(a)", "1:1: expected at least 3 argument(s) in call to \"label_join\", got 1");
    check("floor(a, )", "1:8: trailing commas not allowed in function call args");
    check("{}", "1:1: vector selector must contain at least one non-empty matcher");
    check("{x=\"\"}", "1:1: vector selector must contain at least one non-empty matcher");
    check("foo{__name__=\"bar\"}", "1:1: metric name must not be set twice: \"foo\" or \"bar\"");
    check("foo{gibberish}", "1:14: unexpected \"}\" in label matching, expected label matching operator");
    check("foo{a=b}", "1:7: unexpected identifier \"b\" in label matching, expected string");
    check("{,}", "1:2: unexpected \",\" in label matching, expected identifier or \"}\"");
    check("foo{1}", "1:5: unexpected character inside braces: '1'");
    check("foo[5m", "1:7: unclosed left bracket");
    check("foo[0m]", "1:5: duration must be greater than 0");
    check("foo[5mm]", "1:5: bad number or duration syntax: \"5mm\"");
    check("foo[]", "1:5: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()");
    check("(foo)[5m]", "1:6: ranges only allowed for vector selectors");
    check("foo offset 1m [5m]", "1:15: no offset modifiers allowed before range");
    check("foo @ 10 [5m]", "1:10: no @ modifiers allowed before range");
    check("foo offset", "1:11: unexpected end of input in offset, expected number, duration, step(), or range()");
    check(
        "1 offset 1m",
        "1:1: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    );
    check("foo offset 1m offset 2m", "1:1: offset may not be set multiple times");
    check("foo @", "1:6: unexpected end of input in @, expected timestamp");
    check("foo @ 1 @ end()", "1:1: @ <timestamp> may not be set multiple times");
    check("foo @ Inf", "1:1: timestamp out of bounds for @ modifier: +Inf");
    check("rate(foo[5m])[5m:1m][5m:1m]", "1:1: subquery is only allowed on instant vector, got matrix instead");
    check("\"abc", "1:1: unterminated quoted string");
    check("`abc", "1:1: unterminated raw string");
    check("\"\\q\"", "1:1: unknown escape sequence U+0071 'q'");
    check("sum(foo) by", "1:12: unexpected end of input in grouping opts, expected \"(\"");
    check("sum by (without) (foo)", "1:9: unexpected <without> in grouping opts, expected label");
    check("sum by (a b) (foo)", "1:11: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"");
}
