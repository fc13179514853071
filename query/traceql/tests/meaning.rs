//! Queries over a few spans of our own: what the vectors do not ask.

use traceql::ast::Root;
use traceql::eval::{Answer, Condition, Filter, Grid, Metrics, Options, Search, Test};
use traceql::memory::{Event, Span, Trace};
use traceql::spans::Slots;
use traceql::value::Value;

const SECOND: i64 = 1_000_000_000;

fn parsed(query: &str) -> Root {
    traceql::parse::parse(query).unwrap_or_else(|e| panic!("{query}: {e}")).root
}

fn span(id: usize, parent: usize, attributes: &[(&str, Value<'static>)]) -> Span {
    let hex = |id: usize| if id == 0 { String::new() } else { format!("{id:016x}") };
    Span {
        trace_id: "1".repeat(32),
        id: hex(id),
        parent_id: hex(parent),
        name: format!("s{id}"),
        start_ns: id as i64 * SECOND,
        duration_ns: id as i64 * SECOND / 10,
        resource: vec![("service.name".to_owned(), Value::text("shop"))],
        attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..Span::default()
    }
}

/// 1 ─► 2 ─► 3, 1 ─► 4.
fn trace() -> Vec<Span> {
    let event = |name: &str, n| Event { offset_ns: n, name: name.to_owned(), attributes: vec![("n".to_owned(), Value::Int(n))] };
    let mut spans = vec![
        span(1, 0, &[("n", Value::Int(1)), ("side", Value::text("a"))]),
        span(2, 1, &[("n", Value::Int(i64::MAX)), ("side", Value::text("a"))]),
        span(3, 2, &[("n", Value::Float(0.5)), ("side", Value::text("b"))]),
        span(4, 1, &[("side", Value::text("b"))]),
    ];
    spans[1].events = vec![event("retry", 1), event("retry", 2), event("done", 1)];
    spans[3].events = vec![event("done", 2)];
    spans
}

/// The spans of each spanset by the last digit of their ids, with attributes.
#[track_caller]
fn check(query: &str, expected: &[&str]) {
    let Root::Search(pipeline) = parsed(query) else { panic!("{query} is a search") };
    let search = Search::new(&pipeline).expect("a search");
    let spans = trace();
    let found = search.evaluate(&Trace::new(&spans, search.slots())).expect("spansets");
    let text = |spanset: &traceql::eval::Spanset| {
        let ids: String = spanset.rows.iter().map(|row| spans[*row].id.chars().last().unwrap_or('?')).collect();
        spanset.attributes.iter().fold(ids, |text, (name, value)| format!("{text} {name}={value:?}"))
    };
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), expected, "{query}");
}

#[test]
fn aggregates_compare_with_aggregates_and_arithmetic() {
    check(
        "{ } | max(duration) > min(duration) * 2",
        &["1234 max(duration)=Duration(400000000) min(duration)=Duration(100000000)"],
    );
    check("{ } | by(.side) | max(duration) > min(duration) * 2", &[]);
    check("{ .n > 0 } | sum(.n) / count() > 1", &["123 sum(.n)=Float(9.223372036854776e18) count()=Int(3)"]);
    check("{ .side = `a` } | sum(.n) > 9e18", &["12 sum(.n)=Float(9.223372036854776e18)"]);
    check("{ name = `s1` } | -count() = -1", &["1 count()=Int(1)"]);
    check("{ } | count() / 0 > 1", &[]);
}

#[test]
fn the_parent_has_fields_too() {
    check("{ parent.side = `a` && .side = `b` }", &["34"]);
    check("{ parent.n = nil }", &["1"]);
    check("{ parent.n < .n }", &["2"]);
    check("{ 0 > nestedSetParent }", &["1"]);
    check("{ nestedSetParent != -1 }", &["234"]);
}

#[test]
fn conjunctions_bind_to_one_event() {
    check("{ event:name = `retry` && event.n = 2 }", &["2"]);
    check("{ event:name = `done` && event.n = 2 }", &["4"]);
    check("{ (event:name = `done` || event:name = `never`) && event.n = 1 }", &["2"]);
    check("{ event:name = `done` && event.n = 1 && .side = `b` }", &[]);
    check("{ !(event:name = `retry`) }", &["134"]);
    check("{ event:name != `done` }", &["2"]);
    check("{ event.n = event:timeSinceStart }", &["24"]);
}

#[test]
fn groups_and_filters_follow_one_another() {
    check("{ } | by(.n != nil) | count() > 1 | { .side = `b` } | count() = 1", &["3 by(.n != nil)=Bool(true) count()=Int(1)"]);
    check("{ } | by(event:name)", &["13 by(event:name)=Nil", "24 by(event:name)=Str(\"done\")"]);
    check("({ .side = `a` } | by(name)) && ({ .side = `b` })", &["1234"]);
    check("({ } | count() > 9) || ({ .n = 1 })", &["1"]);
    check("{ } | { .side = `a` } > { .side = `b` }", &["34"]);
}

