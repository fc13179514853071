//! `/loki/api/v1/{detected_labels,detected_fields,detected_field/{name}/values}`: what lines can be filtered and grouped by.
//! Source: `ParseDetectedLabelsQuery`, `ParseDetectedFieldsQuery` of Loki `pkg/loghttp`, `pkg/logproto/logproto.proto`.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use query::logql::{DetectedField, FieldsRequest, StreamsRequest};
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::error::ApiError;
use super::params::Params;

/// `/loki/api/v1/detected_labels`
pub(super) async fn labels(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = StreamsRequest { time: params.range(api.now_ns())?, selectors: params.selectors() };
    let labels = api.engine.detected_labels(&tenant, request).await.map_err(ApiError::of_engine)?;
    let labels: Vec<_> = labels.iter().map(|l| json!({ "label": l.label, "cardinality": l.cardinality })).collect();
    Ok(Json(json!({ "detectedLabels": labels })).into_response())
}

/// Structured metadata has `null` for parsers, since no parser finds it, and no path.
#[derive(Debug, Serialize)]
struct Field<'a> {
    label: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    cardinality: u64,
    parsers: Option<&'a [&'static str]>,
    #[serde(rename = "jsonPath", skip_serializing_if = "<[String]>::is_empty")]
    json_path: &'a [String],
}

impl<'a> Field<'a> {
    fn of(field: &'a DetectedField) -> Self {
        Self {
            label: &field.label,
            kind: field.kind,
            cardinality: field.cardinality,
            parsers: Some(field.parsers.as_slice()).filter(|parsers| !parsers.is_empty()),
            json_path: &field.json_path,
        }
    }
}

/// `/loki/api/v1/detected_fields`
pub(super) async fn fields(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = fields_request(&params, api.now_ns())?;
    let limit = request.limit;
    let fields = api.engine.detected_fields(&tenant, request).await.map_err(ApiError::of_engine)?;
    let fields: Vec<_> = fields.iter().map(Field::of).collect();
    Ok(Json(json!({ "fields": fields, "limit": limit })).into_response())
}

/// `/loki/api/v1/detected_field/{name}/values`
pub(super) async fn values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let request = fields_request(&params, api.now_ns())?;
    let limit = request.limit;
    let values = api.engine.detected_field_values(&tenant, &name, request).await.map_err(ApiError::of_engine)?;
    Ok(Json(json!({ "values": values, "limit": limit })).into_response())
}

fn fields_request(params: &Params, now_ns: i64) -> Result<FieldsRequest, ApiError> {
    let time = params.range(now_ns)?;
    let request =
        FieldsRequest { text: params.query().to_owned(), time, line_limit: params.line_limit()?, limit: params.fields_limit()? };
    // Nothing is done with the step, but a wrong one is refused.
    params.step_ns(time)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_loki_does() {
        #[track_caller]
        fn check(parsers: Vec<&'static str>, json_path: &[&str], expected: serde_json::Value) {
            let json_path = json_path.iter().map(|part| (*part).to_owned()).collect();
            let field = DetectedField { label: "a".to_owned(), kind: "int", cardinality: 3, parsers, json_path };
            assert_eq!(serde_json::to_value(Field::of(&field)).unwrap(), expected);
        }
        check(vec![], &[], json!({"label": "a", "type": "int", "cardinality": 3, "parsers": null}));
        check(vec!["logfmt"], &[], json!({"label": "a", "type": "int", "cardinality": 3, "parsers": ["logfmt"]}));
        check(
            vec!["json"],
            &["request", "path"],
            json!({"label": "a", "type": "int", "cardinality": 3, "parsers": ["json"], "jsonPath": ["request", "path"]}),
        );
    }

    #[test]
    fn limits_have_defaults_and_old_names() {
        #[track_caller]
        fn check(query: &str, expected: (usize, usize)) {
            let request = fields_request(&Params::of_url(query).unwrap(), 7_200_000_000_000).unwrap();
            assert_eq!((request.line_limit, request.limit), expected, "{query}");
        }
        check("query={a=\"b\"}", (100, 1000));
        check("line_limit=2000&limit=10&field_limit=20", (2000, 10));
        check("field_limit=20", (100, 20));
        let refused = fields_request(&Params::of_url("step=0").unwrap(), 0).unwrap_err();
        assert!(refused.message.starts_with("zero or negative query resolution step"), "{}", refused.message);
    }
}
