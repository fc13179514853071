//! Tables that users make, in the manifest.
//!
//! ```text
//! tenant ─► table `user` ─► the one leaf without a day ─► files; the key of each is the name of the user's table it belongs to
//! ```
//! A table exists as long as it has a file: one without rows has a file that only tells its columns. So there is nothing to keep besides
//! files, and checkpoints, gc and time travel need to know nothing of them. All files of a table have the same columns.
//!
//! # Invariants
//! - A change is one operation, so all of a change is seen or nothing.
//! - Who changes a table has seen its oldest file: a table that was dropped and made anew meanwhile is another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::{FileEntry, FileId};
use super::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::partition::Partition;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::user_table::UserTableName;

/// What becomes of the files that a user's table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableChange {
    /// They stay.
    Append,
    /// They die. Without new files the table is gone.
    Replace,
}

impl Snapshot {
    /// The tables that users of `tenant` made, by name, with the files of each, oldest first. Costs O(their files).
    pub fn user_tables(&self, tenant: &TenantId) -> BTreeMap<UserTableName, Vec<Arc<FileEntry>>> {
        let mut tables: BTreeMap<UserTableName, Vec<Arc<FileEntry>>> = BTreeMap::new();
        let leaf = self.leaf(tenant, Table::User, Partition::UNDATED.day);
        for file in leaf.iter().flat_map(|leaf| leaf.files()) {
            if let Some(name) = name_of(file) {
                tables.entry(name).or_default().push(Arc::clone(file));
            }
        }
        tables
    }

    /// The files of one of them, oldest first; none if there is no such table.
    pub fn user_table(&self, tenant: &TenantId, name: &UserTableName) -> Vec<Arc<FileEntry>> {
        let leaf = self.leaf(tenant, Table::User, Partition::UNDATED.day);
        let files = leaf.iter().flat_map(|leaf| leaf.files());
        files.filter(|file| file.key_range.as_ref().is_some_and(|(key, _)| key == name.as_str())).cloned().collect()
    }

    pub(super) fn change_user_table(
        &mut self,
        tenant: &TenantId,
        name: &UserTableName,
        first: Option<FileId>,
        change: TableChange,
        files: &[FileEntry],
    ) -> Result<()> {
        let stray = |file: &&FileEntry| {
            let place = (&file.tenant, file.table, file.partition);
            place != (tenant, Table::User, Partition::UNDATED) || name_of(file).as_ref() != Some(name)
        };
        if let Some(stray) = files.iter().find(stray) {
            return Err(Error::InvalidEdit { reason: format!("file {} is of another table than {name}", stray.id) });
        }
        let live: Vec<FileId> = self.user_table(tenant, name).iter().map(|file| file.id).collect();
        if live.first().copied() != first {
            return Err(self.conflict(format!("table {name} has become another one")));
        }
        if change == TableChange::Replace {
            self.kill(tenant, Table::User, Partition::UNDATED.day, &live);
        }
        files.iter().try_for_each(|file| self.add_file(Arc::new(file.clone()), self.id))
    }
}

/// The user's table that `file` belongs to.
fn name_of(file: &FileEntry) -> Option<UserTableName> {
    UserTableName::parse(&file.key_range.as_ref()?.0).ok()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::entry::Operation;
    use super::super::testing::file;
    use super::*;
    use crate::time::Timestamp;

    fn name(text: &str) -> UserTableName {
        UserTableName::parse(text).unwrap()
    }

    fn of(table: &str, id: u128) -> FileEntry {
        let key = Some((table.to_owned(), table.to_owned()));
        let id = uuid::Builder::from_unix_timestamp_millis(1_000 + id as u64, &[id as u8; 10]).into_uuid();
        FileEntry { partition: Partition::UNDATED, key_range: key, ..file(id, Table::User, 0) }
    }

    fn change(
        head: &Snapshot,
        table: &str,
        first: Option<&FileEntry>,
        change: TableChange,
        files: &[FileEntry],
    ) -> Result<Snapshot> {
        let tenant = file(Uuid::from_u128(0), Table::User, 0).tenant;
        let first = first.map(|file| file.id);
        let operation = Operation::ChangeUserTable { tenant, name: name(table), first, change, files: files.to_vec() };
        let mut next = head.successor(Uuid::from_u128(9), Timestamp::from_secs(1));
        next.apply(&[operation]).map(|()| next)
    }

    #[test]
    fn tables_come_grow_and_go() {
        use TableChange::{Append, Replace};
        let tenant = of("a", 1).tenant;
        let files =
            |head: &Snapshot, table: &str| head.user_table(&tenant, &name(table)).iter().map(|f| f.id).collect::<Vec<_>>();
        let [a1, a2, a3, b4] = [of("a", 1), of("a", 2), of("a", 3), of("b", 4)];
        let head = change(&Snapshot::default(), "a", None, Append, std::slice::from_ref(&a1)).unwrap();
        let head = change(&head, "b", None, Append, std::slice::from_ref(&b4)).unwrap();
        let head = change(&head, "a", Some(&a1), Append, std::slice::from_ref(&a2)).unwrap();
        assert_eq!(files(&head, "a"), [a1.id, a2.id]);
        assert_eq!(head.user_tables(&tenant).keys().map(UserTableName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        // Made twice, or changed by somebody who has not seen it.
        assert!(matches!(change(&head, "a", None, Append, std::slice::from_ref(&a3)), Err(Error::Conflict { .. })));
        assert!(matches!(change(&head, "a", Some(&a2), Replace, &[]), Err(Error::Conflict { .. })));
        // A file of another table, or of no user's table.
        assert!(matches!(change(&head, "a", Some(&a1), Append, &[of("c", 7)]), Err(Error::InvalidEdit { .. })));
        let head = change(&head, "a", Some(&a1), Replace, std::slice::from_ref(&a3)).unwrap();
        assert_eq!(files(&head, "a"), [a3.id]);
        let head = change(&head, "a", Some(&a3), Replace, &[]).unwrap();
        assert_eq!((files(&head, "a").len(), files(&head, "b")), (0, vec![b4.id]));
        assert_eq!(head.dead_files().count(), 3, "gc knows them");
    }
}
