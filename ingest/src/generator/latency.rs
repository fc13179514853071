//! Latencies in buckets: counted in whole nanoseconds, so that any order gives the same sums.

use catalog::Timestamp;

use super::config::HistogramKind;
use super::native::Native;

/// The upper bounds of a histogram.
#[derive(Debug)]
pub(super) struct Bounds {
    /// The longest duration of each bucket in nanoseconds; what is longer is in the last one, `+Inf`.
    upper_ns: Box<[i64]>,
    /// The values of `le`, with `+Inf`.
    names: Box<[String]>,
    /// Nanoseconds in the unit of bounds and sums.
    unit_ns: f64,
}

impl Bounds {
    /// `bounds` ascend; they are in units of `unit_ns` nanoseconds.
    pub(super) fn new(bounds: &[f64], unit_ns: f64) -> Self {
        let names = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]).collect();
        Self { upper_ns: bounds.iter().map(|bound| longest(*bound, unit_ns)).collect(), names, unit_ns }
    }

    /// The bucket of a duration; the bound belongs to it.
    #[inline]
    pub(super) fn bucket(&self, duration_ns: i64) -> usize {
        self.upper_ns.partition_point(|upper| *upper < duration_ns)
    }

    /// The values of `le`, ascending, `+Inf` last.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Nanoseconds in the unit of the bounds.
    pub(super) fn unit(&self, duration_ns: u128) -> f64 {
        duration_ns as f64 / self.unit_ns
    }
}

/// The most nanoseconds that are not more than `bound` as a float of that unit: so a span is in the bucket that its latency as a number
/// would be in.
fn longest(bound: f64, unit_ns: f64) -> i64 {
    let mut ns = (bound * unit_ns).round() as i64;
    while ns as f64 / unit_ns > bound {
        ns -= 1;
    }
    while ns < i64::MAX && (ns + 1) as f64 / unit_ns <= bound && ns < (bound * unit_ns) as i64 + 2 {
        ns += 1;
    }
    ns
}

/// A span that stands for others of its bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pointer {
    pub(super) bucket: u8,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) duration_ns: i64,
    pub(super) at: Timestamp,
}

/// What a latency is measured of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    /// At least 0.
    pub(super) duration_ns: i64,
    /// For how many spans it stands.
    pub(super) weight: f64,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    /// When it came.
    pub(super) at: Timestamp,
}

/// Counts of one label set.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Per bucket, not cumulative; the last one is `+Inf`.
    counts: Box<[f64]>,
    sum_ns: u128,
    native: Option<Box<Native>>,
    /// The first span of each bucket since the last write, if spans are pointed to.
    pointers: Vec<Pointer>,
    /// The buckets that have one: bit i is bucket i.
    pointed: u64,
}

impl Histogram {
    /// No observation.
    pub(super) fn new(bounds: &Bounds, kind: HistogramKind, weighted: bool) -> Self {
        Self {
            counts: vec![0.0; bounds.names.len()].into(),
            sum_ns: 0,
            native: kind.is_native().then(|| Box::new(Native::new(weighted))),
            pointers: Vec::new(),
            pointed: 0,
        }
    }

    #[inline]
    pub(super) fn observe(&mut self, bounds: &Bounds, latency: &Latency, points: bool) {
        let bucket = bounds.bucket(latency.duration_ns);
        self.counts[bucket] += latency.weight;
        let spent_ns = if latency.weight == 1.0 {
            latency.duration_ns as u128
        } else {
            (latency.duration_ns as f64 * latency.weight) as u128
        };
        self.sum_ns = self.sum_ns.saturating_add(spent_ns);
        if let Some(native) = &mut self.native {
            native.observe(latency.duration_ns as f64 / bounds.unit_ns, latency.weight);
        }
        if points && self.pointed >> bucket & 1 == 0 {
            self.point(bucket, latency);
        }
    }

    #[cold]
    fn point(&mut self, bucket: usize, latency: &Latency) {
        let Latency { duration_ns, trace_id, span_id, at, .. } = *latency;
        self.pointed |= 1 << bucket;
        self.pointers.push(Pointer { bucket: bucket as u8, trace_id, span_id, duration_ns, at });
    }

    /// How many observations there are in the first bucket, in the first two, ...; the last is their number.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = f64> {
        self.counts.iter().scan(0.0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    pub(super) fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    pub(super) fn native(&self) -> Option<&Native> {
        self.native.as_deref()
    }

    pub(super) fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }

    /// The pointers were written: others are looked for.
    pub(super) fn forget_pointers(&mut self) {
        self.pointers.clear();
        self.pointed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: f64 = 1e9;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let bounds = Bounds::new(&[0.002, 0.1, 1.0], SECOND);
        #[track_caller]
        fn check(bounds: &Bounds, duration_ns: i64, expected: usize) {
            assert_eq!(bounds.bucket(duration_ns), expected);
        }
        check(&bounds, 0, 0);
        check(&bounds, 2_000_000, 0);
        check(&bounds, 2_000_001, 1);
        check(&bounds, 100_000_000, 1);
        check(&bounds, 1_000_000_000, 2);
        check(&bounds, 1_000_000_001, 3);
        check(&bounds, i64::MAX, 3);
        assert_eq!(bounds.names(), ["0.002", "0.1", "1", "+Inf"]);
    }

    #[test]
    fn bounds_of_any_size_are_met() {
        for bound in [1e-12, 1e-9, 0.3, 0.7, 16.384, 1e3, 1e12] {
            let upper = longest(bound, SECOND);
            assert!(upper as f64 / SECOND <= bound || upper == 0, "{bound}");
        }
    }

    #[test]
    fn counts_add_up_and_a_bucket_points_once() {
        let bounds = Bounds::new(&[1.0, 2.0], SECOND);
        let mut histogram = Histogram::new(&bounds, HistogramKind::Classic, false);
        for (id, ms) in [(1, 500), (2, 700), (3, 1_500), (4, 9_000)] {
            let at = Timestamp::from_secs(id);
            let latency = Latency { duration_ns: ms * 1_000_000, weight: 1.0, trace_id: [id as u8; 16], span_id: [1; 8], at };
            histogram.observe(&bounds, &latency, true);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2.0, 3.0, 4.0]);
        assert_eq!(bounds.unit(histogram.sum_ns()), 11.7);
        let pointed: Vec<_> = histogram.pointers().iter().map(|p| (p.bucket, p.trace_id[0])).collect();
        assert_eq!(pointed, [(0, 1), (1, 3), (2, 4)]);
        histogram.forget_pointers();
        assert_eq!(histogram.pointers(), []);
    }
}
