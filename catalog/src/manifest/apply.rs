//! What an operation does to a snapshot, and when it is refused. The committer and everyone who replays the log run this same code.

use std::sync::Arc;

use uuid::Uuid;

use super::dead::{DeadBucket, DeadFile};
use super::deletes::DeletePredicate;
use super::entry::{LogMark, Operation, WriterId};
use super::file::{FileEntry, FileId, minted_at};
use super::leaf::Leaf;
use super::snapshot::{Snapshot, SnapshotId, served_range};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

impl Snapshot {
    /// The successor that log entry `id + 1` makes, before any of its operations. Time does not run backwards in the log.
    pub(super) fn successor(&self, commit: Uuid, at: Timestamp) -> Self {
        Self { id: self.id + 1, commit, committed_at: self.committed_at.max(at), ..self.clone() }
    }

    /// Does all of `operations`, or fails and leaves `self` half done: callers work on a clone.
    ///
    /// Log marks are judged first, so that an edit which took effect before says so whatever else has become of its files.
    pub(super) fn apply(&mut self, operations: &[Operation]) -> Result<()> {
        for operation in operations {
            match operation {
                Operation::WalCommit { writer, epoch, from, to } => self.wal_commit(*writer, *epoch, *from, *to)?,
                Operation::WriterFence { writer, epoch } => self.writer_fence(*writer, *epoch)?,
                _ => {}
            }
        }
        self.note(operations);
        for operation in operations {
            self.apply_files(operation)?;
        }
        Ok(())
    }

