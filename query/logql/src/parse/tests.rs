//! Texts that are queries, texts that are none, and any text at all.

use proptest::prelude::*;

use super::{
    FILTER_HEIGHT_MAX, HEIGHT_MAX, QUERY_BYTES_MAX, parse, parse_labels, parse_log_selector, parse_matchers, parse_sample,
};

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(parse(text).map(|e| e.to_string()).unwrap_err().to_string(), expected, "{text}");
}

#[track_caller]
fn reads_as(text: &str, expected: &str) {
    match parse(text) {
        Ok(expr) => assert_eq!(expr.to_string(), expected, "{text}"),
        Err(e) => panic!("{text}: {e}"),
    }
}

#[test]
fn operators_bind_as_the_grammar_says() {
    reads_as(
        "vector(1) + vector(2) * vector(3) ^ vector(4) ^ vector(5)",
        "(vector(1.000000) + (vector(2.000000) * (vector(3.000000) ^ (vector(4.000000) ^ vector(5.000000)))))",
    );
    reads_as(
        "vector(1) or vector(2) and vector(3) > vector(4) - 1 - 2",
        "(vector(1.000000) or (vector(2.000000) and (vector(3.000000) > ((vector(4.000000) - 1) - 2))))",
    );
    reads_as("-1 ^ 2", "1");
    reads_as("10 / (5/2) + 1 % 0", "(0 / 0)");
}