#[test]
fn what_is_returned_of_a_span_is_what_the_query_names() {
    let Root::Search(pipeline) =
        parsed("{ duration > 1ns && .side = `a` } | by(resource.service.name) | select(name, event:name, .n)")
    else {
        panic!("is a search")
    };
    let search = Search::new(&pipeline).expect("a search");
    let spans = trace();
    let memory = Trace::new(&spans, search.slots());
    let of_second: Vec<_> = search.returned().iter().map(|field| (field.name(), field.value(&memory, 1))).collect();
    assert_eq!(
        of_second,
        [
            ("side", Value::text("a")),
            ("service.name", Value::text("shop")),
            ("event:name", Value::text("done")),
            ("n", Value::Int(i64::MAX)),
        ]
    );
    assert!(search.name().is_some() && search.needs().items && !search.needs().structure);
}

#[test]
fn conditions_tell_what_spans_need() {
    #[track_caller]
    fn check(query: &str, expected: &[&[&str]]) {
        let Root::Search(pipeline) = parsed(query) else { panic!("{query} is a search") };
        let text = |condition: &Condition| {
            let field = traceql::eval::field_name(&condition.field);
            match &condition.test {
                Test::Equal(values) => format!("{field} = {values:?}"),
                Test::Range { min, max } => {
                    format!("{field} in {:?} {:?}", min.as_ref().map(|m| &m.0), max.as_ref().map(|m| &m.0))
                }
                Test::Regex { prefix, .. } => format!("{field} ~ {prefix}"),
                Test::Exists => format!("{field} is"),
            }
        };
        let search = Search::new(&pipeline).expect("a search");
        let found: Vec<Vec<String>> = search.conditions().iter().map(|c| c.all.iter().map(text).collect()).collect();
        assert_eq!(found, expected, "{query}");
    }
    check("{ }", &[&[]]);
    check("{ false }", &[]);
    check("{ .a = 1 && (.b > 2 || .c =~ `x.*`) }", &[&["a = [Int(1)]", "b in Some(Int(2)) None"], &["a = [Int(1)]", "c ~ x"]]);
    check("{ .a = 1 || .a = 2 }", &[&["a = [Int(1), Int(2)]"]]);
    check("{ 5 > .a && .a != nil } >> { !.b } | count() > 1", &[&["a in None Some(Int(5))", "a is"], &["b = [Bool(false)]"]]);
    check("{ .a = 1 || !(.b = 2) }", &[&[]]);
    check("{ .a + .b > 2 && !(.c = 1) && .d != 1 }", &[&["b is", "a is", "d is"]]);
    check("({ .a = 1 } | count() > 1) && ({ .b = 2 })", &[&["a = [Int(1)]"], &["b = [Int(2)]"]]);
    check("count() > 1", &[&[]]);
    check("{ parent.a = 1 }", &[&[]]);
    check("{ nestedSetParent < 0 && .a = 1 }", &[&["span:parentID = [Str(\"\")]", "a = [Int(1)]"]]);
}

#[test]
fn what_does_not_need_a_whole_trace_says_so() {
    #[track_caller]
    fn check(query: &str, whole_trace: bool, structure: bool, trace_values: bool) {
        let Root::Search(pipeline) = parsed(query) else { panic!("{query} is a search") };
        let needs = Search::new(&pipeline).expect("a search").needs();
        assert_eq!((needs.whole_trace, needs.structure, needs.trace_values), (whole_trace, structure, trace_values), "{query}");
    }
    check("{ .a = 1 }", false, false, false);
    check("{ .a = 1 } || { event.b = 2 } | select(.c)", false, false, false);
    check("{ .a = 1 } && { .b = 2 }", true, false, false);
    check("{ } | count() > 1", true, false, false);
    check("{ } | by(.a)", true, false, false);
    check("{ } > { }", true, true, false);
    check("{ parent.a = 1 }", true, true, false);
    check("{ trace:duration > 1s }", true, false, true);
    check("{ nestedSetParent < 0 }", true, false, true);
    check("{ } | select(rootName)", true, false, true);
    let of_metrics = |query: &str| {
        let Root::Metrics(metrics) = parsed(query) else { panic!("{query} is a metrics query") };
        let needs = Metrics::new(&metrics, Options::default()).expect("metrics").leaves()[0].needs();
        (needs.whole_trace, needs.structure, needs.trace_values)
    };
    // Of series only the spans matter, not their sets; roots are known by themselves.
    assert_eq!(of_metrics("{ nestedSetParent < 0 && true } | rate() by (.a)"), (false, false, false));
    assert_eq!(of_metrics("{ .a = 1 } | by(.b) | select(rootName) | rate()"), (false, false, false));
    assert_eq!(of_metrics("{ .a = 1 } | count() > 1 | rate()"), (true, false, false));
    assert_eq!(of_metrics("{ .a = 1 } | rate() by (rootName)"), (true, false, true));
    assert_eq!(of_metrics("{ } > { } | rate()"), (true, true, false));
}

