//! Texts, and what they are or why they are not.

use super::{ErrorKind, HEIGHT_MAX, NESTING_MAX, PIPELINE_HEIGHT_MAX, QUERY_BYTES_MAX, field, lenient, parse};
use crate::ast::{FieldName, Intrinsic, Scope, Spelling};
use crate::parse::hints::{Exemplars, Hints, Sample};

#[track_caller]
fn check(text: &str, printed: &str) {
    let query = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert_eq!(query.to_string(), printed, "{text}");
    assert_eq!(parse(printed).as_ref(), Ok(&query), "{printed}");
}

#[track_caller]
fn refused(text: &str, why: &str) {
    assert_eq!(parse(text).map(|q| q.to_string()).map_err(|e| e.to_string()), Err(why.to_owned()), "{text}");
}

#[test]
fn operators_bind_as_they_should() {
    check("{.a=1||.b=2&&.c=3}", "{ ((.a = 1) || (.b = 2)) && (.c = 3) }");
    check("{ .a + .b * .c - .d / .e % .f ^ 2 = 1 }", "{ ((.a + (.b * .c)) - ((.d / .e) % (.f ^ 2))) = 1 }");
    check("{ .a ^ .b ^ .c = 0 }", "{ (.a ^ (.b ^ .c)) = 0 }");
    check("{ -.a ^ 2 = 4 }", "{ (-(.a ^ 2)) = 4 }");
    check("{ -.a * .b + .c = 4 }", "{ ((-(.a * .b)) + .c) = 4 }");
    check("{ .a * -.b + .c = 4 }", "{ ((.a * (-.b)) + .c) = 4 }");
    check("{ !.a && .b }", "{ (!.a) && .b }");
    check("{ .a = !.b && .c }", "{ (.a = (!.b)) && .c }");
    check("{ .a ^ -1 = 0 && (-1) ^ .a = 0 }", "{ ((.a ^ -1) = 0) && (((-1) ^ .a) = 0) }");
    check("{ } || { } && { } > { }", "({ true } || { true }) && ({ true } > { true })");
    check("{ .a } &>> { .b } !~ { .c }", "({ .a } &>> { .b }) !~ { .c }");
    check("{ .a || .b || .c || .d }", "{ (.a || .b) || (.c || .d) }");
}

#[test]
fn constants_are_evaluated() {
    check("{ 1 + 1 > 1 }", "{ true }");
    check("{ .a = 1 + 2 * 3 - 4 / 3 }", "{ .a = 6 }");
    check("{ `foo` = `bar` }", "{ false }");
    check("{ 1 = 1. || error = ok }", "{ true }");
    check("{ nil = nil || nil != nil }", "{ false }");
    check("{ .a > -1 && .b < minInt }", "{ (.a > -1) && (.b < minInt) }");
    check("{ .a = 1 / 0 }", "{ .a = (1 / 0) }");
    check("{ } | count() > 1 + 2 ^ 3", "{ true } | count() > 9");
    check("{ } | avg(duration) > 1s + 500ms", "{ true } | avg(duration) > (1s + 500ms)");
    check("({} | rate()) > 3 * -2", "{ true } | rate() > -6.0");
    check("3 * 2 / ({} | rate())", "6.0 / ({ true } | rate())");
}

