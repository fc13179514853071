//! Compaction: turns the many small files of one partition into few large ones.
//!
//! ```text
//! snapshot N ── pick ──► [f1 f2 f3] ── merge ──► g1 ── commit(-f1 -f2 -f3 +g1) ──► snapshot N+1
//! ```
//! [`pick()`] is pure: the snapshot and the time in, plans out. Merging streams; its memory is one batch and one row group per input.
//!
//! # Invariants
//! - A pass never changes an answer: same rows in the same order, without duplicates that a reader leaves out anyway, and without
//!   rows that deletes hide.
//! - Rows in = rows out + duplicates + deleted, or nothing is committed.
//! - Inputs are not deleted here. [`crate::gc`] does that once no reader can hold snapshot N.
//! - A lost commit race leaves orphans, which gc removes; there is nothing to undo.

mod clean;
mod copy;
mod gather;
mod hiding;
mod keys;
mod merge;
mod nested;
mod pick;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use catalog::manifest::Operation;
use catalog::{ErrorKind, FileEntry, SnapshotId, Table};
use futures::StreamExt;
use tokio::time::Instant;

pub(crate) use gather::{Segment, gather};
pub(crate) use keys::Keys;
pub use pick::{Mode, Plan, pick, recency};

use crate::deletes::{Deletes, SelectorLanguage};
use crate::error::{Error, Result};
use crate::lake::{BatchStream, Lake};
use merge::{MergeTotals, merge};

/// When files are merged, and how large they become.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactConfig {
    /// Files of level 0 in a slice above which they are merged, though the slice is still open.
    pub l0_files_max: usize,
    /// Bytes of level 0 in a slice from which on they are merged, though the slice is still open.
    pub l0_bytes_max: u64,
    /// How long after the end of a two-hour slice its files become one of level 1, and how long late files wait for each other.
    #[serde(with = "humantime_serde")]
    pub slice_delay: Duration,
    /// How long after the end of a day (UTC) its files become level 2. Late rows rewrite the day at most once in this time.
    #[serde(with = "humantime_serde")]
    pub day_delay: Duration,
    /// Size at which an output file is closed and the next one begun.
    pub file_bytes_max: u64,
    /// Most inputs of one merge. Memory is about 2 MB per input.
    pub inputs_max: usize,
}

impl Default for CompactConfig {
    fn default() -> Self {
        Self {
            l0_files_max: 12,
            l0_bytes_max: 512 << 20,
            slice_delay: Duration::from_secs(600),
            day_delay: Duration::from_secs(6 * 3600),
            file_bytes_max: 512 << 20,
            inputs_max: 64,
        }
    }
}

impl CompactConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        let wrong = |key, value: u64, reason| Err(Error::Config { key, value: value.to_string(), reason });
        if self.inputs_max < 16 {
            // A day has twelve slices.
            return wrong("compact.inputs_max", self.inputs_max as u64, "must be at least 16");
        }
        if self.l0_files_max == 0 {
            return wrong("compact.l0_files_max", 0, "must be at least 1");
        }
        if self.file_bytes_max < 1 << 20 {
            return wrong("compact.file_bytes_max", self.file_bytes_max, "must be at least 1 MiB");
        }
        Ok(())
    }
}

/// How much one pass may do, so that it yields to whatever else the loop has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactBudget {
    /// Most merges.
    pub jobs_max: usize,
    /// No further merge is begun once so many bytes were read.
    pub bytes_max: u64,
}

impl Default for CompactBudget {
    fn default() -> Self {
        Self { jobs_max: 16, bytes_max: 4 << 30 }
    }
}

impl CompactBudget {
    /// No bound.
    pub const UNLIMITED: Self = Self { jobs_max: usize::MAX, bytes_max: u64::MAX };
}

/// What a pass did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Merges that were committed.
    pub jobs: usize,
    /// Merges that lost their commit race, to a retention drop or to another compactor.
    pub conflicts: usize,
    /// Merges that failed, with the reason. The others went on.
    pub failures: Vec<String>,
    /// Plans that were left for the next pass.
    pub remaining: usize,
    /// Files that died.
    pub files_in: usize,
    /// Files that were made.
    pub files_out: usize,
    /// Rows read.
    pub rows_in: u64,
    /// Rows that were left out as duplicates.
    pub duplicates: u64,
    /// Rows that were left out because they were deleted.
    pub deleted: u64,
    /// Files that were looked at because of deletes, and hold no deleted row.
    pub spared: usize,
    /// Delete predicates that no file needs any longer.
    pub deletes_forgotten: usize,
    /// Bytes of the files that died.
    pub bytes_in: u64,
    /// Bytes of the files that were made.
    pub bytes_out: u64,
}

/// One merge that was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The new files.
    pub outputs: Vec<FileEntry>,
    /// Rows read.
    pub rows_in: u64,
    /// Rows that were left out as duplicates.
    pub duplicates: u64,
    /// Rows that were left out because they were deleted.
    pub deleted: u64,
    /// Nothing of the input was hidden: it stays, and there is no new file.
    pub is_spared: bool,
}

