//! `/api/search/tags`, `/api/search/tag/{tag}/values`, and both below `/api/v2`.
//! Source: Tempo `pkg/api/search_tags.go`, its recorded answers.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use catalog::TenantId;
use http::HeaderMap;
use query::traceql::{TagScope, TagValuesRequest, Tags, TagsRequest};
use traceql::ast::{Intrinsic, Scope};

use super::Api;
use super::answer::{metadata_metrics, tag_values, typed_tag_values};
use super::error::ApiError;
use super::format::respond;
use super::message::{SearchTagValuesRequest, SearchTagsRequest, SearchTagsResponse, SearchTagsV2Response, SearchTagsV2Scope};
use super::params::{Params, window};
use crate::form::unescape;
use crate::spanql::{attribute, intrinsic};

/// Names of a scope, when nothing is said.
const DEFAULT_NAMES: usize = 50_000;
/// Values, when nothing is said.
const DEFAULT_VALUES: usize = 1_000_000;
/// Bytes of values (Tempo's `max_bytes_per_tag_values_query`).
const VALUES_BYTES_MAX: usize = 1 << 20;
/// The name of the scope of what every span has.
const INTRINSIC: &str = "intrinsic";
/// What is in it.
const INTRINSICS: [&str; 25] = [
    "duration",
    "event:name",
    "event:timeSinceStart",
    "instrumentation:name",
    "instrumentation:version",
    "kind",
    "link:spanID",
    "link:traceID",
    "name",
    "rootName",
    "rootServiceName",
    "span:duration",
    "span:id",
    "span:kind",
    "span:name",
    "span:parentID",
    "span:status",
    "span:statusMessage",
    "status",
    "statusMessage",
    "trace:duration",
    "trace:id",
    "trace:rootName",
    "trace:rootService",
    "traceDuration",
];

/// Which names are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Intrinsics,
    Of(TagScope),
}

/// `/api/search/tags`
pub(super) async fn names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(respond(&headers, names_of(&api, &tenant, &asked_names(&params)?).await?))
}

/// `/api/v2/search/tags`
pub(super) async fn scoped_names(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    Ok(respond(&headers, scoped_names_of(&api, &tenant, &asked_names(&params)?).await?))
}

/// `/api/search/tag/{tag}/values`
pub(super) async fn values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(rest): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked_values(&rest, &params)?;
    let request = plain_request(&asked)?;
    let found = api.engine.tag_values(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(respond(&headers, tag_values(found)))
}

/// `/api/v2/search/tag/{tag}/values`
pub(super) async fn typed_values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(rest): Path<String>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = asked_values(&rest, &params)?;
    let request = typed_request(&asked)?;
    let found = api.engine.tag_values(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(respond(&headers, typed_tag_values(found)))
}

fn asked_names(params: &Params) -> Result<SearchTagsRequest, ApiError> {
    let (start, end) = params.seconds()?;
    Ok(SearchTagsRequest {
        scope: params.get("scope").unwrap_or_default().to_owned(),
        query: params.get("q").unwrap_or_default().to_owned(),
        start,
        end,
        max_tags_per_scope: params.count("limit")?.unwrap_or(0),
    })
}

/// `rest` is the path behind `/tag/`. Grafana encodes a tag twice, of which one time is undone already.
fn asked_values(rest: &str, params: &Params) -> Result<SearchTagValuesRequest, ApiError> {
    let escaped = rest.strip_suffix("/values").unwrap_or_default();
    if escaped.is_empty() {
        return Err(ApiError::bad_request("please provide a non-empty tagName"));
    }
    let tag_name = unescape(escaped.as_bytes()).map_err(|_| ApiError::bad_request("error in unescaping tagName"))?;
    let (start, end) = params.seconds()?;
    Ok(SearchTagValuesRequest {
        tag_name,
        query: params.get("q").unwrap_or_default().to_owned(),
        start,
        end,
        max_tag_values: params.count("limit")?.unwrap_or(0),
    })
}

/// Names without their scopes, each once.
pub(super) async fn names_of(api: &Api, tenant: &TenantId, asked: &SearchTagsRequest) -> Result<SearchTagsResponse, ApiError> {
    let wanted = wanted(&asked.scope)?;
    let found = look(api, tenant, asked, wanted).await?;
    let mut tag_names: Vec<String> = found.scopes.into_iter().flat_map(|(_, names)| names).collect();
    if wanted == Wanted::Intrinsics {
        tag_names.extend(INTRINSICS.map(str::to_owned));
    }
    tag_names.sort();
    tag_names.dedup();
    Ok(SearchTagsResponse { tag_names, metrics: Some(metadata_metrics(found.stats)) })
}

/// Names by scope.
pub(super) async fn scoped_names_of(
    api: &Api,
    tenant: &TenantId,
    asked: &SearchTagsRequest,
) -> Result<SearchTagsV2Response, ApiError> {
    let wanted = wanted(&asked.scope)?;
    let found = look(api, tenant, asked, wanted).await?;
    let filled = found.scopes.into_iter().filter(|(_, names)| !names.is_empty());
    let mut scopes: Vec<SearchTagsV2Scope> =
        filled.map(|(scope, tags)| SearchTagsV2Scope { name: scope_name(scope).to_owned(), tags }).collect();
    if matches!(wanted, Wanted::All | Wanted::Intrinsics) {
        scopes.push(SearchTagsV2Scope { name: INTRINSIC.to_owned(), tags: INTRINSICS.map(str::to_owned).to_vec() });
    }
    Ok(SearchTagsV2Response { scopes, metrics: Some(metadata_metrics(found.stats)) })
}

