//! Pipelines over our own lines, and what holds for any line.

use proptest::prelude::*;

use super::*;
use crate::ast::{LineFilter, LineFilterOp, LineMatch};
use crate::labels::Category;
use crate::parse::parse_log_selector;

fn pipeline(stages: &str, hints: Hints) -> Pipeline {
    let log = parse_log_selector(&format!("{{a=\"b\"}} {stages}")).unwrap();
    Pipeline::new(&log.stages, hints, 1_700_000_000_000_000_000).unwrap()
}

type Kept = (String, Vec<(String, String, Category)>);

fn run(pipeline: &Pipeline, stream: &[(&str, &str)], metadata: &[(&str, &str)], line: &str) -> Option<Kept> {
    let mut stream = pipeline.stream(stream.iter().copied());
    let kept = stream.process(1_600_000_000_000_000_000, line, metadata.iter().copied())?;
    let mut labels: Vec<_> = kept.labels.iter().map(|(n, v, c)| (n.to_owned(), v.to_owned(), c)).collect();
    labels.sort();
    Some((kept.text.to_owned(), labels))
}

/// What a pipeline makes of a line of the stream `{app="web"}` with metadata `trace="t1"`: its text and its labels as `name=value`.
#[track_caller]
fn check(stages: &str, line: &str, expected: Option<(&str, &str)>) {
    let kept = run(&pipeline(stages, Hints::all()), &[("app", "web")], &[("trace", "t1")], line);
    let kept = kept.map(|(text, labels)| {
        let added = labels.iter().filter(|(_, _, category)| *category == Category::Parsed);
        (text, added.map(|(name, value, _)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
    });
    assert_eq!(kept, expected.map(|(text, labels)| (text.to_owned(), labels.to_owned())), "{stages}");
}

#[test]
fn parsers() {
    check(
        "| json",
        r#"{"a":{"b":1.50,"c":[1]},"d":null,"e":"x\ty"}"#,
        Some((r#"{"a":{"b":1.50,"c":[1]},"d":null,"e":"x\ty"}"#, "a_b=1.50 e=x\ty")),
    );
    check("| json", r#"{"app":"x","trace":"y"}"#, Some((r#"{"app":"x","trace":"y"}"#, "app_extracted=x trace_extracted=y")));
    check(
        "| json",
        r#"{"a":1,"b":tru}"#,
        Some((r#"{"a":1,"b":tru}"#, "__error__=JSONParserErr __error_details__=Unknown value type a=1")),
    );
    check(
        "| json",
        "plain",
        Some((
            "plain",
            &format!(
                "__error__=JSONParserErr __error_details__={}",
                "Value looks like object, but can't find closing '}' symbol"
            ),
        )),
    );
    check(
        r#"| json x="a[1].b", y="c", z="nope""#,
        r#"{"a":[0,{"b":"v"}],"c":{"d":1}}"#,
        Some((r#"{"a":[0,{"b":"v"}],"c":{"d":1}}"#, r#"x=v y={"d":1} z="#)),
    );
    check(r#"| json x="a", y="a.b""#, r#"{"a":{"b":2}}"#, Some((r#"{"a":{"b":2}}"#, r#"x={"b":2} y=2"#)));
    check("| logfmt", r#"a=1 b="x y" c = d=="e" f"#, Some((r#"a=1 b="x y" c = d=="e" f"#, "a=1 b=x y")));
    check("| logfmt --keep-empty", "a= b", Some(("a= b", "a= b=")));
    check(r#"| logfmt x="a", y="q""#, "a=1 a=2", Some(("a=1 a=2", "x=2 y=")));
    check("| regexp `(?P<m>[A-Z]+) (?P<p>\\S+)( (?P<rest>x))?`", "GET /a", Some(("GET /a", "m=GET p=/a rest=")));
    check("| pattern `<m> <p> [<_>] <s>`", "GET /a [x] 200 ok", Some(("GET /a [x] 200 ok", "m=GET p=/a s=200 ok")));
    check("| unpack", r#"{"k":"v","n":1,"_entry":"the line"}"#, Some(("the line", "k=v")));
    check("| decolorize", "\u{1b}[31mred\u{1b}[0m", Some(("red", "")));
    check("| json | logfmt", r#"{"a":1}"#, Some((r#"{"a":1}"#, "a=1")));
}

#[test]
fn filters() {
    check("|= `a` or `b`", "xb", Some(("xb", "")));
    check("| json | n > 5", r#"{"n":6}"#, Some((r#"{"n":6}"#, "n=6")));
    check("| json | n > 5", r#"{"n":5}"#, None);
    check("| json | n > 5", r#"{"m":6}"#, None);
    check("| logfmt | d > 1s or app=\"web\"", "d=1ms", Some(("d=1ms", "d=1ms")));
    check(
        "| logfmt | d > 1s",
        "d=xs",
        Some(("d=xs", "__error__=LabelFilterErr __error_details__=time: invalid duration \"xs\" d=xs")),
    );
    check("| json | n > 5 | __error__=\"\"", "plain", None);
    check("| logfmt | ip=ip(\"10.0.0.0/8\")", "ip=10.1.2.3", Some(("ip=10.1.2.3", "ip=10.1.2.3")));
    check("| logfmt | drop a, b=\"x\"", "a=1 b=2", Some(("a=1 b=2", "b=2")));
    check("| logfmt | keep a", "a=1 b=2", Some(("a=1 b=2", "a=1")));
    // a line filter stands before the parsers, but not before what changes the line
    check("| line_format \"new\" |= \"new\"", "old", Some(("new", "")));
}

#[test]
fn formats() {
    check("| logfmt | line_format `{{.a}}-{{ __line__ }}`", "a=1", Some(("1-a=1", "a=1")));
    check("| logfmt | label_format b=a, c=`{{.b}}{{.a}}`", "a=1", Some(("a=1", "b=1 c=1")));
    check("| logfmt | label_format c=`{{.a}}`, a=`{{.c}}x`", "a=1", Some(("a=1", "a=x c=1")));
    check("| label_format app=`x`", "l", Some(("l", "app=x")));
    check("| line_format `{{.nope}}`", "l", Some(("", "")));
}

#[test]
fn renaming_keeps_the_category() {
    let kept = run(&pipeline("| label_format b=app", Hints::all()), &[("app", "web")], &[], "l").unwrap();
    assert_eq!(kept.1, [("b".to_owned(), "web".to_owned(), Category::Stream)]);
}

#[test]
fn without_labels_asked_for_parsers_do_not_run() {
    let kept = run(&pipeline("| json", Hints::only([] as [&str; 0])), &[], &[], "no json").unwrap();
    assert_eq!(kept.1, []);
    let kept = run(&pipeline("| json", Hints::only(["b"])), &[], &[], r#"{"a":1,"b":2,"c":3}"#).unwrap();
    assert_eq!(kept.1, [("b".to_owned(), "2".to_owned(), Category::Parsed)]);
}

#[test]
fn groups_are_sets_of_labels() {
    let pipeline = pipeline("| logfmt", Hints::all());
    let mut stream = pipeline.stream([("app", "web")]);
    let mut other = pipeline.stream([("app", "api")]);
    let mut by = Groups::new(GroupBy::By(vec!["a".into(), "nope".into()]));
    let mut without = Groups::new(GroupBy::Without(vec!["b".into()]));
    let mut all = Groups::new(GroupBy::All);
    let mut ids = Vec::new();
    for (line, which) in [("a=1 b=1", 0), ("b=2 a=1", 0), ("a=1 b=1", 1), ("b=1 a=1", 0), ("x", 0)] {
        let stream = if which == 0 { &mut stream } else { &mut other };
        let kept = stream.process(0, line, []).unwrap();
        ids.push((by.group(kept.labels).0, without.group(kept.labels).0, all.group(kept.labels).0));
    }
    assert_eq!(ids, [(0, 0, 0), (0, 0, 1), (0, 1, 2), (0, 0, 0), (1, 2, 3)]);
    assert_eq!(without.labels(GroupId(0)).map(|(n, v, _)| (n, v)).collect::<Vec<_>>(), [("a", "1"), ("app", "web")]);
}

#[test]
fn literals() {
    #[track_caller]
    fn check(stages: &str, expected: &[&str]) {
        let log = parse_log_selector(&format!("{{a=\"b\"}} {stages}")).unwrap();
        let literals = required_literals(&log.stages);
        let shown = |l: &Literal| format!("{}{}", if l.case_insensitive { "i:" } else { "" }, l.text);
        let shown: Vec<_> = literals.iter().map(|any| any.iter().map(shown).collect::<Vec<_>>().join(" or ")).collect();
        assert_eq!(shown, expected, "{stages}");
    }
    check("|= `a` |= `b` != `c`", &["a", "b"]);
    check("|= `a` or `b`", &["a or b"]);
    check("|= `a` or ip(`::1`)", &[]);
    check("|= `a` or ``", &[]);
    check("|~ `foo.*barr` or `b`", &["barr or b"]);
    check("|> `<_>a<_> b` or `c<_>`", &[" b or c"]);
    check("|~ `foo.*bar`", &["foo", "bar"]);
    check("|~ `foo|bar`", &["foo or bar"]);
    check("|~ `(?i)timeout`", &["i:timeout"]);
    check("|~ `ab?c+d`", &["ab or a", "c", "d"]);
    check("|~ `a\\.b`", &["a.b"]);
    check("|~ `a\\.*b`", &["a", "b"]);
    check("|> `<_>foo<_> bar`", &["foo", " bar"]);
    check("| json |= `x`", &["x"]);
    check("| line_format `y` |= `x`", &[]);
    check("| json | a=`x`", &[]);
}

#[test]
fn literals_of_label_filters() {
    #[track_caller]
    fn check(stages: &str, expected: &[&str]) {
        let log = parse_log_selector(&format!("{{a=\"b\"}} {stages}")).unwrap();
        let shown = |found: &LabelLiterals| {
            let texts: Vec<&str> = found.literals.iter().map(|literal| literal.text.as_str()).collect();
            format!("{}: {}", found.labels.join(","), texts.join("|"))
        };
        assert_eq!(label_literals(&log.stages).iter().map(shown).collect::<Vec<_>>(), expected, "{stages}");
    }
    check("| json | a=`timeout`", &["a: timeout|\\u00"]);
    check("| logfmt | a=`x/timeout y` | b!=`no`", &["a: timeout|\\u00"]);
    check("| json | a=`500`", &["a: :500|=500| 500|\t500|\n500|\r500|\"500|[500|,500|\\u00"]);
    check("| pattern `<a> <b>` | a=`500`", &[]);
    check("| json | a=~`time.*` or b=`error`", &["a,b: time|\\u00|error|\\u00"]);
    check("| json | a=`error` or b>3", &[]);
    check("| json | a=`error`, b=`warning`", &["a: error|\\u00", "b: warning|\\u00"]);
    check("| json | a=~`error|` ", &[]);
    check("| json | a=`` | __error__=`JSONParserErr`", &[]);
    check("| json | label_format a=b | a=`error` | b=`error` | c=`error`", &["c: error|\\u00"]);
    check("| json | line_format `x` | json | a=`error`", &[]);
}

#[test]
fn deep_json_is_an_error() {
    let deep = format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
    let (_, labels) = run(&pipeline("| json", Hints::all()), &[], &[], &deep).unwrap();
    assert_eq!(labels[0].1, "JSONParserErr");
    run(&pipeline("| json x=\"a.a.a\"", Hints::all()), &[], &[], &deep).unwrap();
}

const STAGES: [&str; 12] = [
    "| json",
    "| json x=\"a.b[0]\", y=\"c\"",
    "| logfmt",
    "| logfmt --strict --keep-empty",
    "| logfmt x=\"a\"",
    "| pattern `<a> <b>=<c>`",
    "| regexp `(?P<a>\\w+)=(?P<b>.*)`",
    "| unpack",
    "| decolorize",
    "|= ip(`10.0.0.0/8`)",
    "| logfmt | a > 5 or a > 5s or a > 5KB or a = ip(`::/0`)",
    "|> `<_>a<_> b`",
];

/// Lines that look like something.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\PC\n\t]{0,40}",
        "([a-c]{0,2}[= \"\\\\{}:,\\[\\]0-9.:]{0,3}){0,12}",
        "\\{(\"[a-c]{1,2}\":(1|\"x\\\\u00[0-9a-f]{2}\"|null|true|\\[1,\"b\"\\]|\\{\"b\":\\[2\\]\\}),){0,5}\"a\":1\\}?",
    ]
}

fn needle() -> impl Strategy<Value = LineFilter> {
    let op = prop_oneof![
        Just(LineFilterOp::Contains),
        Just(LineFilterOp::NotContains),
        Just(LineFilterOp::Matches),
        Just(LineFilterOp::Pattern)
    ];
    (op, prop::collection::vec("[ab]{0,3}|[ab]{3}\\.[ab]?|(?:\\(\\?i\\))?[aB]{3}b\\??\\|abb", 1..3)).prop_map(|(op, texts)| {
        LineFilter {
            op,
            alternatives: texts.into_iter().take(if op.is_negative() { 1 } else { 2 }).map(LineMatch::Text).collect(),
        }
    })
}

proptest! {
    #[test]
    fn no_line_panics(line in line(), stage in 0..STAGES.len()) {
        run(&pipeline(STAGES[stage], Hints::all()), &[("a", "1")], &[("b", "2")], &line);
    }

    #[test]
    fn hints_change_no_label_that_is_asked_for(line in line(), stage in 0..STAGES.len(), name in "[abcxy]{1,2}") {
        let value = |hints| {
            let kept = run(&pipeline(STAGES[stage], hints), &[], &[], &line)?;
            kept.1.into_iter().find(|(n, _, _)| *n == name).map(|(_, v, _)| v)
        };
        prop_assert_eq!(value(Hints::only([name.as_str()])), value(Hints::all()));
    }

    #[test]
    fn many_lines_pass_as_each_does(lines in prop::collection::vec("[abB]{0,6}", 0..12), filters in prop::collection::vec(needle(), 0..3)) {
        let predicates: Vec<_> = filters.iter().map(|f| LinePredicate::new(f).unwrap()).collect();
        let leading = LeadingFilters::new(predicates.clone());
        let mut offsets = vec![0];
        let mut buffer = String::new();
        for line in &lines {
            buffer.push_str(line);
            offsets.push(buffer.len() as i32);
        }
        let mut rows = vec![true; lines.len()];
        leading.filter_rows(buffer.as_bytes(), &offsets, &mut rows);
        let expected: Vec<_> = lines.iter().map(|l| predicates.iter().all(|p| p.matches(l.as_bytes()))).collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn kept_lines_have_the_literals(line in "[abkAB.]{0,8}", pattern in "(\\(\\?i\\))?[abk.?*+\\\\]{0,6}") {
        let Ok(log) = parse_log_selector(&format!("{{a=\"b\"}} |~ `{pattern}`")) else { return Ok(()) };
        let Ok(pipeline) = Pipeline::new(&log.stages, Hints::all(), 0) else { return Ok(()) };
        if run(&pipeline, &[], &[], &line).is_some() {
            let is_in = |literal: &Literal| match literal.case_insensitive {
                true => line.to_ascii_lowercase().contains(&literal.text.to_ascii_lowercase()),
                false => line.contains(&literal.text),
            };
            for literals in required_literals(&log.stages) {
                prop_assert!(literals.iter().any(is_in), "{:?}", literals);
            }
        }
    }

    #[test]
    fn kept_lines_have_the_literals_of_labels(
        parts in prop::collection::vec("[ab5]{3,5}|\\\\u00(61|62|35)|\\\\n|[ \"=:,{}\\[\\]a]", 0..10),
        value in "[ab5]{3,5}", shape in 0..6_usize, op in prop::sample::select(&["=", "=~"][..]),
        parser in prop::sample::select(&["json", "logfmt", "logfmt --keep-empty", "json a=\"a.b\"", "regexp `(?P<a>.*)`", "pattern `<_>a<a>`"][..]),
    ) {
        let text = parts.concat();
        let line = match shape {
            0 => format!("{{\"a\":\"{text}\"}}"),
            1 => format!("{{\"b\": 1, \"a\" : {text}}}"),
            2 => format!("{{\"a\":{{\"b\":\"{text}\"}}}}"),
            3 => format!("b=1 a={text}"),
            4 => format!("a=\"{text}\""),
            _ => text,
        };
        let log = parse_log_selector(&format!("{{x=\"y\"}} | {parser} | a{op}`{value}`")).unwrap();
        let pipeline = Pipeline::new(&log.stages, Hints::all(), 0).unwrap();
        if run(&pipeline, &[], &[], &line).is_some() {
            for found in label_literals(&log.stages) {
                prop_assert!(found.literals.iter().any(|literal| line.contains(&literal.text)), "{:?} of {}", found, line);
            }
        }
    }
}
