//! Deletes against a model of single rows: a row is visible until a predicate that comes after it hides it, whatever becomes of its file;
//! and again once that predicate is taken back, unless a compaction has left the row out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::testing::{file, tenant};
use super::{DeletePredicate, FileEntry, FileId, Operation, Snapshot, SnapshotId};
use crate::error::Result;
use crate::table::{Signal, Table};
use crate::time::{TimeRange, Timestamp};

/// Number and time in seconds of a row of day 0.
type Row = (u32, i64);

#[derive(Debug, Clone)]
enum Step {
    /// A file with rows at these times.
    Add(Vec<i64>),
    /// Deletes the seconds from the first to the second.
    Delete(i64, i64),
    /// Takes the predicate at this place back.
    Cancel(usize),
    /// Merges the files at these places.
    Compact(Vec<usize>, Race),
    /// Marks the file at this place as clean, if it is.
    Clean(usize),
    /// Forgets what may be forgotten, and tries to forget the rest as well.
    Forget,
}

/// What is committed between planning and commit of a compaction.
#[derive(Debug, Clone, Copy)]
enum Race {
    Nothing,
    /// A delete of everything.
    Delete,
    /// The predicate at this place is taken back.
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let race = prop_oneof![
        6 => Just(Race::Nothing),
        2 => Just(Race::Delete),
        2 => (0..8_usize).prop_map(Race::Cancel),
    ];
    let step = prop_oneof![
        prop::collection::vec(0..20_i64, 1..6).prop_map(Step::Add),
        (0..20_i64, 0..8_i64).prop_map(|(from, length)| Step::Delete(from, from + length)),
        (0..8_usize).prop_map(Step::Cancel),
        (prop::collection::vec(0..64_usize, 1..4), race).prop_map(|(at, race)| Step::Compact(at, race)),
        (0..64_usize).prop_map(Step::Clean),
        Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Default)]
struct World {
    snapshot: Snapshot,
    /// What lies in each file.
    stored: BTreeMap<FileId, Vec<Row>>,
    /// The rows that are in files, and which predicates hide each.
    rows: BTreeMap<Row, BTreeSet<Uuid>>,
    numbers: u32,
    ids: u128,
}

impl World {
    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn commit(&mut self, operation: Operation) {
        self.try_commit(operation).expect("it fits");
    }

    fn try_commit(&mut self, operation: Operation) -> Result<()> {
        let mut next = self.snapshot.successor(Uuid::from_u128(7), Timestamp::from_secs(1));
        next.apply(&[operation])?;
        self.snapshot = next;
        Ok(())
    }

    fn visible(&self) -> BTreeSet<Row> {
        self.rows.iter().filter(|(_, hiding)| hiding.is_empty()).map(|(row, _)| *row).collect()
    }

    fn file_of(&mut self, rows: Vec<Row>) -> FileEntry {
        let mut entry = file(self.id(), Table::Samples, 0);
        let times = || rows.iter().map(|row| row.1);
        entry.partition.day = 0;
        entry.time =
            TimeRange::new(Timestamp::from_secs(times().min().unwrap_or(0)), Timestamp::from_secs(times().max().unwrap_or(0)));
        entry.rows = rows.len() as u64;
        self.stored.insert(entry.id, rows);
        entry
    }

    fn delete(&mut self, from: i64, to: i64) {
        let (start, end) = (Timestamp::from_secs(from), Timestamp::from_secs(to));
        let id = self.id();
        for (_, hiding) in self.rows.iter_mut().filter(|(row, _)| (from..=to).contains(&row.1)) {
            hiding.insert(id);
        }
        let (signal, predicate) = (Signal::Metrics, "{}".to_owned());
        self.commit(Operation::DeletePredicate { id, tenant: tenant(), signal, predicate, start, end });
    }

    fn cancel(&mut self, at: usize) -> Option<Uuid> {
        let ids: Vec<Uuid> = self.snapshot.delete_predicates(&tenant()).map(|delete| delete.id).collect();
        let id = *ids.get(at % ids.len().max(1))?;
        for hiding in self.rows.values_mut() {
            hiding.remove(&id);
        }
        self.commit(Operation::CancelDelete { id });
        assert!(self.snapshot.delete_predicate(id).is_none());
        Some(id)
    }

    fn live(&self) -> Vec<(Arc<FileEntry>, SnapshotId)> {
        let leaf = self.snapshot.leaf(&tenant(), Table::Samples, 0);
        leaf.into_iter().flat_map(|leaf| leaf.files().cloned().zip(leaf.added())).collect()
    }

    /// The rows of a file that the predicates of `snapshot` do not hide.
    fn shown(&self, snapshot: &Snapshot, id: FileId, added: SnapshotId) -> Vec<Row> {
        let deletes: Vec<_> = snapshot.delete_predicates(&tenant()).filter(|delete| delete.since >= added).collect();
        let hidden = |row: &Row| deletes.iter().any(|delete| delete.time.contains(Timestamp::from_secs(row.1)));
        self.stored[&id].iter().copied().filter(|row| !hidden(row)).collect()
    }

