//! Settings of the API. What queries may cost is in the section `promql`.

use serde::Deserialize;

/// The API of Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Whether series can be deleted and snapshots taken over `/api/v1/admin/tsdb`, by everybody who may query.
    pub admin_api: bool,
}
