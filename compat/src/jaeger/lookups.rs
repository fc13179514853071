//! What there is: services, operations, who calls whom. Told by every API in its own shape.

use catalog::TenantId;
use query::traceql::{Dependency, TagValues, TagValuesRequest, Window};
use traceql::value::Value;

use super::Api;
use super::error::ApiError;
use super::query::of_service_and_kind;

/// Services, or operations of one.
const NAMES_MAX: usize = 100_000;
const NAMES_BYTES_MAX: usize = 8 << 20;
/// Kinds as Jaeger names them, the one without a name first.
const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];

/// An operation of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Operation {
    pub(super) name: String,
    /// Empty when it is not known.
    pub(super) span_kind: String,
}

/// The services that have sent spans, ascending.
pub(super) async fn services(api: &Api, tenant: &TenantId) -> Result<Vec<String>, ApiError> {
    let request = request("resource.service.name", String::new());
    Ok(texts(api.engine.tag_values(tenant, request).await?))
}

/// The names of spans of a service, of one kind or of all, ascending.
pub(super) async fn operation_names(api: &Api, tenant: &TenantId, service: &str) -> Result<Vec<String>, ApiError> {
    let filter = of_service_and_kind(service, "").unwrap_or_default();
    Ok(texts(api.engine.tag_values(tenant, request("name", filter)).await?))
}

/// The operations of a service with their kinds; only those of `span_kind` unless it is empty.
///
/// # Errors
/// A kind that there is not.
pub(super) async fn operations(api: &Api, tenant: &TenantId, service: &str, span_kind: &str) -> Result<Vec<Operation>, ApiError> {
    let wanted: Vec<&str> = match span_kind {
        "" => KINDS.to_vec(),
        one => vec![one],
    };
    let mut operations = Vec::new();
    for kind in wanted {
        let named = if kind.is_empty() { "unspecified" } else { kind };
        let filter = of_service_and_kind(service, named)
            .ok_or_else(|| ApiError::bad_request(format!("there is no span kind {kind:?}")))?;
        let names = texts(api.engine.tag_values(tenant, request("name", filter)).await?);
        operations.extend(names.into_iter().map(|name| Operation { name, span_kind: kind.to_owned() }));
    }
    operations.sort();
    Ok(operations)
}

/// Who calls whom.
pub(super) async fn dependencies(api: &Api, tenant: &TenantId, time: Window) -> Result<Vec<Dependency>, ApiError> {
    if time.end_ns < time.start_ns {
        return Err(ApiError::bad_request("end of the time range is before its start"));
    }
    Ok(api.engine.dependencies(tenant, time).await?)
}

fn request(tag: &str, filter: String) -> TagValuesRequest {
    TagValuesRequest { tag: tag.to_owned(), filter, time: None, limit: NAMES_MAX, bytes_max: NAMES_BYTES_MAX }
}

fn texts(values: TagValues) -> Vec<String> {
    let text = |value| match value {
        Value::Str(text) if !text.is_empty() => Some(text.into_owned()),
        _ => None,
    };
    let mut texts: Vec<String> = values.values.into_iter().filter_map(text).collect();
    texts.sort();
    texts.dedup();
    texts
}
