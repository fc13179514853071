//! Queries over lines in memory: what a query means, without storage. The tests hold it against Loki, and storage against it.
//!
//! ```text
//! streams ─[selector]─► lines ─[pipeline]─► Line ─[LeafReader]─► LeafState ─[evaluate]─► answer
//! ```

use crate::ast::{LogExpr, MatchOp, Matcher, MetricExpr, Selector, Stage};
use crate::metric::{self, Answer, LeafReader, Limits, Plan, SampleExtractor, StepGrid};
use crate::parse::ParseError;
use crate::pipeline::{Hints, Pipeline};

/// The lines of a stream, in any order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// Its lines.
    pub lines: Vec<StoredLine>,
}

/// A line as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredLine {
    /// Nanoseconds since the epoch.
    pub time_ns: i64,
    /// The text.
    pub text: String,
    /// Structured metadata.
    pub metadata: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A stage cannot be built.
    #[error(transparent)]
    Stage(#[from] ParseError),
    /// The evaluation failed.
    #[error(transparent)]
    Evaluation(#[from] metric::Error),
}

/// Builds the pipeline of some stages. `now_ns` is what templates call now.
///
/// # Errors
/// The first stage that cannot be built, in Loki's words for that.
pub fn pipeline(stages: &[Stage], hints: Hints, now_ns: i64) -> Result<Pipeline, ParseError> {
    Pipeline::new(stages, hints, now_ns).map_err(|error| ParseError::of_query(error.to_string()))
}

/// The extractor of a leaf.
///
/// # Errors
/// A filter behind `unwrap` that cannot be built.
fn extractor(leaf: &metric::Leaf) -> Result<SampleExtractor, ParseError> {
    SampleExtractor::new(leaf).map_err(|error| ParseError::of_query(error.to_string()))
}

/// Evaluates a metric query over lines in memory.
///
/// # Errors
/// Stages that cannot be built, and what [`metric::evaluate`] refuses.
pub fn interpret(expr: &MetricExpr, streams: &[Stream], grid: StepGrid, limits: Limits, now_ns: i64) -> Result<Answer, Error> {
    let plan = Plan::of(expr);
    let mut results = Vec::new();
    for leaf in plan.leaves() {
        let extractor = extractor(leaf)?;
        let log: &LogExpr = &leaf.range.log;
        let pipeline = pipeline(&log.stages, extractor.hints(), now_ns)?;
        let mut reader = LeafReader::new(leaf, extractor, grid);
        for stream in streams.iter().filter(|stream| selects(&log.selector, &stream.labels)) {
            let mut lines = pipeline.stream(pairs(&stream.labels));
            for line in &stream.lines {
                if let Some(processed) = lines.process(line.time_ns, &line.text, pairs(&line.metadata)) {
                    reader.read(line.time_ns, processed.text, processed.labels);
                }
            }
        }
        results.push(reader.state().finish());
    }
    Ok(metric::evaluate(&plan, &results, grid, limits)?)
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// Whether a stream with these labels is one of the selector's.
pub fn selects(selector: &Selector, labels: &[(String, String)]) -> bool {
    let value = |name: &str| labels.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
    selector.matchers.iter().all(|matcher| matches(matcher, value(&matcher.name)))
}

fn matches(matcher: &Matcher, value: &str) -> bool {
    // the parser has compiled it before
    let regex = || gosyntax::re2::compile_regex(&matcher.value).is_ok_and(|regex| regex.is_match(value));
    match matcher.op {
        MatchOp::Equal => matcher.value == value,
        MatchOp::NotEqual => matcher.value != value,
        MatchOp::Regex => regex(),
        MatchOp::NotRegex => !regex(),
    }
}
