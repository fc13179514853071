//! `/api/search`
//! Source: `ParseSearchRequest` of Tempo `pkg/api/http.go`, `modules/frontend/search_*.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use catalog::TenantId;
use http::HeaderMap;
use query::traceql::{SearchRequest, TraceqlConfig};
use traceql::ast::{Metrics, Pipeline, Query, Root};

use super::answer::{self, Detail};
use super::error::ApiError;
use super::format::respond;
use super::message;
use super::params::{Params, window};
use super::{Api, legacy};

/// Traces, when nothing is said.
const DEFAULT_LIMIT: u32 = 20;
/// Spans of a spanset, when nothing is said.
const DEFAULT_SPANS: u32 = 3;
/// Bytes of a query's text.
pub(super) const QUERY_BYTES_MAX: usize = 128 << 10;
/// What a request without TraceQL says itself, and is no tag.
const RESERVED: [&str; 8] = ["q", "tags", "minDuration", "maxDuration", "limit", "spss", "start", "end"];

/// `/api/search`
pub(super) async fn search(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked(&params, api.engine.config())?;
    let (request, detail) = request(&asked, api.engine.config())?;
    let found = api.engine.search(&tenant, request, None).await.map_err(ApiError::of_engine)?;
    Ok(respond(&headers, answer::search(found, detail)))
}

/// What the parameters say, as the message that gRPC would bring.
fn asked(params: &Params, config: &TraceqlConfig) -> Result<message::SearchRequest, ApiError> {
    let (start, end) = params.seconds()?;
    let query = params.get("q");
    let tags = match (query, params.get("tags")) {
        (Some(_), Some(_)) => {
            return Err(ApiError::bad_request("invalid request: can't specify tags and q in the same query"));
        }
        (_, Some(text)) => legacy::parse_tags(text).map_err(|reason| ApiError::bad_request(format!("invalid tags: {reason}")))?,
        // The first Grafana that could search sent every tag as a parameter.
        (None, None) if (start, end) == (0, 0) => {
            let free = params.pairs().into_iter().filter(|(name, _)| !RESERVED.contains(name));
            free.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
        _ => Vec::new(),
    };
    let (min_duration_ms, max_duration_ms) = (params.duration_ms("minDuration")?, params.duration_ms("maxDuration")?);
    if params.get("maxDuration").is_some() && min_duration_ms != 0 && min_duration_ms > max_duration_ms {
        return Err(ApiError::bad_request("invalid maxDuration: must be greater than minDuration"));
    }
    let limit = params.count("limit")?;
    if limit == Some(0) {
        return Err(ApiError::bad_request("invalid limit: must be a positive number"));
    }
    let spans = match params.count("spss")? {
        // No bound but the configured one.
        Some(0) => u32::try_from(config.spans_per_spanset_max).unwrap_or(u32::MAX),
        spans => spans.unwrap_or(0),
    };
    Ok(message::SearchRequest {
        tags: tags.into_iter().collect(),
        min_duration_ms,
        max_duration_ms,
        limit: limit.unwrap_or(0),
        start,
        end,
        query: query.unwrap_or_default().to_owned(),
        spans_per_span_set: spans,
    })
}

/// What the engine is asked, and how much of its answer is wanted.
///
/// # Errors
/// A query that is none, bounds beyond the configured ones.
pub(super) fn request(asked: &message::SearchRequest, config: &TraceqlConfig) -> Result<(SearchRequest, Detail), ApiError> {
    let time = window(asked.start, asked.end)?;
    let limit = if asked.limit == 0 { DEFAULT_LIMIT } else { asked.limit };
    let spans = if asked.spans_per_span_set == 0 { DEFAULT_SPANS } else { asked.spans_per_span_set };
    if limit as usize > config.traces_max {
        return Err(ApiError::bad_request(format!("limit {limit} exceeds max limit {}", config.traces_max)));
    }
    if spans as usize > config.spans_per_spanset_max {
        let most = config.spans_per_spanset_max;
        return Err(ApiError::bad_request(format!("spans per span set exceeds {most}. received {spans}")));
    }
    let (text, detail) = match asked.query.as_str() {
        "" => (legacy::query(asked).map_err(ApiError::of_engine)?, Detail::TracesOnly),
        text => (spansets_of(text)?, Detail::Spans),
    };
    let spans_per_spanset = if detail == Detail::Spans { spans as usize } else { 1 };
    Ok((SearchRequest { text, time, limit: limit as usize, spans_per_spanset, timeout: None }, detail))
}

/// What `text` says of spansets. Of a query that gives series a search finds the spans that it counts, as Tempo has it.
fn spansets_of(text: &str) -> Result<String, ApiError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(too_long(text));
    }
    let Query { root, hints } =
        traceql::parse::parse(text).map_err(|error| ApiError::bad_request(format!("invalid TraceQL query: {error}")))?;
    match root {
        Root::Search(_) => Ok(text.to_owned()),
        Root::Metrics(metrics) => {
            let pipeline = first_pipeline(metrics)
                .ok_or_else(|| ApiError::bad_request("invalid TraceQL query: there are no spans in it"))?;
            Ok(Query { root: Root::Search(pipeline), hints }.to_string())
        }
    }
}