    fn apply_files(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::WalCommit { .. } | Operation::WriterFence { .. } => Ok(()),
            Operation::AddFile { file } => self.add_file(Arc::new(file.as_ref().clone()), self.id),
            Operation::RemoveFile { tenant, table, day, id } => {
                self.kill(tenant, *table, *day, &[*id]);
                Ok(())
            }
            Operation::ReplaceFiles { tenant, table, day, inputs, outputs, cleaned, applied } => {
                if let Some(gone) = applied.iter().find(|id| self.delete_predicate(**id).is_none()) {
                    return Err(self.conflict(format!("delete predicate {gone} is there no longer")));
                }
                let added = self.replaced(tenant, *table, *day, inputs, *cleaned)?;
                self.replace_files(tenant, *table, *day, outputs, added)
            }
            Operation::DeletePredicate { id, tenant, signal, predicate, start, end } => {
                let time = TimeRange::new(*start, *end);
                let (tenant, predicate) = (tenant.clone(), predicate.clone());
                self.delete(DeletePredicate { id: *id, tenant, signal: *signal, predicate, time, since: self.id });
                Ok(())
            }
            Operation::CleanFiles { tenant, table, day, ids, cleaned } => self.clean_files(tenant, *table, *day, ids, *cleaned),
            Operation::ForgetDeletes { ids } => {
                self.forget_deletes(ids);
                Ok(())
            }
            Operation::CancelDelete { id } => {
                self.cancel_delete(*id);
                Ok(())
            }
            Operation::ChangeUserTable { tenant, name, first, change, files } => {
                self.change_user_table(tenant, name, *first, *change, files)
            }
            Operation::RetentionDrop { tenant, table, before } => {
                self.retention_drop(tenant, *table, *before);
                Ok(())
            }
            Operation::SchemaChange { version } if *version < self.schema_version => {
                Err(self.conflict(format!("schema version {version} is older than {}", self.schema_version)))
            }
            Operation::SchemaChange { version } => {
                self.schema_version = *version;
                Ok(())
            }
            Operation::RaiseFloor { minted_before } => {
                self.floor = self.floor.max(*minted_before);
                Ok(())
            }
            Operation::ForgetFiles { ids } => {
                self.forget(ids);
                Ok(())
            }
        }
    }

    pub(super) fn conflict(&self, reason: String) -> Error {
        Error::Conflict { snapshot: self.id.saturating_sub(1), reason }
    }

    fn wal_commit(&mut self, writer: WriterId, epoch: u64, from: u64, to: u64) -> Result<()> {
        if from > to || from == 0 {
            return Err(Error::InvalidEdit { reason: format!("log range {from}..={to} is empty or starts at 0") });
        }
        if let Some(mark) = self.marks.get(&writer) {
            if epoch < mark.epoch {
                return Err(Error::Fenced { reason: format!("writer {writer} has epoch {}, ours is {epoch}", mark.epoch) });
            }
            if epoch > mark.epoch {
                return Err(self.conflict(format!("epoch {epoch} of writer {writer} was never announced")));
            }
            if to <= mark.committed {
                return Err(Error::AlreadyCommitted { to });
            }
            if from != mark.committed.saturating_add(1) {
                let expected = mark.committed.saturating_add(1);
                return Err(self.conflict(format!("log range {from}..={to} of writer {writer} must start at {expected}")));
            }
        }
        self.marks.insert(writer, LogMark { epoch, committed: to });
        Ok(())
    }

    fn writer_fence(&mut self, writer: WriterId, epoch: u64) -> Result<()> {
        let committed = match self.marks.get(&writer) {
            Some(mark) if epoch <= mark.epoch => {
                return Err(Error::Fenced { reason: format!("writer {writer} has epoch {}, {epoch} is not newer", mark.epoch) });
            }
            Some(mark) => mark.committed,
            None => 0,
        };
        self.marks.insert(writer, LogMark { epoch, committed });
        Ok(())
    }

    pub(super) fn add_file(&mut self, file: Arc<FileEntry>, added: SnapshotId) -> Result<()> {
        if minted_at(file.id) < self.floor {
            return Err(Error::Condemned { file: file.id, floor: self.floor });
        }
        if self.dead.values().any(|bucket| bucket.contains(file.id)) {
            return Err(self.conflict(format!("file {} has died already", file.id)));
        }
        let (id, bytes) = (file.id, file.bytes);
        let tables = Arc::make_mut(self.tenants.entry(file.tenant.clone()).or_default());
        let days = Arc::make_mut(tables.entry(file.table).or_default());
        let leaf = Arc::make_mut(days.entry(file.partition.day).or_default());
        if !leaf.insert(file, added) {
            return Err(self.conflict(format!("file {id} is live already")));
        }
        self.file_count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Kills `inputs` and tells the snapshot that what comes in their place counts as brought by.
    fn replaced(
        &mut self,
        tenant: &TenantId,
        table: Table,
        day: i32,
        inputs: &[FileId],
        cleaned: Option<SnapshotId>,
    ) -> Result<SnapshotId> {
        let Some(leaf) = self.leaf(tenant, table, day) else {
            return Err(self.conflict(format!("no file of {table} is live on day {day}")));
        };
        let mut added = self.id;
        for input in inputs {
            match leaf.added_of(*input) {
                Some(since) => added = added.min(since),
                None => return Err(self.conflict(format!("input {input} is not live"))),
            }
        }
        if let Some(cleaned) = cleaned {
            // Younger predicates hide rows of the outputs as they did of the inputs.
            added = added.max(self.after(cleaned)?);
        }
        if self.kill(tenant, table, day, inputs) != inputs.len() {
            return Err(Error::InvalidEdit { reason: "an input is named twice".to_owned() });
        }
        Ok(added)
    }

    /// The snapshot that rows count as brought by once the predicates up to `cleaned` were applied.
    fn after(&self, cleaned: SnapshotId) -> Result<SnapshotId> {
        if cleaned < self.id {
            return Ok(cleaned + 1);
        }
        Err(Error::InvalidEdit { reason: format!("deletes of snapshot {cleaned} cannot have been applied in {}", self.id) })
    }

    fn clean_files(&mut self, tenant: &TenantId, table: Table, day: i32, ids: &[FileId], cleaned: SnapshotId) -> Result<()> {
        let after = self.after(cleaned)?;
        let dead = ids.iter().find(|id| self.leaf(tenant, table, day).is_none_or(|leaf| leaf.find(**id).is_none()));
        if let Some(id) = dead {
            return Err(self.conflict(format!("file {id} is not live")));
        }
        let Some(tables) = self.tenants.get_mut(tenant) else { return Ok(()) };
        let Some(days) = Arc::make_mut(tables).get_mut(&table) else { return Ok(()) };
        let Some(leaf) = Arc::make_mut(days).get_mut(&day) else { return Ok(()) };
        let leaf = Arc::make_mut(leaf);
        ids.iter().for_each(|id| leaf.raise_added(*id, after));
        Ok(())
    }

    fn replace_files(
        &mut self,
        tenant: &TenantId,
        table: Table,
        day: i32,
        outputs: &[FileEntry],
        added: SnapshotId,
    ) -> Result<()> {
        if let Some(stray) = outputs.iter().find(|o| o.tenant != *tenant || o.table != table || o.partition.day != day) {
            return Err(Error::InvalidEdit { reason: format!("output {} is of another tenant, table or day", stray.id) });
        }
        outputs.iter().try_for_each(|output| self.add_file(Arc::new(output.clone()), added))
    }

    /// Takes the live ones among `ids` out of their leaf and remembers their deaths. Returns how many there were.
    pub(super) fn kill(&mut self, tenant: &TenantId, table: Table, day: i32, ids: &[FileId]) -> usize {
        let live = |ids: &[FileId], leaf: &Leaf| ids.iter().any(|id| leaf.find(*id).is_some());
        if !self.leaf(tenant, table, day).is_some_and(|leaf| live(ids, leaf)) {
            return 0;
        }
        let Some(shared_tables) = self.tenants.get_mut(tenant) else { return 0 };
        let tables = Arc::make_mut(shared_tables);
        let Some(shared_days) = tables.get_mut(&table) else { return 0 };
        let days = Arc::make_mut(shared_days);
        let Some(shared_leaf) = days.get_mut(&day) else { return 0 };
        let leaf = Arc::make_mut(shared_leaf);
        let killed: Vec<_> = ids.iter().filter_map(|id| leaf.remove(*id)).collect();
        if leaf.file_count() == 0 {
            days.remove(&day);
        }
        if days.is_empty() {
            tables.remove(&table);
        }
        if tables.is_empty() {
            self.tenants.remove(tenant);
        }
        let bucket = Arc::make_mut(self.dead.entry(DeadBucket::key(self.id)).or_default());
        for file in &killed {
            self.file_count = self.file_count.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(file.bytes);
            bucket.insert(DeadFile::new(file, self.id, self.committed_at));
        }
        killed.len()
    }

    fn retention_drop(&mut self, tenant: &TenantId, table: Table, before: Timestamp) {
        let Some(days) = self.tenants.get(tenant).and_then(|tables| tables.get(&table)) else { return };
        let expired: Vec<(i32, Vec<FileId>)> = days
            .iter()
            .filter(|(_, leaf)| leaf.time().start < before)
            .map(|(day, leaf)| (*day, leaf.files().filter(|file| served_range(file).end < before).map(|file| file.id).collect()))
            .collect();
        for (day, ids) in expired {
            self.kill(tenant, table, day, &ids);
        }
    }

    fn forget(&mut self, ids: &[FileId]) {
        for id in ids {
            let Some(key) = self.dead.iter().find(|(_, bucket)| bucket.contains(*id)).map(|(key, _)| *key) else { continue };
            let Some(shared) = self.dead.get_mut(&key) else { continue };
            let bucket = Arc::make_mut(shared);
            bucket.forget(*id);
            if bucket.is_empty() {
                self.dead.remove(&key);
            }
        }
    }
}
