//! Whatever lies where and whatever is skipped: answers are those of the language over spans in memory.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/spans.rs"]
mod spans;
mod support;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use catalog::TenantId;
use query::traceql::{
    Dependency, MetricSeries, MetricsRequest, SearchRequest, TagScope, TagValuesRequest, TagsRequest, TraceqlConfig,
    TraceqlEngine, TracesRequest, Window,
};
use spans::{Dice, Stage, extent, fill, filter, found, kind_number, query as random_query, status_number, traces, window};
use support::{World, ns, tenant};
use tokio::runtime::Runtime;
use traceql::ast::Root;
use traceql::eval::{Filter, Grid, Metrics, Options, Search, value_of};
use traceql::memory::{Span, Trace};
use traceql::parse::hints::Hints;
use traceql::spans::{Slots, Spans};
use traceql::value::Value;

const STAGES: [Stage; 3] = [Stage::Fresh, Stage::Mixed, Stage::Compacted];
const HOUR_NS: i64 = 3_600_000_000_000;

struct Stored {
    runtime: Runtime,
    engine: Arc<TraceqlEngine>,
    tenant: TenantId,
    traces: Vec<Vec<Span>>,
    stage: Stage,
    _world: World,
}

impl Stored {
    fn new(seed: u64, count: usize, stage: Stage) -> Self {
        let (runtime, tenant) = (Runtime::new().unwrap(), tenant("a"));
        let traces = traces(seed, count);
        let (world, engine) = runtime.block_on(async {
            let world = World::new().await;
            fill(&world, &tenant, &traces, stage, seed).await;
            let handle = tokio::runtime::Handle::current();
            let engine = TraceqlEngine::new(Arc::clone(&world.engine), TraceqlConfig::default(), handle).unwrap();
            (world, engine)
        });
        Self { runtime, engine, tenant, traces, stage, _world: world }
    }
}

fn overlaps(spans: &[Span], window: Option<Window>) -> bool {
    let (start, end) = extent(spans);
    window.is_none_or(|window| start <= window.end_ns && end >= window.start_ns)
}

/// Searches, and compares with every trace that there is.
fn check_search(stored: &Stored, text: &str, window: Option<Window>, limit: usize) -> usize {
    let query = traceql::parse::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let Root::Search(pipeline) = &query.root else { panic!("{text} has series") };
    let search = Search::new(pipeline).unwrap();
    let inside = stored.traces.iter().filter(|spans| overlaps(spans, window));
    let mut expected: Vec<_> = inside.filter_map(|spans| found(&search, spans, 3)).collect();
    // All traces begin on one day, of which those with the lowest ids are taken, unless the newest are wanted.
    match Hints::of(&query).most_recent {
        true => expected.sort_by_key(|found| Reverse((found.start_ns, found.id))),
        false => expected.sort_by_key(|found| found.id),
    }
    expected.truncate(limit);
    expected.sort_by_key(|found| Reverse((found.start_ns, found.id)));
    let request = SearchRequest { text: text.to_owned(), time: window, limit, spans_per_spanset: 3, timeout: None };
    let given = stored.runtime.block_on(stored.engine.search(&stored.tenant, request, None));
    let given = given.unwrap_or_else(|e| panic!("{text}: {e}")).traces;
    let ids = |traces: &[query::traceql::TraceMatch]| traces.iter().map(|t| hex::encode(t.id)).collect::<Vec<_>>();
    let at = format!("{text} in {window:?}, limit {limit}, {:?}", stored.stage);
    assert_eq!(ids(&given), ids(&expected), "{at}");
    for (given, expected) in given.iter().zip(&expected) {
        assert_eq!(format!("{given:#?}"), format!("{expected:#?}"), "{at}");
    }
    expected.len()
}

#[test]
fn searches_are_those_of_spans_in_memory() {
    for (seed, stage) in (1..).zip(STAGES) {
        let (stored, mut dice) = (Stored::new(seed, 400, stage), Dice::new(seed + 100));
        let mut sizes = 0;
        for _ in 0..150 {
            let text = random_query(&mut dice) + if dice.once_in(2) { " with(most_recent=true)" } else { "" };
            let asked = if dice.once_in(2) { Some(window(&mut dice)) } else { None };
            let limit = [1, 5, 20, 1_000][dice.roll(4) as usize];
            sizes += check_search(&stored, &text, asked, limit);
        }
        assert!(sizes > 500, "most searches find something: {sizes}");
    }
}

