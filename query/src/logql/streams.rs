//! Which streams, labels and values there are, and which streams a selector takes.
//!
//! A stream row stands for its whole day: lists may name streams that had no line at the very times asked for, as Loki's index does. Of those
//! that a delete selects they name the ones that have a line left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use catalog::manifest::DeletePredicate;
use catalog::{Signal, Table, TimeRange};
use gosyntax::re2::compile_regex;
use hashbrown::{HashMap, HashSet};
use lake::series::{self, MatchOp, Scope, Series};
use logql::ast;

use super::answer::{DetectedLabel, Labels};
use super::error::{Error, Result};
use super::request::StreamsRequest;
use crate::scan::deletes;
use crate::scan::layout::whole_days;
use crate::view::View;

/// The streams that a query reads.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Ascending by id, unless others were put behind them.
    pub(super) list: Vec<Series>,
    places: HashMap<i64, u32>,
    is_ascending: bool,
    /// Whether they are all the streams of the time asked for.
    pub(super) is_all: bool,
}

impl Streams {
    /// These streams.
    pub(super) fn new(list: Vec<Series>, is_all: bool) -> Self {
        let places = list.iter().enumerate().map(|(at, stream)| (stream.id(), at as u32)).collect();
        let is_ascending = list.is_sorted_by_key(Series::id);
        Self { list, places, is_ascending, is_all }
    }

    /// The place in `list` of the stream with that id.
    pub(super) fn place(&self, id: i64) -> Option<usize> {
        self.places.get(&id).map(|place| *place as usize)
    }

    /// These and the ones of `others`.
    pub(super) fn with(mut self, others: Option<&Self>) -> Self {
        for stream in others.map(|others| others.list.as_slice()).unwrap_or_default() {
            if !self.places.contains_key(&stream.id()) {
                self.places.insert(stream.id(), self.list.len() as u32);
                self.list.push(stream.clone());
                self.is_ascending = false;
            }
        }
        self
    }

    /// Whether the id of one of them is from `low` to `high`.
    pub(super) fn any_within(&self, low: i64, high: i64) -> bool {
        if !self.is_ascending {
            return true;
        }
        let at = self.list.partition_point(|stream| stream.id() < low);
        self.list.get(at).is_some_and(|stream| stream.id() <= high)
    }

    /// Whether one of them has the label `name`.
    pub(super) fn any_has(&self, name: &str) -> bool {
        self.list.iter().any(|stream| stream.label(name).is_some())
    }

    /// Whether each of them has the label `name`.
    pub(super) fn all_have(&self, name: &str) -> bool {
        self.list.iter().all(|stream| stream.label(name).is_some())
    }
}

/// The matchers in storage's terms.
///
/// # Errors
/// A pattern that is none.
pub(super) fn matchers(of: &[ast::Matcher]) -> Result<Vec<series::Matcher>> {
    let matcher = |m: &ast::Matcher| {
        let op = match m.op {
            ast::MatchOp::Equal => MatchOp::Equal,
            ast::MatchOp::NotEqual => MatchOp::NotEqual,
            ast::MatchOp::Regex | ast::MatchOp::NotRegex => {
                let op = if m.op == ast::MatchOp::Regex { MatchOp::Regex } else { MatchOp::NotRegex };
                let regex = compile_regex(&m.value).map_err(|e| Error::invalid(format!("parse error : {e}")))?;
                return Ok(series::Matcher::compiled(m.name.clone(), op, m.value.clone(), regex));
            }
        };
        Ok(series::Matcher::new(m.name.clone(), op, m.value.clone())?)
    };
    of.iter().map(matcher).collect()
}

fn scope(view: &View, time: TimeRange) -> Result<Scope> {
    let days = whole_days(time);
    let files = view.files(Table::Streams, days);
    view.open(&files)?;
    let mut fresh = view.fresh(Table::Streams);
    fresh.retain(|batch| super::lines::time_of(batch).is_some_and(|range| range.overlaps(days)));
    Ok(Scope { table: Table::Streams, files, fresh })
}

/// The streams that pass all `matchers`.
///
/// # Errors
/// More than `streams_max`; the lake's.
pub(super) async fn resolve(view: &View, matchers: &[ast::Matcher], time: TimeRange, streams_max: usize) -> Result<Streams> {
    let scope = scope(view, time)?;
    let index = view.lake().series();
    let found = index.resolve(&scope, &self::matchers(matchers)?, streams_max).await;
    let list = found.map_err(|error| match error {
        lake::Error::TooLarge { limit, .. } => Error::Limit {
            name: "logql.streams_max",
            message: format!("the query selects more than {limit} streams, limit is logql.streams_max; add matchers"),
        },
        other => other.into(),
    })?;
    // Ends at the first stream that was not found, which is soon unless there is none.
    let is_found = |stream: Series| list.binary_search_by_key(&stream.id(), Series::id).is_ok();
    let is_all = index.tables(&scope).await?.iter().all(|table| table.iter().all(is_found));
    Ok(Streams::new(list, is_all))
}

/// As [`selected`], without streams of which no line is left.
async fn existing(view: &View, request: &StreamsRequest, streams_max: usize) -> Result<Vec<Series>> {
    let mut found = selected(view, request, streams_max).await?;
    let ids = found.iter().map(Series::id).collect();
    let gone = deletes::gone(view, Table::Streams, &[Table::Logs], request.time.into(), Some(&ids)).await?;
    found.retain(|stream| !gone.contains(&stream.id()));
    Ok(found)
}

