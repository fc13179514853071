//! Searches: which traces have spansets that match.
//!
//! ```text
//!                 ┌─ [lowest]  a day: candidates by id, ascending ──────┐
//! text, time ─────┤                                                     ├─[examine]─► whole traces: do they match? ─► [best] ─► answer
//!                 └─ [newest]  a stretch: candidates, the newest first ─┘
//! ```
//! Of more matches than are wanted those with the lowest ids of the newest day are taken, then of the day before, which is what Tempo does
//! with a block; ids are random, so it is a sample. `with(most_recent=true)` takes the newest.
//!
//! [Candidates](candidates) are told by single spans where those can tell, from the columns of filters; a trace is read as a whole when it
//! may be in the answer.
//!
//! # Invariants
//! - Which traces come back depends on what is stored, not on how files lie, what could be skipped, or which partition was faster.
//! - A trace is judged by all of its spans within an hour of where it was found.

mod best;
mod candidates;
mod examine;
mod lowest;
mod newest;

use std::sync::{Arc, LazyLock};

use tokio::sync::mpsc;
use traceql::ast::{FieldExpr, Metrics, Pipeline, Root, Spansets, Stage};
use traceql::eval::Search;
use traceql::parse::hints::Hints;
use traceql::value::Value;

pub(super) use examine::of_ids;

use super::answer::SearchAnswer;
use super::error::{Error, Result};
use super::evaluate::{Work, check_length, of_language, parse, range_of, widened};
use super::request::SearchRequest;
use super::spans::Resources;
use best::{Best, Wanted};
use candidates::Scout;
use examine::Question;

/// Traces that are looked up by id in vain; what is left is evaluated trace by trace then.
const MISSES_MAX: usize = 2_048;
/// Traces that are looked up at first, when no more are wanted.
const IDS_MIN: usize = 16;

/// Answers a search.
///
/// # Errors
/// All kinds.
pub(super) async fn search(
    work: &Work,
    request: &SearchRequest,
    progress: Option<mpsc::Sender<SearchAnswer>>,
) -> Result<SearchAnswer> {
    let query = parse(&request.text)?;
    let pipeline = of_spans(&query.root);
    check(work, request)?;
    let search = Arc::new(Search::new(pipeline).map_err(of_language)?);
    let scout = Scout::of(pipeline, &search)?;
    let asked = range_of(request.time);
    let extent = work.extent(widened(asked));
    if asked.is_empty() || extent.is_empty() || request.limit == 0 {
        return Ok(SearchAnswer::default());
    }
    let resources = Arc::new(Resources::load(&work.view, widened(extent)).await?);
    let question = Question { search, asked, spans_per_spanset: request.spans_per_spanset, resources };
    let wanted = if Hints::of(&query).most_recent { Wanted::Newest } else { Wanted::LowestIds };
    let best = Arc::new(Best::new(work, request.limit, wanted, extent, progress));
    match wanted {
        Wanted::Newest => newest::search(work, &question, &best, scout, extent).await?,
        Wanted::LowestIds => lowest::search(work, &question, &best, scout.as_ref(), extent).await?,
    }
    best.end();
    Ok(best.answer())
}

fn check(work: &Work, request: &SearchRequest) -> Result<()> {
    let config = &work.config;
    check_length(request.time, config.search_length_max, "traceql.search_length_max")?;
    let too_many =
        |name, asked, most: usize| Err(Error::Limit { name, message: format!("{asked} exceeds the limit of {most} ({name})") });
    if request.limit > config.traces_max {
        return too_many("traceql.traces_max", format!("limit {}", request.limit), config.traces_max);
    }
    if request.spans_per_spanset > config.spans_per_spanset_max {
        let asked = format!("spans per span set {}", request.spans_per_spanset);
        return too_many("traceql.spans_per_spanset_max", asked, config.spans_per_spanset_max);
    }
    Ok(())
}

/// Which spans a query is about. A query for series is searched for the spans behind them.
fn of_spans(root: &Root) -> &Pipeline {
    match root {
        Root::Search(pipeline) => pipeline,
        Root::Metrics(metrics) => leaf(metrics),
    }
}

fn leaf(mut metrics: &Metrics) -> &Pipeline {
    static ANY: LazyLock<Pipeline> =
        LazyLock::new(|| Pipeline { stages: vec![Stage::Spansets(Spansets::Filter(FieldExpr::Literal(Value::Bool(true))))] });
    loop {
        metrics = match metrics {
            Metrics::Of { pipeline, .. } => return pipeline,
            Metrics::Then { of, .. } => of,
            Metrics::Binary { left, right, .. } if matches!(**left, Metrics::Number(_)) => right,
            Metrics::Binary { left, .. } => left,
            Metrics::Number(_) => return &ANY,
        };
    }
}
