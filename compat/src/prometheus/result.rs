//! The value of a query as JSON, written from its columns.
//!
//! ```text
//! {"resultType":"matrix","result":[{"metric":{...},"values":[[t,"v"],...],"histograms":[[t,{...}],...]},...],"stats":{...}}
//! ```
//! Source: Prometheus `web/api/v1/json_codec.go`, `util/stats/query_stats.go`.
//!
//! # Invariants
//! - A step of the writing is bounded: at most [`POINTS_PER_ITEM`] samples.

use std::vec::IntoIter;

use promql::annotation::Severity;
use query::promql::{Answer as Outcome, Element, Sample, Series, Stats, StatsWanted, Value};

use super::answer::{Answer, Data, TRUNCATED};
use crate::json::{write_labels, write_point, write_text, write_value};
use gosyntax::number::write_timestamp;

/// Samples that are written in one go.
const POINTS_PER_ITEM: usize = 1024;
/// Warnings, and infos, of an answer.
const ANNOTATIONS_MAX: usize = 10;

/// The answer to the query `text`.
pub(super) fn answer(outcome: Outcome, text: &str, stats: StatsWanted) -> Answer {
    let Outcome { value, annotations, truncated, stats: cost } = outcome;
    let end = if stats == StatsWanted::None { "}".to_owned() } else { format!(",\"stats\":{}}}", stats_json(&cost)) };
    let warnings = annotations.texts(Severity::Warning, text, ANNOTATIONS_MAX);
    let infos = annotations.texts(Severity::Info, text, ANNOTATIONS_MAX);
    let cut = truncated.then(|| TRUNCATED.to_owned());
    Answer::stream(QueryData { head: Some(head(&value)), items: items(value), end: Some(end) })
        .warn(warnings.into_iter().chain(cut))
        .inform(infos)
}

fn head(value: &Value) -> &'static str {
    match value {
        Value::Scalar { .. } => r#"{"resultType":"scalar","result":"#,
        Value::String { .. } => r#"{"resultType":"string","result":"#,
        Value::Vector(_) => r#"{"resultType":"vector","result":["#,
        Value::Matrix(_) => r#"{"resultType":"matrix","result":["#,
    }
}

fn items(value: Value) -> Items {
    match value {
        Value::Scalar { time_ms, value } => {
            let mut out = Vec::new();
            write_point(&mut out, time_ms, value);
            Items::One(Some(out))
        }
        Value::String { time_ms, value } => {
            let mut out = vec![b'['];
            write_timestamp(&mut out, time_ms);
            out.push(b',');
            write_text(&mut out, &value);
            out.push(b']');
            Items::One(Some(out))
        }
        Value::Vector(elements) => Items::Vector { elements: elements.into_iter(), begun: false },
        Value::Matrix(series) => Items::Matrix { series: series.into_iter(), at: None, begun: false },
    }
}

struct QueryData {
    head: Option<&'static str>,
    items: Items,
    end: Option<String>,
}

impl Data for QueryData {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
            return true;
        }
        if self.items.write_next(out) {
            return true;
        }
        let Some(end) = self.end.take() else { return false };
        if !matches!(self.items, Items::One(_)) {
            out.push(b']');
        }
        out.extend_from_slice(end.as_bytes());
        true
    }
}

enum Items {
    One(Option<Vec<u8>>),
    Vector { elements: IntoIter<Element>, begun: bool },
    Matrix { series: IntoIter<Series>, at: Option<Place>, begun: bool },
}

/// How far a series is written.
struct Place {
    series: Series,
    floats_done: bool,
    /// Samples of the part at work that are written.
    written: usize,
}

impl Items {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::One(item) => item.take().map(|item| out.extend_from_slice(&item)).is_some(),
            Self::Vector { elements, begun } => {
                let Some(element) = elements.next() else { return false };
                comma_between(out, begun);
                write_element(out, &element);
                true
            }
            Self::Matrix { series, at, begun } => {
                let Some(mut place) = at.take() else {
                    let Some(next) = series.next() else { return false };
                    comma_between(out, begun);
                    out.extend_from_slice(br#"{"metric":"#);
                    write_labels(out, next.labels().iter());
                    *at = Some(Place { series: next, floats_done: false, written: 0 });
                    return true;
                };
                if place.write_next(out) {
                    *at = Some(place);
                }
                true
            }
        }
    }
}