#[test]
fn a_limit_keeps_the_lowest_ids_or_the_newest() {
    let stored = Stored::new(7, 600, Stage::Mixed);
    for text in
        ["{}", "{ kind = server }", "{ nestedSetParent < 0 }", "{} >> {}", r#"{ resource.service.name = "s1" && span.b }"#]
    {
        for limit in [1, 3, 50, 500] {
            check_search(&stored, text, None, limit);
            check_search(&stored, &format!("{text} with(most_recent=true)"), None, limit);
        }
    }
}

fn series_of(stored: &Stored, text: &str, grid: &Grid) -> Vec<MetricSeries> {
    let Root::Metrics(expr) = traceql::parse::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).root else {
        panic!("{text}")
    };
    let metrics = Metrics::new(&expr, Options::default()).unwrap();
    let mut states: Vec<_> = metrics.leaves().iter().map(|leaf| leaf.state(grid)).collect();
    for spans in &stored.traces {
        for (leaf, state) in metrics.leaves().iter().zip(&mut states) {
            state.evaluate(&Trace::new(spans, leaf.slots())).unwrap();
        }
    }
    let series = metrics.finish(states, grid, usize::MAX).unwrap().series;
    series.into_iter().map(|one| MetricSeries { labels: one.labels, samples: one.samples, exemplars: vec![] }).collect()
}

/// Labels and samples as text, sums without the bits that their order decides.
fn drawn(series: &[MetricSeries]) -> BTreeSet<String> {
    let samples =
        |one: &MetricSeries| one.samples.iter().map(|(ms, value)| format!("{ms}:{value:.9e}")).collect::<Vec<_>>().join(" ");
    series.iter().map(|one| format!("{:?} {}", one.labels, samples(one))).collect()
}

#[test]
fn series_are_those_of_spans_in_memory() {
    for (seed, stage) in (11..).zip(STAGES) {
        let (stored, mut dice) = (Stored::new(seed, 400, stage), Dice::new(seed + 100));
        for round in 0..60 {
            let spans = match dice.roll(3) {
                0 => format!("{{ {} }} >> {{ {} }}", filter(&mut dice, 1), filter(&mut dice, 1)),
                _ => format!("{{ {} }}", filter(&mut dice, 2)),
            };
            let function = [
                "rate()",
                "count_over_time() by(resource.service.name)",
                "rate() by(span.k, kind)",
                "sum_over_time(duration) by(name)",
                "avg_over_time(span.n)",
                "min_over_time(duration) by(.k)",
                "max_over_time(span.n) by(rootServiceName)",
                "quantile_over_time(duration, .5, .99) by(resource.host)",
                "histogram_over_time(duration)",
                "compare({ status = error }, 100)",
                "compare({ span.n > 2 || name = `a` }, 3)",
            ][round % 11];
            let text = format!("{spans} | {function}");
            let asked = window(&mut dice);
            let instant = dice.once_in(4);
            let grid = match instant {
                true => Grid::instant(asked.start_ns, asked.end_ns),
                false => Grid::range(asked.start_ns, asked.end_ns, 60_000_000_000),
            };
            let request = MetricsRequest {
                text: text.clone(),
                start_ns: asked.start_ns,
                end_ns: asked.end_ns,
                step_ns: 60_000_000_000,
                instant,
                exemplars: 0,
                series_max: 0,
                timeout: None,
            };
            let given = stored.runtime.block_on(stored.engine.metrics(&stored.tenant, request, None));
            let given = given.unwrap_or_else(|e| panic!("{text}: {e}")).series;
            assert_eq!(drawn(&given), drawn(&series_of(&stored, &text, &grid)), "{text} in {asked:?}, {stage:?}");
        }
    }
}

#[test]
fn traces_by_id_are_what_was_sent() {
    for (seed, stage) in (21..).zip(STAGES) {
        let stored = Stored::new(seed, 200, stage);
        for (at, spans) in stored.traces.iter().enumerate().step_by(9) {
            let id = hex::decode(&spans[0].trace_id).unwrap().try_into().unwrap();
            let (start, end) = extent(spans);
            let time = match at % 3 {
                0 => None,
                1 => Some(Window { start_ns: start, end_ns: end }),
                // A hint that misleads costs time, not the trace.
                _ => Some(Window { start_ns: start - 9 * HOUR_NS, end_ns: start - 8 * HOUR_NS }),
            };
            let request = TracesRequest { ids: vec![[7; 16], id], time };
            let given = stored.runtime.block_on(stored.engine.traces(&stored.tenant, request)).unwrap();
            let [given] = given.as_slice() else { panic!("{} traces", given.len()) };
            let mut expected: Vec<&Span> = spans.iter().collect();
            expected.sort_by_key(|span| span.start_ns);
            assert_eq!(given.spans.len(), expected.len(), "{stage:?}");
            for (given, sent) in given.spans.iter().zip(expected) {
                let parent = given.parent.map(hex::encode).unwrap_or_default();
                assert_eq!((hex::encode(given.id), parent, &given.name), (sent.id.clone(), sent.parent_id.clone(), &sent.name));
                assert_eq!((given.start_ns, given.duration_ns), (sent.start_ns, sent.duration_ns));
                assert_eq!((given.kind, given.status), (kind_number(sent.kind), status_number(sent.status)));
                assert_eq!((&given.status_message, &given.scope.name), (&sent.status_message, &sent.scope_name));
                assert_eq!(given.attributes.len(), sent.attributes.len());
                assert_eq!((given.events.len(), given.links.len()), (sent.events.len(), sent.links.len()));
                let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<_>>();
                let resource = names(given.resource.attributes.iter().map(|(name, _)| name).collect());
                assert_eq!(resource, names(sent.resource.iter().map(|(name, _)| name).collect()));
            }
        }
    }
}

