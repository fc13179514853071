//! Which files to merge: a pure function of the snapshot and the time.
//!
//! ```text
//! slice open    many L0 ──────────────► L1 (with the newest small L1)       keeps queries of the last hours quick
//! slice closed  all L0 + L1 ──────────► one L1
//! day closed    all slices + old L2 ──► L2, files of at most `file_bytes_max`
//! ```
//!
//! Which of two equal rows is newer is told by [`recency`]. So a plan either takes the oldest L0 files of a partition (what remains of L0
//! is newer than the output) or all L0 files and the newest L1 files (what remains of L1 is older).
//! What deletes add to this is in [`super::hiding`].

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::manifest::DeletePredicate;
use catalog::{FileEntry, FileId, Level, Partition, Snapshot, SnapshotId, Table, TenantId, Timestamp};

use super::CompactConfig;
use super::hiding::Hiding;

/// When work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What is due by the settings.
    Due,
    /// That, and every file with rows that deletes hide.
    Clean,
    /// Everything to level 2 now, days that are not over included.
    Force,
}

/// One merge: `inputs`, oldest rows first, become files of `level` in `partition`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Owner.
    pub tenant: TenantId,
    /// Table.
    pub table: Table,
    /// Where the outputs fall. The inputs are of the same day.
    pub partition: Partition,
    /// Level of the outputs.
    pub level: Level,
    /// In the order of [`recency`]: of equal rows, the one of the later input is the newer.
    pub inputs: Vec<Arc<FileEntry>>,
    /// For each input the snapshot that brought its rows.
    pub added: Vec<SnapshotId>,
    /// What may hide rows of the inputs: these rows are left out.
    pub deletes: Vec<DeletePredicate>,
    /// The snapshot that was planned with.
    pub snapshot: SnapshotId,
}

impl Plan {
    /// Bytes to read.
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|file| file.bytes).sum()
    }
}

/// Orders files by the age of their rows, oldest first: what was compacted more often is older, and then the id decides.
///
/// Whoever finds two samples of one series and timestamp keeps the one of the greatest file; rows that are not in files yet are
/// newer still. Compaction does the same, so that it never changes an answer.
pub fn recency(file: &FileEntry) -> (std::cmp::Reverse<Level>, FileId) {
    (std::cmp::Reverse(file.level), file.id)
}

/// Everything that is due at `now`, most urgent first. Plans do not overlap, so that they may run in any order.
///
/// Costs O(live files).
pub fn pick(snapshot: &Snapshot, now: Timestamp, config: &CompactConfig, mode: Mode) -> Vec<Plan> {
    let mut plans = Vec::new();
    // Files of users' tables are not sorted: there is nothing to merge.
    for (tenant, table, day, leaf) in snapshot.leaves().filter(|(_, table, ..)| *table != Table::User) {
        let picker = Picker { tenant, table, snapshot: snapshot.id(), now, config, mode };
        let hiding = Hiding::of(snapshot, tenant, table, day, leaf);
        let mut of_leaf: Vec<Plan> = Vec::new();
        let mut before: Option<Level> = None;
        for files in hiding.groups() {
            let mut picked = Vec::new();
            picker.pick_day(Partition { day, slice: None }, &files, &hiding, &mut picked);
            // Newer rows must not come to lie on a higher level than older ones.
            of_leaf.extend(picked.into_iter().filter(|plan| before.is_none_or(|lowest| lowest >= plan.level)));
            before = files.iter().map(|file| file.level).chain(before).min();
        }
        hiding.cover(&picker, &mut of_leaf);
        plans.append(&mut of_leaf);
    }
    // Low levels first: they hold the newest rows and the most files. Then whatever removes most files.
    plans.sort_by_key(|plan| (plan.level, std::cmp::Reverse(plan.inputs.len())));
    plans
}

pub(super) struct Picker<'a> {
    tenant: &'a TenantId,
    table: Table,
    snapshot: SnapshotId,
    pub(super) now: Timestamp,
    pub(super) config: &'a CompactConfig,
    pub(super) mode: Mode,
}

