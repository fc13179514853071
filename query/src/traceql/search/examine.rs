//! Traces as wholes: whether a query matches them, and what an answer says of them. Read by id, with every column that is asked for.

use std::sync::Arc;

use catalog::TimeRange;
use lake::{ColumnTest, Predicate, Scalar, Test};
use traceql::ast::FieldName;
use traceql::eval::{Search, Spanset};
use traceql::spans::Spans;
use traceql::value::Value;

use super::super::answer::{ServiceStats, SpanMatch, SpansetMatch, TraceMatch};
use super::super::error::Result;
use super::super::evaluate::{Work, of_language, range, widened};
use super::super::read::{Group, Reading, each};
use super::super::spans::{Resources, Shape, TraceSpans};
use super::best::Best;
use super::candidates::Candidate;

/// Ids up to which rows are told apart by id; with more, traces of others are read too.
pub(super) const IDS_MAX: usize = 1_024;
/// OTLP's number of an error.
const ERROR: i32 = 2;
/// What roots, services and structure are told by.
const COLUMNS: [&str; 7] = ["span_id", "parent_span_id", "kind", "status_code", "service", "name", "resource_id"];

/// What is asked of traces.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) search: Arc<Search>,
    /// Where a trace must have a moment in.
    pub(super) asked: TimeRange,
    /// Most spans of a spanset that are returned.
    pub(super) spans_per_spanset: usize,
    /// Those of every span that may be read.
    pub(super) resources: Arc<Resources>,
}

impl Question {
    /// What spans are read with for these fields.
    pub(super) fn shape(&self, fields: &[FieldName]) -> Shape {
        Shape { fields: fields.to_vec(), wants_all: false, resources: Arc::clone(&self.resources) }
    }

    /// Whether a trace from `start_ns` to `end_ns` has a moment in the time asked for.
    pub(super) fn overlaps(&self, start_ns: i64, end_ns: i64) -> bool {
        start_ns <= self.asked.end.as_nanos() && end_ns >= self.asked.start.as_nanos()
    }

