//! Adding up histograms, with compensation.
//!
//! Both sides are brought to one layout: the coarser schema, the wider zero bucket (widened until its edge cuts no bucket that counts
//! something), the custom bounds that both have. What a layout change moves keeps its compensation.

use super::sides::{coarser, merged, spans_of};
use super::{Histogram, ResetHint, Side, exponential_bound};

/// One has exponential, the other custom buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incompatible;

/// What is worth saying about a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Notes {
    /// One is said to follow a reset, the other not to.
    pub reset_collision: bool,
    /// Custom bounds differed, only common ones are left.
    pub bounds_reconciled: bool,
}

impl Notes {
    /// Everything that either says.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            reset_collision: self.reset_collision || other.reset_collision,
            bounds_reconciled: self.bounds_reconciled || other.bounds_reconciled,
        }
    }
}

/// A number and what was lost of it to rounding (Kahan, Neumaier).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Exact {
    value: f64,
    lost: f64,
}

impl Exact {
    const fn of(value: f64) -> Self {
        Self { value, lost: 0.0 }
    }

    fn add(&mut self, term: f64) {
        let sum = self.value + term;
        if sum.is_infinite() {
            self.lost = 0.0;
        } else if self.value.abs() >= term.abs() {
            self.lost += (self.value - sum) + term;
        } else {
            self.lost += (term - sum) + self.value;
        }
        self.value = sum;
    }

    fn unite(&mut self, other: Self) {
        self.add(other.value);
        self.lost += other.lost;
    }

    fn get(self) -> f64 {
        if self.value.is_finite() { self.value + self.lost } else { self.value }
    }

    fn scale(&mut self, by: impl Fn(f64) -> f64) {
        self.value = by(self.value);
        self.lost = by(self.lost);
    }
}

type ExactSide = Vec<(i32, Exact)>;

/// A running sum of histograms.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSum {
    schema: i32,
    reset_hint: ResetHint,
    zero_threshold: f64,
    zero: Exact,
    count: Exact,
    sum: Exact,
    positive: ExactSide,
    negative: ExactSide,
    bounds: Vec<f64>,
    custom: bool,
}

impl HistogramSum {
    /// Memory it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let buckets = self.positive.len() + self.negative.len();
        size_of::<Self>() + buckets * size_of::<(i32, Exact)>() + self.bounds.len() * size_of::<f64>()
    }

    /// A sum of one.
    pub fn new(first: &Histogram) -> Self {
        let exact = |side: Side| side.0.into_iter().map(|(index, count)| (index, Exact::of(count))).collect();
        Self {
            schema: first.schema,
            reset_hint: first.reset_hint,
            zero_threshold: first.zero_threshold,
            zero: Exact::of(first.zero_count),
            count: Exact::of(first.count),
            sum: Exact::of(first.sum),
            positive: exact(first.positive()),
            negative: exact(first.negative()),
            bounds: first.custom_bounds.clone(),
            custom: first.is_custom(),
        }
    }

    /// Adds `other`.
    ///
    /// # Errors
    /// [`Incompatible`]; the sum is as it was.
    pub fn add(&mut self, other: &Histogram) -> Result<Notes, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Takes `other` away.
    ///
    /// # Errors
    /// [`Incompatible`]; the sum is as it was.
    pub fn sub(&mut self, other: &Histogram) -> Result<Notes, Incompatible> {
        self.combine(other, -1.0)
    }

    /// The sum so far; empty buckets are still in it.
    pub fn value(&self) -> Histogram {
        let counts = |side: &ExactSide| side.iter().map(|(_, count)| count.get()).collect();
        let spans = |side: &ExactSide| spans_of(side.iter().map(|(index, _)| *index));
        Histogram {
            schema: self.schema,
            reset_hint: self.reset_hint,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.get(),
            count: self.count.get(),
            sum: self.sum.get(),
            positive_spans: spans(&self.positive),
            positive_counts: counts(&self.positive),
            negative_spans: spans(&self.negative),
            negative_counts: counts(&self.negative),
            custom_bounds: self.bounds.clone(),
        }
    }

    /// Whether a number in it has overflowed.
    pub fn is_infinite(&self) -> bool {
        let sides = self.positive.iter().chain(&self.negative).map(|(_, count)| count);
        sides.chain([&self.zero, &self.count, &self.sum]).any(|number| number.value.is_infinite())
    }

    /// Every number through `by`, which must be linear.
    pub fn scale(&mut self, by: impl Fn(f64) -> f64) {
        for (_, count) in self.positive.iter_mut().chain(&mut self.negative) {
            count.scale(&by);
        }
        for number in [&mut self.zero, &mut self.count, &mut self.sum] {
            number.scale(&by);
        }
    }

    /// Replaces the hint.
    pub fn set_reset_hint(&mut self, hint: ResetHint) {
        self.reset_hint = hint;
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Notes, Incompatible> {
        if self.custom != other.is_custom() {
            return Err(Incompatible);
        }
        let mut notes = Notes { reset_collision: self.unite_hints(other.reset_hint), ..Notes::default() };
        let mut positive = other.positive();
        let mut negative = other.negative();
        if self.custom {
            if self.bounds != other.custom_bounds {
                notes.bounds_reconciled = true;
                let common = common_bounds(&self.bounds, &other.custom_bounds);
                self.positive = merged(rebound(&self.positive, &self.bounds, &common), Exact::unite);
                positive = Side(merged(rebound(&positive.0, &other.custom_bounds, &common), |a, b| *a += b));
                self.bounds = common;
            }
        } else {
            let zero_count = self.reconcile_zero(other);
            self.zero.add(sign * zero_count);
            if other.schema < self.schema {
                let by = (self.schema - other.schema).unsigned_abs();
                for side in [&mut self.positive, &mut self.negative] {
                    *side = merged(side.drain(..).map(|(index, count)| (coarser(index, by), count)), Exact::unite);
                }
                self.schema = other.schema;
            } else if other.schema > self.schema {
                let by = (other.schema - self.schema).unsigned_abs();
                (positive, negative) = (positive.reduced(by), negative.reduced(by));
            }
            for side in [&mut positive, &mut negative] {
                side.0.retain(|(index, _)| exponential_bound(*index, self.schema) > self.zero_threshold);
            }
        }
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        add_side(&mut self.positive, &positive, sign);
        add_side(&mut self.negative, &negative, sign);
        Ok(notes)
    }

    /// The hint of the sum; whether the two contradict each other.
    fn unite_hints(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, Unknown};
        match (self.reset_hint, other) {
            (a, b) if a == b => {}
            (Gauge, _) | (Unknown, Unknown) => {}
            (_, Gauge) => self.reset_hint = Gauge,
            (Unknown, _) => {}
            (_, Unknown) => self.reset_hint = Unknown,
            _ => {
                self.reset_hint = Unknown;
                return true;
            }
        }
        false
    }

    /// Widens the zero bucket until it is as wide as that of `other` would be; the zero count of `other` at that width.
    fn reconcile_zero(&mut self, other: &Histogram) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.zero_count_at(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                self.widen_zero(threshold);
            }
            if threshold.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        count
    }

    /// Widens the zero bucket to at least `threshold` and takes in the buckets it covers.
    fn widen_zero(&mut self, threshold: f64) {
        let now = self.value();
        let (_, threshold) = now.zero_count_at(threshold);
        for side in [&mut self.positive, &mut self.negative] {
            let covered = side.iter().take_while(|(index, _)| exponential_bound(*index - 1, self.schema) < threshold).count();
            for (_, count) in side.drain(..covered) {
                self.zero.unite(count);
            }
        }
        self.zero_threshold = threshold;
    }
}

