//! `/loki/api/v1/format_query`: a query as Loki prints it, on lines of at most 100 characters where it can be taken apart.
//! Source: `formatQueryHandler` of Loki `pkg/loki/format_query_handler.go`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use logql::parse::parse;
use logql::print::pretty;
use serde_json::json;

use super::params::Params;

/// Characters of a line.
const WIDTH: usize = 100;

/// `/loki/api/v1/format_query`. What is no query is said in JSON here, unlike elsewhere.
pub(super) async fn format_query(params: Params) -> Response {
    match parse(params.query()) {
        Ok(expr) => Json(json!({ "status": "success", "data": pretty(&expr, WIDTH) })).into_response(),
        Err(error) => {
            let body = json!({ "status": "invalid-query", "error": error.to_string() });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
