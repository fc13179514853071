//! Rows through the stages of a query, batch by batch.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use hashbrown::HashMap;
use logql::pipeline::{Line, Pipeline, StreamPipeline};

use super::error::{Error, Result};
use super::metadata::{LEVEL_LABEL, Pairs, Reader};
use super::resources::Resources;
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
    alike: Alike,
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

/// Times and lengths of lines of one stream and level, by time.
#[derive(Debug, Default)]
struct Alike {
    lines: Vec<(i64, u32)>,
    times_ns: Vec<i64>,
    lengths: Vec<u32>,
}

impl Alike {
    fn sort(&mut self) {
        if !self.lines.is_sorted_by_key(|(ts_ns, _)| *ts_ns) {
            self.lines.sort_unstable_by_key(|(ts_ns, _)| *ts_ns);
        }
        self.times_ns.clear();
        self.times_ns.extend(self.lines.iter().map(|(ts_ns, _)| *ts_ns));
        self.lengths.clear();
        self.lengths.extend(self.lines.iter().map(|(_, length)| *length));
        self.lines.clear();
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
        Self { stages, pipelines: HashMap::new(), pairs: Pairs::default(), alike: Alike::default(), tally: Tally::default() }
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
        let Self { stages, pipelines, pairs, tally, .. } = self;
        let metadata = Reader::new(batch, &stages.resources);
        let mut row = 0;
        while row < batch.num_rows() {
            // Rows of one stream stand side by side in files.
            let run = ids[row..].iter().take_while(|id| **id == ids[row]).count();
            let rows = row..row + run;
            row += run;
            let Some(place) = stages.streams.place(ids[rows.start]) else { continue };
            let pipeline = of_stream(pipelines, stages, place);
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

    /// As [`Runner::run`] where no stage looks at lines: calls `each` with the times of lines of one stream and level, ascending, and with
    /// their lengths, 0 without texts. `false`, and nothing is done, if rows of `batch` have more metadata than a level.
    ///
    /// # Errors
    /// A batch without the columns of a line.
    pub(super) fn run_alike(&mut self, batch: &RecordBatch, mut each: impl FnMut(&[i64], &[u32], Line<'_>)) -> Result<bool> {
        let stages = Arc::clone(&self.stages);
        let metadata = Reader::new(batch, &stages.resources);
        if !stages.pipeline.is_empty() {
            return Ok(false);
        }
        if !metadata.is_level() {
            // Nothing fails where nothing is parsed, so no error has to say all labels.
            self.pairs.only(stages.pipeline.required_labels());
            return Ok(false);
        }
        let missing = || Error::Query(crate::Error::Internal { message: "lines lack a column".to_owned() });
        let column = |name: &str| batch.column_by_name(name).ok_or_else(missing);
        let ids = column("stream_id")?.as_primitive_opt::<Int64Type>().ok_or_else(missing)?.values();
        let times = column("ts")?.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(missing)?.values();
        let bodies = batch.column_by_name("body").and_then(|bodies| bodies.as_string_opt::<i32>());
        let length = |row: usize| bodies.map_or(0, |bodies| bodies.value_length(row).unsigned_abs());
        let mut row = 0;
        while row < batch.num_rows() {
            let level = metadata.level(row);
            let start = row;
            while row < batch.num_rows() && ids[row] == ids[start] && metadata.level(row) == level {
                self.alike.lines.push((times[row], length(row)));
                row += 1;
            }
            let Some(place) = stages.streams.place(ids[start]) else {
                self.alike.lines.clear();
                continue;
            };
            let mut alike = std::mem::take(&mut self.alike);
            alike.sort();
            self.alike(place, level, alike.times_ns.len(), |line| each(&alike.times_ns, &alike.lengths, line));
            self.alike = alike;
        }
        Ok(true)
    }

    /// The place of a stream that is wanted.
    pub(super) fn place(&self, id: i64) -> Option<usize> {
        self.stages.streams.place(id)
    }

    /// Calls `each` with one of `lines` lines of the stream at `place` that have this level as their only metadata, or none, and nothing
    /// that a stage looks at.
    pub(super) fn alike(&mut self, place: usize, level: Option<&str>, lines: usize, each: impl FnOnce(Line<'_>)) {
        let Self { stages, pipelines, tally, .. } = self;
        debug_assert!(stages.pipeline.is_empty(), "a stage would look at the lines");
        let metadata = level.map(|level| (LEVEL_LABEL, level));
        tally.kept += lines as u64;
        tally.metadata_bytes += metadata.map_or(0, |(name, level)| ((name.len() + level.len()) * lines) as u64);
        if let Some(line) = of_stream(pipelines, stages, place).process(0, "", metadata) {
            each(line);
        }
    }
}

/// The pipeline of the stream at `place`.
fn of_stream<'a>(pipelines: &'a mut HashMap<usize, StreamPipeline>, stages: &Stages, place: usize) -> &'a mut StreamPipeline {
    if pipelines.len() >= KEPT_STREAMS_MAX && !pipelines.contains_key(&place) {
        pipelines.clear();
    }
    pipelines.entry(place).or_insert_with(|| stages.pipeline.stream(stages.streams.list[place].labels()))
}
