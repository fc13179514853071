//! Rows through the stages of a query, batch by batch.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use hashbrown::HashMap;
use logql::pipeline::{Line, Pipeline, StreamPipeline};

use super::error::{Error, Result};
use super::metadata::{Pairs, Reader, Resources};
use super::streams::Streams;

/// Streams whose buffers are kept by one partition. Files are sorted by stream, so that few are in use at a time.
const KEPT_STREAMS_MAX: usize = 1_024;

/// What every partition of a query shares.
#[derive(Debug)]
pub(super) struct Stages {
    pub(super) pipeline: Pipeline,
    pub(super) streams: Arc<Streams>,
    pub(super) resources: Resources,
}

/// One partition's way through the stages.
#[derive(Debug)]
pub(super) struct Runner {
    stages: Arc<Stages>,
    pipelines: HashMap<usize, StreamPipeline>,
    pairs: Pairs,
    /// What was done so far.
    pub(super) tally: Tally,
}

/// Counts of rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// Lines that passed all filters.
    pub(super) kept: u64,
    /// Bytes of structured metadata that was read.
    pub(super) metadata_bytes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.kept += other.kept;
        self.metadata_bytes += other.metadata_bytes;
    }
}

/// The row that a line comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Place in the batch.
    pub(super) at: usize,
    pub(super) ts_ns: i64,
    /// Orders lines of one time as they arrived; 0 when it was not read.
    pub(super) seq: i64,
}

impl Runner {
    pub(super) fn new(stages: Arc<Stages>) -> Self {
        Self { stages, pipelines: HashMap::new(), pairs: Pairs::default(), tally: Tally::default() }
    }

    /// Calls `each` with every line of `batch` that passes the stages; rows whose time `is_wanted` refuses are not looked at.
    ///
    /// # Errors
    /// Those of `each`; a batch without the columns of a line.
    pub(super) fn run<S>(
        &mut self,
        batch: &RecordBatch,
        sink: &mut S,
        is_wanted: impl Fn(&S, i64) -> bool,
        mut each: impl FnMut(&mut S, Row, Line<'_>) -> Result<()>,
    ) -> Result<()> {
        let missing = || Error::Query(crate::Error::Internal { message: "lines lack a column".to_owned() });
        let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
        let ids = column("stream_id")?.as_primitive_opt::<Int64Type>().ok_or_else(missing)?.values();
        let times = column("ts")?.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(missing)?.values();
        // Absent when no stage looks at the line.
        let bodies = batch.column_by_name("body").and_then(|bodies| bodies.as_string_opt::<i32>());
        let seqs = batch.column_by_name("seq").and_then(|seqs| seqs.as_primitive_opt::<Int64Type>());
        let Self { stages, pipelines, pairs, tally } = self;
        let metadata = Reader::new(batch, &stages.resources);
        let mut row = 0;
        while row < batch.num_rows() {
            // Rows of one stream stand side by side in files.
            let run = ids[row..].iter().take_while(|id| **id == ids[row]).count();
            let rows = row..row + run;
            row += run;
            let Some(place) = stages.streams.place(ids[rows.start]) else { continue };
            if pipelines.len() >= KEPT_STREAMS_MAX && !pipelines.contains_key(&place) {
                pipelines.clear();
            }
            let pipeline = pipelines.entry(place).or_insert_with(|| stages.pipeline.stream(stages.streams.list[place].labels()));
            let stream = &stages.streams.list[place];
            for at in rows {
                let ts_ns = times[at];
                if !is_wanted(sink, ts_ns) {
                    continue;
                }
                metadata.read(at, |name| stream.label(name).is_some(), pairs);
                tally.metadata_bytes += pairs.bytes() as u64;
                let seq = seqs.map_or(0, |seqs| seqs.value(at));
                if let Some(line) = pipeline.process(ts_ns, bodies.map_or("", |bodies| bodies.value(at)), pairs.iter()) {
                    tally.kept += 1;
                    each(sink, Row { at, ts_ns, seq }, line)?;
                }
            }
        }
        Ok(())
    }
}
