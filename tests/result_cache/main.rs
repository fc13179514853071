//! Answers that are kept, or shared by those who ask at the same time, against answers that are evaluated for who asks: rows come in in
//! order and late, become files, are merged, deleted and dropped, here and on another node, and no answer may tell.
#![allow(missing_docs, clippy::unwrap_used)]

mod midnight;
mod node;
mod property;
#[path = "../../query/tests/support/rows.rs"]
#[allow(dead_code, unreachable_pub)]
mod rows;
mod shared;
mod stats;

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use query::promql::{Answer, Error, Sample, Value};

/// The counters of the process.
fn counters() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).expect("the first one");
        handle
    })
}

/// Counters are the process's, so tests that look at them take turns.
static COUNTING: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a counter; 0 when it was never counted.
fn counted(name: &str) -> u64 {
    let text = counters().render();
    let line = text.lines().find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
    line.map_or(0, |line| line[name.len()..].trim().parse::<f64>().unwrap() as u64)
}

/// All of an answer but what it cost, to the bit; annotations in order, since those of partitions come in any.
fn shown(answer: &Result<Answer, Error>, text: &str) -> String {
    use std::fmt::Write;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return format!("{:?}: {error}", error.error_type()),
    };
    let mut out = String::new();
    match &answer.value {
        Value::Matrix(series) => {
            for one in series {
                write!(out, "\n{} ", one.labels()).unwrap();
                one.floats().for_each(|(time, value)| write!(out, "{time}={value:?}/{:x} ", value.to_bits()).unwrap());
                one.histograms().for_each(|(time, histogram)| write!(out, "{time}={histogram:?} ").unwrap());
            }
        }
        Value::Vector(elements) => {
            for one in elements {
                let value = match &one.sample {
                    Sample::Float(value) => format!("{value:?}/{:x}", value.to_bits()),
                    Sample::Histogram(histogram) => format!("{histogram:?}"),
                };
                write!(out, "\n{} {}={value}", one.labels, one.time_ms).unwrap();
            }
        }
        other => write!(out, "{other:?}").unwrap(),
    }
    let severities = [promql::annotation::Severity::Warning, promql::annotation::Severity::Info];
    let mut texts: Vec<String> = severities.into_iter().flat_map(|s| answer.annotations.texts(s, text, 0)).collect();
    texts.sort();
    write!(out, "\n{texts:?} {}", answer.truncated).unwrap();
    out
}