fn measured(query: &str, exemplars_max: usize, series_max: usize) -> Answer {
    let Root::Metrics(metrics) = parsed(query) else { panic!("{query} is a metrics query") };
    let metrics = Metrics::new(&metrics, Options { exemplars_max }).expect("metrics");
    let grid = Grid::range(0, 4 * SECOND, 2 * SECOND);
    let spans = trace();
    let state = |leaf: &traceql::eval::Leaf| {
        let mut state = leaf.state(&grid);
        state.evaluate(&Trace::new(&spans, leaf.slots())).expect("counted");
        state
    };
    let states = metrics.leaves().iter().map(state).collect();
    metrics.finish(states, &grid, series_max).expect("series")
}

#[test]
fn series_have_exemplars_and_a_limit() {
    let answer = measured("{ } | sum_over_time(duration) by (.side)", 10, 10);
    let series = |at: usize| (&answer.series[at].labels, &answer.series[at].samples, answer.series[at].exemplars.len());
    assert_eq!(series(0), (&vec![(".side".to_owned(), Value::text("a"))], &vec![(2_000, 0.30000000000000004)], 2));
    assert_eq!(series(1), (&vec![(".side".to_owned(), Value::text("b"))], &vec![(4_000, 0.7)], 2));
    let first = &answer.series[0].exemplars[0];
    assert_eq!((first.time_ms, first.value), (1_000, 0.1));
    assert_eq!(
        first.labels,
        [
            ("trace:id".to_owned(), Value::text(&"1".repeat(32)).into_owned()),
            ("span:id".to_owned(), Value::text("0000000000000001")),
        ]
    );
    assert!(measured("{ } | rate()", 10, 10).series[0].exemplars[0].value.is_nan());
    // One of each series before another of one.
    let few = measured("{ } | rate() by (.side)", 2, 10);
    assert_eq!(few.series.iter().map(|s| s.exemplars.len()).collect::<Vec<_>>(), [1, 1]);
    let cut = measured("{ } | rate() by (name)", 0, 3);
    assert!(cut.truncated && cut.series.len() == 3 && cut.series[2].labels[0].1 == Value::text("s3"));
}

#[test]
fn series_of_nothing_are_labelled_nil_and_nothing_is_measured_of_text() {
    let answer = measured("{ } | count_over_time() by (.n, .none)", 0, 10);
    assert_eq!(answer.series.len(), 4);
    assert_eq!(answer.series[0].labels, [(".n".to_owned(), Value::Nil), (".none".to_owned(), Value::Nil)]);
    assert_eq!(measured("{ } | max_over_time(.side)", 0, 10).series, []);
    assert_eq!(measured("{ } | quantile_over_time(.side, 0.5)", 0, 10).series, []);
}

#[test]
fn quantiles_share_their_exemplars() {
    let answer = measured("{ } | quantile_over_time(duration, 0.1, 0.9)", 10, 10);
    let of: Vec<_> = answer.series.iter().map(|s| s.exemplars.iter().map(|e| e.time_ms).collect::<Vec<_>>()).collect();
    assert_eq!(of, [vec![1_000, 3_000], vec![2_000, 4_000]]);
}

#[test]
fn a_comparison_names_attributes_with_too_many_values() {
    let Root::Metrics(query) = parsed("{ } | compare({ .even })") else { panic!("is a metrics query") };
    let metrics = Metrics::new(&query, Options::default()).expect("metrics");
    let (grid, leaf) = (Grid::instant(0, SECOND), &metrics.leaves()[0]);
    let spans: Vec<Span> = (1..=10_001)
        .map(|id| Span { start_ns: 1, ..span(id, 0, &[("id", Value::Int(id as i64)), ("even", Value::Bool(true))]) })
        .collect();
    let mut state = leaf.state(&grid);
    state.push(&Trace::new(&spans[..1], leaf.slots()), &[0]).expect("counted");
    // One at a time: in memory the number of children is looked for in all spans.
    for span in spans[1..].chunks(1) {
        state.push(&Trace::new(span, leaf.slots()), &[0]).expect("counted");
    }
    let answer = metrics.finish(vec![state], &grid, 1_000).expect("series");
    let of_id: Vec<_> = answer.series.iter().filter(|s| s.labels.iter().any(|(name, _)| name == "span.id")).collect();
    assert_eq!(of_id.len(), 2);
    let meta = |at: usize| of_id[at].labels.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    assert!(meta(0).contains(&Value::text("__too_many_values__")) || meta(1).contains(&Value::text("__too_many_values__")));
    assert!(of_id.iter().any(|s| s.samples == [(1_000, 10_001.0)]));
}

#[test]
fn a_filter_shares_slots_with_others() {
    let Root::Search(pipeline) = parsed("{ .side = `a` && .n >= 1 }") else { panic!("is a search") };
    let [traceql::ast::Stage::Spansets(traceql::ast::Spansets::Filter(expr))] = &pipeline.stages[..] else {
        panic!("is a filter")
    };
    let mut slots = Slots::default();
    let filters = [Filter::new(expr, &mut slots), Filter::new(expr, &mut slots)].map(|f| f.expect("a filter"));
    assert_eq!(slots.fields().len(), 2);
    let spans = trace();
    let memory = Trace::new(&spans, &slots);
    assert_eq!(filters.map(|f| (0..4).filter(|row| f.matches(&memory, *row)).collect::<Vec<_>>()), [[0, 1], [0, 1]]);
}
