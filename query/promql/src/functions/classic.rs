//! Quantiles and fractions of classic histograms: buckets with cumulative counts.

use crate::annotation::Annotations;
use crate::ast::Span;
use crate::print;

/// A bucket: how many observations were at most `upper`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Upper bound, itself in the bucket.
    pub upper: f64,
    /// Cumulative count.
    pub count: f64,
}

/// A quantile, and what had to be mended for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The quantile.
    pub value: f64,
    /// Set when counts fell with rising bounds by more than rounding explains.
    pub fixed: Option<Fixed>,
}

/// Counts that fell with rising bounds and were raised, over one or many steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fixed {
    /// Lowest bound of a bucket that was raised.
    pub lowest: f64,
    /// Highest bound of a bucket that was raised.
    pub highest: f64,
    /// By how much at most.
    pub most: f64,
    /// How many samples were mended.
    pub samples: u64,
    /// Time of the first, milliseconds; the caller's to set.
    pub first_ms: i64,
    /// Time of the last.
    pub last_ms: i64,
}

/// Counts that differ by less than this part of their sum are equal: so much is lost by adding up rates.
const TOLERANCE: f64 = 1e-12;

impl Fixed {
    /// Both.
    pub fn merge(&mut self, other: &Self) {
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
        self.most = self.most.max(other.most);
        self.samples += other.samples;
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
    }

    /// Says so.
    pub fn annotate(&self, metric: &str, span: Span, annotations: &mut Annotations) {
        const SEE: &str = "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile";
        let name = if metric.is_empty() { String::new() } else { format!(" for metric name {metric:?}") };
        let buckets = format!("from buckets {} to {}", print::float(self.lowest), print::float(self.highest));
        let when = match self.samples {
            1 => String::new(),
            many => format!(", over {many} samples from {} to {}", timestamp(self.first_ms), timestamp(self.last_ms)),
        };
        let most = print::float(two_digits(self.most));
        annotations.info(
            span,
            format!("input to histogram_quantile needed to be fixed for monotonicity (see {SEE}){name}, {buckets}, with a max diff of {most}{when}"),
        );
    }
}

/// Two significant digits.
fn two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// RFC 3339 in UTC, seconds.
fn timestamp(at_ms: i64) -> String {
    use crate::ast::Function::{DayOfMonth, Hour, Minute, Month, Year};
    let seconds = at_ms.div_euclid(1_000);
    let part = |function| super::date::part(function).map_or(0.0, |part| part(seconds as f64)) as i64;
    let (year, month, day) = (part(Year), part(Month), part(DayOfMonth));
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", part(Hour), part(Minute), seconds.rem_euclid(60))
}

/// The `q`-quantile of `buckets`, which are sorted, joined where bounds are equal, and made to rise. Within a bucket observations are
/// spread evenly; the lowest begins at 0 if it ends above it. NaN without a bucket that ends at +Inf, with fewer than two, or without observations.
pub fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> Quantile {
    let mut fixed = None;
    let value = if q.is_nan() {
        f64::NAN
    } else if q < 0.0 {
        f64::NEG_INFINITY
    } else if q > 1.0 {
        f64::INFINITY
    } else if prepare(buckets) {
        fixed = make_rise(buckets);
        quantile_of(q, buckets)
    } else {
        f64::NAN
    };
    Quantile { value, fixed }
}

fn quantile_of(q: f64, buckets: &[Bucket]) -> f64 {
    let [.., before_last, last] = buckets else { return f64::NAN };
    if last.count == 0.0 {
        return f64::NAN;
    }
    let rank = q * last.count;
    let at = buckets[..buckets.len() - 1].partition_point(|b| b.count < rank);
    if at == buckets.len() - 1 {
        return before_last.upper;
    }
    let upper = buckets[at].upper;
    if at == 0 && upper <= 0.0 {
        return upper;
    }
    let (lower, below) = if at == 0 { (0.0, 0.0) } else { (buckets[at - 1].upper, buckets[at - 1].count) };
    lower + (upper - lower) * ((rank - below) / (buckets[at].count - below))
}

/// The part of the observations between `lower` and `upper`.
pub fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / all
}

/// How many observations are taken to be at most `value`.
fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut below = Bucket { upper: f64::NEG_INFINITY, count: 0.0 };
    for (at, bucket) in buckets.iter().enumerate() {
        if at == 0 && bucket.upper > 0.0 {
            below.upper = 0.0;
        }
        if value <= below.upper {
            return below.count;
        }
        if value < bucket.upper {
            let (from, to) = (below.upper, bucket.upper);
            // A bucket without end: all of it lies beyond.
            return match (from.is_finite(), to.is_finite()) {
                (true, true) => below.count + (bucket.count - below.count) * (value - from) / (to - from),
                (true, false) => below.count,
                _ => bucket.count,
            };
        }
        below = *bucket;
    }
    below.count
}

/// Sorts and joins; whether the last bucket ends at +Inf.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let equal = next.upper == kept.upper;
        if equal {
            kept.count += next.count;
        }
        equal
    });
    true
}

fn make_rise(buckets: &mut [Bucket]) -> Option<Fixed> {
    let mut fixed: Option<Fixed> = None;
    let mut before = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        let difference = (before - count).abs();
        let small = difference / (before.abs() + count.abs()).min(f64::MAX) < TOLERANCE;
        if !small && count > before {
            before = count;
            continue;
        }
        bucket.count = before;
        if !small {
            let new =
                Fixed { lowest: bucket.upper, highest: bucket.upper, most: difference, samples: 0, first_ms: 0, last_ms: 0 };
            fixed.get_or_insert(Fixed { samples: 1, ..new }).merge(&new);
        }
    }
    fixed
}