async fn look(api: &Api, tenant: &TenantId, asked: &SearchTagsRequest, wanted: Wanted) -> Result<Tags, ApiError> {
    let scope = match wanted {
        Wanted::Intrinsics => return Ok(Tags::default()),
        Wanted::All => None,
        Wanted::Of(scope) => Some(scope),
    };
    let limit = if asked.max_tags_per_scope == 0 { DEFAULT_NAMES } else { asked.max_tags_per_scope as usize };
    let request = TagsRequest {
        scope,
        filter: asked.query.clone(),
        time: window(asked.start, asked.end)?,
        limit: limit.min(DEFAULT_NAMES),
    };
    api.engine.tags(tenant, request).await.map_err(ApiError::of_engine)
}

fn wanted(scope: &str) -> Result<Wanted, ApiError> {
    Ok(match scope {
        "" | "none" => Wanted::All,
        INTRINSIC | "trace" => Wanted::Intrinsics,
        "resource" => Wanted::Of(TagScope::Resource),
        "span" => Wanted::Of(TagScope::Span),
        "event" => Wanted::Of(TagScope::Event),
        "link" => Wanted::Of(TagScope::Link),
        "instrumentation" => Wanted::Of(TagScope::Instrumentation),
        other => return Err(ApiError::bad_request(format!("invalid scope: {other}"))),
    })
}

fn scope_name(scope: TagScope) -> &'static str {
    match scope {
        TagScope::Resource => "resource",
        TagScope::Span => "span",
        TagScope::Event => "event",
        TagScope::Link => "link",
        TagScope::Instrumentation => "instrumentation",
    }
}

/// The request for the values of a tag by the name that the first API has for it: no scope, and names of its own for what every
/// trace has.
pub(super) fn plain_request(asked: &SearchTagValuesRequest) -> Result<TagValuesRequest, ApiError> {
    let field = match asked.tag_name.as_str() {
        "name" => intrinsic(Intrinsic::Name),
        "status" | "status.code" => intrinsic(Intrinsic::Status),
        "root.name" => intrinsic(Intrinsic::RootName),
        "root.service.name" => intrinsic(Intrinsic::RootService),
        other => attribute(Scope::Any, other),
    };
    request(field.to_string(), asked)
}

/// The request for the values of a tag that is a field of TraceQL.
pub(super) fn typed_request(asked: &SearchTagValuesRequest) -> Result<TagValuesRequest, ApiError> {
    traceql::parse::field(&asked.tag_name).map_err(|error| {
        ApiError::bad_request(format!("please provide a valid tagName: failed to parse identifier {}: {error}", asked.tag_name))
    })?;
    request(asked.tag_name.clone(), asked)
}

fn request(tag: String, asked: &SearchTagValuesRequest) -> Result<TagValuesRequest, ApiError> {
    let limit = if asked.max_tag_values == 0 { DEFAULT_VALUES } else { asked.max_tag_values as usize };
    Ok(TagValuesRequest {
        tag,
        filter: asked.query.clone(),
        time: window(asked.start, asked.end)?,
        limit: limit.min(DEFAULT_VALUES),
        bytes_max: VALUES_BYTES_MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_paths() {
        #[track_caller]
        fn check(rest: &str, v2: bool, expected: Result<&str, &str>) {
            let read = || {
                let asked = asked_values(rest, &Params::of_url("limit=5000&start=1&end=2"))?;
                if v2 { typed_request(&asked) } else { plain_request(&asked) }
            };
            let got = read().map_err(|e| e.message);
            assert_eq!(got.map(|r| r.tag), expected.map(str::to_owned).map_err(str::to_owned), "{rest}");
        }
        check("resource.service.name/values", true, Ok("resource.service.name"));
        check("span.%22a b%22/values", true, Ok("span.\"a b\""));
        check("span.a%2Fb/values", true, Ok("span.a/b"));
        check("span.a/b/values", true, Ok("span.a/b"));
        check("http.method/values", false, Ok(".http.method"));
        check("odd%20key/values", false, Ok(".\"odd key\""));
        check("root.service.name/values", false, Ok("rootServiceName"));
        check("/values", true, Err("please provide a non-empty tagName"));
        check("x%zz/values", true, Err("error in unescaping tagName"));
        check(
            "service.name/values",
            true,
            Err("please provide a valid tagName: failed to parse identifier service.name: \
                 parse error at line 1, col 2: unknown identifier: service"),
        );
    }

    #[test]
    fn scopes() {
        assert_eq!(wanted(""), Ok(Wanted::All));
        assert_eq!(wanted("span"), Ok(Wanted::Of(TagScope::Span)));
        assert_eq!(wanted("intrinsic"), Ok(Wanted::Intrinsics));
        assert_eq!(wanted("x").unwrap_err().message, "invalid scope: x");
    }
}
