//! A sketch of many numbers that knows their quantiles.
//!
//! ```text
//! float: sign, 11 bits of exponent, 52 of mantissa ─► the first 6 of mantissa are kept: 64 equal bins between powers of two
//! ```
//! A number lies within 1/64 of the lower end of its bin, so the middle of the bin is off by less than 0.8 % of it. Bins are the same for all
//! sketches: merging adds counts, and its order does not matter.

use std::borrow::Cow;

/// Counts per bin.
///
/// ```text
/// near: bins 812 813 814 ... side by side      far: (-3, 1) (70,341, 2)      new: 5 70,341 5      a bin's count is what all three say
/// ```
/// Numbers of one kind lie within a few powers of two, whose bins are found by arithmetic. A sketch of few numbers, or of such that lie far from
/// each other, has them in a list: what it holds is bounded by the numbers it has seen, not by how far they lie apart. The list is sorted for some
/// numbers at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Sketch {
    /// The bin of the first count in `near`.
    first: i32,
    near: Vec<u32>,
    /// Ascending by bin.
    far: Vec<(i32, u64)>,
    /// Bins of numbers that are to come into `far`, as they came.
    new: Vec<i32>,
    /// How long `far` was when it was last looked which of it can lie side by side.
    settled: u32,
    count: u64,
    min: f64,
    max: f64,
}

/// Bits of a float that a bin does not tell apart.
const DROPPED_BITS: u32 = 52 - 6;

/// Numbers that wait for the list to be sorted, or a share of the list.
const NEW_MIN: usize = 32;
const NEW_SHARE: usize = 8;
/// Bins in the list before it is looked which of them can lie side by side.
const FAR_MIN: usize = 32;
/// How far bins that lie side by side are apart at most: so many places one costs.
const APART_MAX: i32 = 32;

impl Sketch {
    /// Adds a number that is one.
    pub(super) fn add(&mut self, value: f64) {
        let bin = bin(value);
        if !self.add_near(bin, 1) {
            self.new.push(bin);
            if self.new.len() >= NEW_MIN.max(self.far.len() / NEW_SHARE) {
                self.take_in(Vec::new());
            }
        }
        (self.min, self.max) = if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.count += 1;
    }

    /// What is counted side by side where `value` belongs.
    pub(super) fn count_near(&self, value: f64) -> u32 {
        usize::try_from(bin(value) - self.first).ok().and_then(|at| self.near.get(at)).copied().unwrap_or(0)
    }

    /// Whether the bin lies side by side with others and has room.
    fn add_near(&mut self, bin: i32, count: u64) -> bool {
        let near = usize::try_from(bin - self.first).ok().and_then(|at| self.near.get_mut(at));
        let Some((near, sum)) = near.and_then(|near| u32::try_from(u64::from(*near) + count).ok().map(|sum| (near, sum))) else {
            return false;
        };
        *near = sum;
        true
    }

    /// Takes `others`, in any order, and what is new into the list.
    fn take_in(&mut self, others: Vec<(i32, u64)>) {
        self.far = with_others(&self.far, others, &self.new);
        self.new.clear();
        if self.far.len() >= FAR_MIN.max(2 * self.settled as usize) {
            self.settle();
            self.settled = u32::try_from(self.far.len()).unwrap_or(u32::MAX);
        }
    }

