//! The value of a query as JSON, written piece by piece.
//!
//! ```text
//! {"status":"success","data":{"resultType":"streams","encodingFlags":[..],"result":[{"stream":{..},"values":[[t,line,{..}],..]},..],
//!  "stats":{..}},"warnings":[..]}
//! ```
//! Source: Loki `pkg/util/marshal/query.go`; the time of a scalar in milliseconds: `pkg/querier/queryrange/codec.go`.
//!
//! # Invariants
//! - A step of the writing is bounded: one entry, or at most [`POINTS_PER_ITEM`] points.

use std::io::Write;
use std::vec::IntoIter;

use axum::response::{IntoResponse, Response};
use gosyntax::number::write_timestamp;
use http::{HeaderValue, header};
use query::logql::{Answer, Direction, Element, Entry, Labels, Series, Stats, Stream, Value};

use super::encoding::{CATEGORIZE, Encoding, folded};
use super::stats;
use crate::json::{write_labels, write_text};
use crate::pieces::{Data, body};

/// Points that are written in one go.
const POINTS_PER_ITEM: usize = 1024;
const NS_PER_MS: i64 = 1_000_000;
/// The content type of answers.
pub(super) const JSON: &str = "application/json; charset=UTF-8";

/// The answer of a query; `direction` is that of a log query.
pub(super) fn response(answer: Answer, encoding: Encoding, direction: Direction) -> Response {
    let Answer { value, warnings, stats } = answer;
    let data = QueryData::new(value, &warnings, &stats, encoding, direction);
    ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], body(data)).into_response()
}

/// Volumes come in the same shape.
pub(super) fn of_volume(value: Value) -> Response {
    response(Answer { value, warnings: Vec::new(), stats: Stats::default() }, Encoding::Plain, Direction::Backward)
}

struct QueryData {
    head: Option<String>,
    items: Items,
    end: Option<Vec<u8>>,
}

impl QueryData {
    fn new(value: Value, warnings: &[String], stats: &Stats, encoding: Encoding, direction: Direction) -> Self {
        let (name, items) = match value {
            Value::Streams(streams) => ("streams", Items::streams(folded(streams, direction), encoding)),
            Value::Matrix(series) => ("matrix", Items::Matrix { series: series.into_iter(), points: None, begun: false }),
            Value::Vector(elements) => ("vector", Items::Vector { elements: elements.into_iter(), begun: false }),
            Value::Scalar { time_ns, value } => ("scalar", Items::Scalar(Some((time_ns, value)))),
        };
        let flags = match encoding {
            Encoding::Plain => String::new(),
            Encoding::Categorized => format!(r#""encodingFlags":["{CATEGORIZE}"],"#),
        };
        let open = if name == "scalar" { "" } else { "[" };
        let head = format!(r#"{{"status":"success","data":{{"resultType":"{name}",{flags}"result":{open}"#);
        Self { head: Some(head), items, end: Some(end(name != "scalar", warnings, stats)) }
    }
}

/// What comes behind the result.
fn end(close_list: bool, warnings: &[String], stats: &Stats) -> Vec<u8> {
    let mut out = if close_list { b"]".to_vec() } else { Vec::new() };
    // Writing to memory cannot fail.
    let _ = write!(out, ",\"stats\":{}}}", stats::json(stats));
    for (at, warning) in warnings.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b",\"warnings\":[" } else { b"," });
        write_text(&mut out, warning);
    }
    out.extend_from_slice(if warnings.is_empty() { b"}\n" } else { b"]}\n" });
    out
}

impl Data for QueryData {
    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(head) = self.head.take() {
            out.extend_from_slice(head.as_bytes());
            return true;
        }
        self.items.write_next(out) || self.end.take().map(|end| out.extend_from_slice(&end)).is_some()
    }
}

enum Items {
    Streams { streams: IntoIter<Stream>, entries: Option<Listed<Entry>>, encoding: Encoding, begun: bool },
    Matrix { series: IntoIter<Series>, points: Option<Listed<(i64, f64)>>, begun: bool },
    Vector { elements: IntoIter<Element>, begun: bool },
    Scalar(Option<(i64, f64)>),
}

/// A list at work.
struct Listed<T> {
    items: IntoIter<T>,
    begun: bool,
}

impl<T> Listed<T> {
    fn new(items: Vec<T>) -> Self {
        Self { items: items.into_iter(), begun: false }
    }

