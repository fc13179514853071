//! Which series, labels and values there are.
//!
//! Times choose days: a series row stands for its whole day, so that an answer may name series that had no sample at the very times asked
//! for. Prometheus answers by blocks in the same way.
//!
//! Series that a delete predicate selects are looked at more closely: they are listed if they have a sample left in the very times asked for.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use catalog::{Table, TimeRange};
use lake::series::{LabelTable, MatchOp, Matcher, Scope, Series};
use promql::ast;
use promql::labels::{Labels, NAME};
use promql::parse::compile_regex;

use super::answer::Listed;
use super::error::{Error, Result};
use super::request::SeriesRequest;
use crate::scan::deletes;
use crate::scan::layout::whole_days;
use crate::view::View;

/// The tables whose rows make a series exist.
const SAMPLES: [Table; 2] = [Table::Samples, Table::Histograms];

/// The matchers in storage's terms.
///
/// # Errors
/// A pattern that is none.
pub(crate) fn matchers(of: &[ast::Matcher]) -> Result<Vec<Matcher>> {
    let op = |op: ast::MatchOp| match op {
        ast::MatchOp::Equal => MatchOp::Equal,
        ast::MatchOp::NotEqual => MatchOp::NotEqual,
        ast::MatchOp::Regex => MatchOp::Regex,
        ast::MatchOp::NotRegex => MatchOp::NotRegex,
    };
    let matcher = |m: &ast::Matcher| match m.op {
        ast::MatchOp::Equal | ast::MatchOp::NotEqual => Ok(Matcher::new(m.name.clone(), op(m.op), m.value.clone())?),
        ast::MatchOp::Regex | ast::MatchOp::NotRegex => {
            let regex = compile_regex(&m.value).map_err(Error::invalid)?;
            Ok(Matcher::compiled(m.name.clone(), op(m.op), m.value.clone(), regex))
        }
    };
    of.iter().map(matcher).collect()
}

/// Where series of `time` are looked for.
pub(crate) fn scope(view: &View, time: TimeRange) -> Result<Scope> {
    let files = view.files(Table::Series, whole_days(time));
    view.open(&files)?;
    Ok(Scope { table: Table::Series, files, fresh: view.fresh(Table::Series) })
}

/// The series that pass one of `selectors`, each once, ascending by id; all of them when there is no selector.
///
/// # Errors
/// More than `series_max`; the lake's.
pub(crate) async fn resolve(
    view: &View,
    selectors: &[Vec<ast::Matcher>],
    time: TimeRange,
    series_max: u64,
) -> Result<Vec<Series>> {
    let limit = usize::try_from(series_max).unwrap_or(usize::MAX);
    let scope = scope(view, time)?;
    let index = view.lake().series();
    let all = [Vec::new()];
    let selectors = if selectors.is_empty() { &all[..] } else { selectors };
    let mut found: Vec<Series> = Vec::new();
    for selector in selectors {
        found.extend(index.resolve(&scope, &matchers(selector)?, limit).await?);
    }
    if selectors.len() > 1 {
        found.sort_by_key(Series::id);
        found.dedup_by_key(|series| series.id());
        if found.len() > limit {
            return Err(lake::Error::TooLarge { what: "series selected", found: found.len() as u64, limit: series_max }.into());
        }
    }
    Ok(found)
}

/// Makes label sets; equal texts that come one after the other are shared.
#[derive(Debug, Default)]
pub(crate) struct Interner(hashbrown::HashSet<Arc<str>>);

impl Interner {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.0.insert(Arc::clone(&new));
        new
    }

    /// The labels of `series`, its metric among them.
    pub(crate) fn labels(&mut self, series: &Series) -> Labels {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = Vec::with_capacity(series.labels().len() + 1);
        let metric = series.metric();
        let mut named = metric.is_empty();
        for (name, value) in series.labels() {
            if !named && name > NAME {
                pairs.push((self.text(NAME), self.text(metric)));
                named = true;
            }
            // An empty value means that there is no such label; the name is the metric's alone.
            if !value.is_empty() && name != NAME {
                pairs.push((self.text(name), self.text(value)));
            }
        }
        if !named {
            pairs.push((self.text(NAME), self.text(metric)));
        }
        Labels::from_sorted(pairs)
    }
}