    /// The columns that tell which span is below which, if that matters.
    pub(super) fn structure(&self) -> &'static [&'static str] {
        if self.search.needs().structure { &["span_id", "parent_span_id", "kind"] } else { &[] }
    }

    /// The trace as a candidate, when it begins in `stretch` and matches.
    ///
    /// # Errors
    /// The language's.
    pub(super) fn begins_and_matches(&self, spans: &TraceSpans, stretch: TimeRange) -> Result<Option<Candidate>> {
        let facts = spans.facts();
        let begins = (stretch.start.as_nanos()..=stretch.end.as_nanos()).contains(&facts.start_ns);
        if !begins || !self.overlaps(facts.start_ns, facts.end_ns) {
            return Ok(None);
        }
        let matches = !self.search.evaluate(spans).map_err(of_language)?.is_empty();
        Ok(matches.then(|| Candidate { trace: spans.first_trace(), position_ns: facts.start_ns }))
    }

    /// Those of `candidates` that match, by id. What is read is counted by `best`.
    ///
    /// # Errors
    /// The lake's; [`super::super::Error::TraceTooLarge`].
    pub(super) async fn examine(&self, work: &Work, candidates: &[Candidate], best: &Best) -> Result<Vec<TraceMatch>> {
        let positions = candidates.iter().map(|candidate| candidate.position_ns);
        let Some((first, last)) = positions.map(|at| (at, at)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            return Ok(Vec::new());
        };
        let mut ids: Vec<u128> = candidates.iter().map(|candidate| candidate.trace).collect();
        ids.sort_unstable();
        let shape = self.shape(self.search.slots().fields());
        let predicate = of_ids(ids.iter().map(|id| id.to_be_bytes()));
        let reading = Reading::plan(work, shape, &COLUMNS, widened(range(first, last)), predicate)?;
        let mut matches = Vec::new();
        // A few traces are not worth tasks.
        let mut traces = reading.traces(work, 0, 1)?;
        while let Some(group) = traces.next().await? {
            work.check()?;
            let mut take = |spans: TraceSpans| {
                if ids.binary_search(&spans.first_trace()).is_ok() {
                    matches.extend(self.judge(&spans)?);
                }
                Ok(())
            };
            match group {
                Group::Trace(spans) => take(spans)?,
                Group::Run(batch, rows) => each(&batch, rows, take)?,
            }
        }
        best.tally(&reading);
        Ok(matches)
    }

    /// What the answer says of a trace, when it matches.
    fn judge(&self, spans: &TraceSpans) -> Result<Option<TraceMatch>> {
        let facts = spans.facts();
        if !self.overlaps(facts.start_ns, facts.end_ns) {
            return Ok(None);
        }
        let spansets = self.search.evaluate(spans).map_err(of_language)?;
        if spansets.is_empty() {
            return Ok(None);
        }
        let (batch, at) = spans.place(0);
        let mut found = TraceMatch {
            id: batch.trace(at).to_be_bytes(),
            root_service: None,
            root_name: None,
            start_ns: facts.start_ns,
            duration_ns: facts.end_ns.saturating_sub(facts.start_ns),
            services: Default::default(),
            spansets: spansets.into_iter().map(|spanset| self.spanset(spans, spanset)).collect(),
        };
        if let Some(root) = facts.root {
            let (batch, at) = spans.place(root);
            (found.root_service, found.root_name) = (Some(batch.service(at).to_owned()), Some(batch.name(at).to_owned()));
        }
        for row in 0..spans.len() {
            let (batch, at) = spans.place(row);
            let service = batch.service(at);
            if !found.services.contains_key(service) {
                found.services.insert(service.to_owned(), ServiceStats::default());
            }
            if let Some(stats) = found.services.get_mut(service) {
                stats.spans += 1;
                stats.errors += u32::from(batch.status(at) == ERROR);
            }
        }
        Ok(Some(found))
    }

    fn spanset(&self, spans: &TraceSpans, spanset: Spanset) -> SpansetMatch {
        let matched = spanset.rows.len();
        let rows = spanset.rows.into_iter().take(self.spans_per_spanset.min(matched));
        SpansetMatch { matched, attributes: spanset.attributes, spans: rows.map(|row| self.span(spans, row)).collect() }
    }

    fn span(&self, spans: &TraceSpans, row: usize) -> SpanMatch {
        let (batch, at) = spans.place(row);
        let returned = self.search.returned().iter().map(|field| {
            let value = match (field.name(), field.value(spans, row)) {
                // Ids of traces have no leading zeros in the answers of a search.
                ("link:traceID", Value::Str(id)) => Value::Str(id.trim_start_matches('0').to_owned().into()),
                (_, value) => value.into_owned(),
            };
            (field.name().to_owned(), value)
        });
        let name = self.search.name().map(|field| match field.value(spans, row) {
            Value::Str(name) => name.into_owned(),
            _ => String::new(),
        });
        SpanMatch {
            id: batch.span(at).to_be_bytes(),
            name,
            start_ns: batch.start_ns(at),
            duration_ns: batch.duration_ns(at),
            attributes: returned.filter(|(_, value)| *value != Value::Nil).collect(),
        }
    }
}

/// Rows of these traces, and few others.
pub(in super::super) fn of_ids(ids: impl Iterator<Item = [u8; 16]>) -> Predicate {
    let mut ids: Vec<[u8; 16]> = ids.collect();
    ids.sort_unstable();
    let scalar = |id: &[u8; 16]| Scalar::Bytes(id.to_vec());
    let test = match ids.len() <= IDS_MAX {
        true => Test::In(ids.iter().map(scalar).collect()),
        false => Test::Between(ids.first().map(scalar), ids.last().map(scalar)),
    };
    Predicate { all: vec![ColumnTest { column: "trace_id".to_owned(), test }] }
}

/// About how many bytes a match takes.
pub(super) fn bytes_of(found: &TraceMatch) -> usize {
    let texts = |attributes: &[(String, Value<'static>)]| -> usize {
        attributes.iter().map(|(name, value)| 64 + name.len() + if let Value::Str(text) = value { text.len() } else { 0 }).sum()
    };
    let span = |span: &SpanMatch| 96 + texts(&span.attributes);
    let spanset = |set: &SpansetMatch| 72 + texts(&set.attributes) + set.spans.iter().map(span).sum::<usize>();
    let services: usize = found.services.keys().map(|service| 48 + service.len()).sum();
    160 + services + found.spansets.iter().map(spanset).sum::<usize>()
}
