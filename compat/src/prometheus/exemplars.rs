//! `/api/v1/query_exemplars`: the exemplars of the series that an expression selects.
//! Source: `queryExemplars` of Prometheus `web/api/v1/api.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use catalog::TenantId;
use http::StatusCode;
use query::promql::{ExemplarRequest, ExemplarSeries, TimeMs};

use super::Api;
use super::answer::{Answer, Array};
use super::error::ApiError;
use super::form::Form;
use crate::json::{write_labels, write_value};
use gosyntax::number::write_timestamp;

/// `/api/v1/query_exemplars`
pub(super) async fn exemplars(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Response, ApiError> {
    let (start_ms, end_ms) = form.range()?;
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let text = form.get("query");
    let expr = api.parse(text).map_err(|e| ApiError::bad_data(e.to_string()))?;
    if expr.selectors().is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let request = ExemplarRequest { text: text.to_owned(), time: TimeMs { start_ms, end_ms } };
    let found = api.engine.exemplars(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(Answer::stream(Array::new(found.into_iter(), |out: &mut Vec<u8>, series| write(out, &series))).into_response())
}

fn write(out: &mut Vec<u8>, series: &ExemplarSeries) {
    out.extend_from_slice(br#"{"seriesLabels":"#);
    write_labels(out, series.labels.iter());
    out.extend_from_slice(br#","exemplars":["#);
    for (at, exemplar) in series.exemplars.iter().enumerate() {
        out.extend_from_slice(if at > 0 { br#",{"labels":"# } else { br#"{"labels":"# });
        write_labels(out, exemplar.labels.iter());
        out.extend_from_slice(br#","value":"#);
        write_value(out, exemplar.value);
        out.extend_from_slice(br#","timestamp":"#);
        write_timestamp(out, exemplar.time_ms);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}