impl Place {
    /// Writes some samples; `false` when the series is at its end.
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        let before = self.written;
        if self.floats_done {
            for (time_ms, histogram) in self.series.histograms().skip(before).take(POINTS_PER_ITEM) {
                out.extend_from_slice(if self.written == 0 { b",\"histograms\":[[" } else { b",[" });
                write_timestamp(out, time_ms);
                out.push(b',');
                promql::histogram::write_json(out, histogram);
                out.push(b']');
                self.written += 1;
            }
        } else {
            for (time_ms, value) in self.series.floats().skip(before).take(POINTS_PER_ITEM) {
                out.extend_from_slice(if self.written == 0 { b",\"values\":[" } else { b"," });
                write_point(out, time_ms, value);
                self.written += 1;
            }
        }
        if self.written == before + POINTS_PER_ITEM {
            return true;
        }
        if self.written > 0 {
            out.push(b']');
        }
        if self.floats_done {
            out.push(b'}');
            return false;
        }
        (self.floats_done, self.written) = (true, 0);
        true
    }
}

fn comma_between(out: &mut Vec<u8>, begun: &mut bool) {
    if std::mem::replace(begun, true) {
        out.push(b',');
    }
}

fn write_element(out: &mut Vec<u8>, element: &Element) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, element.labels.iter());
    out.extend_from_slice(match element.sample {
        Sample::Float(_) => br#","value":["#,
        Sample::Histogram(_) => br#","histogram":["#,
    });
    write_timestamp(out, element.time_ms);
    out.push(b',');
    match &element.sample {
        Sample::Float(value) => write_value(out, *value),
        Sample::Histogram(histogram) => promql::histogram::write_json(out, histogram),
    }
    out.extend_from_slice(b"]}");
}

fn stats_json(stats: &Stats) -> serde_json::Value {
    let mut samples = serde_json::json!({ "totalQueryableSamples": stats.samples, "peakSamples": stats.samples_peak });
    if !stats.samples_per_step.is_empty() {
        let steps = stats.samples_per_step.iter();
        samples["totalQueryableSamplesPerStep"] = steps.map(|(ms, count)| serde_json::json!([seconds_of(*ms), count])).collect();
    }
    let seconds = |d: std::time::Duration| d.as_secs_f64();
    serde_json::json!({
        "timings": {
            "evalTotalTime": seconds(stats.prepared + stats.evaluated),
            "resultSortTime": 0.0,
            "queryPreparationTime": seconds(stats.prepared),
            "innerEvalTime": seconds(stats.evaluated),
            "execQueueTime": seconds(stats.queued),
            "execTotalTime": seconds(stats.total),
        },
        "samples": samples,
    })
}

