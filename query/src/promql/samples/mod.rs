//! Samples and histograms of selected series, out of files and fresh rows, from memory wherever a query has read them before.
//!
//! ```text
//! matchers ─[resolve]─► series ─[selection]─► units: row groups, fresh batches ─[cache]─► blocks ─[merge]─► RawSeries
//! ```
//! A [`block`] is what one row group or one batch in memory decodes to. [`selection`] decides which are read for which series.
//!
//! # Invariants
//! - Of two samples of a series at one time the one written last counts: fresh rows over files, lower levels over higher, newer files
//!   over older. A histogram counts over a float.
//! - A query whose blocks are in memory reads no file, not even a footer.

mod block;
mod cache;
mod histograms;
mod merge;
mod native;
mod resolve;
mod selection;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use catalog::{SnapshotId, TimeRange, Timestamp};
use datafusion::execution::memory_pool::MemoryReservation;
use promql::ast::Matcher;
use promql::eval::Select;
use promql::labels::Labels;
use promql::value::RawSeries;

pub(crate) use cache::SampleCache;
pub(crate) use resolve::{Layout, SelectionCache};
pub(crate) use selection::{Chunk, Selection};

use super::error::{Error, Result};
use crate::run::Ticket;
use crate::view::View;

/// A series that a selector selects.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    /// Its id.
    sid: i64,
    /// Its labels.
    labels: Labels,
    /// What was deleted of it, ascending by snapshot.
    deleted: Box<[Deleted]>,
}

/// Rows of a series that are deleted from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deleted {
    /// Files up to that snapshot are meant.
    since: SnapshotId,
    /// First time.
    from_ms: i64,
    /// Last time.
    to_ms: i64,
}

/// Samples that are put together between two looks at the clock.
const BATCH_SAMPLES: usize = 1 << 18;

/// Times of the first and the last row of a batch of fresh rows.
pub(crate) fn batch_times(batch: &RecordBatch) -> Option<TimeRange> {
    let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMillisecondType>()?.values();
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    Some(TimeRange::new(Timestamp::from_millis(*first), Timestamp::from_millis(*last)))
}

/// Memory of a series.
pub(crate) fn memory_of(series: &RawSeries) -> usize {
    let columns = series.times_ms.capacity() + series.floats.capacity() + series.starts_ms.capacity();
    size_of::<RawSeries>() + columns * 8 + series.histograms.iter().map(histograms::bytes_of).sum::<usize>()
}

/// What the node keeps of samples between queries.
#[derive(Debug)]
pub(crate) struct Samples {
    blocks: Arc<SampleCache>,
    selections: SelectionCache,
}

impl Samples {
    /// Keeps up to `bytes`, an eighth of it for label sets.
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { blocks: SampleCache::new(bytes - bytes / 8), selections: SelectionCache::new(bytes / 8) })
    }

    /// Decides what `select` reads of `view`, of series that are there in `scope`, which holds the time that is read.
    ///
    /// # Errors
    /// More series than `series_max`; limits on files; the lake's.
    pub(crate) async fn select(
        &self,
        view: &Arc<View>,
        select: &Select,
        scope: TimeRange,
        series_max: u64,
    ) -> Result<Arc<Selection>> {
        let found = self.selections.resolve(view, &select.matchers, scope, series_max).await?;
        Ok(Arc::new(Selection::new(Arc::clone(view), Arc::clone(&self.blocks), found.series, select).await?))
    }

    /// How the series of `view` in `scope` that pass `matchers` are shared out.
    ///
    /// # Errors
    /// As [`Samples::select`].
    pub(crate) async fn layout(
        &self,
        view: &Arc<View>,
        matchers: &[Matcher],
        scope: TimeRange,
        series_max: u64,
    ) -> Result<Layout> {
        Ok(self.selections.resolve(view, matchers, scope, series_max).await?.layout)
    }

    /// Everything that `select` reads of `view`, ascending by labels. Memory is taken from `reservation`.
    ///
    /// # Errors
    /// As [`Samples::select`]; [`Error::Samples`] for more than `samples_max`; out of memory; the end of `ticket`.
    pub(crate) async fn read(
        &self,
        view: &Arc<View>,
        select: &Select,
        limits: (u64, u64),
        reservation: &MemoryReservation,
        ticket: &Ticket,
    ) -> Result<Vec<RawSeries>> {
        let (series_max, samples_max) = limits;
        let time = TimeRange::new(Timestamp::from_millis(select.from_ms), Timestamp::from_millis(select.to_ms));
        let selection = self.select(view, select, time, series_max).await?;
        let pinned = reservation.new_empty();
        let (mut out, mut samples) = (Vec::new(), 0);
        for at in 0..selection.chunks() {
            let mut chunk = selection.chunk(at, &pinned, ticket).await?;
            loop {
                let part = chunk.next(BATCH_SAMPLES);
                ticket.check()?;
                if part.is_empty() {
                    break;
                }
                samples += part.iter().map(|one| (one.floats.len() + one.histograms.len()) as u64).sum::<u64>();
                if samples > samples_max {
                    return Err(Error::Samples { limit: samples_max });
                }
                reservation.try_grow(part.iter().map(memory_of).sum())?;
                out.extend(part);
            }
            pinned.free();
        }
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }
}
