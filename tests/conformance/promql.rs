//! PromQL's test language against a node.

use std::path::Path;
use std::sync::Arc;

use catalog::TenantId;
use promql::annotation::Severity;
use promql::testlang::{self, Reply, ReplySample, ReplyValue, System};
use promql::value::{HistogramSample, RawSeries};
use query::promql::{Answer, InstantQuery, RangeQuery, Sample, Series, Value};
use tokio::runtime::Runtime;

use crate::Count;
use crate::node::{Node, Stage};
use crate::remote_write;

/// What the vectors assume of the engine.
const SAMPLES_MAX: u64 = 10_000;

/// Runs one file with rows at `stage`; prints what fails.
pub(crate) fn run_file(file: &Path, stage: Stage, verbose: bool) -> Result<Count, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut system = Stored::open(stage)?;
    let verdicts = testlang::run(&text, &mut system).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut count = Count::default();
    for verdict in verdicts {
        match &verdict.wrong {
            None => {
                count.passed += 1;
                if verbose {
                    println!("ok   {}:{} {}", file.display(), verdict.line, verdict.query);
                }
            }
            Some(wrong) => {
                count.failed += 1;
                println!("FAIL {}:{} ({stage}) {}\n     {wrong}", file.display(), verdict.line, verdict.query);
            }
        }
    }
    Ok(count)
}

/// A node; each `clear` begins with another tenant, which has nothing yet.
struct Stored {
    runtime: Runtime,
    node: Arc<Node>,
    stage: Stage,
    tenants: usize,
}

impl Stored {
    fn open(stage: Stage) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
        let node = runtime.block_on(Node::open(SAMPLES_MAX)).map_err(|e| format!("{e:#}"))?;
        Ok(Self { runtime, node: Arc::new(node), stage, tenants: 0 })
    }

    fn tenant(&self) -> TenantId {
        TenantId::parse(&format!("t{}", self.tenants)).expect("a valid id")
    }
}

impl System for Stored {
    fn clear(&mut self) -> Result<(), String> {
        self.tenants += 1;
        Ok(())
    }

    fn load(&mut self, series: Vec<RawSeries>) -> Result<(), String> {
        let body = remote_write::request(&series);
        let (node, tenant, stage) = (&self.node, self.tenant(), self.stage);
        let stored = self.runtime.block_on(async {
            if !series.is_empty() {
                node.write(&tenant, &body).await?;
            }
            node.settle(stage).await
        });
        stored.map_err(|e: anyhow::Error| format!("{e:#}"))
    }

    fn instant(&mut self, query: &str, at_ms: i64) -> Result<Reply, String> {
        let request = InstantQuery { text: query.to_owned(), time_ms: at_ms, ..InstantQuery::default() };
        let answer = self.runtime.block_on(self.node.engine.instant(&self.tenant(), request));
        answer.map(|answer| reply(query, answer)).map_err(|e| e.to_string())
    }

    fn range(&mut self, query: &str, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Reply, String> {
        let request = RangeQuery { text: query.to_owned(), start_ms, end_ms, step_ms, ..RangeQuery::default() };
        let answer = self.runtime.block_on(self.node.engine.range(&self.tenant(), request));
        answer.map(|answer| reply(query, answer)).map_err(|e| e.to_string())
    }
}

fn reply(query: &str, answer: Answer) -> Reply {
    let texts = |severity| answer.annotations.texts(severity, query, 0);
    let (warnings, infos) = (texts(Severity::Warning), texts(Severity::Info));
    let value = match answer.value {
        Value::Scalar { value, .. } => ReplyValue::Scalar(value),
        Value::String { value, .. } => ReplyValue::String(value),
        Value::Vector(elements) => {
            let sample = |sample| match sample {
                Sample::Float(value) => ReplySample::Float(value),
                Sample::Histogram(histogram) => ReplySample::Histogram(histogram),
            };
            ReplyValue::Vector(elements.into_iter().map(|e| (e.labels, sample(e.sample))).collect())
        }
        Value::Matrix(series) => ReplyValue::Matrix(series.iter().map(raw).collect()),
    };
    Reply { value, warnings, infos }
}

fn raw(series: &Series) -> RawSeries {
    let (times_ms, floats) = series.floats().unzip();
    let histogram = |(time_ms, histogram): (i64, &promql::histogram::Histogram)| HistogramSample {
        time_ms,
        start_ms: 0,
        histogram: Arc::new(histogram.clone()),
    };
    let histograms = series.histograms().map(histogram).collect();
    RawSeries { labels: series.labels().clone(), times_ms, floats, histograms, ..RawSeries::default() }
}
