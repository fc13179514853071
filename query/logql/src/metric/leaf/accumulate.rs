//! What is kept of the samples of a pane, per operation. Merging is associative and does not care for order.

/// Something samples are added to.
pub(super) trait Accumulate: Clone + Default {
    fn add(&mut self, time_ns: i64, value: f64);
    fn merge(&mut self, other: &Self);
}

/// A sum of whole numbers that are exact in a float: lines, bytes. Beyond 2^53 it rounds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count(pub(super) f64);

impl Accumulate for Count {
    fn add(&mut self, _: i64, value: f64) {
        self.0 += value;
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

/// A sum that carries what its additions rounded away (Neumaier), and how many there were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
    count: f64,
}

impl Sum {
    fn plus(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    pub(super) fn sum(self) -> f64 {
        // what was lost on the way to infinity is not a number
        if self.sum.is_finite() && self.lost.is_finite() { self.sum + self.lost } else { self.sum }
    }

    pub(super) fn mean(self) -> f64 {
        self.sum() / self.count
    }
}

impl Accumulate for Sum {
    fn add(&mut self, _: i64, value: f64) {
        self.plus(value);
        self.count += 1.0;
    }

    fn merge(&mut self, other: &Self) {
        self.plus(other.sum);
        self.lost += other.lost;
        self.count += other.count;
    }
}

/// Count, mean and squared distances to it (Welford; merging by Chan).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn variance(self) -> f64 {
        self.squares / self.count
    }
}

impl Accumulate for Moments {
    fn add(&mut self, _: i64, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    fn merge(&mut self, other: &Self) {
        if self.count == 0.0 || other.count == 0.0 {
            if self.count == 0.0 {
                *self = *other;
            }
            return;
        }
        let count = self.count + other.count;
        let distance = other.mean - self.mean;
        self.squares += other.squares + distance * distance * (self.count * other.count / count);
        self.mean += distance * (other.count / count);
        self.count = count;
    }
}

/// The least number; NaN only if there is no other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least(pub(super) f64);

impl Default for Least {
    fn default() -> Self {
        Least(f64::NAN)
    }
}

impl Accumulate for Least {
    fn add(&mut self, _: i64, value: f64) {
        if value < self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.add(0, other.0);
    }
}

/// The greatest number; NaN only if there is no other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Greatest(pub(super) f64);

impl Default for Greatest {
    fn default() -> Self {
        Greatest(f64::NAN)
    }
}

impl Accumulate for Greatest {
    fn add(&mut self, _: i64, value: f64) {
        if value > self.0 || self.0.is_nan() {
            self.0 = value;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.add(0, other.0);
    }
}

/// The earliest sample. Of samples at the same time the least value, so that the order of their coming does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct First(Option<(i64, f64)>);

impl First {
    pub(super) fn value(self) -> f64 {
        self.0.map_or(f64::NAN, |(_, value)| value)
    }
}

impl Accumulate for First {
    fn add(&mut self, time_ns: i64, value: f64) {
        if self.0.is_none_or(|(t, v)| time_ns.cmp(&t).then(value.total_cmp(&v)).is_lt()) {
            self.0 = Some((time_ns, value));
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some((time_ns, value)) = other.0 {
            self.add(time_ns, value);
        }
    }
}

/// The latest sample, of samples at the same time the one with the greatest value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last(Option<(i64, f64)>);

impl Last {
    pub(super) fn value(self) -> f64 {
        self.0.map_or(f64::NAN, |(_, value)| value)
    }
}

impl Accumulate for Last {
    fn add(&mut self, time_ns: i64, value: f64) {
        if self.0.is_none_or(|(t, v)| time_ns.cmp(&t).then(value.total_cmp(&v)).is_gt()) {
            self.0 = Some((time_ns, value));
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some((time_ns, value)) = other.0 {
            self.add(time_ns, value);
        }
    }
}

/// All samples: operations that want them in order.
#[derive(Debug, Clone, Default)]
pub(super) struct All(pub(super) Vec<(i64, f64)>);

impl Accumulate for All {
    fn add(&mut self, time_ns: i64, value: f64) {
        self.0.push((time_ns, value));
    }

    fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
}
