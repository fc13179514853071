//! Series with a value at some steps.

use super::labels::Labels;

/// One value per step, or none.
#[derive(Debug, Clone)]
pub struct Steps {
    values: Vec<f64>,
    /// Bit `i % 64` of word `i / 64`: whether step `i` has a value.
    present: Vec<u64>,
}

impl Steps {
    /// No values at `len` steps.
    pub fn none(len: usize) -> Self {
        Steps { values: vec![0.0; len], present: vec![0; len.div_ceil(64)] }
    }

    /// The same value at all of `len` steps.
    pub fn constant(len: usize, value: f64) -> Self {
        let mut steps = Steps::none(len);
        (0..len).for_each(|at| steps.set(at, value));
        steps
    }

    /// How many steps, with and without values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no step has a value.
    pub fn is_empty(&self) -> bool {
        self.present.iter().all(|word| *word == 0)
    }

    /// Whether step `at` has a value.
    pub fn has(&self, at: usize) -> bool {
        self.present[at / 64] >> (at % 64) & 1 == 1
    }

    /// The value at step `at`.
    pub fn get(&self, at: usize) -> Option<f64> {
        self.has(at).then(|| self.values[at])
    }

    /// Sets the value at step `at`.
    pub fn set(&mut self, at: usize, value: f64) {
        self.values[at] = value;
        self.present[at / 64] |= 1 << (at % 64);
    }

    /// Takes the value at step `at` away.
    pub fn clear(&mut self, at: usize) {
        self.present[at / 64] &= !(1 << (at % 64));
    }

    /// Steps that have values, ascending, with them.
    pub fn iter(&self) -> impl Iterator<Item = (usize, f64)> {
        (0..self.len()).filter_map(|at| self.get(at).map(|value| (at, value)))
    }
}

/// A series with a value at some steps.
#[derive(Debug, Clone)]
pub struct StepSeries {
    /// Whose.
    pub labels: Labels,
    /// The values.
    pub steps: Steps,
}
