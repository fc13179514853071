//! `/api/v1/series`, `/api/v1/labels`, `/api/v1/label/{name}/values`: which series there are.
//! Source: `series`, `labelNames`, `labelValues` of Prometheus `web/api/v1/api.go`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use catalog::TenantId;
use promql::ast::Matcher;
use promql::parse::quote;
use query::promql::{Listed, SeriesRequest, TimeMs};

use super::answer::{Answer, Array, TRUNCATED};
use super::error::ApiError;
use super::form::Form;
use super::{Api, names, selectors};
use crate::json::{write_labels, write_text};

/// `/api/v1/series`
pub(super) async fn series(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    form.well_formed()?;
    if form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let request = request(&form, |e| ApiError::parameter("match[]", e))?;
    let found = api.engine.series(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(list(found, |out, labels| write_labels(out, labels.iter())))
}

/// `/api/v1/labels`
pub(super) async fn labels(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    let request = request(&form, ApiError::bad_data)?;
    let found = api.engine.label_names(&tenant, request).await.map_err(ApiError::of_engine)?;
    Ok(list(found, |out, name| write_text(out, &name)))
}

/// `/api/v1/label/{name}/values`
pub(super) async fn values(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    name: Result<Path<String>, PathRejection>,
    form: Form,
) -> Result<Answer, ApiError> {
    let Path(name) = name.map_err(|e| ApiError::bad_data(format!("invalid label name: {}", e.body_text())))?;
    let name = names::unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", quote(&name))));
    }
    let request = request(&form, ApiError::bad_data)?;
    let found = api.engine.label_values(&tenant, &name, request).await.map_err(ApiError::of_engine)?;
    Ok(list(found, |out, value| write_text(out, &value)))
}

fn request(form: &Form, refuse: impl Fn(String) -> ApiError) -> Result<SeriesRequest, ApiError> {
    let limit = form.limit()?.unwrap_or(0);
    let (start_ms, end_ms) = form.range()?;
    let selectors: Vec<Vec<Matcher>> = selectors::of(form).map_err(refuse)?;
    Ok(SeriesRequest { selectors, time: TimeMs { start_ms, end_ms }, limit })
}

fn list<T: Send + 'static>(found: Listed<T>, write: impl FnMut(&mut Vec<u8>, T) + Send + 'static) -> Answer {
    let cut = found.truncated.then(|| TRUNCATED.to_owned());
    Answer::stream(Array::new(found.items.into_iter(), write)).warn(cut)
}
