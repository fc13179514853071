//! `/api/v1/metadata`: what senders say of their metrics.
//! Source: `metricMetadata` of Prometheus `web/api/v1/api.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use catalog::TenantId;
use query::promql::{Metadata, MetadataRequest};
use serde::Serialize;

use super::Api;
use super::answer::Answer;
use super::error::ApiError;
use super::form::{Form, atoi};

#[derive(Serialize)]
struct Entry<'a> {
    r#type: &'a str,
    help: &'a str,
    unit: &'a str,
}

impl<'a> Entry<'a> {
    fn of(said: &'a Metadata) -> Self {
        Self { r#type: &said.kind, help: &said.help, unit: &said.unit }
    }
}

/// `/api/v1/metadata`
pub(super) async fn metadata(
    State(api): State<Arc<Api>>,
    Extension(tenant): Extension<TenantId>,
    form: Form,
) -> Result<Answer, ApiError> {
    let limit = number(&form, "limit")?;
    // Unlike other limits, 0 is no metric at all.
    if limit == Some(0) {
        return Ok(Answer::of(&BTreeMap::<&str, Vec<Entry<'_>>>::new()));
    }
    let limit_per_metric = number(&form, "limit_per_metric")?.unwrap_or(0);
    let metric = Some(form.get("metric")).filter(|m| !m.is_empty()).map(str::to_owned);
    let request = MetadataRequest { metric, limit: limit.unwrap_or(0), limit_per_metric };
    let found = api.engine.metadata(&tenant, request).await.map_err(ApiError::of_engine)?;
    let shown: BTreeMap<&str, Vec<Entry<'_>>> =
        found.iter().map(|(metric, said)| (metric.as_str(), said.iter().map(Entry::of).collect())).collect();
    Ok(Answer::of(&shown))
}

/// A number; negative ones are none.
fn number(form: &Form, name: &str) -> Result<Option<usize>, ApiError> {
    match form.get(name) {
        "" => Ok(None),
        text => match atoi(text) {
            Ok(number) => Ok(usize::try_from(number).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}