    /// Writes some of the items; `false` when none is left.
    fn write_some(&mut self, out: &mut Vec<u8>, most: usize, write: impl Fn(&mut Vec<u8>, T)) -> bool {
        for item in self.items.by_ref().take(most) {
            comma_between(out, &mut self.begun);
            write(out, item);
        }
        self.items.len() > 0
    }
}

impl Items {
    fn streams(streams: Vec<Stream>, encoding: Encoding) -> Self {
        Self::Streams { streams: streams.into_iter(), entries: None, encoding, begun: false }
    }

    fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Streams { streams, entries, encoding, begun } => {
                let Some(at_work) = entries else {
                    let Some(stream) = streams.next() else { return false };
                    comma_between(out, begun);
                    write_head(out, "stream", &stream.labels);
                    *entries = Some(Listed::new(stream.entries));
                    return true;
                };
                if !at_work.write_some(out, 1, |out, entry| write_entry(out, &entry, *encoding)) {
                    out.extend_from_slice(b"]}");
                    *entries = None;
                }
                true
            }
            Self::Matrix { series, points, begun } => {
                let Some(at_work) = points else {
                    let Some(next) = series.next() else { return false };
                    comma_between(out, begun);
                    write_head(out, "metric", &next.labels);
                    *points = Some(Listed::new(next.points));
                    return true;
                };
                if !at_work.write_some(out, POINTS_PER_ITEM, |out, (time_ns, value)| write_point(out, time_ns, value)) {
                    out.extend_from_slice(b"]}");
                    *points = None;
                }
                true
            }
            Self::Vector { elements, begun } => {
                let Some(element) = elements.next() else { return false };
                comma_between(out, begun);
                out.extend_from_slice(br#"{"metric":"#);
                write_set(out, &element.labels);
                out.extend_from_slice(br#","value":"#);
                write_point(out, element.time_ns, element.value);
                out.push(b'}');
                true
            }
            Self::Scalar(point) => {
                let Some((time_ns, value)) = point.take() else { return false };
                let _ = write!(out, "[{},", time_ns.div_euclid(NS_PER_MS));
                write_value(out, value);
                out.push(b']');
                true
            }
        }
    }
}

fn comma_between(out: &mut Vec<u8>, begun: &mut bool) {
    if std::mem::replace(begun, true) {
        out.push(b',');
    }
}

/// `{"stream":{..},"values":[`
fn write_head(out: &mut Vec<u8>, name: &str, labels: &Labels) {
    let _ = write!(out, "{{\"{name}\":");
    write_set(out, labels);
    out.extend_from_slice(br#","values":["#);
}

/// `{"name":"value",..}`
pub(super) fn write_set(out: &mut Vec<u8>, labels: &Labels) {
    write_labels(out, labels.iter().map(|(name, value)| (name, value)));
}

/// A number in quotes, never with an exponent.
fn write_value(out: &mut Vec<u8>, value: f64) {
    let _ = match value {
        f64::INFINITY => write!(out, "\"+Inf\""),
        f64::NEG_INFINITY => write!(out, "\"-Inf\""),
        // `NaN` is `NaN` in both worlds.
        value => write!(out, "\"{value}\""),
    };
}

/// `[1435781451.781,"1"]`
fn write_point(out: &mut Vec<u8>, time_ns: i64, value: f64) {
    out.push(b'[');
    write_timestamp(out, time_ns.div_euclid(NS_PER_MS));
    out.push(b',');
    write_value(out, value);
    out.push(b']');
}

/// `["1435781451781000000","line"]`, with the labels of the entry behind them when that is asked for.
fn write_entry(out: &mut Vec<u8>, entry: &Entry, encoding: Encoding) {
    let _ = write!(out, "[\"{}\",", entry.ts_ns);
    write_text(out, &entry.line);
    if encoding == Encoding::Categorized {
        out.extend_from_slice(b",{");
        let mut begun = false;
        for (name, labels) in [("structuredMetadata", &entry.metadata), ("parsed", &entry.parsed)] {
            if !labels.is_empty() {
                comma_between(out, &mut begun);
                let _ = write!(out, "\"{name}\":");
                write_set(out, labels);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// `[{"stream":{..},"values":[..]},..]`, at once.
pub(super) fn write_streams(out: &mut Vec<u8>, streams: Vec<Stream>, encoding: Encoding) {
    let mut items = Items::streams(streams, encoding);
    out.push(b'[');
    while items.write_next(out) {}
    out.push(b']');
}

#[cfg(test)]
mod tests;
