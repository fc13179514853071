//! From lines to samples: what a leaf takes from a line that has come through the pipeline.
//!
//! ```text
//! Line ─► 1, length or a label's value ─► filters after unwrap ─► labels that stay ─► series of the leaf
//! ```
//! Source: Loki `pkg/logql/log/metrics_extraction.go`.

use crate::ast::{Conversion, LabelFilter, RangeOp, Unwrap};
use crate::labels::{self as line, PipelineError};
use crate::pipeline::{CompileError, GroupBy, Groups, Hints, LabelPredicate};
use crate::units::{parse_bytes, parse_float, parse_go_duration};

use super::grid::StepGrid;
use super::labels::Labels;
use super::leaf::{GroupId, LeafState};
use super::plan::Leaf;

/// How a leaf makes a number of a line. Compiled once, shared.
#[derive(Debug, Clone)]
pub struct SampleExtractor {
    value: Take,
    post_filters: Vec<LabelPredicate>,
    group_by: GroupBy,
    hints: Hints,
}

#[derive(Debug, Clone)]
enum Take {
    One,
    Length,
    Label(Conversion, String),
}

impl SampleExtractor {
    /// The extractor of a leaf.
    ///
    /// # Errors
    /// A filter behind `unwrap` that cannot be built, as a stage of the pipeline.
    pub fn new(leaf: &Leaf) -> Result<Self, CompileError> {
        let unwrap = leaf.range.unwrap.as_ref();
        let post_filters = unwrap.map_or(&[][..], |u| &u.post_filters);
        let value = match (unwrap, leaf.op) {
            (Some(unwrap), _) => Take::Label(unwrap.conversion, unwrap.label.clone()),
            (None, RangeOp::BytesOverTime | RangeOp::BytesRate) => Take::Length,
            (None, _) => Take::One,
        };
        let group_by = group_by(leaf);
        // what is absent has no labels, but its lines may have errors, which parsers find
        let hints = if leaf.op == RangeOp::AbsentOverTime { Hints::all() } else { hints(&group_by, unwrap) };
        let post_filters = post_filters.iter().map(LabelPredicate::new).collect::<Result<_, _>>()?;
        Ok(SampleExtractor { value, post_filters, group_by, hints })
    }

    /// The labels that the pipeline has to find for this.
    pub fn hints(&self) -> Hints {
        self.hints.clone()
    }

    /// Whether the text of a line counts, and not only that it is there.
    pub fn takes_text(&self) -> bool {
        matches!(self.value, Take::Length)
    }

    /// Whether a sample depends on nothing but that there is a line, and how long it is: runs of lines that have equal labels can then be
    /// read as one ([`LeafReader::read_run`]).
    pub fn is_count(&self) -> bool {
        matches!(self.value, Take::One | Take::Length) && self.post_filters.is_empty()
    }

    /// The labels that samples keep.
    pub fn group_by(&self) -> &GroupBy {
        &self.group_by
    }

    /// The sample of a line that has come through the pipeline. A line without the label, or that a filter drops, has none; a value that is
    /// no quantity is 0 and an error in the labels.
    pub fn extract(&self, text: &str, labels: &mut line::Labels) -> Option<f64> {
        let value = match &self.value {
            Take::One => 1.0,
            Take::Length => text.len() as f64,
            Take::Label(conversion, label) => {
                let text = labels.get(label).filter(|text| !text.is_empty())?;
                match converted(*conversion, text) {
                    Ok(value) => value,
                    Err(details) => {
                        labels.set_error(PipelineError::SampleExtraction, &details);
                        0.0
                    }
                }
            }
        };
        self.post_filters.iter().all(|filter| filter.matches(labels)).then_some(value)
    }
}

fn converted(conversion: Conversion, text: &str) -> Result<f64, String> {
    match conversion {
        Conversion::Float => parse_float(text),
        Conversion::Bytes => parse_bytes(text).map(|size| size as f64),
        Conversion::Duration | Conversion::DurationSeconds => parse_go_duration(text).map(|ns| ns as f64 / 1e9),
    }
}

