//! `/api/metrics/query_range` and `/api/metrics/query`
//! Source: `ParseQueryRangeRequest` of Tempo `pkg/api/http.go`, `modules/frontend/metrics_query_*.go`, its recorded answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use catalog::TenantId;
use http::HeaderMap;
use logql::units::duration_text;
use query::traceql::{MetricsRequest, TraceqlConfig};
use traceql::ast::Root;

use super::Api;
use super::answer::{instant as instant_answer, range as range_answer};
use super::error::ApiError;
use super::format::respond;
use super::message::{QueryInstantRequest, QueryRangeRequest};
use super::params::Params;
use super::search::{QUERY_BYTES_MAX, too_long};
use crate::otlp::unix_ns;

/// `/api/metrics/query_range`
pub(super) async fn range(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked_range(&params, api.now_ns())?;
    let request = range_request(&asked, api.engine.config())?;
    let series_max = request.series_max;
    let found = api.engine.metrics(&tenant, request, None).await.map_err(ApiError::of_engine)?;
    Ok(respond(&headers, range_answer(found, series_max)))
}

/// `/api/metrics/query`
pub(super) async fn instant(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked_instant(&params, api.now_ns())?;
    let request = instant_request(&asked, api.engine.config())?;
    let series_max = request.series_max;
    let found = api.engine.metrics(&tenant, request, None).await.map_err(ApiError::of_engine)?;
    Ok(respond(&headers, instant_answer(found, series_max)))
}

fn asked_range(params: &Params, now_ns: i64) -> Result<QueryRangeRequest, ApiError> {
    let refused = |reason: String| ApiError::bad_request(format!("rpc error: code = Code(400) desc = {reason}"));
    let time = params.bounds(now_ns).map_err(refused)?;
    let step_ns = params.step_ns().map_err(refused)?;
    if step_ns.is_some_and(|step| step <= 0) {
        return Err(ApiError::bad_request("step must be greater than 0"));
    }
    Ok(QueryRangeRequest {
        query: params.metrics_query().to_owned(),
        start: unix_ns(time.start_ns),
        end: unix_ns(time.end_ns),
        step: unix_ns(step_ns.unwrap_or(0)),
        exemplars: params.count_or_zero("exemplars"),
        max_series: params.count_or_zero("maxSeries"),
    })
}

fn asked_instant(params: &Params, now_ns: i64) -> Result<QueryInstantRequest, ApiError> {
    let time = params.bounds(now_ns).map_err(ApiError::bad_request)?;
    Ok(QueryInstantRequest { query: params.metrics_query().to_owned(), start: unix_ns(time.start_ns), end: unix_ns(time.end_ns) })
}

/// What the engine is asked for over a range.
///
/// # Errors
/// A query that gives no series, bounds beyond the configured ones.
pub(super) fn range_request(asked: &QueryRangeRequest, config: &TraceqlConfig) -> Result<MetricsRequest, ApiError> {
    check(&asked.query, "")?;
    check_range(asked.start, asked.end, config)?;
    let range_ns = asked.end - asked.start;
    if asked.step != 0 && range_ns / asked.step > config.steps_max {
        return Err(ApiError::bad_request(format!(
            "step of {} is too small, minimum step for given range is {}",
            text(asked.step),
            text(range_ns / config.steps_max)
        )));
    }
    // None said is none bounded: as many as there may be.
    let exemplars = match asked.exemplars as usize {
        0 => config.exemplars_max,
        asked => asked.min(config.exemplars_max),
    };
    let mut request = request(&asked.query, asked.start, asked.end, config);
    request.step_ns = i64::try_from(asked.step).unwrap_or(i64::MAX);
    request.exemplars = exemplars;
    if asked.max_series > 0 {
        request.series_max = request.series_max.min(asked.max_series as usize);
    }
    Ok(request)
}

/// What the engine is asked for as one value.
///
/// # Errors
/// As of [`range_request`].
pub(super) fn instant_request(asked: &QueryInstantRequest, config: &TraceqlConfig) -> Result<MetricsRequest, ApiError> {
    check(&asked.query, "compiling query: ")?;
    check_range(asked.start, asked.end, config)?;
    Ok(MetricsRequest { instant: true, ..request(&asked.query, asked.start, asked.end, config) })
}