/// Runs compaction passes. Merging is CPU work: give it a runtime of its own, or a machine.
#[derive(Debug)]
pub struct Compactor {
    lake: Arc<Lake>,
    config: CompactConfig,
    language: Arc<dyn SelectorLanguage>,
}

impl Compactor {
    /// A compactor of `lake`, whose delete predicates `language` reads. Does nothing by itself.
    pub fn new(lake: Arc<Lake>, config: CompactConfig, language: Arc<dyn SelectorLanguage>) -> Self {
        Self { lake, config, language }
    }

    /// One pass over what is due, as far as `budget` goes. Call again at once while [`CompactReport::remaining`] is not 0 and
    /// [`CompactReport::jobs`] is not either.
    ///
    /// # Errors
    /// When the manifest cannot be refreshed. Failures of single merges are in the report.
    pub async fn run_once(&self, budget: CompactBudget) -> Result<CompactReport> {
        self.pass(Mode::Due, budget).await
    }

    /// Merges everything to level 2, whatever the time, in as many passes as it takes.
    ///
    /// # Errors
    /// As [`Compactor::run_once`].
    pub async fn force(&self) -> Result<CompactReport> {
        self.all(Mode::Force).await
    }

    /// Merges what is due and rewrites every file that holds deleted rows, in as many passes as it takes.
    ///
    /// # Errors
    /// As [`Compactor::run_once`].
    pub async fn clean(&self) -> Result<CompactReport> {
        self.all(Mode::Clean).await
    }

    async fn all(&self, mode: Mode) -> Result<CompactReport> {
        let mut total = CompactReport::default();
        loop {
            let pass = self.pass(mode, CompactBudget::UNLIMITED).await?;
            // A lost race is somebody else's progress.
            let progress = pass.jobs > 0 || pass.conflicts > 0;
            total.add(pass);
            if !progress {
                return Ok(total);
            }
        }
    }

    async fn pass(&self, mode: Mode, budget: CompactBudget) -> Result<CompactReport> {
        self.lake.catalog().refresh().await?;
        // Pinned, so that this process's gc leaves the inputs alone while they are read.
        let snapshot = self.lake.catalog().pin();
        let plans = pick(&snapshot, self.lake.env().now(), &self.config, mode);
        let mut report = CompactReport { remaining: plans.len(), ..CompactReport::default() };
        let mut bytes_read = 0u64;
        for plan in plans.iter().take(budget.jobs_max) {
            if bytes_read >= budget.bytes_max {
                break;
            }
            report.remaining -= 1;
            bytes_read = bytes_read.saturating_add(plan.bytes());
            let started = Instant::now();
            let result = self.compact(plan).await;
            report.note(plan, result);
            metrics::histogram!("telelake_compact_job_seconds").record(started.elapsed().as_secs_f64());
        }
        metrics::gauge!("telelake_compact_jobs_waiting").set(report.remaining as f64);
        report.deletes_forgotten = self.forget_deletes().await?;
        Ok(report)
    }

    /// Lets the manifest forget the delete predicates that no file needs.
    async fn forget_deletes(&self) -> Result<usize> {
        let ids = self.lake.catalog().snapshot().spent_deletes();
        let spent = ids.len();
        if spent > 0 {
            self.lake.catalog().commit(vec![Operation::ForgetDeletes { ids }]).await?;
        }
        Ok(spent)
    }

    /// Carries out one plan and commits it.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Conflict`] when an input has died meanwhile, or a delete was taken back: plan again. Otherwise what the store, the files or the
    /// manifest say. The inputs stay live in every case; files that were written are orphans.
    pub async fn compact(&self, plan: &Plan) -> Result<Merged> {
        let hidden = Arc::new(clean::hidden(&self.lake, plan, &*self.language).await?);
        if clean::changes_nothing(&self.lake, plan, &hidden).await? {
            return self.spare(plan).await;
        }
        let totals = Arc::new(MergeTotals::default());
        let merged = self.merged(plan, &hidden, &totals)?;
        let (tenant, table, day) = (&plan.tenant, plan.table, plan.partition.day);
        let file_bytes = self.config.file_bytes_max;
        let outputs = self.lake.write_sorted(tenant, table, plan.level, plan.partition, merged, file_bytes).await?;
        fail::fail_point!("compact::after_write");
        let merged = Merged {
            rows_in: totals.rows_in.load(Ordering::Relaxed),
            duplicates: totals.duplicates.load(Ordering::Relaxed),
            deleted: totals.deleted.load(Ordering::Relaxed),
            is_spared: false,
            outputs,
        };
        check_rows(plan, &merged)?;
        let inputs = plan.inputs.iter().map(|file| file.id).collect();
        let (tenant, outputs) = (tenant.clone(), merged.outputs.clone());
        let cleaned = (!plan.deletes.is_empty()).then_some(plan.snapshot);
        let applied = plan.deletes.iter().map(|delete| delete.id).collect();
        self.lake
            .catalog()
            .commit(vec![Operation::ReplaceFiles { tenant, table, day, inputs, outputs, cleaned, applied }])
            .await?;
        fail::fail_point!("compact::after_commit");
        Ok(merged)
    }

