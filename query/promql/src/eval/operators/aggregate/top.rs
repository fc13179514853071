//! `topk` and `bottomk`: the best of each group and step keep their labels.
//!
//! Which of several equal values is kept is decided by the heap, so it is built as Go's `container/heap` builds it. Put together from
//! parts, another one of them may be kept.

use super::{Aggregate, Blank, grow};
use crate::eval::{EvalContext, EvalError};
use crate::labels::Labels;
use crate::value::StepSeries;

#[derive(Debug, Clone)]
pub(super) struct Top {
    /// How many at each step.
    counts: Vec<usize>,
    largest: bool,
    /// All series that came.
    series: Vec<(Labels, bool)>,
    /// For each group and step the kept values, the worst first, and whose they are.
    heaps: Vec<Vec<(f64, usize)>>,
    /// How many values, over all groups and steps.
    kept: usize,
}

impl Top {
    pub(super) fn new(counts: Vec<usize>, largest: bool) -> Self {
        Self { counts, largest, series: Vec::new(), heaps: Vec::new(), kept: 0 }
    }

    /// Working memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.heaps.len() * size_of::<Vec<(f64, usize)>>() + self.kept * size_of::<(f64, usize)>()
    }

    pub(super) fn add(&mut self, op: &Aggregate, group: usize, steps: usize, series: &StepSeries, cx: &mut EvalContext<'_>) {
        grow(&mut self.heaps, group, steps, Vec::new());
        let number = self.series.len();
        self.series.push((series.labels.clone(), series.drop_name));
        for at in (0..steps).filter(|at| series.present[*at]) {
            self.offer(group * steps + at, at, (series.floats[at], number));
        }
        if series.histograms.iter().flatten().any(Option::is_some) {
            op.ignored_histogram(op.span, cx);
        }
    }

    fn offer(&mut self, heap: usize, step: usize, new: (f64, usize)) {
        let (count, largest) = (self.counts[step], self.largest);
        let heap = &mut self.heaps[heap];
        if heap.len() < count {
            heap.push(new);
            self.kept += 1;
            up(heap, largest);
        } else if let Some(worst) = heap.first().map(|w| w.0) {
            let better = if largest { worst < new.0 } else { worst > new.0 };
            if better || (worst.is_nan() && !new.0.is_nan()) {
                heap[0] = new;
                down(heap, largest);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self, map: &[usize], steps: usize) {
        let first = self.series.len();
        self.series.extend(other.series);
        for (theirs, group) in map.iter().enumerate() {
            grow(&mut self.heaps, *group, steps, Vec::new());
            for at in 0..steps {
                let mut kept = other.heaps.get(theirs * steps + at).cloned().unwrap_or_default();
                kept.sort_by_key(|(_, number)| *number);
                for (value, number) in kept {
                    self.offer(group * steps + at, at, (value, first + number));
                }
            }
        }
    }

    /// Of a single step in order: group by group, the best first. Else in the order in which series came.
    pub(super) fn finish(mut self, blank: &mut Blank<'_, '_>) -> Result<Vec<StepSeries>, EvalError> {
        let steps = blank.steps;
        let mut places: Vec<Option<usize>> = vec![None; self.series.len()];
        let mut out: Vec<StepSeries> = Vec::new();
        for (at, heap) in self.heaps.iter_mut().enumerate() {
            // Best first is: the worst of two is the one that a heap has on top.
            heap.sort_by(|a, b| match (less(b.0, a.0, self.largest), less(a.0, b.0, self.largest)) {
                (true, false) => std::cmp::Ordering::Less,
                (false, true) => std::cmp::Ordering::Greater,
                _ => std::cmp::Ordering::Equal,
            });
            for (value, number) in heap.iter() {
                let place = match places[*number] {
                    Some(place) => place,
                    None => {
                        let (labels, drop_name) = self.series[*number].clone();
                        out.push(blank.series(labels, drop_name)?);
                        *places[*number].insert(out.len() - 1)
                    }
                };
                out[place].set_float(at % steps, *value);
            }
        }
        Ok(out)
    }
}

/// Whether `a` is worse than `b`. NaN is worse than anything, NaN too.
fn less(a: f64, b: f64, largest: bool) -> bool {
    a.is_nan() || if largest { a < b } else { a > b }
}

fn up(heap: &mut [(f64, usize)], largest: bool) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if !less(heap[at].0, heap[parent].0, largest) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

fn down(heap: &mut [(f64, usize)], largest: bool) {
    let mut at = 0;
    loop {
        let left = 2 * at + 1;
        if left >= heap.len() {
            break;
        }
        let right = left + 1;
        let child = if right < heap.len() && less(heap[right].0, heap[left].0, largest) { right } else { left };
        if !less(heap[child].0, heap[at].0, largest) {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}
