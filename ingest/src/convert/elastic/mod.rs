//! Documents of Elasticsearch's bulk API as log lines.
//!
//! ```text
//! {"index":{"_index":"web","_id":"1"}}   action ─► label `index`
//! {"@timestamp":..,"message":..,..}      document ─► time, line ─┐
//!                                        other fields, flattened ┴─► labels of the stream | structured metadata
//! ```
//! - The time is `@timestamp`: ISO 8601, or milliseconds since the epoch. Without it a line has the time of its arrival.
//! - The line is `message`, else `log`, else `msg`, where that is a string; else the document as it stands there.
//! - Objects flatten with `_` (`host.name` becomes `host_name`), a list or what is nested too deeply is kept as JSON text, a number or a
//!   boolean as its text; `null` is left out. Names are made label names.
//! - Labels are the index and what Loki makes labels of OTLP's resources, by the names that shippers give them: [`LABELS`]. A value that
//!   is too long for a label is metadata.
//! - Level, service name and limits are as for Loki's push ([`super::loki`]).
//!
//! An id is answered as it was sent, but stored nowhere: lines are not replaced. So `index` and `create` are the same, `update` and
//! `delete` are refused.

mod bulk;
mod document;

use catalog::TenantId;

pub use bulk::{Action, Bulk, Item, Outcome};

use super::loki::PushConverter;
use super::loki::push::Push;
use crate::wire::json::JsonError;

/// Actions of one request.
pub const ITEMS_MAX: usize = 200_000;

/// The fields, flattened, that become labels of the stream; and `index`.
pub const LABELS: [&str; 25] = [
    "service_name",
    "service_namespace",
    "service_instance_id",
    "deployment_environment",
    "deployment_environment_name",
    "cloud_region",
    "cloud_availability_zone",
    "container_name",
    "host_name",
    "k8s_cluster_name",
    "k8s_namespace_name",
    "k8s_pod_name",
    "k8s_container_name",
    "k8s_replicaset_name",
    "k8s_deployment_name",
    "k8s_statefulset_name",
    "k8s_daemonset_name",
    "k8s_cronjob_name",
    "k8s_job_name",
    // As Elastic's own agents, and Fluentd and Fluent Bit, name them.
    "kubernetes_namespace",
    "kubernetes_namespace_name",
    "kubernetes_pod_name",
    "kubernetes_container_name",
    "kubernetes_deployment_name",
    "kubernetes_node_name",
];

/// Why a bulk request cannot be read at all. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// A line that must be an action is none.
    #[error("Malformed action/metadata line [{line}]: {reason}")]
    Action {
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The document of the last action is missing.
    #[error(
        "The bulk request must be terminated by a newline [\\n] and every action but delete must have a source: line [{line}]"
    )]
    NoSource {
        /// The line that is missing.
        line: usize,
    },
    /// There are too many actions.
    #[error("request has more than {ITEMS_MAX} actions")]
    TooMany,
    /// The columns could not be built: a bug.
    #[error(transparent)]
    Columns(#[from] super::DecodeError),
}

impl BulkError {
    /// What the caller can do about it.
    pub fn kind(&self) -> catalog::ErrorKind {
        match self {
            Self::Action { .. } | Self::NoSource { .. } => catalog::ErrorKind::Invalid,
            Self::TooMany => catalog::ErrorKind::TooLarge,
            Self::Columns(error) => error.kind(),
        }
    }

    fn action(line: usize, error: &JsonError) -> Self {
        Self::Action { line, reason: error.to_string() }
    }
}

impl PushConverter {
    /// Converts the bulk request `body` (decompressed) for `tenant`. `index` is that of the path. CPU work only.
    ///
    /// # Errors
    /// [`BulkError`] when the request as a whole cannot be read; what is wrong with single documents is in [`Bulk::items`] instead.
    pub fn convert_bulk(&self, tenant: &TenantId, index: Option<&str>, body: &[u8]) -> Result<Bulk, BulkError> {
        bulk::convert(Push::new(self, tenant, body.len()), index, body)
    }

    /// Converts one document, as a bulk request of one item.
    ///
    /// # Errors
    /// [`BulkError::Columns`].
    pub fn convert_document(
        &self,
        tenant: &TenantId,
        action: Action,
        (index, id): (&str, Option<&str>),
        body: &[u8],
    ) -> Result<Bulk, BulkError> {
        bulk::convert_one(Push::new(self, tenant, body.len()), action, (index, id), body)
    }
}

#[cfg(test)]
mod tests;