    /// Notes that nothing of the inputs is hidden, so that they are not picked again.
    async fn spare(&self, plan: &Plan) -> Result<Merged> {
        let (tenant, table, day) = (plan.tenant.clone(), plan.table, plan.partition.day);
        let ids = plan.inputs.iter().map(|file| file.id).collect();
        self.lake.catalog().commit(vec![Operation::CleanFiles { tenant, table, day, ids, cleaned: plan.snapshot }]).await?;
        Ok(Merged { outputs: Vec::new(), rows_in: 0, duplicates: 0, deleted: 0, is_spared: true })
    }

    /// The rows of all inputs in order, without `hidden` ones and duplicates, with the columns that only compaction fills.
    fn merged(&self, plan: &Plan, hidden: &Arc<Deletes>, totals: &Arc<MergeTotals>) -> Result<BatchStream> {
        let input = |(file, added): (&Arc<FileEntry>, &SnapshotId)| {
            let rows = self.lake.read_through(Arc::clone(file))?;
            Ok(clean::without_hidden(rows, hidden, *added, totals))
        };
        let inputs = plan.inputs.iter().zip(&plan.added).map(input).collect::<Result<Vec<_>>>()?;
        let merged = merge(plan.table, inputs, Arc::clone(totals));
        Ok(match plan.table {
            Table::Spans => nested::number_spans(merged).boxed(),
            _ => merged.boxed(),
        })
    }
}

/// No row may be lost or invented, whatever went wrong in reading, merging or writing.
fn check_rows(plan: &Plan, merged: &Merged) -> Result<()> {
    let Merged { outputs, rows_in, duplicates, deleted, .. } = merged;
    let expected: u64 = plan.inputs.iter().map(|file| file.rows).sum();
    let written: u64 = outputs.iter().map(|file| file.rows).sum();
    if *rows_in == expected && rows_in.checked_sub(duplicates + deleted) == Some(written) {
        return Ok(());
    }
    let reason = format!(
        "compaction of {} {} in {}: the manifest says {expected} rows, {rows_in} were read, {duplicates} were duplicates, {deleted} were \
         deleted, {written} were written",
        plan.tenant,
        plan.table,
        plan.partition.path()
    );
    Err(Error::Internal(reason))
}

impl CompactReport {
    fn note(&mut self, plan: &Plan, result: Result<Merged>) {
        let count = |result: &'static str| metrics::counter!("telelake_compact_jobs_total", "result" => result).increment(1);
        match result {
            Ok(merged) if merged.is_spared => {
                self.jobs += 1;
                self.spared += plan.inputs.len();
                count("spared");
            }
            Ok(merged) => {
                let bytes_out: u64 = merged.outputs.iter().map(|file| file.bytes).sum();
                self.jobs += 1;
                self.files_in += plan.inputs.len();
                self.files_out += merged.outputs.len();
                self.rows_in += merged.rows_in;
                self.duplicates += merged.duplicates;
                self.deleted += merged.deleted;
                self.bytes_in += plan.bytes();
                self.bytes_out += bytes_out;
                count("ok");
                let table = plan.table.name();
                metrics::counter!("telelake_compact_rows_total", "table" => table).increment(merged.rows_in);
                metrics::counter!("telelake_compact_duplicates_total", "table" => table).increment(merged.duplicates);
                metrics::counter!("telelake_compact_deleted_total", "table" => table).increment(merged.deleted);
                metrics::counter!("telelake_compact_read_bytes_total", "table" => table).increment(plan.bytes());
                metrics::counter!("telelake_compact_written_bytes_total", "table" => table).increment(bytes_out);
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.conflicts += 1;
                count("conflict");
                tracing::debug!(tenant = %plan.tenant, table = %plan.table, %error, "compaction lost a race");
            }
            Err(error) => {
                count("failed");
                let partition = plan.partition.path();
                tracing::warn!(tenant = %plan.tenant, table = %plan.table, partition, %error, "compaction failed");
                self.failures.push(format!("{} {} {partition}: {error}", plan.tenant, plan.table));
            }
        }
    }

    /// Adds what a later pass did.
    pub fn add(&mut self, pass: Self) {
        self.jobs += pass.jobs;
        self.conflicts += pass.conflicts;
        self.failures.extend(pass.failures);
        self.remaining = pass.remaining;
        self.files_in += pass.files_in;
        self.files_out += pass.files_out;
        self.rows_in += pass.rows_in;
        self.duplicates += pass.duplicates;
        self.deleted += pass.deleted;
        self.spared += pass.spared;
        self.deletes_forgotten += pass.deletes_forgotten;
        self.bytes_in += pass.bytes_in;
        self.bytes_out += pass.bytes_out;
    }
}
