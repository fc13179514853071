//! What is printed is read again as what it was.

use proptest::prelude::*;

use super::pretty;
use crate::parse::parse;

#[test]
fn parentheses_that_matter_stay() {
    let long = |name: &str| format!("sum(rate({{job=\"{name}\"}}[5m]))");
    let (a, b, c) = (long("a"), long("b"), long("c"));
    for text in [
        format!("({a} + {b}) * {c}"),
        format!("{a} - ({b} - {c})"),
        format!("({a} ^ {b}) ^ {c}"),
        format!("{a} ^ ({b} ^ {c})"),
        format!("{a} or ({b} and {c})"),
        format!("({a} or {b}) unless on (x) {c}"),
    ] {
        let expr = parse(&text).unwrap();
        for width in [0, 20, 40, 80, 200] {
            assert_eq!(parse(&pretty(&expr, width)).unwrap(), expr, "{width}: {text}");
        }
    }
}

#[test]
fn filters_in_a_row_share_a_line() {
    let expr = parse(r#"{app="cart", level=~"a|b"} |= "x" != `y` | json | c>5 | line_format "{{.x}}{{.x}}""#).unwrap();
    let expected = "{app=\"cart\", level=~\"a|b\"}\n  |= \"x\" != \"y\"\n  | json\n  | c>5\n  | line_format \"{{.x}}{{.x}}\"";
    assert_eq!(pretty(&expr, 60), expected);
}

/// Queries that parse.
fn query() -> impl Strategy<Value = String> {
    let text = "[a-z\"\\\\\n{}<>üß\u{7f}]{0,6}".prop_map(|t| gosyntax::quote::quote(&t));
    let name = prop::sample::select(vec!["a", "b", "rate", "duration", "le", "_x"]);
    let compare = prop::sample::select(vec!["==", "!=", ">", ">=", "<", "<="]);
    let number = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        (0.0..1e25_f64).prop_map(|n| format!("{n:e}")),
        (0.0..1e-5_f64).prop_map(|n| n.to_string()),
    ];
    let quantity = prop_oneof![
        number,
        any::<i64>().prop_filter("Go's form has no less", |n| *n != 0).prop_map(crate::units::duration_text),
        any::<u64>().prop_filter("16 EiB is too large", |n| *n < 1 << 60).prop_map(|n| format!("{n}B")),
        (1..999_u32, 0..9_u32).prop_map(|(n, d)| format!("{n}.{d}MiB")),
    ];
    let filter = prop_oneof![
        (name.clone(), compare, quantity).prop_map(|(n, op, q)| format!("{n}{op}{q}")),
        (name.clone(), text.clone()).prop_map(|(n, t)| format!("{n}={t}")),
        (name.clone(), text.clone()).prop_map(|(n, t)| format!("{n}!=ip({t})")),
    ];
    let filters =
        prop::collection::vec((filter, prop::sample::select(vec![" and ", " or ", ", ", " "])), 1..5).prop_map(|list| {
            let last = list.len() - 1;
            list.into_iter().enumerate().map(|(at, (f, op))| if at == last { f } else { f + op }).collect::<String>()
        });
    let stage = prop_oneof![
        (prop::sample::select(vec!["|=", "|~", "|>", "!=", "!~", "!>"]), prop::collection::vec(text.clone(), 1..4))
            .prop_map(|(op, texts)| format!("{op} {}", texts.join(" or "))),
        filters.prop_map(|f| format!("| {f}")),
        text.clone().prop_map(|t| format!("| line_format {t}")),
        (name.clone(), text.clone(), name.clone()).prop_map(|(a, t, b)| format!("| label_format {a}={t}, {b}={a}")),
        (name.clone(), text.clone()).prop_map(|(a, t)| format!("| logfmt --strict {a}={t}, b | json c={t}, d")),
        (name.clone(), text.clone()).prop_map(|(a, t)| format!("| drop {a}, b={t} | keep c | decolorize | unpack")),
    ];
    let log = prop::collection::vec(stage, 0..5).prop_map(|s| format!("{{a=\"b\", c!=\"d\"}} {}", s.join(" ")));
    let range =
        (log.clone(), 1..100_000_000_000_u64, -100_000..100_000_i64, name.clone()).prop_map(|(l, range_ms, offset_us, n)| {
            let range = crate::units::prometheus_duration_text(range_ms as i64 * 1_000_000);
            let offset = crate::units::duration_text(offset_us * 1000);
            let offset = if offset_us == 0 { String::new() } else { format!("offset {offset}") };
            format!("quantile_over_time(0.9, {l} | unwrap duration({n}) | a!=\"\" [{range}] {offset}) without ({n})")
        });
    let metric = range.prop_recursive(4, 16, 2, |inner| {
        let op = prop::sample::select(vec![
            "+",
            "-",
            "*",
            "/",
            "^",
            "%",
            ">",
            "== bool",
            "and",
            "or on (a)",
            "/ on (a, b) group_left (c)",
        ]);
        prop_oneof![
            inner.clone().prop_map(|m| format!("sum by (a, b) ({m})")),
            inner.clone().prop_map(|m| format!("topk(3, {m}) without (x)")),
            inner.clone().prop_map(|m| format!("label_replace({m}, \"a\", \"$1\", \"b\", \"(.*)\")")),
            inner.clone().prop_map(|m| format!("histogram_quantile(0.9, {m}) + 1e-9 - vector(1.5)")),
            (inner.clone(), op, inner).prop_map(|(l, op, r)| format!("({l}) {op} ({r})")),
        ]
    });
    prop_oneof![log, metric]
}

proptest! {
    #[test]
    fn printing_is_undone_by_parsing(text in query(), width in 0..120_usize) {
        let expr = parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = expr.to_string();
        prop_assert_eq!(&parse(&printed).unwrap_or_else(|e| panic!("{printed}: {e}")), &expr);
        let pretty = pretty(&expr, width);
        prop_assert_eq!(&parse(&pretty).unwrap_or_else(|e| panic!("{pretty}: {e}")), &expr);
    }
}