impl Picker<'_> {
    fn pick_day(&self, day: Partition, files: &[Arc<FileEntry>], hiding: &Hiding<'_>, plans: &mut Vec<Plan>) {
        let closed = self.mode == Mode::Force || self.now > day.range().end.saturating_add(self.config.day_delay);
        let (whole, young): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|file| file.level == Level::L2);
        if young.is_empty() {
            if self.is_apart(&whole) {
                plans.push(self.plan(day, Level::L2, whole, hiding));
            }
            return;
        }
        if closed && files.len() <= self.config.inputs_max && self.is_ripe_for_day(&whole, &young) {
            plans.push(self.plan(day, Level::L2, files.to_vec(), hiding));
            return;
        }
        let mut slices: BTreeMap<Partition, Vec<Arc<FileEntry>>> = BTreeMap::new();
        for file in young {
            slices.entry(file.partition).or_default().push(file);
        }
        for (partition, files) in slices {
            // Files of a day that are no slices are closed with their day.
            let delay = if partition.slice.is_some() { self.config.slice_delay } else { self.config.day_delay };
            let closed = self.mode == Mode::Force || self.now > partition.range().end.saturating_add(delay);
            plans.extend(self.pick_slice(partition, files, closed, hiding));
        }
    }

    /// Whether it is time to rewrite a day for its young files: when they are many, measured by the day, or old. As long as more of them come, only when
    /// they are as many as all that is there: whoever brings a past day in would have it rewritten for each tenth that is added.
    fn is_ripe_for_day(&self, whole: &[Arc<FileEntry>], young: &[Arc<FileEntry>]) -> bool {
        let bytes = |files: &[Arc<FileEntry>]| files.iter().map(|file| file.bytes).sum::<u64>();
        let oldest = young.iter().map(|file| minted_at(file.id)).min().unwrap_or(Timestamp::MIN);
        let is_much = match self.has_settled(young) {
            true => whole.is_empty() || bytes(young).saturating_mul(LATE_SHARE) >= bytes(whole),
            false => bytes(young) >= bytes(whole).max(self.config.file_bytes_max),
        };
        self.mode == Mode::Force || is_much || self.now > oldest.saturating_add(self.config.day_delay)
    }

    /// Whether these files of level 2 are more than they have to be: a delete kept them apart, and whoever wants as few files as possible asks. As much as
    /// may not fit into one file is left alone, or it would be merged again and again.
    fn is_apart(&self, whole: &[Arc<FileEntry>]) -> bool {
        let bytes: u64 = whole.iter().map(|file| file.bytes).sum();
        self.mode == Mode::Force && (2..=self.config.inputs_max).contains(&whole.len()) && bytes <= self.config.file_bytes_max / 2
    }

    /// Whether the newest of `files` has been there for a while. A late flush is rarely alone: one waits for the others.
    fn has_settled(&self, files: &[Arc<FileEntry>]) -> bool {
        let newest = files.iter().map(|file| minted_at(file.id)).max();
        newest.is_some_and(|newest| self.now > newest.saturating_add(self.config.slice_delay))
    }

    fn pick_slice(
        &self,
        partition: Partition,
        mut files: Vec<Arc<FileEntry>>,
        closed: bool,
        hiding: &Hiding<'_>,
    ) -> Option<Plan> {
        files.sort_by_key(|file| recency(file));
        let levels_1 = files.partition_point(|file| file.level == Level::L1);
        let (done, fresh) = files.split_at(levels_1);
        let fresh_bytes: u64 = fresh.iter().map(|file| file.bytes).sum();
        let crowded = fresh.len() > self.config.l0_files_max || (fresh.len() > 1 && fresh_bytes >= self.config.l0_bytes_max);
        let settled = self.mode == Mode::Force || self.has_settled(fresh);
        let due = match (closed, done.len(), fresh.len()) {
            (false, ..) => crowded,
            (true, 0 | 1, 0) => false,
            (true, _, 0) => true,
            (true, ..) => crowded || settled,
        };
        // While rows still come, files of level 1 join in by their size, else each would be written again for every dozen of new ones.
        let all_join = closed && (settled || fresh.is_empty());
        if !due {
            return None;
        }
        let inputs_max = self.config.inputs_max;
        if fresh.len() >= inputs_max {
            return Some(self.plan(partition, Level::L1, fresh[..inputs_max].to_vec(), hiding));
        }
        let mut first = levels_1;
        let mut bytes = fresh_bytes;
        while first > 0 && files.len() - first < inputs_max && (all_join || files[first - 1].bytes <= bytes) {
            first -= 1;
            bytes = bytes.saturating_add(files[first].bytes);
        }
        Some(self.plan(partition, Level::L1, files.split_off(first), hiding))
    }

    pub(super) fn plan(&self, partition: Partition, level: Level, mut inputs: Vec<Arc<FileEntry>>, hiding: &Hiding<'_>) -> Plan {
        inputs.sort_by_key(|file| recency(file));
        let (deletes, added) = hiding.of_inputs(&inputs);
        let (tenant, table, snapshot) = (self.tenant.clone(), self.table, self.snapshot);
        Plan { tenant, table, partition, level, inputs, added, deletes, snapshot }
    }
}

/// Late bytes rewrite a day once they are a tenth of it.
const LATE_SHARE: u64 = 10;

/// When `id` was minted; the beginning of time for an id that does not say.
pub(super) fn minted_at(id: FileId) -> Timestamp {
    let Some(at) = id.get_timestamp() else { return Timestamp::MIN };
    let (seconds, nanos) = at.to_unix();
    let seconds = Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    seconds.saturating_add(std::time::Duration::from_nanos(nanos.into()))
}
