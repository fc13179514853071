//! `/federate`: the newest sample of each selected series, for another Prometheus to scrape.
//!
//! ```text
//! match[] ─► newest samples within the lookback ─► by metric ─► families ─┬─ text (names escaped, or quoted if the scraper can)
//!                                                                       └─ protobuf, histograms too
//! ```
//! Source: Prometheus `web/federate.go`, prometheus/common `expfmt`.

mod protobuf;
mod text;

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use promql::labels::NAME;
use promql::parse::parse_selector;
use query::promql::{Element, NewestRequest, Sample};
use query::usage::note;

use super::Api;
use super::error::{ApiError, plain};
use super::form::Form;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text(Names),
    /// Messages with their length before them.
    Protobuf,
}

/// What becomes of names that have characters which old scrapers do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Each such character is an underscore.
    Underscores,
    /// They stand in quotes.
    Quoted,
}

impl Format {
    /// The first format of `Accept` that we have; text when there is none.
    fn wanted(headers: &HeaderMap) -> Self {
        let accept = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        let mut ranges: Vec<(f32, Self)> = accept.filter_map(Self::of_range).collect();
        // A stable sort: of equal quality the first one counts.
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranges.first().map_or(Self::Text(Names::Underscores), |(_, format)| *format)
    }

    fn of_range(range: &str) -> Option<(f32, Self)> {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next()?;
        let parameters: Vec<(&str, &str)> =
            parts.filter_map(|p| p.split_once('=')).map(|(n, v)| (n, v.trim_matches('"'))).collect();
        let get = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let names = if get("escaping") == Some("allow-utf-8") { Names::Quoted } else { Names::Underscores };
        let quality = get("q").and_then(|q| q.parse().ok()).unwrap_or(1.0);
        let format = match kind {
            "application/vnd.google.protobuf" => {
                let fits = get("proto") == Some("io.prometheus.client.MetricFamily") && get("encoding") == Some("delimited");
                fits.then_some(Self::Protobuf)?
            }
            "text/plain" if matches!(get("version"), None | Some("0.0.4" | "1.0.0")) => Self::Text(names),
            "*/*" | "text/*" => Self::Text(Names::Underscores),
            _ => return None,
        };
        (quality > 0.0).then_some((quality, format))
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Text(Names::Underscores) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Self::Text(Names::Quoted) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8"
            }
        }
    }
}

/// `/federate`
pub(super) async fn federate(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, (StatusCode, String)> {
    note(|row| row.set_text(&form.all("match[]").collect::<Vec<_>>().join(", ")));
    let refuse = |message: String| plain(StatusCode::BAD_REQUEST, &message);
    form.well_formed().map_err(|e| refuse(e.message))?;
    let selectors: Result<Vec<_>, _> = form.all("match[]").map(parse_selector).collect();
    let selectors = selectors.map_err(|e| refuse(e.to_string()))?;
    let format = Format::wanted(&headers);
    let mut elements = match selectors.is_empty() {
        true => Vec::new(),
        false => {
            let request = NewestRequest { selectors, time_ms: api.env.now().as_millis(), lookback: None };
            api.engine.newest(&tenant, request).await.map_err(|e| ApiError::of_engine(e).plain())?
        }
    };
    // Nameless series are no family, and text knows no histograms.
    elements.retain(|e| !e.labels.metric().is_empty() && (format == Format::Protobuf || matches!(e.sample, Sample::Float(_))));
    elements.sort_by(|a, b| a.labels.metric().cmp(b.labels.metric()));
    note(|row| row.rows = Some(elements.len() as u64));
    let content_type = [(header::CONTENT_TYPE, format.content_type())];
    let pieces =
        Families { elements: elements.into_iter().peekable(), format }.map(|p| Ok::<_, std::convert::Infallible>(Bytes::from(p)));
    Ok((content_type, Body::from_stream(stream::iter(pieces))).into_response())
}

/// Groups of elements that make one family, written.
struct Families {
    elements: std::iter::Peekable<std::vec::IntoIter<Element>>,
    format: Format,
}

/// What a family has in common: its name, and what kind of samples it has.
fn family(element: &Element) -> (&str, u8) {
    let kind = match &element.sample {
        Sample::Float(_) => 0,
        Sample::Histogram(h) if h.reset_hint == promql::histogram::ResetHint::Gauge => 1,
        Sample::Histogram(_) => 2,
    };
    (element.labels.metric(), kind)
}

impl Iterator for Families {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let first = self.elements.next()?;
        let mut group = vec![first];
        while let Some(next) = self.elements.next_if(|e| family(e) == family(&group[0])) {
            group.push(next);
        }
        Some(match self.format {
            Format::Text(names) => text::write(&group, names),
            Format::Protobuf => protobuf::write(&group),
        })
    }
}

/// The labels of a sample as they go out: without the name, and with an empty `instance` if it has none, which keeps the scraper
/// from adding its own.
fn labels_of(element: &Element) -> Vec<(&str, &str)> {
    let mut labels: Vec<(&str, &str)> = element.labels.iter().map(|(n, v)| (&**n, &**v)).filter(|(n, _)| *n != NAME).collect();
    if element.labels.get("instance").is_empty() {
        labels.push(("instance", ""));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_negotiated() {
        #[track_caller]
        fn check(accept: Option<&str>, expected: Format) {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(Format::wanted(&headers), expected, "{accept:?}");
        }
        check(None, Format::Text(Names::Underscores));
        check(Some("*/*"), Format::Text(Names::Underscores));
        check(Some("application/json"), Format::Text(Names::Underscores));
        check(Some("text/plain;version=0.0.4"), Format::Text(Names::Underscores));
        check(Some("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5"), Format::Text(Names::Quoted));
        check(
            Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"),
            Format::Protobuf,
        );
        check(
            Some("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text"),
            Format::Text(Names::Underscores),
        );
        // What Prometheus 3 sends.
        check(
            Some(
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            ),
            Format::Text(Names::Quoted),
        );
        check(
            Some(
                "text/plain;q=0, application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.1",
            ),
            Format::Protobuf,
        );
    }
}