#[test]
fn commas_take_all_on_their_right() {
    reads_as(r#"{a="b"} | x=1 and y=2 or z=3"#, r#"{a="b"} | ( ( x==1 , y==2 ) or z==3 )"#);
    reads_as(r#"{a="b"} | x=1, y=2 or z=3"#, r#"{a="b"} | ( x==1 , ( y==2 or z==3 ) )"#);
    reads_as(r#"{a="b"} | x=1 and y=2 z=3 or v="4""#, r#"{a="b"} | ( x==1 , ( y==2 , ( z==3 or v="4" ) ) )"#);
    reads_as(r#"{a="b"} | x=1 or y=2 and z=3 or v=4"#, r#"{a="b"} | ( ( x==1 or ( y==2 , z==3 ) ) or v==4 )"#);
}

#[test]
fn words_are_names_where_no_parenthesis_follows() {
    reads_as(
        r#"{sum="b"} | duration > 1s | bytes=5 | ip="x" | RATE="y""#,
        r#"{sum="b"} | duration>1s | bytes==5 | ip="x" | RATE="y""#,
    );
    reads_as(r#"SUM by (avg) (Rate({a="b"}[5m]))"#, r#"sum by (avg)(rate({a="b"}[5m]))"#);
    refused(r#"{a="b"} | json="x""#, "parse error at line 1, col 15: syntax error: unexpected =");
    refused(r#"{by="b"}"#, "parse error at line 1, col 2: syntax error: unexpected by, expecting IDENTIFIER or }");
}

#[test]
fn ranges_stand_in_many_places() {
    let expected = r#"sum_over_time({a="b"} |= "x" | json | unwrap bytes(y) | z>1[5m] offset 1h)"#;
    reads_as(r#"sum_over_time({a="b"} |= "x" | json | unwrap bytes(y) | z>1 [5m] offset 1h)"#, expected);
    reads_as(r#"sum_over_time({a="b"}[5m] offset 1h |= "x" | json | unwrap bytes(y) | z>1)"#, expected);
    reads_as(r#"sum_over_time(({a="b"} |= "x" | json | unwrap bytes(y) | z>1)[5m] offset 1h)"#, expected);
    reads_as(r#"sum_over_time((({a="b"} |= "x" | json | unwrap bytes(y) | z>1)[5m] offset 1h))"#, expected);
    refused(r#"rate((({a="b"}))[5m])"#, "parse error at line 1, col 16: syntax error: unexpected ), expecting RANGE");
    refused(r#"rate({a="b"} | json [5m] | json)"#, "parse error at line 1, col 26: syntax error: unexpected |");
    reads_as(r#"rate({a="b"}[5m] offset -90s)"#, r#"rate({a="b"}[5m] offset -1m30s)"#);
}

#[test]
fn positions_count_characters_of_lines() {
    refused("{a=\"ü\"} #\n  ü", "parse error at line 2, col 3: syntax error: unexpected IDENTIFIER");
    refused("{a=`x\ny`} z", "parse error at line 2, col 5: syntax error: unexpected IDENTIFIER");
    refused(r#"{a="b\q"}"#, "parse error at line 1, col 4: invalid syntax");
    refused("{a=\"b\n\"}", "parse error at line 1, col 4: literal not terminated");
    refused(r#"{a="b"} ; "#, "parse error at line 1, col 9: syntax error: unexpected IDENTIFIER");
    refused(r#"rate({a="b"}[5])"#, "parse error at line 0, col 13: not a valid duration string: \"5\"");
    refused("", "parse error : syntax error: unexpected $end");
    refused("  ", "parse error at line 1, col 3: syntax error: unexpected $end");
}

#[test]
fn strings_are_go_strings() {
    reads_as("{a=\"\\x41\\u00fc\\101\\n\"} |= `\\n` |= \"\\xff\"", "{a=\"AüA\\n\"} |= \"\\\\n\" |= \"\\xff\"");
}

#[test]
fn entry_points_want_their_kind() {
    assert!(parse_sample(r#"rate({a="b"}[5m])"#).is_ok());
    assert!(parse_sample(r#"{a="b"}"#).is_err());
    assert!(parse_log_selector(r#"{a="b"} |= "x""#).is_ok());
    assert!(parse_log_selector("1").is_err());
    assert_eq!(parse_matchers("{}").unwrap(), []);
    assert_eq!(parse_matchers(r#"{a!="b", c=~"d"}"#).unwrap().len(), 2);
    assert!(parse_matchers(r#"{a="b"} | json"#).is_err());
    assert_eq!(parse_labels(r#"{c="d", b="", a="x"}"#).unwrap(), [("a".into(), "x".into()), ("c".into(), "d".into())]);
    assert!(parse_labels(r#"{a="b", a="c"}"#).is_err());
    assert!(parse_labels(r#"{a=~"b"}"#).is_err());
}

#[test]
fn limits_hold() {
    let long = format!("{{a=\"{}\"}}", "x".repeat(QUERY_BYTES_MAX));
    assert_eq!(parse(&long).unwrap_err().to_string(), "parse error : input size too long (131078 > 131072)");
    for deep in ["(".repeat(100_000), "sum(".repeat(30_000), format!("rate({}", "(".repeat(20_000)), "vector(1)^".repeat(10_000)]
    {
        assert!(parse(&deep).unwrap_err().to_string().contains("nested deeper than 128 levels"));
    }
    let deep = format!("{{a=\"b\"}} | {}", "(".repeat(100_000));
    assert!(parse(&deep).unwrap_err().to_string().contains("nested deeper than 128 levels"));
    let wide = |count: usize| format!("vector(1){}", "+vector(1)".repeat(count));
    let expr = parse(&wide(HEIGHT_MAX - 1)).unwrap();
    assert_eq!(parse(&expr.to_string().replace(['(', ')'], "").replace("vector1.000000", "vector(1)")).unwrap(), expr);
    assert!(parse(&wide(HEIGHT_MAX)).unwrap_err().to_string().contains("more than 250 operators in a row"));
    let filters = |count: usize| format!("{{a=\"b\"}} | x=1{}", " or x=1".repeat(count));
    let expr = parse(&filters(FILTER_HEIGHT_MAX - 1)).unwrap();
    assert!(expr.to_string().len() > crate::print::pretty(&expr, 20).len() / 2);
    assert!(parse(&filters(FILTER_HEIGHT_MAX)).is_err());
}

/// Pieces of queries, so that a text of them has a chance to be one.
const PIECES: [&str; 68] = [
    "{a=\"b\"}",
    "{",
    "}",
    "a",
    "b",
    "=",
    "!=",
    "=~",
    "!~",
    "\"x\"",
    "`y`",
    "|=",
    "|~",
    "|>",
    "!>",
    "|",
    "(",
    ")",
    ",",
    "[5m]",
    "[1w2d]",
    "offset",
    "5m",
    "-1s",
    "1.5KiB",
    "3",
    "-2.5e3",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "==",
    ">",
    "<=",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "by",
    "without",
    "sum",
    "topk",
    "sort",
    "rate",
    "quantile_over_time",
    "max_over_time",
    "unwrap",
    "duration",
    "json",
    "logfmt",
    "--strict",
    "regexp",
    "pattern",
    "line_format",
    "label_format",
    "drop",
    "keep",
    "decolorize",
    "ip",
    "label_replace",
    "vector(1)",
    "unwrap bytes(x)",
];

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in "\\PC*") {
        let _ = parse(&text);
        let _ = parse_labels(&text);
    }

    #[test]
    fn any_words_are_a_query_or_an_error_and_print_as_themselves(at in prop::collection::vec(0..PIECES.len(), 0..24), tail in any::<bool>()) {
        let mut text: String = at.iter().map(|at| format!("{} ", PIECES[*at])).collect();
        if tail {
            text = format!("{{a=\"b\"}} | {text}");
        }
        if let Ok(expr) = parse(&text) {
            let printed = expr.to_string();
            prop_assert_eq!(&parse(&printed).unwrap_or_else(|e| panic!("{text} was printed as {printed}: {e}")), &expr);
            let pretty = crate::print::pretty(&expr, 20);
            prop_assert_eq!(&parse(&pretty).unwrap_or_else(|e| panic!("{text} was printed as {pretty}: {e}")), &expr);
        }
    }
}