#[test]
fn tags_are_those_of_the_spans_that_match() {
    const TAGS: [&str; 9] = [
        "span.k",
        ".k",
        "resource.service.name",
        "name",
        "span.n",
        "span.list",
        "event.level",
        "instrumentation.lang",
        "rootName",
    ];
    for (seed, stage) in (31..).zip(STAGES) {
        let (stored, mut dice) = (Stored::new(seed, 200, stage), Dice::new(seed));
        for tag in TAGS.iter().cycle().take(27) {
            let text = if dice.once_in(3) { String::new() } else { format!("{{ {} }}", filter(&mut dice, 1)) };
            let asked = Window { start_ns: ns(0) - HOUR_NS, end_ns: ns(0) + 9 * HOUR_NS };
            let (names, values) = expected_tags(&stored, &text, tag);
            let request = TagValuesRequest {
                tag: (*tag).to_owned(),
                filter: text.clone(),
                time: Some(asked),
                limit: 1_000,
                bytes_max: 1 << 20,
            };
            let given = stored.runtime.block_on(stored.engine.tag_values(&stored.tenant, request)).unwrap();
            let given: BTreeSet<String> = given.values.iter().map(|value| format!("{value:?}")).collect();
            assert_eq!(given, values, "{tag} of {text}, {stage:?}");
            let request = TagsRequest { scope: Some(TagScope::Span), filter: text.clone(), time: Some(asked), limit: 1_000 };
            let given = stored.runtime.block_on(stored.engine.tags(&stored.tenant, request)).unwrap();
            let given: BTreeSet<String> = given.scopes.into_iter().flat_map(|(_, names)| names).collect();
            assert_eq!(given, names, "names of {text}, {stage:?}");
        }
    }
}

/// Names of attributes of spans, and values of a tag.
fn expected_tags(stored: &Stored, text: &str, tag: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut slots = Slots::default();
    let filter = traceql::parse::lenient(text).map(|expr| Filter::new(&expr, &mut slots).unwrap());
    let fields: Vec<&str> = if tag == ".k" { vec!["span.k", "resource.k", "instrumentation.k"] } else { vec![tag] };
    let fields: Vec<_> = fields.iter().map(|field| slots.reference(&traceql::parse::field(field).unwrap())).collect();
    let (mut names, mut values) = (BTreeSet::new(), BTreeSet::new());
    for spans in &stored.traces {
        let view = Trace::new(spans, &slots);
        for row in (0..view.len()).filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(&view, *row))) {
            names.extend(spans[row].attributes.iter().map(|(name, _)| name.clone()));
            for field in &fields {
                let mut all = vec![value_of(&view, *field, row).into_owned()];
                if tag.starts_with("event") {
                    all = (0..view.items(field.source, row)).map(|item| view.item(field.slot, row, item).into_owned()).collect();
                }
                let all = all.into_iter().flat_map(|value| if let Value::List(items) = value { items } else { vec![value] });
                values.extend(all.filter(|value| *value != Value::Nil).map(|value| format!("{value:?}")));
            }
        }
    }
    (names, values)
}

#[test]
fn calls_are_those_between_spans_and_their_parents() {
    for (seed, stage) in (41..).zip(STAGES) {
        let stored = Stored::new(seed, 300, stage);
        let asked = Window { start_ns: ns(0) + HOUR_NS, end_ns: ns(0) + 4 * HOUR_NS };
        let mut expected: Vec<Dependency> = Vec::new();
        for spans in &stored.traces {
            let slots = Slots::default();
            let view = Trace::new(spans, &slots);
            for (row, span) in spans.iter().enumerate().filter(|(_, s)| (asked.start_ns..=asked.end_ns).contains(&s.start_ns)) {
                let service = |span: &Span| match span.resource.iter().find(|(name, _)| name == "service.name") {
                    Some((_, Value::Str(service))) => service.clone().into_owned(),
                    _ => String::new(),
                };
                let Some(parent) = view.parent(row).map(|parent| service(&spans[parent])) else { continue };
                if parent != service(span) {
                    let errors = u64::from(status_number(span.status) == 2);
                    expected.push(Dependency { parent, child: service(span), calls: 1, errors });
                }
            }
        }
        expected.sort();
        expected.dedup_by(|next, kept| {
            let same = (&next.parent, &next.child) == (&kept.parent, &kept.child);
            if same {
                (kept.calls, kept.errors) = (kept.calls + next.calls, kept.errors + next.errors);
            }
            same
        });
        let given = stored.runtime.block_on(stored.engine.dependencies(&stored.tenant, asked)).unwrap();
        assert_eq!(given, expected, "{stage:?}");
    }
}
