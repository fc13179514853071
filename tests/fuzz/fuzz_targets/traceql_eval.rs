//! Any text that parses as TraceQL over a small trace: spansets of rows that are there, samples within their grid, and a filter that says
//! of single spans what the search says; never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traceql::ast::{Root, Spansets, Stage};
use traceql::eval::{Filter, Grid, Metrics, Options, Search};
use traceql::memory::{Event, Link, Span, Trace};
use traceql::parse::parse;
use traceql::spans::Slots;
use traceql::value::{Kind, Status, Value};

fn spans() -> Vec<Span> {
    let text = |value: &'static str| Value::text(value);
    let span = |row: u64, parent: u64| Span {
        trace_id: "0".repeat(31) + "1",
        id: format!("{row:016x}"),
        parent_id: if parent == 0 { String::new() } else { format!("{parent:016x}") },
        name: format!("span {row}"),
        kind: Kind::Server,
        status: Status::Error,
        start_ns: row as i64 * 1_000_000_000,
        duration_ns: row as i64 * 1_500_000_000,
        resource: vec![("service.name".to_owned(), text("shop"))],
        attributes: vec![
            ("a".to_owned(), Value::Int(row as i64 - 2)),
            ("b".to_owned(), Value::List(vec![text("x"), text("y")])),
            ("c".to_owned(), Value::Float(0.5)),
            ("d".to_owned(), Value::Bool(row % 2 == 0)),
        ],
        scope_name: "lib".to_owned(),
        events: vec![Event { offset_ns: 5, name: "e".to_owned(), attributes: vec![("a".to_owned(), Value::Int(i64::MIN))] }],
        links: vec![Link { trace_id: "2".repeat(32), span_id: "3".repeat(16), attributes: Vec::new() }],
        ..Span::default()
    };
    // A root with a child, one whose parent is missing, and two that are each other's parent.
    vec![span(1, 0), span(2, 1), span(3, 9), span(4, 5), span(5, 4)]
}

fuzz_target!(|text: &str| {
    let Ok(query) = parse(text) else { return };
    let spans = spans();
    match &query.root {
        Root::Search(pipeline) => {
            let Ok(search) = Search::new(pipeline) else { return };
            let trace = Trace::new(&spans, search.slots());
            let found = search.evaluate(&trace).expect("spansets");
            for spanset in &found {
                assert!(!spanset.rows.is_empty());
                assert!(spanset.rows.is_sorted_by(|a, b| a < b) && spanset.rows.iter().all(|row| *row < spans.len()));
            }
            if let [Stage::Spansets(Spansets::Filter(expr))] = &pipeline.stages[..] {
                let mut slots = Slots::default();
                let filter = Filter::new(expr, &mut slots).expect("it was compiled before");
                let trace = Trace::new(&spans, &slots);
                let matching: Vec<usize> = (0..spans.len()).filter(|row| filter.matches(&trace, *row)).collect();
                assert_eq!(matching, found.first().map(|spanset| spanset.rows.clone()).unwrap_or_default());
                assert!(matching.is_empty() || !search.conditions().is_empty());
            }
        }
        Root::Metrics(metrics) => {
            let Ok(metrics) = Metrics::new(metrics, Options { exemplars_max: 3 }) else { return };
            let grid = Grid::range(0, 5_000_000_000, 1_000_000_000);
            let state = |leaf: &traceql::eval::Leaf| {
                let mut state = leaf.state(&grid);
                state.evaluate(&Trace::new(&spans, leaf.slots())).expect("few series");
                state
            };
            let answer = metrics.finish(metrics.leaves().iter().map(state).collect(), &grid, 100).expect("few samples");
            for series in &answer.series {
                assert!(series.samples.iter().all(|(ms, value)| (0..=5_000).contains(ms) && !value.is_nan()));
                assert!(series.exemplars.len() <= 3);
            }
        }
    }
});