/// `into + sign * from`, bucket by bucket.
fn add_side(into: &mut ExactSide, from: &Side, sign: f64) {
    if from.0.is_empty() {
        return;
    }
    if into.len() == from.0.len() && into.iter().zip(&from.0).all(|(a, b)| a.0 == b.0) {
        for ((_, sum), (_, count)) in into.iter_mut().zip(&from.0) {
            sum.add(sign * count);
        }
        return;
    }
    let mut out = Vec::with_capacity(into.len() + from.0.len());
    let mut rest = from.0.iter().copied().peekable();
    for (index, mut sum) in into.drain(..) {
        while let Some((before, count)) = rest.next_if(|(at, _)| *at < index) {
            out.push((before, Exact::of(sign * count)));
        }
        if let Some((_, count)) = rest.next_if(|(at, _)| *at == index) {
            sum.add(sign * count);
        }
        out.push((index, sum));
    }
    out.extend(rest.map(|(index, count)| (index, Exact::of(sign * count))));
    *into = out;
}

/// The bounds that are in both lists.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut rest = b.iter().copied().peekable();
    let mut common = Vec::new();
    for bound in a {
        while rest.next_if(|other| other < bound).is_some() {}
        if rest.next_if(|other| other == bound).is_some() {
            common.push(*bound);
        }
    }
    common
}

/// Buckets of `from` by their index among the bounds `to`, which are some of `from`; ascending, indexes may repeat.
pub(super) fn rebound<'a, T: Copy>(side: &'a [(i32, T)], from: &'a [f64], to: &'a [f64]) -> impl Iterator<Item = (i32, T)> + 'a {
    side.iter().map(move |(index, count)| {
        let upper = usize::try_from(*index).ok().and_then(|at| from.get(at)).copied().unwrap_or(f64::INFINITY);
        (to.partition_point(|bound| *bound < upper) as i32, *count)
    })
}

impl Histogram {
    /// The observations in a zero bucket of at least `threshold`, and how wide it must be so that no bucket is cut that counts something.
    pub(super) fn zero_count_at(&self, threshold: f64) -> (f64, f64) {
        let mut threshold = threshold;
        let (positive, negative) = (self.positive(), self.negative());
        'wider: loop {
            if threshold <= self.zero_threshold {
                return (self.zero_count, threshold);
            }
            let mut count = self.zero_count;
            for side in [&positive, &negative] {
                for (index, observed) in &side.0 {
                    let (lower, upper) = (exponential_bound(index - 1, self.schema), exponential_bound(*index, self.schema));
                    if lower >= threshold {
                        break;
                    }
                    count += observed;
                    if upper > threshold {
                        if *observed != 0.0 {
                            threshold = upper;
                            if std::ptr::eq(side, &negative) {
                                continue 'wider;
                            }
                        }
                        break;
                    }
                }
            }
            return (count, threshold);
        }
    }
}