    /// Lays the most bins of which each is near the next one side by side. Those that lie so already go on to.
    fn settle(&mut self) {
        let bins = self.bins();
        let (mut most, mut start) = (0..0, 0);
        for end in 1..=bins.len() {
            if bins.get(end).is_none_or(|next| next.0 - bins[end - 1].0 > APART_MAX) {
                if end - start > most.len() {
                    most = start..end;
                }
                start = end;
            }
        }
        let Some(first) = bins.get(most.start).map(|(bin, _)| *bin) else { return };
        let place = |bin: i32| usize::try_from(bin - first).ok();
        self.near = vec![0; place(bins[most.end - 1].0).map_or(0, |last| last + 1)];
        (self.first, self.far) = (first, Vec::new());
        for (bin, count) in bins {
            match (place(bin).and_then(|at| self.near.get_mut(at)), u32::try_from(count)) {
                (Some(near), Ok(count)) => *near = count,
                _ => self.far.push((bin, count)),
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
        if other.near.len() > self.near.len() {
            let own = std::mem::replace(self, Self { count: self.count, min: self.min, max: self.max, ..other.clone() });
            self.absorb(&own);
        } else {
            self.absorb(other);
        }
        self.count += other.count;
    }

    /// Counts what is counted in the bins of `other`.
    fn absorb(&mut self, other: &Self) {
        let mut others = Vec::with_capacity(other.far.len() + other.new.len());
        other.each(|bin, count| {
            if !self.add_near(bin, count) {
                others.push((bin, count));
            }
        });
        if !others.is_empty() {
            self.take_in(others);
        }
    }

    /// Every bin that is not empty and what is counted there, in no order; of one bin there may be two counts.
    fn each(&self, mut take: impl FnMut(i32, u64)) {
        let near = (self.first..).zip(&self.near).filter(|(_, count)| **count > 0);
        near.for_each(|(bin, count)| take(bin, u64::from(*count)));
        self.far.iter().for_each(|(bin, count)| take(*bin, *count));
        self.new.iter().for_each(|bin| take(*bin, 1));
    }

    /// Every bin that is not empty with its count, ascending.
    fn bins(&self) -> Vec<(i32, u64)> {
        let end = i64::from(self.first) + self.near.len() as i64;
        let far = match self.new.is_empty() {
            true => Cow::Borrowed(&self.far),
            false => Cow::Owned(with_others(&self.far, Vec::new(), &self.new)),
        };
        let (low, rest) = far.split_at(far.partition_point(|(bin, _)| *bin < self.first));
        let (full, high) = rest.split_at(rest.partition_point(|(bin, _)| i64::from(*bin) < end));
        let mut bins: Vec<(i32, u64)> = Vec::with_capacity(self.near.len() + far.len());
        bins.extend(low);
        let near = (self.first..).zip(&self.near).filter(|(_, count)| **count > 0);
        bins.extend(near.map(|(bin, count)| (bin, u64::from(*count))));
        bins.extend(high);
        if !full.is_empty() {
            bins.extend(full);
            bins.sort_unstable();
            bins.dedup_by(|next, one| {
                let is_same = next.0 == one.0;
                one.1 += if is_same { next.1 } else { 0 };
                is_same
            });
        }
        bins
    }

    /// The number that a share `q` of the numbers does not exceed; `None` of none.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let bins = self.bins();
        let mut seen = 0;
        let (bin, _) = bins.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(*bin).clamp(self.min, self.max))
    }

    /// Bytes beyond its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        (self.near.capacity() + self.new.capacity()) * size_of::<u32>() + self.far.capacity() * size_of::<(i32, u64)>()
    }
}

/// The bins of `far`, which ascends, of `others` and of `new`, each once, ascending.
fn with_others(far: &[(i32, u64)], mut others: Vec<(i32, u64)>, new: &[i32]) -> Vec<(i32, u64)> {
    others.extend(new.iter().map(|bin| (*bin, 1)));
    others.sort_unstable_by_key(|(bin, _)| *bin);
    let mut bins: Vec<(i32, u64)> = Vec::with_capacity(far.len() + others.len());
    let mut far = far.iter().copied().peekable();
    let mut add = |(bin, count): (i32, u64)| match bins.last_mut().filter(|(last, _)| *last == bin) {
        Some((_, sum)) => *sum += count,
        None => bins.push((bin, count)),
    };
    for other in others {
        while let Some(before) = far.next_if(|(bin, _)| *bin <= other.0) {
            add(before);
        }
        add(other);
    }
    far.for_each(add);
    bins
}

/// The bin of a number: 0 of zero, ascending with the number.
fn bin(value: f64) -> i32 {
    let magnitude = (value.abs().to_bits() >> DROPPED_BITS) as i32;
    match value {
        v if v > 0.0 => magnitude + 1,
        v if v < 0.0 => -magnitude - 1,
        _ => 0,
    }
}

