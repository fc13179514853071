//! The operations of a log entry.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::file::{FileEntry, FileId};
use super::snapshot::SnapshotId;
use super::users::TableChange;
use crate::table::{Signal, Table};
use crate::tenant::TenantId;
use crate::time::Timestamp;
use crate::user_table::UserTableName;

/// The identity of a process's write-ahead log. Kept beside the log; a new log is a new writer.
pub type WriterId = Uuid;

/// How far a writer's log has been committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogMark {
    /// The writer's incarnation. Raised by [`Operation::WriterFence`]; commits of an older one are refused.
    pub epoch: u64,
    /// Every log record with a sequence number up to and including this one is in files.
    pub committed: u64,
}

/// One change to the set of live files. An entry holds many, for many tenants and tables, and takes effect as a whole.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Operation {
    /// A file comes to life.
    AddFile {
        /// The file.
        file: Box<FileEntry>,
    },
    /// A file dies without a successor. No effect when it is dead already.
    RemoveFile {
        /// Owner.
        tenant: TenantId,
        /// Table.
        table: Table,
        /// Day of its partition.
        day: i32,
        /// The file.
        id: FileId,
    },
    /// Compaction: `inputs` die, `outputs` live. Refused (conflict) unless every input is live.
    ReplaceFiles {
        /// Owner.
        tenant: TenantId,
        /// Table.
        table: Table,
        /// Day of their partition.
        day: i32,
        /// What dies.
        inputs: Vec<FileId>,
        /// What lives.
        outputs: Vec<FileEntry>,
        /// Every delete predicate that hides rows of an input and is not newer than this snapshot was applied: what it hides is not in
        /// the outputs. Without it, predicates that hid rows of an input hide rows of the outputs. Since version 3.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cleaned: Option<SnapshotId>,
        /// The predicates that were applied. Refused (conflict) unless each of them is still there: rows that one had hidden which was
        /// taken back meanwhile must not be lost. Since version 4.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        applied: Vec<Uuid>,
    },
    /// Log records `from..=to` of `writer` are in the files that this entry adds. Refused unless `epoch` is the writer's newest and
    /// `from` is the record after the last committed one. Records are numbered from 1; the first commit of an unknown writer
    /// may start anywhere and sets its epoch.
    WalCommit {
        /// Whose log.
        writer: WriterId,
        /// Its incarnation.
        epoch: u64,
        /// First record.
        from: u64,
        /// Last record.
        to: u64,
    },
    /// `writer` starts with `epoch`: older incarnations are fenced. Refused unless `epoch` is larger than the known one.
    WriterFence {
        /// Whose log.
        writer: WriterId,
        /// Its new incarnation.
        epoch: u64,
    },
    /// Rows of `tenant` in files added up to now that match `predicate` are deleted from answers at once and from
    /// files at their next rewrite. The predicate's language is that of its `signal`.
    DeletePredicate {
        /// Its id.
        id: Uuid,
        /// Owner.
        tenant: TenantId,
        /// Signal.
        signal: Signal,
        /// Selector text.
        predicate: String,
        /// First instant deleted.
        start: Timestamp,
        /// Last instant deleted.
        end: Timestamp,
    },
    /// Delete predicates up to `cleaned` hide no row of these files, though they may seem to: the files need no rewrite for them. Refused
    /// (conflict) unless each file is live. Since version 3.
    CleanFiles {
        /// Owner.
        tenant: TenantId,
        /// Table.
        table: Table,
        /// Day of their partition.
        day: i32,
        /// The files.
        ids: Vec<FileId>,
        /// The newest snapshot whose predicates were looked at.
        cleaned: SnapshotId,
    },
    /// No file holds rows any longer that these predicates hide: they need not be minded. No effect on one that a live file still needs,
    /// and on unknown ones. Since version 3.
    ForgetDeletes {
        /// The predicates.
        ids: Vec<Uuid>,
    },
    /// This predicate is taken back: what it hid and is still in files is seen again. No effect on an unknown one. Since version 4.
    CancelDelete {
        /// The predicate.
        id: Uuid,
    },
    /// A table that users made, or are making, gets `files`. Refused (conflict) unless `first` is the oldest live file that it has;
    /// `None`: it has none, there is no such table yet. Since version 5.
    ChangeUserTable {
        /// Owner.
        tenant: TenantId,
        /// The table.
        name: UserTableName,
        /// Its oldest file.
        first: Option<FileId>,
        /// What becomes of the files that it has.
        change: TableChange,
        /// What comes.
        files: Vec<FileEntry>,
    },
    /// Files of `table` whose rows all lie before `before` die.
    RetentionDrop {
        /// Owner.
        tenant: TenantId,
        /// Table.
        table: Table,
        /// First instant kept.
        before: Timestamp,
    },
    /// Files written from now on have this column layout.
    SchemaChange {
        /// The layout's version.
        version: u32,
    },
    /// Files minted before `minted_before` can no longer be added ([`crate::Error::Condemned`]): gc is about to delete those that
    /// nothing names. Never lowered.
    RaiseFloor {
        /// By the clock of whoever mints.
        minted_before: Timestamp,
    },
    /// The objects of these dead files are gone from the store: they need not be remembered any longer. No effect on others.
    ForgetFiles {
        /// The files.
        ids: Vec<FileId>,
    },
}
