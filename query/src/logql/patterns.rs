//! The patterns of lines, mined when they are asked for: old lines have patterns as well as new ones.

use std::collections::BTreeMap;

use logql::patterns::{Miner, MinerConfig};
use logql::pipeline::{Hints, Line};

use super::answer::Pattern;
use super::error::{Error, Result};
use super::evaluate::{self, Work};
use super::request::PatternsRequest;
use super::rows::{Row, Runner};

/// The label with a line's level.
const LEVEL: &str = "detected_level";
/// The level of a line without one.
const UNKNOWN: &str = "unknown";
/// Levels that are told apart; lines of further ones count as unknown.
const LEVELS_MAX: usize = 32;

/// One miner per level.
type Miners = BTreeMap<String, Miner>;

/// The patterns of a log query's lines, the most frequent first.
///
/// # Errors
/// All kinds.
pub(super) async fn mine(work: &Work, request: &PatternsRequest) -> Result<Vec<Pattern>> {
    if request.step_ns < 1 {
        return Err(Error::invalid("zero or negative query resolution step widths are not accepted. Try a positive integer"));
    }
    let log = evaluate::parse_log(&request.text)?;
    let config = MinerConfig { bucket_ns: request.step_ns, ..MinerConfig::default() };
    let ready = evaluate::ready(work, &log, request.time.into(), Hints::only([LEVEL]), None, true).await?;
    let each = move |runner: &mut Runner, batch: &arrow::array::RecordBatch, miners: &mut Miners| {
        let take = |miners: &mut Miners, row: Row, line: Line<'_>| {
            let level = line.labels.get(LEVEL).unwrap_or(UNKNOWN);
            let level = if miners.contains_key(level) || miners.len() < LEVELS_MAX { level } else { UNKNOWN };
            let miner = miners.entry(level.to_owned()).or_insert_with(|| Miner::new(config));
            miner.add(row.ts_ns, line.text);
            Ok(())
        };
        runner.run(batch, miners, |_, _| true, take)
    };
    // By one reader: what a cluster becomes depends on the order of lines.
    let (parts, _) = ready.alone().run(work, Miners::new, each).await?;
    let mined = parts.into_iter().flatten().flat_map(|(level, miner)| {
        miner.finish().into_iter().map(move |pattern| Pattern {
            pattern: pattern.text,
            level: level.clone(),
            samples: pattern.samples.into_iter().map(|(ns, count)| (ns.div_euclid(1_000_000_000), count)).collect(),
        })
    });
    let mut patterns: Vec<Pattern> = mined.collect();
    let count = |pattern: &Pattern| pattern.samples.iter().map(|(_, count)| *count).sum::<u64>();
    patterns.sort_by(|a, b| count(b).cmp(&count(a)).then_with(|| (&a.pattern, &a.level).cmp(&(&b.pattern, &b.level))));
    Ok(patterns)
}
