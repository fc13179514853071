//! Arithmetic and comparisons of two vectors: which series meet, and what labels the result has.
//!
//! One side is the side of "many", the other one of "one"; with `group_right` they are swapped, so that here the many are always first.
//! Of one group the side of one may have one series at a time; different ones may take turns from step to step.

use std::collections::{HashMap, HashSet};

use super::element::{Note, Outcome, Value, element};
use super::{VectorBinary, changes_metric};
use crate::ast::{Cardinality, VectorMatching};
use crate::eval::{EvalContext, EvalError};
use crate::labels::{Labels, NAME};
use crate::value::{Grid, Sample, StepSeries};

/// The labels by which series find each other.
pub(super) fn signature(matching: &VectorMatching, labels: &Labels) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on { labels.without(|name| !listed(name)) } else { labels.without(|name| name == NAME || listed(name)) }
}

/// Series that may meet: numbers of series of both sides.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// A result: the series, where a pair was seen (which need not give a value), and whose pair made it first.
struct Slot {
    series: StepSeries,
    met: Vec<bool>,
    first: usize,
}

pub(super) struct Matching<'a> {
    op: &'a VectorBinary,
    grid: Grid,
    many: &'a [StepSeries],
    one: &'a [StepSeries],
    swapped: bool,
    /// Where nothing can come out, whatever is there: one side has nothing at all and nothing is filled in.
    idle: Vec<bool>,
    /// The last thing to say at each step, and how late it comes in the step.
    notes: Vec<Option<(usize, Note)>>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(op: &'a VectorBinary, grid: Grid, left: &'a [StepSeries], right: &'a [StepSeries]) -> Self {
        let swapped = op.matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let filled = op.matching.fill_left.is_some() || op.matching.fill_right.is_some();
        let there = |side: &[StepSeries], at: usize| side.iter().any(|s| s.sample(at).is_some());
        let busy = |at: usize| filled || (there(many, at) && there(one, at));
        let idle = (0..grid.len()).map(|at| !busy(at)).collect();
        Self { op, grid, many, one, swapped, idle, notes: Vec::new() }
    }

    pub(super) fn apply(mut self, cx: &mut EvalContext<'_>) -> Result<Vec<StepSeries>, EvalError> {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = |series: &StepSeries| {
            *numbers.entry(signature(&self.op.matching, &series.labels)).or_insert_with(|| {
                groups.push(Group::default());
                groups.len() - 1
            })
        };
        let many: Vec<usize> = self.many.iter().map(&mut group_of).collect();
        let one: Vec<usize> = self.one.iter().map(&mut group_of).collect();
        many.iter().enumerate().for_each(|(series, group)| groups[*group].many.push(series));
        one.iter().enumerate().for_each(|(series, group)| groups[*group].one.push(series));

        let mut out: Vec<(usize, StepSeries)> = Vec::new();
        for group in &groups {
            cx.tick()?;
            self.group(group, &mut out)?;
        }
        out.sort_by_key(|(first, _)| *first);
        for (_, note) in std::mem::take(&mut self.notes).into_iter().flatten() {
            note.add(self.op.span, cx);
        }
        Ok(out.into_iter().map(|(_, series)| series).collect())
    }

    fn group(&mut self, group: &Group, out: &mut Vec<(usize, StepSeries)>) -> Result<(), EvalError> {
        let partners = self.partners(group)?;
        let matching = &self.op.matching;
        let (fill_one, fill_many) = (matching.fill_right, matching.fill_left);
        if (group.many.is_empty() && fill_many.is_none()) || (group.one.is_empty() && fill_one.is_none()) {
            return Ok(());
        }
        if self.plain(group, out) {
            return Ok(());
        }
        let mut results = Results::default();
        for many in &group.many {
            let series = &self.many[*many];
            for (at, partner) in partners.iter().enumerate() {
                let Some(sample) = series.sample(at).filter(|_| !self.idle[at]) else { continue };
                match (*partner, fill_one) {
                    (Some(one), _) => {
                        let other = self.one[one].sample(at);
                        self.pair(&mut results, at, (Some(*many), sample), (Some(one), other.unwrap_or(sample)), *many)?;
                    }
                    (None, Some(fill)) => {
                        self.pair(&mut results, at, (Some(*many), sample), (None, Sample::Float(fill)), *many)?
                    }
                    (None, None) => {}
                }
            }
        }
        if let Some(fill) = fill_many {
            for one in &group.one {
                let series = &self.one[*one];
                for at in (0..self.grid.len()).filter(|at| !results.met(*at)).collect::<Vec<_>>() {
                    if let Some(sample) = series.sample(at) {
                        let order = self.many.len() + one;
                        self.pair(&mut results, at, (None, Sample::Float(fill)), (Some(*one), sample), order)?;
                    }
                }
            }
        }
        out.extend(results.slots.into_iter().filter(|s| !s.series.is_empty()).map(|s| (s.first, s.series)));
        Ok(())
    }

    /// Which series of the side of one is there at each step.
    fn partners(&self, group: &Group) -> Result<Vec<Option<usize>>, EvalError> {
        let mut partners: Vec<Option<usize>> = vec![None; self.grid.len()];
        for number in &group.one {
            let series = &self.one[*number];
            for at in (0..self.grid.len()).filter(|at| !self.idle[*at]) {
                if series.sample(at).is_none() {
                    continue;
                }
                if let Some(before) = partners[at].replace(*number) {
                    return Err(self.duplicate(&self.one[before].labels, &series.labels));
                }
            }
        }
        Ok(partners)
    }

    /// Two series of one group on the side of one.
    fn duplicate(&self, a: &Labels, b: &Labels) -> EvalError {
        let side = if self.swapped { "left" } else { "right" };
        let group = signature(&self.op.matching, a);
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        EvalError::failed(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{first}, {second}]\
             ;many-to-many matching not allowed: matching labels must be unique on one side"
        ))
    }

    /// Floats alone, one series on the side of one, results that do not meet, nothing filled in: nearly always. Says whether it is that.
    fn plain(&self, group: &Group, out: &mut Vec<(usize, StepSeries)>) -> bool {
        let matching = &self.op.matching;
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        let (Some(apply), [one]) = (super::arithmetic(self.op.op), &group.one[..]) else { return false };
        let one = &self.one[*one];
        let has_histograms = one.histograms.is_some() || group.many.iter().any(|m| self.many[*m].histograms.is_some());
        if filled || has_histograms || (group.many.len() > 1 && matching.cardinality == Cardinality::OneToOne) {
            return false;
        }
        let labels: Vec<Labels> = group.many.iter().map(|m| self.result_labels(&self.many[*m].labels, &one.labels)).collect();
        if labels.iter().collect::<HashSet<_>>().len() < labels.len() {
            return false;
        }
        let filters = super::is_comparison(self.op.op) && !self.op.return_bool;
        for (many, labels) in group.many.iter().zip(labels) {
            let mut series = self.result(labels);
            let side = &self.many[*many];
            for at in (0..self.grid.len()).filter(|at| side.present[*at] && one.present[*at]) {
                let (left, right) = self.sides(side.floats[at], one.floats[at]);
                let value = apply(left, right);
                if !filters {
                    series.set_float(at, value);
                } else if value != 0.0 {
                    series.set_float(at, left);
                }
            }
            if !series.is_empty() {
                out.push((*many, series));
            }
        }
        true
    }

    /// A result without values.
    fn result(&self, labels: Labels) -> StepSeries {
        let drop_name = self.op.return_bool && self.op.names == super::Names::Late;
        StepSeries { drop_name, ..StepSeries::empty(labels, self.grid.len()) }
    }

    /// Left and right, from many and one.
    fn sides<T>(&self, many: T, one: T) -> (T, T) {
        if self.swapped { (one, many) } else { (many, one) }
    }

    /// One pair at one step. Numbers are `None` for what is filled in.
    fn pair(
        &mut self,
        results: &mut Results,
        at: usize,
        (many, many_sample): (Option<usize>, Sample<'_>),
        (one, one_sample): (Option<usize>, Sample<'_>),
        order: usize,
    ) -> Result<(), EvalError> {
        let (left, right) = self.sides(many_sample, one_sample);
        let Outcome { value, keep, refusal, warning, info } = element(self.op.op, left, right);
        if let Some(note) = refusal.or(warning) {
            self.note(at, order, note);
            return Ok(());
        }
        if let Some(note) = info {
            self.note(at, order, note);
        }
        let place = results.place(many, one, || self.slot(many, one, order));
        let steps = self.grid.len();
        if self.op.matching.cardinality == Cardinality::OneToOne {
            if results.met(at) {
                return Err(EvalError::failed(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        } else if results.slots[place].met.get(at).copied().unwrap_or(false) {
            return Err(EvalError::failed("multiple matches for labels: grouping labels must ensure unique matches"));
        }
        results.meet(place, at, steps);
        let value = if self.op.return_bool { Some(Value::Float(f64::from(u8::from(keep)))) } else { value.filter(|_| keep) };
        if let Some(value) = value {
            value.put(&mut results.slots[place].series, at);
        }
        Ok(())
    }

    fn note(&mut self, at: usize, order: usize, note: Note) {
        if self.notes.is_empty() {
            self.notes.resize(self.grid.len(), None);
        }
        if self.notes[at].as_ref().is_none_or(|(before, _)| *before <= order) {
            self.notes[at] = Some((order, note));
        }
    }

    fn slot(&self, many: Option<usize>, one: Option<usize>, order: usize) -> Slot {
        let labels_of = |series: &StepSeries| series.labels.clone();
        let stand_in = |series: &StepSeries| signature(&self.op.matching, &series.labels);
        let (many_labels, one_labels) = match (many, one) {
            (Some(many), Some(one)) => (labels_of(&self.many[many]), labels_of(&self.one[one])),
            (Some(many), None) => (labels_of(&self.many[many]), stand_in(&self.many[many])),
            (None, Some(one)) => (stand_in(&self.one[one]), labels_of(&self.one[one])),
            (None, None) => (Labels::default(), Labels::default()),
        };
        Slot { series: self.result(self.result_labels(&many_labels, &one_labels)), met: Vec::new(), first: order }
    }

    /// The labels of a pair's result: those of the many, less the name if it lost its meaning, less what does not match, with what
    /// `group_left` takes from the one.
    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let matching = &self.op.matching;
        let drops = changes_metric(self.op.op) || (self.op.return_bool && self.op.names == super::Names::Now);
        let mut labels = if drops { many.without_metadata() } else { many.clone() };
        if matching.cardinality == Cardinality::OneToOne {
            let listed = |name: &str| matching.labels.iter().any(|l| l == name);
            labels = labels.without(|name| listed(name) != matching.on);
        }
        for name in &matching.include {
            labels = labels.with(name, one.get(name));
        }
        labels
    }
}

/// The results of one group.
#[derive(Default)]
struct Results {
    slots: Vec<Slot>,
    /// The slot of each pair.
    of_pair: HashMap<(Option<usize>, Option<usize>), usize>,
    of_labels: HashMap<Labels, usize>,
    /// At which steps a pair was seen.
    met: Vec<bool>,
}

impl Results {
    fn place(&mut self, many: Option<usize>, one: Option<usize>, make: impl FnOnce() -> Slot) -> usize {
        if let Some(place) = self.of_pair.get(&(many, one)) {
            return *place;
        }
        let slot = make();
        let place = *self.of_labels.entry(slot.series.labels.clone()).or_insert_with(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        self.of_pair.insert((many, one), place);
        place
    }

    fn met(&self, at: usize) -> bool {
        self.met.get(at).copied().unwrap_or(false)
    }

    fn meet(&mut self, place: usize, at: usize, steps: usize) {
        self.met.resize(steps, false);
        self.met[at] = true;
        let slot = &mut self.slots[place];
        slot.met.resize(steps, false);
        slot.met[at] = true;
    }
}
