//! How far the metrics of a tenant have come, and what changed since.
//!
//! ```text
//! version ──► view ──► answer, kept with its version
//!                                   version' ──► view' ──► changes since version, as view' can show them
//! ```
//! Rows of this node's own log count when they come in; that they become files later changes nothing. Rows of other nodes count when
//! their commits are seen, and so do deletes and files that are dropped.
//!
//! # Invariants
//! - A view that is taken after a version shows everything of it: take the version first.
//! - Two views of one version show the same rows.

use catalog::manifest::{SnapshotId, WriterId};
use catalog::{TenantId, TimeRange};
use lake::FreshVersion;

use crate::engine::Engine;
use crate::view::View;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DataVersion {
    writer: WriterId,
    /// The newest record of the log with rows of the tenant.
    record: u64,
    /// The snapshot with the newest change that did not come out of that log.
    snapshot: SnapshotId,
}

impl Engine {
    /// The version of the metrics of `tenant`; `None` when the source of fresh rows cannot tell.
    pub(crate) fn version(&self, tenant: &TenantId) -> Option<DataVersion> {
        let FreshVersion { writer, record } = self.fresh().newest(tenant)?;
        let snapshot = self.lake().catalog().snapshot().metrics_changed(tenant, writer);
        Some(DataVersion { writer, record, snapshot })
    }

    /// The times at which `view` may show other metrics than a view that was taken after `version` did; `None` when that is not known.
    pub(crate) fn changes_since(&self, version: DataVersion, view: &View) -> Option<Vec<TimeRange>> {
        // What came in after the view was taken is told as well, and does no harm.
        let mut changes = self.fresh().changes(view.tenant(), version.record)?;
        changes.extend(view.snapshot().metrics_changes(view.tenant(), version.writer, version.snapshot)?);
        Some(changes)
    }
}
