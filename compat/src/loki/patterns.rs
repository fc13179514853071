//! `/loki/api/v1/patterns`: what lines look like, and how often.
//! Source: Loki `pkg/loghttp/patterns.go`, `pkg/util/marshal/marshal.go`.

use std::io::Write;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use catalog::TenantId;
use query::logql::{Pattern, PatternsRequest};

use super::Api;
use super::error::ApiError;
use super::params::Params;
use super::series::success;
use crate::json::write_text;
use crate::pieces::Array;

/// `/loki/api/v1/patterns`
pub(super) async fn patterns(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    params: Params,
) -> Result<Response, ApiError> {
    let time = params.bounds(api.now_ns())?;
    let request = PatternsRequest { text: params.query().to_owned(), time, step_ns: params.step_ns(time)? };
    let patterns = api.engine.patterns(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(response(patterns))
}

fn response(patterns: Vec<Pattern>) -> Response {
    success(Array::new(patterns.into_iter(), |out: &mut Vec<u8>, pattern| write_pattern(out, &pattern)))
}

/// `{"pattern":"..","level":"..","samples":[[seconds,count],..]}`
fn write_pattern(out: &mut Vec<u8>, pattern: &Pattern) {
    out.extend_from_slice(br#"{"pattern":"#);
    write_text(out, &pattern.pattern);
    out.extend_from_slice(br#","level":"#);
    write_text(out, &pattern.level);
    out.extend_from_slice(br#","samples":["#);
    for (at, (seconds, count)) in pattern.samples.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to memory cannot fail.
        let _ = write!(out, "{comma}[{seconds},{count}]");
    }
    out.extend_from_slice(b"]}");
}