/// The spans that the first series of `metrics` are made of.
fn first_pipeline(metrics: Metrics) -> Option<Pipeline> {
    match metrics {
        Metrics::Of { pipeline, .. } => Some(pipeline),
        Metrics::Then { of, .. } => first_pipeline(*of),
        Metrics::Number(_) => None,
        Metrics::Binary { left, right, .. } => first_pipeline(*left).or_else(|| first_pipeline(*right)),
    }
}

/// The refusal of a long text.
pub(super) fn too_long(text: &str) -> ApiError {
    ApiError::bad_request(format!("TraceQL query is too long: {} bytes, limit is {QUERY_BYTES_MAX}", text.len()))
}

#[cfg(test)]
mod tests {
    use query::traceql::Window;

    use super::*;

    fn read(url: &str) -> Result<(SearchRequest, Detail), String> {
        let config = TraceqlConfig::default();
        asked(&Params::of_url(url), &config).and_then(|asked| request(&asked, &config)).map_err(|e| e.message)
    }

    #[test]
    fn what_is_asked() {
        let (request, detail) = read("q=%7B%7D&start=1793491200&end=1793498400").unwrap();
        assert_eq!(detail, Detail::Spans);
        assert_eq!((request.text.as_str(), request.limit, request.spans_per_spanset), ("{}", 20, 3));
        assert_eq!(request.time, Some(Window { start_ns: 1_793_491_200_000_000_000, end_ns: 1_793_498_400_000_000_000 }));
        assert_eq!(read("q=%7B%7D&limit=7&spss=0").unwrap().0.spans_per_spanset, 1000);
        let (request, detail) = read("minDuration=2s&start=1&end=2").unwrap();
        assert_eq!((request.text.as_str(), detail), ("{ traceDuration >= 2s }", Detail::TracesOnly));
        // Of series the spans behind them.
        assert_eq!(read("q=%7B%7D|rate()|topk(3)").unwrap().0.text, "{ true }");
        assert_eq!(read("q=2*(%7Bname=%22x%22%7D|rate())").unwrap().0.text, "{ name = `x` }");
        // Without bounds of time every parameter is a tag.
        assert_eq!(read("name=x").unwrap().0.text, "{ name =~ `(?s).*x.*` }");
        assert_eq!(read("name=x&start=1&end=2").unwrap().0.text, "{ true }");
    }

    #[test]
    fn what_is_refused() {
        #[track_caller]
        fn check(url: &str, expected: &str) {
            let got = read(url).unwrap_err();
            assert!(got.starts_with(expected), "{url}: {got}");
        }
        check("q=%7B%7D&tags=a%3Db", "invalid request: can't specify tags and q in the same query");
        check("q=%7B+%7D%7D", "invalid TraceQL query: parse error at line 1, col 4");
        check("q=%7B%7D&limit=0", "invalid limit: must be a positive number");
        check("q=%7B%7D&limit=-1", "invalid limit: strconv.ParseUint: parsing \"-1\": invalid syntax");
        check("q=%7B%7D&spss=-1", "invalid spss: strconv.ParseUint: parsing \"-1\": invalid syntax");
        check("q=%7B%7D&limit=300000", "limit 300000 exceeds max limit 262144");
        check("q=%7B%7D&spss=5000", "spans per span set exceeds 1000. received 5000");
        check("q=%7B%7D&start=20&end=10", "http parameter start must be before end. received start=20 end=10");
        check("tags=a%3Db+a%3Dc", "invalid tags: tag a has been set twice");
        check("minDuration=x", "invalid minDuration: ");
        check("minDuration=2s&maxDuration=1s", "invalid maxDuration: must be greater than minDuration");
        check(&format!("q={}", "x".repeat(QUERY_BYTES_MAX + 1)), "TraceQL query is too long");
    }
}
