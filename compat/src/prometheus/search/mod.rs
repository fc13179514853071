//! `/api/v1/search/{metric_names,label_names,label_values}`: names that fit what somebody types.
//!
//! ```text
//! names by matchers and time ─► filter, score ─► order ─► {"results":[...]}\n{"results":[...]}\n{"status":"success","has_more":false}\n
//! ```
//! Source: Prometheus `web/api/v1/search.go`. An answer is lines of JSON: batches of records, then one line that says how it ended.

mod filter;
mod jaro_winkler;
mod subsequence;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use futures::stream;
use http::header;
use promql::parse::quote;
use query::promql::{Metadata, MetadataRequest, SeriesRequest, TimeMs};
use serde::Serialize;

use self::filter::{Algorithm, Filter};
use super::error::ApiError;
use super::form::{Form, atoi, parse_bool};
use super::{Api, selectors};

/// Records of an answer, and of a batch, when the request says nothing.
const LIMIT: usize = 100;
/// How far back names are looked for when the request says nothing.
const RANGE_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
    /// Best first; equal ones ascending.
    Score,
}

/// What was asked for.
#[derive(Debug)]
struct Search {
    names: SeriesRequest,
    filter: Filter,
    order: Order,
    include_score: bool,
    limit: usize,
    batch_size: usize,
}

/// One found name.
#[derive(Debug, Serialize)]
struct Record<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    r#type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
}

/// `/api/v1/search/metric_names`
pub(super) async fn metric_names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Response, ApiError> {
    let search = read(&api, &form)?;
    let with_metadata = flag(&form, "include_metadata", false)?;
    let found = api.engine.label_values(&tenant, "__name__", search.names.clone()).await.map_err(ApiError::of_engine)?;
    let metadata = match with_metadata {
        true => api.engine.metadata(&tenant, MetadataRequest::default()).await.map_err(ApiError::of_engine)?,
        false => BTreeMap::new(),
    };
    Ok(search.answer(found.items, metadata))
}

/// `/api/v1/search/label_names`
pub(super) async fn label_names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Response, ApiError> {
    let search = read(&api, &form)?;
    let found = api.engine.label_names(&tenant, search.names.clone()).await.map_err(ApiError::of_engine)?;
    Ok(search.answer(found.items, BTreeMap::new()))
}

/// `/api/v1/search/label_values`
pub(super) async fn label_values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Response, ApiError> {
    let search = read(&api, &form)?;
    let label = form.get("label");
    if label.is_empty() {
        return Err(ApiError::bad_data("missing required parameter \"label\""));
    }
    let found = api.engine.label_values(&tenant, label, search.names.clone()).await.map_err(ApiError::of_engine)?;
    Ok(search.answer(found.items, BTreeMap::new()))
}

fn read(api: &Api, form: &Form) -> Result<Search, ApiError> {
    form.well_formed()?;
    let now_ms = api.env.now().as_millis();
    let time = TimeMs { start_ms: form.time_or("start", now_ms - RANGE_MS)?, end_ms: form.time_or("end", now_ms)? };
    let names = SeriesRequest { selectors: selectors::of(form).map_err(ApiError::bad_data)?, time, limit: 0 };
    let threshold = match form.get("fuzz_threshold") {
        "" => 0,
        text => atoi(text)
            .ok()
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| *n <= 100)
            .ok_or_else(|| ApiError::bad_data(format!("invalid fuzz_threshold {}: must be 0-100", quote(text))))?,
    };
    let algorithm = match form.get("fuzz_alg") {
        "" => Algorithm::default(),
        text => Algorithm::named(text).ok_or_else(|| {
            ApiError::bad_data(format!("unsupported fuzz_alg {}: must be one of [subsequence jarowinkler]", quote(text)))
        })?,
    };
    let case_sensitive = flag(form, "case_sensitive", true)?;
    let include_score = flag(form, "include_score", false)?;
    let filter = Filter::new(form.all("search[]"), algorithm, threshold, case_sensitive);
    let order = order(form, &filter)?;
    Ok(Search { names, filter, order, include_score, limit: count(form, "limit")?, batch_size: count(form, "batch_size")? })
}

fn order(form: &Form, filter: &Filter) -> Result<Order, ApiError> {
    let (by, direction) = (form.get("sort_by"), form.get("sort_dir"));
    match (by, direction) {
        ("", "") | ("alpha", "" | "asc") => Ok(Order::Ascending),
        ("", _) => Err(ApiError::bad_data("sort_dir is only valid when sort_by is set")),
        ("score", "") if filter.is_empty() => Err(ApiError::bad_data("sort_by=score requires search[] to be set")),
        ("score", "") => Ok(Order::Score),
        ("score", _) => Err(ApiError::bad_data("sort_dir is not supported for sort_by=score")),
        ("alpha", "dsc") => Ok(Order::Descending),
        ("alpha", _) => Err(ApiError::bad_data(format!("invalid sort_dir {}: must be \"asc\" or \"dsc\"", quote(direction)))),
        _ => Err(ApiError::bad_data(format!("invalid sort_by {}: must be alpha or score", quote(by)))),
    }
}

fn flag(form: &Form, name: &str, default: bool) -> Result<bool, ApiError> {
    match form.get(name) {
        "" => Ok(default),
        text => parse_bool(text).map_err(|_| ApiError::bad_data(format!("invalid {name} {}: must be boolean", quote(text)))),
    }
}

/// A count; 0 leaves it to the server.
fn count(form: &Form, name: &str) -> Result<usize, ApiError> {
    match form.get(name) {
        "" | "0" => Ok(LIMIT),
        text => atoi(text)
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| ApiError::bad_data(format!("invalid {name} {}: must be non-negative integer", quote(text)))),
    }
}

impl Search {
    /// The lines about `names`, which ascend.
    fn answer(self, names: Vec<String>, metadata: BTreeMap<String, Vec<Metadata>>) -> Response {
        let scored = names.into_iter().filter_map(|name| self.filter.score(&name).map(|score| (name, score)));
        let mut found: Vec<(String, f64)> = scored.collect();
        match self.order {
            Order::Ascending => {}
            Order::Descending => found.reverse(),
            Order::Score => found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0))),
        }
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let mut batches: Vec<Vec<(String, f64)>> = Vec::new();
        while found.len() > self.batch_size {
            let rest = found.split_off(self.batch_size);
            batches.push(std::mem::replace(&mut found, rest));
        }
        if !found.is_empty() || batches.is_empty() {
            batches.push(found);
        }
        let include_score = self.include_score;
        let lines = batches.into_iter().map(move |batch| line(&batch, include_score, &metadata));
        let end = serde_json::json!({ "status": "success", "has_more": has_more }).to_string() + "\n";
        let lines = lines.chain([end]).map(Ok::<_, std::convert::Infallible>);
        ([(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")], Body::from_stream(stream::iter(lines))).into_response()
    }
}

fn line(batch: &[(String, f64)], include_score: bool, metadata: &BTreeMap<String, Vec<Metadata>>) -> String {
    let records = batch.iter().map(|(name, score)| {
        let said = metadata.get(name).and_then(|all| all.first());
        let (kind, help, unit) = said.map_or(("", "", ""), |s| (s.kind.as_str(), s.help.as_str(), s.unit.as_str()));
        Record { name, score: include_score.then_some(*score), r#type: kind, help, unit }
    });
    serde_json::json!({ "results": records.collect::<Vec<_>>() }).to_string() + "\n"
}