fn middle(bin: i32) -> f64 {
    if bin == 0 {
        return 0.0;
    }
    let magnitude = u64::from(bin.unsigned_abs()) - 1;
    let end = |magnitude: u64| f64::from_bits(magnitude << DROPPED_BITS);
    let (low, high) = (end(magnitude), end(magnitude + 1));
    // The last bin is that of infinity.
    let middle = if high.is_finite() { low + (high - low) / 2.0 } else { low };
    middle.copysign(f64::from(bin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{APART_MAX, FAR_MIN, Sketch, bin};

    /// What one bin takes at most, its share of a vector's room to grow included.
    const BYTES_PER_BIN: usize = 4 * APART_MAX as usize;

    #[test]
    fn counts_do_not_end_where_a_place_is_full() {
        let mut sketch = Sketch::default();
        (0..1_000).for_each(|v| sketch.add(f64::from(v)));
        let (bin, before) = (bin(500.0), sketch.bins());
        assert!(sketch.near.len() > before.len() / 2 && sketch.near.len() < before.len() * 2);
        let of = |sketch: &Sketch| sketch.bins().into_iter().find(|(known, _)| *known == bin).map(|(_, count)| count);
        let one = of(&sketch).expect("it was added");
        for _ in 0..5 {
            if !sketch.add_near(bin, u64::from(u32::MAX)) {
                sketch.take_in(vec![(bin, u64::from(u32::MAX))]);
            }
        }
        assert_eq!(of(&sketch), Some(one + 5 * u64::from(u32::MAX)));
        assert_eq!(sketch.bins().len(), before.len());
        let mut both = sketch.clone();
        both.merge(&sketch);
        assert_eq!(of(&both), of(&sketch).map(|count| 2 * count));
    }

    #[test]
    fn numbers_that_lie_far_apart_take_no_more_than_they_are() {
        let mut sketch = Sketch::default();
        for exponent in -300..300 {
            [1.0, -1.0].into_iter().for_each(|sign| sketch.add(sign * 10_f64.powi(exponent)));
        }
        let mut twice = sketch.clone();
        twice.merge(&sketch);
        assert!(sketch.heap_bytes() <= 1_200 * BYTES_PER_BIN);
        assert_eq!(twice.bins(), sketch.bins().into_iter().map(|(bin, count)| (bin, 2 * count)).collect::<Vec<_>>());
        assert_eq!([0.0, 1.0].map(|q| twice.quantile(q)), [Some(sketch.min), Some(sketch.max)]);
    }

    #[test]
    fn what_is_rare_is_exact() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        let mut sketch = Sketch::default();
        [0.0, -3.0, 7.0].into_iter().for_each(|v| sketch.add(v));
        assert_eq!([0.0, 0.5, 1.0].map(|q| sketch.quantile(q)), [Some(-3.0), Some(0.0), Some(7.0)]);
        sketch.add(f64::INFINITY);
        sketch.add(f64::NEG_INFINITY);
        assert_eq!([0.0, 1.0].map(|q| sketch.quantile(q)), [Some(f64::NEG_INFINITY), Some(f64::INFINITY)]);
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_less_than_a_hundredth(
            mut values in prop::collection::vec(prop_oneof![-1e12..1e12_f64, -1.0..1.0_f64, 1e-9..1e3_f64], 1..300),
            q in 0.0..=1.0_f64,
            cut in 0..300_usize,
        ) {
            let (mut whole, mut parts) = (Sketch::default(), [Sketch::default(), Sketch::default()]);
            for (at, value) in values.iter().enumerate() {
                whole.add(*value);
                parts[usize::from(at < cut)].add(*value);
            }
            let [mut left, right] = parts;
            left.merge(&right);
            prop_assert_eq!((left.count, left.min, left.max), (whole.count, whole.min, whole.max));
            prop_assert_eq!(left.bins(), whole.bins());
            prop_assert!(whole.heap_bytes() <= BYTES_PER_BIN * values.len().max(FAR_MIN));
            values.sort_by(f64::total_cmp);
            let exact = values[((q * values.len() as f64).ceil() as usize).max(1) - 1];
            let about = whole.quantile(q).expect("there are some");
            prop_assert!((about - exact).abs() <= exact.abs() * 0.01, "{} is no {}", about, exact);
        }
    }
}
