//! A sketch of many numbers that knows their quantiles.
//!
//! ```text
//! float: sign, 11 bits of exponent, 52 of mantissa ─► the first 6 of mantissa are kept: 64 equal bins between powers of two
//! ```
//! A number lies within 1/64 of the lower end of its bin, so the middle of the bin is off by less than 0.8 % of it. Bins are the same for all
//! sketches: merging adds counts, and its order does not matter.

/// Counts per bin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sketch {
    /// Bins that are not empty, ascending by number.
    bins: Vec<(i32, u64)>,
    count: u64,
    min: f64,
    max: f64,
}

/// Bits of a float that a bin does not tell apart.
const DROPPED_BITS: u32 = 52 - 6;

impl Sketch {
    /// Adds a number that is one.
    pub(super) fn add(&mut self, value: f64) {
        self.add_bin(bin(value), 1);
        (self.min, self.max) = if self.count == 0 { (value, value) } else { (self.min.min(value), self.max.max(value)) };
        self.count += 1;
    }

    fn add_bin(&mut self, bin: i32, count: u64) {
        match self.bins.binary_search_by_key(&bin, |(known, _)| *known) {
            Ok(at) => self.bins[at].1 += count,
            Err(at) => self.bins.insert(at, (bin, count)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        (self.min, self.max) =
            if self.count == 0 { (other.min, other.max) } else { (self.min.min(other.min), self.max.max(other.max)) };
        other.bins.iter().for_each(|(bin, count)| self.add_bin(*bin, *count));
        self.count += other.count;
    }

    /// The number that a share `q` of the numbers does not exceed; `None` of none.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let (bin, _) = self.bins.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(*bin).clamp(self.min, self.max))
    }

    /// Bytes beyond its own size.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bins.capacity() * size_of::<(i32, u64)>()
    }
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

    use super::Sketch;

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
            prop_assert_eq!(&left, &whole);
            values.sort_by(f64::total_cmp);
            let exact = values[((q * values.len() as f64).ceil() as usize).max(1) - 1];
            let about = whole.quantile(q).expect("there are some");
            prop_assert!((about - exact).abs() <= exact.abs() * 0.01, "{} is no {}", about, exact);
        }
    }
}
