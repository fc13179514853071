//! Reads every object of the manifest and says which are missing or broken.

use std::collections::BTreeSet;

use object_store::path::Path;

use super::catalog::Catalog;
use super::snapshot::SnapshotId;
use super::{checkpoint, layout};
use crate::error::{Error, Result};

/// What [`Catalog::audit`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Log entries that were read.
    pub log_entries: u64,
    /// Checkpoints that were read with all their parts.
    pub checkpoints: u64,
    /// Objects that are missing or cannot be read, and why.
    pub broken: Vec<(Path, String)>,
}

impl Catalog {
    /// Reads each log entry from the oldest that is kept to the newest known here, and each checkpoint with its parts. Changes
    /// nothing. Costs a request per object; one broken object does not hide the others.
    ///
    /// # Errors
    /// [`Error::Store`] when the manifest cannot be listed.
    pub async fn audit(&self) -> Result<Audit> {
        let mut audit = Audit::default();
        let newest = self.refresh().await?;
        let mut broken: Vec<(SnapshotId, Path, String)> = Vec::new();
        for seq in self.oldest_entry().await?..=newest {
            let why = match self.log.read(seq).await {
                Ok(Some(_)) => {
                    audit.log_entries += 1;
                    continue;
                }
                Ok(None) => "is missing".to_owned(),
                Err(error) => error.to_string(),
            };
            broken.push((seq, layout::log_entry(seq), why));
        }
        // What gc has cleaned meanwhile is not missing.
        let oldest = self.oldest_entry().await?;
        audit.broken.extend(broken.into_iter().filter(|(seq, ..)| *seq >= oldest).map(|(_, path, why)| (path, why)));
        let checkpoints: BTreeSet<SnapshotId> = checkpoint::list(&self.log.access).await?.into_iter().collect();
        for seq in checkpoints {
            match self.audit_checkpoint(seq).await {
                Ok(()) => audit.checkpoints += 1,
                // Deleted since it was listed.
                Err(Error::NoSuchSnapshot(_)) => {}
                Err(error) => audit.broken.push((layout::checkpoint(seq), error.to_string())),
            }
        }
        Ok(audit)
    }

    async fn oldest_entry(&self) -> Result<SnapshotId> {
        Ok(self.log.boundary().await?.map_or(1, |boundary| boundary.oldest.max(1)))
    }

    async fn audit_checkpoint(&self, seq: SnapshotId) -> Result<()> {
        let root = checkpoint::read_root(&self.log.access, seq).await?;
        match checkpoint::load(&self.log.access, &root).await {
            Ok(_) => Ok(()),
            // Its root went while its parts were read.
            Err(error) => checkpoint::read_root(&self.log.access, seq).await.and(Err(error)),
        }
    }
}
