//! Which service calls which, told by spans whose parent is another service's.

use std::collections::BTreeMap;
use std::sync::Arc;

use traceql::ast::{FieldName, Scope};
use traceql::spans::Spans;

use super::answer::Dependency;
use super::error::{Error, Result};
use super::evaluate::{Work, range_of, widened};
use super::read::{Group, Reading, each};
use super::request::Window;
use super::spans::TraceSpans;

/// OTLP's number of an error.
const ERROR: i32 = 2;
/// Pairs of services in one answer.
const PAIRS_MAX: usize = 100_000;

/// Calls by caller and called service; and how many failed.
type Calls = BTreeMap<(String, String), (u64, u64)>;

/// The calls of spans that start in `window`, ascending.
///
/// # Errors
/// Limits; the lake's.
pub(super) async fn dependencies(work: &Work, window: Window) -> Result<Vec<Dependency>> {
    let time = widened(range_of(Some(window)));
    let service = FieldName::Attribute(Scope::Resource, "service.name".to_owned());
    let shape = work.shape(&[service], false, time).await?;
    let more = ["span_id", "parent_span_id", "kind", "status_code", "service"];
    let reading = Arc::new(Reading::plan(work, shape, &more, time, Default::default())?);
    let part = |work: Work, reading: Arc<Reading>, at, of| async move {
        let (mut calls, mut traces) = (Calls::new(), reading.traces(&work, at, of)?);
        while let Some(group) = traces.next().await? {
            work.check()?;
            let take = |spans: TraceSpans| count(&spans, window, &mut calls);
            match group {
                Group::Trace(spans) => count(&spans, window, &mut calls)?,
                Group::Run(batch, rows) => each(&batch, rows, take)?,
            }
        }
        Ok(calls)
    };
    let mut all = Calls::new();
    for (pair, (calls, errors)) in work.each(&reading, part).await?.into_iter().flatten() {
        let sums = all.entry(pair).or_default();
        *sums = (sums.0 + calls, sums.1 + errors);
    }
    Ok(all.into_iter().map(|((parent, child), (calls, errors))| Dependency { parent, child, calls, errors }).collect())
}

fn count(spans: &TraceSpans, window: Window, calls: &mut Calls) -> Result<()> {
    for row in 0..spans.len() {
        let (batch, at) = spans.place(row);
        if !(window.start_ns..=window.end_ns).contains(&batch.start_ns(at)) {
            continue;
        }
        let Some(parent) = spans.parent(row) else { continue };
        let (above, above_at) = spans.place(parent);
        let (caller, called) = (above.service(above_at), batch.service(at));
        if caller == called {
            continue;
        }
        let sums = calls.entry((caller.to_owned(), called.to_owned())).or_default();
        *sums = (sums.0 + 1, sums.1 + u64::from(batch.status(at) == ERROR));
    }
    if calls.len() > PAIRS_MAX {
        return Err(Error::invalid(format!("more than {PAIRS_MAX} pairs of services call each other; ask for less time")));
    }
    Ok(())
}