/// A time as Go writes it: whole seconds without a point.
fn seconds_of(ms: i64) -> serde_json::Value {
    if ms % 1000 == 0 { (ms / 1000).into() } else { (ms as f64 / 1000.0).into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::response::IntoResponse;
    use promql::annotation::Annotations;
    use promql::ast::Span;
    use promql::histogram::Histogram;
    use promql::labels::Labels;
    use promql::value::{Grid, StepSeries};

    use super::*;

    async fn text(value: Value, annotations: Annotations, truncated: bool, wanted: StatsWanted) -> String {
        let stats = Stats {
            samples: 7,
            samples_per_step: vec![(1500, 3), (2000, 4)],
            total: Duration::from_millis(250),
            ..Stats::default()
        };
        let outcome = Outcome { value, annotations, truncated, stats };
        let body = answer(outcome, "up +\n bad", wanted).into_response().into_body();
        String::from_utf8(axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    async fn data(value: Value) -> String {
        let text = text(value, Annotations::default(), false, StatsWanted::None).await;
        text.strip_prefix(r#"{"status":"success","data":"#).unwrap().strip_suffix('}').unwrap().to_owned()
    }

    fn up() -> Labels {
        Labels::new([("__name__", "up"), ("job", "a")])
    }

    #[tokio::test]
    async fn every_type_of_value() {
        assert_eq!(data(Value::Scalar { time_ms: 1500, value: 2.0 }).await, r#"{"resultType":"scalar","result":[1.500,"2"]}"#);
        let string = Value::String { time_ms: 0, value: "a\"".to_owned() };
        assert_eq!(data(string).await, r#"{"resultType":"string","result":[0,"a\""]}"#);
        assert_eq!(data(Value::Vector(vec![])).await, r#"{"resultType":"vector","result":[]}"#);
        assert_eq!(data(Value::Matrix(vec![])).await, r#"{"resultType":"matrix","result":[]}"#);
        let histogram = Arc::new(Histogram { count: 1.0, sum: 2.0, ..Histogram::default() });
        let vector = Value::Vector(vec![
            Element { labels: up(), time_ms: 1000, sample: Sample::Float(f64::NAN) },
            Element { labels: Labels::default(), time_ms: 1000, sample: Sample::Histogram(Arc::clone(&histogram)) },
        ]);
        assert_eq!(
            data(vector).await,
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1,"NaN"]},{"metric":{},"histogram":[1,{"count":"1","sum":"2"}]}]}"#
        );
        let grid = Grid { start_ms: 0, end_ms: 3000, step_ms: 1000 };
        let mut mixed = StepSeries::empty(up(), 4);
        mixed.set_float(0, 1.0);
        mixed.set_float(2, 0.5);
        mixed.set_histogram(3, histogram);
        let matrix = Value::Matrix(vec![
            Series::of_steps(grid, mixed),
            Series::of_steps(grid, StepSeries::full(Labels::default(), vec![1.0; 4])),
        ]);
        assert_eq!(
            data(matrix).await,
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","job":"a"},"values":[[0,"1"],[2,"0.5"]],"histograms":[[3,{"count":"1","sum":"2"}]]},{"metric":{},"values":[[0,"1"],[1,"1"],[2,"1"],[3,"1"]]}]}"#
        );
    }

    #[tokio::test]
    async fn long_series_come_in_pieces_and_whole() {
        let steps = 3 * POINTS_PER_ITEM;
        let grid = Grid { start_ms: 0, end_ms: (steps as i64 - 1) * 1000, step_ms: 1000 };
        let series = |n: usize| Series::of_steps(grid, StepSeries::full(Labels::new([("n", n.to_string())]), vec![0.25; steps]));
        let json: serde_json::Value = serde_json::from_str(&data(Value::Matrix((0..5).map(series).collect())).await).unwrap();
        let result = json["result"].as_array().unwrap();
        assert_eq!(result.len(), 5);
        for one in result {
            let values = one["values"].as_array().unwrap();
            assert_eq!(values.len(), steps);
            assert_eq!((&values[0][0], &values[steps - 1][0]), (&serde_json::json!(0), &serde_json::json!(steps - 1)));
        }
    }

    #[tokio::test]
    async fn what_else_is_said() {
        let mut annotations = Annotations::default();
        annotations.warn(Span { start: 6, end: 9 }, "bad bucket");
        for n in 0..12 {
            annotations.info(Span { start: 0, end: 2 }, format!("metric {n} might not be a counter"));
        }
        let json: serde_json::Value =
            serde_json::from_str(&text(Value::Vector(vec![]), annotations, true, StatsWanted::PerStep).await).unwrap();
        assert_eq!(json["warnings"], serde_json::json!(["PromQL warning: bad bucket (2:2)", TRUNCATED]));
        assert_eq!(json["infos"].as_array().unwrap().len(), 11);
        assert_eq!(json["infos"][10], "2 more info annotations omitted");
        let stats = &json["data"]["stats"];
        assert_eq!(stats["samples"]["totalQueryableSamplesPerStep"], serde_json::json!([[1.5, 3], [2, 4]]));
        assert_eq!(
            (&stats["samples"]["totalQueryableSamples"], &stats["timings"]["execTotalTime"]),
            (&serde_json::json!(7), &serde_json::json!(0.25))
        );
    }
}