/// As [`resolve`], without series of which no sample is left.
async fn existing(view: &View, request: &SeriesRequest, series_max: u64) -> Result<Vec<Series>> {
    let time: TimeRange = request.time.into();
    let mut found = resolve(view, &request.selectors, time, series_max).await?;
    let ids: HashSet<i64> = found.iter().map(Series::id).collect();
    let gone = deletes::gone(view, Table::Series, &SAMPLES, time, Some(&ids)).await?;
    found.retain(|series| !gone.contains(&series.id()));
    Ok(found)
}

/// The series of `time` that have no sample left, because of deletes.
pub(crate) async fn gone(view: &View, time: TimeRange) -> Result<HashSet<i64>> {
    Ok(deletes::gone(view, Table::Series, &SAMPLES, time, None).await?)
}

/// Every series of `tables` but `gone` ones.
fn every<'a>(tables: &'a [Arc<LabelTable>], gone: &'a HashSet<i64>) -> impl Iterator<Item = Series> + 'a {
    tables.iter().flat_map(|table| table.iter()).filter(|series| !gone.contains(&series.id()))
}

/// Label sets, ascending.
pub(crate) async fn list(view: &View, request: &SeriesRequest, series_max: u64) -> Result<Listed<Labels>> {
    let found = existing(view, request, series_max).await?;
    let mut interner = Interner::default();
    let mut labels: Vec<Labels> = found.iter().map(|series| interner.labels(series)).collect();
    labels.sort_unstable();
    labels.dedup();
    Ok(Listed::cut(labels, request.limit))
}

/// Label names, ascending.
pub(crate) async fn names(view: &View, request: &SeriesRequest, series_max: u64) -> Result<Listed<String>> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut add = |series: &Series| {
        for (name, _) in series.labels().chain((!series.metric().is_empty()).then_some((NAME, ""))) {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        }
    };
    if request.selectors.is_empty() {
        let time = request.time.into();
        let (scope, gone) = (scope(view, time)?, gone(view, time).await?);
        if gone.is_empty() {
            return Ok(Listed::cut(view.lake().series().label_names(&scope).await?, request.limit));
        }
        every(&view.lake().series().tables(&scope).await?, &gone).for_each(|series| add(&series));
    } else {
        existing(view, request, series_max).await?.iter().for_each(add);
    }
    Ok(Listed::cut(names.into_iter().collect(), request.limit))
}

/// The values of the label `name`, ascending.
pub(crate) async fn values(view: &View, name: &str, request: &SeriesRequest, series_max: u64) -> Result<Listed<String>> {
    let mut values: BTreeSet<String> = BTreeSet::new();
    let mut add = |series: &Series| {
        let value = if name == NAME { Some(series.metric()) } else { series.label(name) };
        if let Some(value) = value.filter(|value| !value.is_empty() && !values.contains(*value)) {
            values.insert(value.to_owned());
        }
    };
    if request.selectors.is_empty() {
        let time = request.time.into();
        let (scope, gone) = (scope(view, time)?, gone(view, time).await?);
        if gone.is_empty() {
            let values = view.lake().series().label_values(&scope, name).await?;
            return Ok(Listed::cut(values.into_iter().filter(|value| !value.is_empty()).collect(), request.limit));
        }
        every(&view.lake().series().tables(&scope).await?, &gone).for_each(|series| add(&series));
    } else {
        existing(view, request, series_max).await?.iter().for_each(add);
    }
    Ok(Listed::cut(values.into_iter().collect(), request.limit))
}