fn request(text: &str, start: u64, end: u64, config: &TraceqlConfig) -> MetricsRequest {
    let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    MetricsRequest {
        text: text.to_owned(),
        start_ns: ns(start),
        end_ns: ns(end),
        step_ns: 0,
        instant: false,
        exemplars: 0,
        series_max: config.series_max,
        timeout: None,
    }
}

/// The text must be TraceQL that gives series. `of_parse` is what stands in front of a mistake in it.
fn check(text: &str, of_parse: &str) -> Result<(), ApiError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(too_long(text));
    }
    match traceql::parse::parse(text) {
        Ok(query) if matches!(query.root, Root::Metrics(_)) => Ok(()),
        Ok(_) => Err(ApiError::bad_request("not a metrics query")),
        Err(error) => Err(ApiError::bad_request(format!("{of_parse}{error}"))),
    }
}

fn check_range(start: u64, end: u64, config: &TraceqlConfig) -> Result<(), ApiError> {
    if start > end {
        return Err(ApiError::bad_request("end must be greater than start"));
    }
    let longest = config.metrics_length_max;
    if longest > Duration::ZERO && u128::from(end - start) > longest.as_nanos() {
        let longest = text(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX));
        return Err(ApiError::bad_request(format!("metrics query time range exceeds the maximum allowed duration of {longest}")));
    }
    Ok(())
}

fn text(ns: u64) -> String {
    duration_text(i64::try_from(ns).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_793_500_000_000_000_000;

    fn range(url: &str) -> Result<MetricsRequest, String> {
        let asked = asked_range(&Params::of_url(url), NOW_NS);
        asked.and_then(|asked| range_request(&asked, &TraceqlConfig::default())).map_err(|e| e.message)
    }

    fn instant(url: &str) -> Result<MetricsRequest, String> {
        let asked = asked_instant(&Params::of_url(url), NOW_NS);
        asked.and_then(|asked| instant_request(&asked, &TraceqlConfig::default())).map_err(|e| e.message)
    }

    #[test]
    fn what_is_asked() {
        let request = range("q={}|rate()&start=1793491200&end=1793498400&step=30m&exemplars=7&maxSeries=3").unwrap();
        assert_eq!((request.start_ns, request.end_ns), (1_793_491_200_000_000_000, 1_793_498_400_000_000_000));
        assert_eq!((request.step_ns, request.exemplars, request.series_max), (1_800_000_000_000, 7, 3));
        assert!(!request.instant);
        // Prometheus' name for it; as many exemplars as there may be; a step that fits.
        let request = range("query={}|rate()").unwrap();
        assert_eq!((request.step_ns, request.exemplars, request.series_max), (0, 100, 10_000));
        let request = instant("q={}|rate()&exemplars=7").unwrap();
        assert_eq!((request.instant, request.exemplars), (true, 0));
    }

    #[test]
    fn what_is_refused() {
        #[track_caller]
        fn check(got: Result<MetricsRequest, String>, expected: &str) {
            let got = got.unwrap_err();
            assert!(got.starts_with(expected), "{got}");
        }
        check(range("q={}"), "not a metrics query");
        check(instant("q={}|count()>1"), "not a metrics query");
        check(range("q={}+|+rate("), "parse error at line 1, col 11: syntax error: unexpected $end, expecting )");
        check(instant("q={}|rate()by()"), "compiling query: parse error at line 1");
        check(range("q={}|rate()&step=abc"), "rpc error: code = Code(400) desc = cannot parse \"abc\" to a valid duration");
        check(
            range("q={}|rate()&start=zz"),
            "rpc error: code = Code(400) desc = could not parse 'start' parameter: strconv.ParseInt: parsing \"zz\": invalid syntax",
        );
        check(range("q={}|rate()&start=1793498400&end=1793491200"), "end must be greater than start");
        check(
            range("q={}|rate()&start=1793491200&end=1793498400&step=100ms"),
            "step of 100ms is too small, minimum step for given range is 720ms",
        );
        check(range("q={}|rate()&step=-1"), "step must be greater than 0");
    }
}
