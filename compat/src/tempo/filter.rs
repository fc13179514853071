//! `q` of a trace by its id: only the spans that a filter selects, and what surrounds them.
//!
//! ```text
//!  root          q=B                              B
//!  └ A           keep_hierarchy=true     root ► A ► B
//!    └ B         match_depth=1                    B ► C
//!      └ C ► D   ancestor_depth=1             A ► B
//! ```
//! Source: Tempo's recorded answers; its documentation of `/api/v2/traces`.

use query::traceql::{Span, Trace};
use traceql::ast::{FieldExpr, Root, Spansets, Stage};
use traceql::eval::Filter;
use traceql::spans::{Slots, Source};

use super::error::ApiError;
use super::params::Params;
use super::rows::{Rows, parents};
use super::search::{QUERY_BYTES_MAX, too_long};

/// What is said of a trace that is not whole.
pub(super) const FILTERED: &str = "Trace filtered, only a subset of spans matching the filter is returned";

/// Which spans of a trace are wanted.
pub(super) struct SpanFilter {
    filter: Filter,
    slots: Slots,
    /// Levels above a span that matches.
    above: usize,
    /// Levels below it.
    below: usize,
}

impl SpanFilter {
    /// The filter of `q`; `None` when there is none.
    ///
    /// # Errors
    /// What is no single filter of spans.
    pub(super) fn of(params: &Params) -> Result<Option<Self>, ApiError> {
        let Some(text) = params.get("q") else { return Ok(None) };
        if text.len() > QUERY_BYTES_MAX {
            return Err(too_long(text));
        }
        let invalid = |reason: String| ApiError::bad_request(format!("invalid TraceQL filter: {reason}"));
        let query =
            traceql::parse::parse(text).map_err(|error| invalid(format!("failed to parse TraceQL spanset filter: {error}")))?;
        let mut slots = Slots::default();
        let expr = single(&query.root).ok_or_else(|| {
            invalid("only a single TraceQL filter is supported: got a structural or aggregate query".to_owned())
        })?;
        let filter = Filter::new(expr, &mut slots).map_err(|error| invalid(error.to_string()))?;
        if slots.fields().iter().any(|field| Source::of(field) == Source::Trace) {
            return Err(invalid("intrinsic is not supported by this filter".to_owned()));
        }
        let above = match (params.count("ancestor_depth")?, params.flag("keep_hierarchy")) {
            (Some(levels), _) => levels as usize,
            (None, true) => usize::MAX,
            (None, false) => 0,
        };
        let below = params.count("match_depth")?.unwrap_or(0) as usize;
        Ok(Some(Self { filter, slots, above, below }))
    }

    /// The trace with the wanted spans alone, and whether it lacks any.
    pub(super) fn apply(&self, trace: Trace) -> (Trace, bool) {
        let keep = self.kept(&trace);
        let filtered = keep.iter().any(|kept| !kept);
        let mut flags = keep.into_iter();
        let spans: Vec<Span> = trace.spans.into_iter().filter(|_| flags.next().unwrap_or(false)).collect();
        (Trace { id: trace.id, spans }, filtered)
    }

    fn kept(&self, trace: &Trace) -> Vec<bool> {
        let rows = Rows::new(trace.id, &trace.spans, self.slots.fields());
        let matches: Vec<bool> = (0..trace.spans.len()).map(|row| self.filter.matches(&rows, row)).collect();
        let parents = parents(&trace.spans);
        let mut keep = matches.clone();
        // Up: from each match until somebody was there with as many levels to go.
        let mut reached = vec![0usize; keep.len()];
        for row in (0..keep.len()).filter(|&row| matches[row]) {
            let (mut at, mut left) = (row, self.above);
            while let Some(parent) = parents[at].filter(|&parent| left > reached[parent]) {
                keep[parent] = true;
                reached[parent] = left;
                (at, left) = (parent, left - 1);
            }
        }
        if self.below > 0 {
            self.keep_below(&matches, &parents, &mut keep);
        }
        keep
    }

    /// Down, level by level: a span is kept when its parent is a match, or was kept in the level before.
    fn keep_below(&self, matches: &[bool], parents: &[Option<usize>], keep: &mut [bool]) {
        let mut children = vec![Vec::new(); parents.len()];
        for (row, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(row);
            }
        }
        let mut seen = matches.to_vec();
        let mut level: Vec<usize> = (0..matches.len()).filter(|&row| matches[row]).collect();
        for _ in 0..self.below {
            level = level
                .iter()
                .flat_map(|&row| children[row].iter().copied())
                .filter(|&row| !std::mem::replace(&mut seen[row], true))
                .collect();
            if level.is_empty() {
                return;
            }
            for &row in &level {
                keep[row] = true;
            }
        }
    }
}

/// The expression of a query that is one filter and nothing else.
fn single(root: &Root) -> Option<&FieldExpr> {
    let Root::Search(pipeline) = root else { return None };
    match pipeline.stages.as_slice() {
        [Stage::Spansets(Spansets::Filter(expr))] => Some(expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::sample::trace;

    #[track_caller]
    fn check(url: &str, expected: Result<(&[&str], bool), &str>) {
        let got = SpanFilter::of(&Params::of_url(url)).map_err(|e| e.message).map(|filter| {
            let (trace, filtered) = filter.expect("there is a filter").apply(trace());
            (trace.spans.into_iter().map(|span| span.name).collect::<Vec<_>>(), filtered)
        });
        let expected = expected.map(|(names, filtered)| (names.iter().map(|n| (*n).to_owned()).collect(), filtered));
        assert_eq!(got, expected.map_err(str::to_owned), "{url}");
    }

    #[test]
    fn spans_and_what_surrounds_them() {
        check("q={}", Ok((&["GET /", "call stock", "POST /items"], false)));
        check("q={resource.service.name=\"stock\"}", Ok((&["POST /items"], true)));
        check("q={resource.service.name=\"stock\"}&keep_hierarchy=true", Ok((&["GET /", "call stock", "POST /items"], false)));
        check("q={resource.service.name=\"stock\"}&ancestor_depth=1", Ok((&["call stock", "POST /items"], true)));
        check("q={status=error}&match_depth=1", Ok((&["GET /", "call stock"], true)));
        check("q={status=error}&match_depth=9", Ok((&["GET /", "call stock", "POST /items"], false)));
        check("q={event.exception.message=\"boom\"}", Ok((&["GET /"], true)));
        check("q={span.http.status_code>499}", Ok((&["GET /"], true)));
        check("q={link:spanID=\"0102030405060708\"}", Ok((&["POST /items"], true)));
    }

    #[test]
    fn what_is_no_filter() {
        check(
            "q={}|count()>1",
            Err("invalid TraceQL filter: only a single TraceQL filter is supported: got a structural or aggregate query"),
        );
        check("q={rootName=\"x\"}", Err("invalid TraceQL filter: intrinsic is not supported by this filter"));
        let got = SpanFilter::of(&Params::of_url("q={")).err().expect("no filter").message;
        assert!(got.starts_with("invalid TraceQL filter: failed to parse TraceQL spanset filter: parse error"), "{got}");
    }
}