    fn compact(&mut self, at: &[usize], race: Race) {
        let live = self.live();
        if live.is_empty() {
            return;
        }
        let chosen: BTreeSet<usize> = at.iter().map(|at| at % live.len()).collect();
        let base = self.snapshot.clone();
        let rows: Vec<Row> = chosen.iter().flat_map(|&at| self.shown(&base, live[at].0.id, live[at].1)).collect();
        let hides = |delete: &&DeletePredicate| chosen.iter().any(|&at| delete.may_hide(&live[at].0, live[at].1));
        let applied: Vec<Uuid> = base.delete_predicates(&tenant()).filter(hides).map(|delete| delete.id).collect();
        let cancelled = match race {
            Race::Nothing => None,
            Race::Delete => {
                self.delete(0, 100);
                None
            }
            Race::Cancel(at) => self.cancel(at),
        };
        let left_out: Vec<Row> = chosen.iter().flat_map(|&at| self.stored[&live[at].0.id].clone()).collect();
        let outputs = if rows.is_empty() { Vec::new() } else { vec![self.file_of(rows.clone())] };
        let inputs = chosen.iter().map(|&at| live[at].0.id).collect();
        let (cleaned, is_void) = (Some(base.id()), cancelled.is_some_and(|id| applied.contains(&id)));
        let replace =
            Operation::ReplaceFiles { tenant: tenant(), table: Table::Samples, day: 0, inputs, outputs, cleaned, applied };
        assert_eq!(self.try_commit(replace).is_err(), is_void, "a compaction that applied a predicate which was taken back");
        if !is_void {
            left_out.iter().filter(|row| !rows.contains(row)).for_each(|row| drop(self.rows.remove(row)));
        }
    }

    fn clean(&mut self, at: usize) {
        let live = self.live();
        if live.is_empty() {
            return;
        }
        let (file, added) = &live[at % live.len()];
        if self.shown(&self.snapshot, file.id, *added) == self.stored[&file.id] {
            let (ids, cleaned) = (vec![file.id], self.snapshot.id());
            self.commit(Operation::CleanFiles { tenant: tenant(), table: Table::Samples, day: 0, ids, cleaned });
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Add(times) => {
                let rows: Vec<Row> = times.iter().zip(self.numbers..).map(|(time, number)| (number, *time)).collect();
                self.numbers += times.len() as u32;
                let entry = self.file_of(rows.clone());
                self.rows.extend(rows.into_iter().map(|row| (row, BTreeSet::new())));
                self.commit(Operation::AddFile { file: Box::new(entry) });
            }
            Step::Delete(from, to) => self.delete(*from, *to),
            Step::Cancel(at) => drop(self.cancel(*at)),
            Step::Compact(at, race) => self.compact(at, *race),
            Step::Clean(at) => self.clean(*at),
            Step::Forget => {
                let spent = self.snapshot.spent_deletes();
                let kept = self.snapshot.delete_predicates(&tenant()).count() - spent.len();
                let ids = self.snapshot.delete_predicates(&tenant()).map(|delete| delete.id).collect();
                self.commit(Operation::ForgetDeletes { ids });
                assert_eq!(self.snapshot.delete_predicates(&tenant()).count(), kept, "what is needed stays");
            }
        }
    }

    fn answer(&self) -> BTreeSet<Row> {
        self.live().iter().flat_map(|(file, added)| self.shown(&self.snapshot, file.id, *added)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_are_visible_until_they_are_deleted(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.step(step);
            prop_assert_eq!(world.answer(), world.visible(), "after {:?}", step);
        }
        // Once every file was rewritten nothing is needed any longer.
        for _ in 0..world.live().len() {
            world.compact(&[0], Race::Nothing);
        }
        prop_assert_eq!(world.answer(), world.visible());
        prop_assert_eq!(world.snapshot.spent_deletes().len(), world.snapshot.delete_predicates(&tenant()).count());
    }
}

#[test]
fn rewritten_files_need_no_predicate() {
    let mut world = World::default();
    world.step(&Step::Add(vec![1, 2, 3]));
    world.step(&Step::Add(vec![9]));
    world.delete(0, 5);
    assert!(world.snapshot.spent_deletes().is_empty(), "the first file needs it");
    let table = Table::Samples;
    let first = world.live()[0].0.id;
    let cleaned = Some(world.snapshot.id());
    let replace = |inputs, outputs, cleaned| Operation::ReplaceFiles {
        tenant: tenant(),
        table,
        day: 0,
        inputs,
        outputs,
        cleaned,
        applied: Vec::new(),
    };
    let mut next = world.snapshot.successor(Uuid::nil(), Timestamp::from_secs(1));
    let from_the_future = replace(vec![first], vec![], Some(next.id()));
    assert!(next.clone().apply(&[from_the_future]).is_err(), "a compaction knows no predicate of its own commit");
    let clean = |ids| Operation::CleanFiles { tenant: tenant(), table, day: 0, ids, cleaned: world.snapshot.id() };
    assert!(next.clone().apply(&[clean(vec![Uuid::from_u128(99)])]).is_err(), "no such file");
    let checkpointed = next.leaf(&tenant(), table, 0).map(|leaf| leaf.fingerprint());
    next.apply(&[clean(vec![first])]).expect("it is live");
    assert_eq!(next.leaf(&tenant(), table, 0).and_then(|leaf| leaf.added_of(first)), Some(next.id()));
    assert_ne!(next.leaf(&tenant(), table, 0).map(|leaf| leaf.fingerprint()), checkpointed, "a checkpoint writes it anew");
    world.commit(replace(vec![first], vec![], cleaned));
    assert_eq!(world.snapshot.spent_deletes().len(), 1, "the other one has no row of that time");
    world.step(&Step::Forget);
    assert_eq!(world.snapshot.delete_predicates(&tenant()).count(), 0);
}
