//! Deletes against a model of single rows: a row is visible until a predicate that comes after it hides it, whatever becomes of its file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::testing::{file, tenant};
use super::{FileEntry, FileId, Operation, Snapshot, SnapshotId};
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
    /// Merges the files at these places; true: a delete of everything is committed between planning and commit.
    Compact(Vec<usize>, bool),
    /// Marks the file at this place as clean, if it is.
    Clean(usize),
    /// Forgets what may be forgotten, and tries to forget the rest as well.
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        prop::collection::vec(0..20_i64, 1..6).prop_map(Step::Add),
        (0..20_i64, 0..8_i64).prop_map(|(from, length)| Step::Delete(from, from + length)),
        (prop::collection::vec(0..64_usize, 1..4), prop::bool::weighted(0.2)).prop_map(|(at, raced)| Step::Compact(at, raced)),
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
    visible: BTreeSet<Row>,
    numbers: u32,
    ids: u128,
}

impl World {
    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids)
    }

    fn commit(&mut self, operation: Operation) {
        let mut next = self.snapshot.successor(Uuid::from_u128(7), Timestamp::from_secs(1));
        next.apply(&[operation]).expect("it fits");
        self.snapshot = next;
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
        self.visible.retain(|row| row.1 < from || to < row.1);
        let (signal, predicate) = (Signal::Metrics, "{}".to_owned());
        self.commit(Operation::DeletePredicate { id, tenant: tenant(), signal, predicate, start, end });
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

    fn compact(&mut self, at: &[usize], raced: bool) {
        let live = self.live();
        if live.is_empty() {
            return;
        }
        let chosen: BTreeSet<usize> = at.iter().map(|at| at % live.len()).collect();
        let base = self.snapshot.clone();
        let rows: Vec<Row> = chosen.iter().flat_map(|&at| self.shown(&base, live[at].0.id, live[at].1)).collect();
        if raced {
            self.delete(0, 100);
        }
        let outputs = if rows.is_empty() { Vec::new() } else { vec![self.file_of(rows)] };
        let inputs = chosen.iter().map(|&at| live[at].0.id).collect();
        let cleaned = Some(base.id());
        self.commit(Operation::ReplaceFiles { tenant: tenant(), table: Table::Samples, day: 0, inputs, outputs, cleaned });
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
                self.visible.extend(rows);
                self.commit(Operation::AddFile { file: Box::new(entry) });
            }
            Step::Delete(from, to) => self.delete(*from, *to),
            Step::Compact(at, raced) => self.compact(at, *raced),
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
            prop_assert_eq!(world.answer(), world.visible.clone(), "after {:?}", step);
        }
        // Once every file was rewritten nothing is needed any longer.
        for _ in 0..world.live().len() {
            world.compact(&[0], false);
        }
        prop_assert_eq!(world.answer(), world.visible.clone());
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
    let replace =
        |inputs, outputs, cleaned| Operation::ReplaceFiles { tenant: tenant(), table, day: 0, inputs, outputs, cleaned };
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