/// The label that was unwrapped goes, unless it is one of those to keep.
fn group_by(leaf: &Leaf) -> GroupBy {
    let unwrapped = leaf.range.unwrap.as_ref().map(|u| u.label.clone());
    match (&leaf.grouping, unwrapped) {
        (None, _) if leaf.op == RangeOp::AbsentOverTime => GroupBy::By(Vec::new()),
        (Some(grouping), _) if !grouping.without => GroupBy::By(grouping.labels.clone()),
        (Some(grouping), unwrapped) => GroupBy::Without(grouping.labels.iter().cloned().chain(unwrapped).collect()),
        (None, Some(unwrapped)) => GroupBy::Without(vec![unwrapped]),
        (None, None) => GroupBy::All,
    }
}

fn hints(group_by: &GroupBy, unwrap: Option<&Unwrap>) -> Hints {
    let GroupBy::By(labels) = group_by else { return Hints::all() };
    let mut wanted = labels.clone();
    if let Some(unwrap) = unwrap {
        wanted.push(unwrap.label.clone());
        unwrap.post_filters.iter().for_each(|filter| names(filter, &mut wanted));
    }
    Hints::only(wanted)
}

fn names(filter: &LabelFilter, out: &mut Vec<String>) {
    match filter {
        LabelFilter::String(matcher) => out.push(matcher.name.clone()),
        LabelFilter::Number { name, .. }
        | LabelFilter::Duration { name, .. }
        | LabelFilter::Bytes { name, .. }
        | LabelFilter::Ip { name, .. } => out.push(name.clone()),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            names(left, out);
            names(right, out);
        }
    }
}

/// Lines of a part of the data on their way into a leaf.
#[derive(Debug)]
pub struct LeafReader {
    extractor: SampleExtractor,
    groups: Groups,
    /// What the state calls each of `groups`.
    ids: Vec<GroupId>,
    state: LeafState,
}

impl LeafReader {
    /// Nothing read yet.
    pub fn new(leaf: &Leaf, extractor: SampleExtractor, grid: StepGrid) -> Self {
        let groups = Groups::new(extractor.group_by.clone());
        LeafReader { extractor, groups, ids: Vec::new(), state: LeafState::new(leaf, grid) }
    }

    /// Takes the sample of a line at `time_ns` that has come through the pipeline, if it has one.
    pub fn read(&mut self, time_ns: i64, text: &str, labels: &mut line::Labels) {
        if let Some(value) = self.extractor.extract(text, labels) {
            let group = self.group(labels);
            self.state.add(group, time_ns, value);
        }
    }

    /// As [`LeafReader::read`] of one line at each of `times_ns`, which ascend. All of them have these labels; `lengths` are those of their
    /// texts, wanted if the texts are ([`SampleExtractor::takes_text`]).
    ///
    /// # Panics
    /// If the samples are no counts ([`SampleExtractor::is_count`]).
    pub fn read_run(&mut self, times_ns: &[i64], lengths: Option<&[u32]>, labels: &line::Labels) {
        debug_assert!(self.extractor.is_count() && lengths.is_some() == self.extractor.takes_text());
        if !times_ns.is_empty() {
            let group = self.group(labels);
            self.state.add_run(group, times_ns, lengths);
        }
    }

    /// As [`LeafReader::read`] of lines with these labels between `first_ns` and `last_ns`, all seen by the same windows
    /// ([`LeafState::is_one_pane`]). `total` is how many they are, or how many bytes their texts have if these are wanted.
    pub fn read_total(&mut self, first_ns: i64, last_ns: i64, total: u64, labels: &line::Labels) {
        debug_assert!(self.extractor.is_count() && self.state.is_one_pane(first_ns, last_ns));
        let group = self.group(labels);
        self.state.add(group, first_ns, total as f64);
    }

    fn group(&mut self, labels: &line::Labels) -> GroupId {
        let number = self.groups.group(labels);
        if let Some(id) = self.ids.get(number.0 as usize) {
            return *id;
        }
        let labels: Labels = self.groups.labels(number).map(|(name, value, _)| (name, value)).collect();
        let id = self.state.group(&labels);
        self.ids.push(id);
        id
    }

    /// How many sets of labels have been met: what a limit of series is held against.
    pub fn groups_len(&self) -> usize {
        self.ids.len()
    }

    /// What was read.
    pub fn state(&self) -> &LeafState {
        &self.state
    }

    /// What was read, for merging.
    pub fn into_state(self) -> LeafState {
        self.state
    }
}