/// Whether the dictionary alone tells which labels there are: all streams are asked for, and no delete touches their time.
fn is_plain(view: &View, request: &StreamsRequest) -> bool {
    let time: TimeRange = request.time.into();
    let touches = |delete: &DeletePredicate| delete.signal == Signal::Logs && delete.time.overlaps(time);
    request.selectors.is_empty() && !view.snapshot().delete_predicates(view.tenant()).any(touches)
}

/// The streams that pass one of the request's selectors; all of them without any.
async fn selected(view: &View, request: &StreamsRequest, streams_max: usize) -> Result<Vec<Series>> {
    let time = request.time.into();
    if request.selectors.is_empty() {
        return Ok(resolve(view, &[], time, streams_max).await?.list);
    }
    let mut found: BTreeMap<i64, Series> = BTreeMap::new();
    for selector in &request.selectors {
        let matchers = parse_selector(selector)?;
        found.extend(resolve(view, &matchers, time, streams_max).await?.list.into_iter().map(|stream| (stream.id(), stream)));
    }
    Ok(found.into_values().collect())
}

/// The matchers of a text such as `{app="x"}`; none of `{}` and of the empty text.
///
/// # Errors
/// Loki's.
pub(super) fn parse_selector(text: &str) -> Result<Vec<ast::Matcher>> {
    let bare = text.trim();
    if bare.is_empty()
        || bare.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner.trim().is_empty())
    {
        return Ok(Vec::new());
    }
    logql::parse::parse_matchers(text).map_err(|e| Error::invalid(e.to_string()))
}

/// Labels of streams; equal texts are shared.
#[derive(Debug, Default)]
pub(super) struct Interner(HashSet<Arc<str>>);

impl Interner {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&new));
        new
    }

    pub(super) fn labels<'a>(&mut self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
        pairs.map(|(name, value)| (self.text(name), self.text(value))).collect()
    }
}

/// Label sets, ascending.
pub(super) async fn list(view: &View, request: &StreamsRequest, streams_max: usize) -> Result<Vec<Labels>> {
    let mut interner = Interner::default();
    let found = existing(view, request, streams_max).await?;
    let mut sets: Vec<Labels> = found.iter().map(|stream| interner.labels(stream.labels())).collect();
    sets.sort_unstable();
    sets.dedup();
    Ok(sets)
}

/// Label names, ascending.
pub(super) async fn names(view: &View, request: &StreamsRequest, streams_max: usize) -> Result<Vec<String>> {
    if is_plain(view, request) {
        return Ok(view.lake().series().label_names(&scope(view, request.time.into())?).await?);
    }
    let found = existing(view, request, streams_max).await?;
    let names: BTreeSet<&str> = found.iter().flat_map(|stream| stream.labels().map(|(name, _)| name)).collect();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The values of the label `name`, ascending.
pub(super) async fn values(view: &View, name: &str, request: &StreamsRequest, streams_max: usize) -> Result<Vec<String>> {
    if is_plain(view, request) {
        return Ok(view.lake().series().label_values(&scope(view, request.time.into())?, name).await?);
    }
    let found = existing(view, request, streams_max).await?;
    let values: BTreeSet<&str> = found.iter().filter_map(|stream| stream.label(name)).collect();
    Ok(values.into_iter().map(str::to_owned).collect())
}

/// Labels and how many values each has. Labels with several values that are all ids or numbers tell nothing and are left out, but for
/// Loki's own few. Source: Loki `pkg/querier/querier.go`, `isLabelRelevant`, `containsAllIDTypes`.
pub(super) async fn detected(view: &View, request: &StreamsRequest, streams_max: usize) -> Result<Vec<DetectedLabel>> {
    const KEPT: [&str; 4] = ["cluster", "namespace", "instance", "pod"];
    const VALUES_MAX: usize = 50;
    let found = existing(view, request, streams_max).await?;
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in found.iter().flat_map(|stream| stream.labels()) {
        values.entry(name).or_default().insert(value);
    }
    let relevant = |name: &str, values: &BTreeSet<&str>| {
        KEPT.contains(&name)
            || (!values.is_empty()
                && values.len() <= VALUES_MAX
                && (values.len() == 1 || !values.iter().all(|value| is_id(value))))
    };
    let labels = values.into_iter().filter(|(name, values)| relevant(name, values));
    let mut labels: Vec<DetectedLabel> =
        labels.map(|(label, values)| DetectedLabel { label: label.to_owned(), cardinality: values.len() as u64 }).collect();
    labels.sort_by(|a, b| b.cardinality.cmp(&a.cardinality).then_with(|| a.label.cmp(&b.label)));
    Ok(labels)
}

/// Whether a value is a number or a UUID.
fn is_id(value: &str) -> bool {
    value.parse::<f64>().is_ok() || uuid::Uuid::try_parse(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_and_uuids() {
        for (value, expected) in [
            ("1", true),
            ("1.5", true),
            ("6f1b6a1e-30f0-4d53-9d0a-1a1d3f8d9f3e", true),
            ("a1", false),
            ("", false),
            ("prod", false),
        ] {
            assert_eq!(is_id(value), expected, "{value}");
        }
    }
}