#[test]
fn fields() {
    check("{ .a-b/c.d[0]+e@f:g = 1 }", "{ .a-b/c.d[0]+e@f:g = 1 }");
    check(r#"{ span."a b".c = ."x\"y\\" }"#, r#"{ span."a b.c" = ."x\"y\\" }"#);
    check("{ ..a = 1 && .a. = 2 && .\"1\" = 3 }", "{ ((..a = 1) && (.a. = 2)) && (.\"1\" = 3) }");
    check("{ span:duration > 1s && duration > 1s }", "{ (span:duration > 1s) && (duration > 1s) }");
    check(
        "{ resource.name = event.status && instrumentation.kind = link.duration }",
        "{ (resource.name = event.status) && (instrumentation.kind = link.duration) }",
    );
    check("{ parent.a = 1 && parent.span.b = 2 }", "{ (parent.a = 1) && (parent.span.b = 2) }");
    check("{ parent.duration > 1s && parent.\"duration\" = 1 }", "{ (parent.duration > 1s) && (parent.\"duration\" = 1) }");
    check(
        "{ parent.span:name = `x` && parent = nil && parent.name = nil }",
        "{ ((parent.span:name = `x`) && (parent = nil)) && (parent.name = nil) }",
    );
}

#[test]
fn bare_names_with_points_are_attributes() {
    check(r#"{service.name="api" && name="GET /users"}"#, "{ (.service.name = `api`) && (name = `GET /users`) }");
    check(
        r#"{ error.type = "x" } | by(server.address) | select(http.method)"#,
        "{ .error.type = `x` } | by(.server.address) | select(.http.method)",
    );
    refused("{ service = 1 }", "parse error at line 1, col 3: syntax error: unexpected IDENTIFIER");
}

#[test]
fn aggregates_may_be_grouped() {
    let by = "{ .service.name = `api` } | by(.http.method) | avg(duration) > 500ms";
    check(r#"{service.name="api"} | avg(duration) by (http.method) > 500ms"#, by);
    check(r#"{service.name="api"} | (avg(duration) by (http.method)) > 500ms"#, by);
    check("{ } | 3 < count() by (.a, kind)", "{ true } | by(.a) | by(kind) | 3 < count()");
    assert!(parse("{ } | count() by (.a) > count() by (.b)").is_err());
    assert!(parse("{ } | count() by (method) > 1").is_err());
}

#[test]
fn pipelines() {
    check("({ .a } | count() > 1 | { false }) >> ({ .b })", "({ .a } | count() > 1 | { false }) >> ({ .b })");
    check("(({ .a })) | count() > 1", "{ .a } | count() > 1");
    check("({ .a } | count() > 1)", "{ .a } | count() > 1");
    check("({ .a } && { .b }) && ({ .c } | { .d })", "({ .a } && { .b }) && ({ .c } | { .d })");
    check("({ .a }) && ({ .b }) && ({ .c } | { .d })", "({ .a } && { .b }) && ({ .c } | { .d })");
    check("{ .a } || { .b } || { .c } || { .d }", "({ .a } || { .b }) || ({ .c } || { .d })");
    assert!(parse("{ .a } && { .b } && ({ .c } | { .d })").is_err());
    check("({ .a } | count()) + 1 > ({ .b } | avg(duration))", "(({ .a } | count()) + 1) > ({ .b } | avg(duration))");
    check("avg(.foo) + count() > -sum(.bar)", "(avg(.foo) + count()) > (-sum(.bar))");
    check("count() = 1 | { .a } | by(1 + .a) | coalesce()", "count() = 1 | { .a } | by(1 + .a) | coalesce()");
    check(
        "{} | select(.a, name)with(most_recent=true, x=-1s) with(y=`z`)",
        "{ true } | select(.a, name) with(most_recent=true, x=-1s, y=`z`)",
    );
    check("{ .a = 1 } // trailing\n /* c */ | { }", "{ .a = 1 } | { true }");
}

#[test]
fn metrics() {
    check("{} | rate() by (name, .a) >= 5.5 | topk(3) < 10s", "{ true } | rate() by(name, .a) >= 5.5 | topk(3) < 10.0");
    check("{} | quantile_over_time(duration, 0, .9, 1)", "{ true } | quantile_over_time(duration, 0.0, 0.9, 1.0)");
    check("{} | compare({ status = error })", "{ true } | compare({ status = error }, 10)");
    check("{} | compare({}, 5, 1, 2)", "{ true } | compare({ true }, 5, 1, 2)");
    check(
        "({ } | rate()) + ({ } | rate()) * 2 > 1 | bottomk(1)",
        "({ true } | rate()) + (({ true } | rate()) * 2.0) > 1.0 | bottomk(1)",
    );
    check("-100 * ({} | rate())", "-100.0 * ({ true } | rate())");
    check(
        "(({ .a } >> { .b } | rate() | topk(3)) / 2) - ({} | histogram_over_time(duration))",
        "(({ .a } >> { .b } | rate() | topk(3)) / 2.0) - ({ true } | histogram_over_time(duration))",
    );
}

#[test]
fn mistakes_are_named_as_tempo_does() {
    refused("", "parse error : syntax error: unexpected $end");
    refused("{ }}", "parse error at line 1, col 4: syntax error: unexpected }, expecting with");
    refused("{ status = }", "parse error at line 1, col 12: syntax error: unexpected }");
    refused("{ } > ", "parse error at line 1, col 7: syntax error: unexpected $end, expecting { or (");
    refused("{ } | nope()", "parse error at line 1, col 7: syntax error: unexpected IDENTIFIER");
    refused("{} | rate() by ()", "parse error at line 1, col 17: syntax error: unexpected )");
    refused("{} | quantile_over_time(duration)", "parse error at line 1, col 33: syntax error: unexpected ), expecting ,");
    refused(
        "{} | rate() | select(a)",
        "parse error at line 1, col 15: syntax error: unexpected select, expecting topk or bottomk",
    );
    refused("{ .a } | count() > 1 && { }", "parse error at line 0, col 22: syntax error: unexpected &&, expecting with");
    refused("{ . foo }", "parse error at line 1, col 3: syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER");
    refused("{ .foo .bar }", "parse error at line 1, col 8: syntax error: unexpected .");
    refused("{ .\"foo }", "parse error at line 0, col 3: unexpected EOF, expecting \"");
    refused(".3foo", "parse error at line 1, col 3: syntax error: unexpected IDENTIFIER");
    refused("{ .a = 1\n  && .b = }", "parse error at line 2, col 11: syntax error: unexpected }");
    refused("{ \"é\" } ?", "parse error at line 1, col 9: syntax error: unexpected IDENTIFIER, expecting with");
    refused(
        "{ .a = 9223372036854775808 }",
        "parse error at line 1, col 8: strconv.ParseInt: parsing \"9223372036854775808\": value out of range",
    );
    refused("{ trace:status = ok }", "parse error at line 1, col 9: syntax error: unexpected status");
}

#[test]
fn nonsense_is_named() {
    refused("{ status = 5 }", "binary operations must operate on the same type: status = 5");
    refused("{ duration > \"a\" }", "binary operations must operate on the same type: duration > `a`");
    refused("{ true + 1 = 2 }", "binary operations must operate on the same type: true + 1");
    refused("{ } | avg(name) > 1", "aggregate field expressions must resolve to a number type: avg(name)");
    refused("{ \"a\" }", "span filter field expressions must resolve to a boolean: { `a` }");
    refused("{} | compare({}, 0)", "compare() top number of values must be an integer between 1 and 1000");
    assert_eq!(parse("{ parent }").unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(parse("{ .a =~ .b }").unwrap_err().kind, ErrorKind::Validate);
}

#[test]
fn a_field_alone() {
    let attribute = |scope, name: &str| FieldName::Attribute(scope, name.to_owned());
    let known = |text: &str| field(text).map(|f| f.name).map_err(|e| e.to_string());
    assert_eq!(known(".service.name"), Ok(attribute(Scope::Any, "service.name")));
    assert_eq!(known("resource.service.name"), Ok(attribute(Scope::Resource, "service.name")));
    assert_eq!(known("span.\"a b\""), Ok(attribute(Scope::Span, "a b")));
    assert_eq!(known("span:name"), Ok(FieldName::Intrinsic(Intrinsic::Name, Spelling::Scoped)));
    assert_eq!(known("status"), Ok(FieldName::Intrinsic(Intrinsic::Status, Spelling::Legacy)));
    let refused = |text: &str, why: &str| assert_eq!(known(text), Err(why.to_owned()), "{text}");
    refused("service.name", "parse error at line 1, col 2: unknown identifier: service");
    refused("bad scope.x", "parse error at line 1, col 2: unknown identifier: bad");
    refused(".a} | {.b", "parse error at line 1, col 6: syntax error: unexpected |");
    refused("", "parse error at line 1, col 2: syntax error: unexpected }");
    refused(".a = 1", "parse error at line 1, col 5: syntax error: unexpected =, expecting }");
}

#[test]
fn an_unfinished_query_says_what_it_can() {
    #[track_caller]
    fn check(text: &str, condition: &str) {
        assert_eq!(lenient(text).map(|c| c.to_string()).unwrap_or_default(), condition, "{text}");
    }
    check("", "");
    check("{}", "");
    check("{ span.a = 1 }", "span.a = 1");
    check("{ span.a = 1 && ", "");
    check("{ span.a = 1 && span.b = }", "span.a = 1");
    check("{ span.a = && span.b = 1 && span.c =~ \"[\" && name = 5 }", "span.b = 1");
    check("{ (span.a = 1 && (span.b = )) && span.c = 2 }", "(span.a = 1) && (span.c = 2)");
    check("{ span.a = 1 || span.b = }", "");
    check("{ span.a = 1 || span.b = && span.c = 2 }", "span.c = 2");
    check("{ span.a = 1 || span.b = 2 && span.c = }", "(span.a = 1) || (span.b = 2)");
    check("{ span.a = } | count() > 5", "");
    check("{ span.a = 1 && span.b = } | rate() by (span.c", "span.a = 1");
    check("{ span.a } >> { span.b } | count() > 1", "span.b");
    check("{ span.a } || { span.b }", "");
    check("({ span.a } | rate()) / ({ span.b } | rate()) * 2", "span.a || span.b");
    check("count() > 1", "");
    // what has no scope says nothing
    check("{ .a = 1 }", "");
    check("{ .a = 1 && span.b = 1 && !(.c = 1) }", "span.b = 1");
    check("{ .a = 1 || span.b = 1 }", "");
}

#[test]
fn hints_are_typed() {
    let of = |text: &str| Hints::of(&parse(text).unwrap());
    let hints = of("{} | rate() with(sample=true, exemplars=10, foo=\"bar\") with(span_sample=.5, exemplars=\"x\")");
    assert_eq!(hints.sample, Some(Sample::Adaptive));
    assert_eq!(hints.span_sample, Some(Sample::Fraction(0.5)));
    assert_eq!(hints.exemplars, Some(Exemplars::Most(10)));
    assert!(of("{} with(most_recent=true)").most_recent);
    assert_eq!(of("{} | rate() with(sample=7, exemplars=false)").exemplars, Some(Exemplars::Off));
    assert_eq!(of("{} with(sample=7)"), Hints::default());
}

#[test]
fn size_and_depth_have_limits() {
    let long = format!("{{ {} }}", vec![".a = 1"; 5_000].join(" || "));
    assert!(parse(&long).is_ok_and(|q| parse(&q.to_string()) == Ok(q)));
    let long = vec!["{ .a = 1 }"; 3_000].join(" || ");
    assert!(parse(&long).is_ok_and(|q| parse(&q.to_string()) == Ok(q)));
    let says = |text: &str, what: &str| {
        let why = parse(text).map(|q| q.to_string()).unwrap_err().to_string();
        assert!(why.contains(what), "{why}");
    };
    says(&" ".repeat(QUERY_BYTES_MAX + 1), "limit is 131072");
    says(&format!("{{ {}1{} }}", "(".repeat(NESTING_MAX), ")".repeat(NESTING_MAX)), "deeper than");
    says(&format!("{}{{ }}{}", "(".repeat(60_000), ")".repeat(60_000)), "deeper than");
    says(&format!("{}({{}}|rate())", "-".repeat(60_000)), "deeper than");
    says(&format!("{{ }}{}", " > { }".repeat(HEIGHT_MAX + 1)), "operators in a row");
    says(&format!("{{ .a{} = 1 }}", " + 1 + .a".repeat(HEIGHT_MAX)), "operators in a row");
    says(&format!("{{ true{} }}", " && .a || .b".repeat(HEIGHT_MAX)), "operators in a row");
    says(&format!("{{}} | rate(){}", " > 1".repeat(HEIGHT_MAX)), "operators in a row");
    assert_eq!(lenient(&format!("{{ {}", "(".repeat(100_000))), None);
    assert_eq!(lenient(&format!("{{ {}}}", "(.a || ".repeat(10_000))), None);
}

/// The highest tree of each shape is printed as a text that is not nested too deep.
#[test]
fn the_highest_trees_are_printed_and_read() {
    #[track_caller]
    fn check(text: fn(usize) -> String) {
        let highest = (1..=HEIGHT_MAX + 1).rev().find_map(|n| parse(&text(n)).ok().map(|query| (n, query)));
        let (n, query) = highest.unwrap_or_else(|| panic!("not read: {}", text(1)));
        assert!((PIPELINE_HEIGHT_MAX / 3..=HEIGHT_MAX).contains(&n), "{n}");
        assert_eq!(parse(&query.to_string()), Ok(query));
    }
    check(|n| format!("{{ .a{} = 1 }}", " + .a".repeat(n)));
    check(|n| format!("{{ 1 = {}.a }}", ".a ^ ".repeat(n)));
    check(|n| format!("{{ 1 = {}.a }}", "-".repeat(n)));
    check(|n| format!("{{ {}.a }}", "!".repeat(n)));
    check(|n| format!("{{ {}.a{} }}", "!(.b && ".repeat(n / 2), ")".repeat(n / 2)));
    check(|n| format!("{{ true{} }}", " && .a || .b".repeat(n / 2)));
    check(|n| format!("{{ }}{}", " > { }".repeat(n)));
    check(|n| format!("{}{{ }} | {{ }}{}", "({ }) > (".repeat(n), ")".repeat(n)));
    check(|n| format!("{{ }} | {}count(){} > 1", "-(1 + ".repeat(n / 2), ")".repeat(n / 2)));
    check(|n| format!("({{}} | rate()){}", " + 1".repeat(n)));
    check(|n| format!("{{}} | rate(){}", " > 1".repeat(n)));
}
