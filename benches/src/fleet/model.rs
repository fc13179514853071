//! How values move from scrape to scrape.

use super::random::Random;

/// Upper bounds of the latency histogram in seconds; `+Inf` comes after them.
pub(crate) const BOUNDS_S: [(&str, f64); 11] = [
    ("0.005", 0.005),
    ("0.01", 0.01),
    ("0.025", 0.025),
    ("0.05", 0.05),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2.5", 2.5),
    ("5", 5.0),
    ("10", 10.0),
];
/// Statuses that an endpoint answers with.
pub(crate) const STATUSES: [&str; 4] = ["200", "204", "404", "500"];
/// Series of an [`Endpoint`]: requests by status, buckets with `+Inf`, sum, count.
pub(crate) const ENDPOINT_SERIES: usize = STATUSES.len() + BOUNDS_S.len() + 1 + 2;

/// One or more series that move together.
#[derive(Debug, Clone)]
pub(crate) enum Model {
    /// Always the same.
    Constant(f64),
    /// Grows by up to `step_max` a scrape, in units of `unit`; begins again at 0 once in `life` scrapes on average.
    Counter { value: f64, step_max: f64, unit: f64, life: u64 },
    /// Wanders between `min` and `max`, by up to `step` a scrape, in units of `unit`.
    Gauge { value: f64, min: f64, max: f64, step: f64, unit: f64 },
    /// An HTTP endpoint.
    Endpoint(Box<Endpoint>),
}

/// Requests of one route of one service, and how long they took.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Requests per scrape, at most.
    pub(crate) load: u64,
    /// One request in so many fails.
    pub(crate) failure_every: u64,
    /// Median time to answer, in seconds.
    pub(crate) median_s: f64,
    pub(crate) requests: [u64; STATUSES.len()],
    pub(crate) buckets: [u64; BOUNDS_S.len() + 1],
    pub(crate) sum_s: f64,
}

impl Model {
    /// A counter of whole things that has been running for hours: where a counter begins near 0, versions of Prometheus extrapolate
    /// differently.
    pub(crate) const fn counter(step_max: f64) -> Self {
        Self::Counter { value: step_max * 1_000.0, step_max, unit: 1.0, life: 5_000 }
    }

    /// A counter in hundredths, as seconds of CPU and dollars are.
    pub(crate) const fn hundredths(step_max: f64) -> Self {
        Self::Counter { value: step_max * 1_000.0, step_max, unit: 0.01, life: 5_000 }
    }

    /// A gauge of whole things that begins in the middle.
    pub(crate) const fn gauge(min: f64, max: f64, unit: f64) -> Self {
        Self::Gauge { value: (min + max) / 2.0, min, max, step: (max - min) / 50.0, unit }
    }

    /// How many series it is.
    pub(crate) const fn series(&self) -> usize {
        match self {
            Self::Constant(_) | Self::Counter { .. } | Self::Gauge { .. } => 1,
            Self::Endpoint(_) => ENDPOINT_SERIES,
        }
    }

    /// The next scrape's values, one per series.
    pub(crate) fn step(&mut self, random: &mut Random, values: &mut [f64]) {
        match self {
            Self::Constant(value) => values[0] = *value,
            Self::Counter { value, step_max, unit, life } => {
                if random.below(*life) == 0 {
                    *value = 0.0;
                }
                *value = rounded(*value + random.between(0.0, *step_max), *unit);
                values[0] = *value;
            }
            Self::Gauge { value, min, max, step, unit } => {
                let moved = *value + random.between(-*step, *step);
                *value = rounded(moved.clamp(*min, *max), *unit);
                values[0] = *value;
            }
            Self::Endpoint(endpoint) => endpoint.step(random, values),
        }
    }
}

impl Endpoint {
    /// What it has counted before the first scrape.
    pub(crate) fn warm_up(&mut self, random: &mut Random) {
        let mut values = [0.0; ENDPOINT_SERIES];
        (0..500).for_each(|_| self.step(random, &mut values));
    }

    fn step(&mut self, random: &mut Random, values: &mut [f64]) {
        for _ in 0..random.below(self.load) {
            let status = match random.below(self.failure_every) {
                0 => 3,
                n if n % 37 == 1 => 2,
                n if n % 11 == 2 => 1,
                _ => 0,
            };
            self.requests[status] += 1;
            // Spread over two decades around the median, the slow side longer.
            let took_s = rounded(self.median_s * (random.between(-1.6, 1.6) + random.between(-1.6, 2.2)).exp(), 1e-4);
            self.buckets[BOUNDS_S.partition_point(|(_, bound)| *bound < took_s)] += 1;
            self.sum_s = rounded(self.sum_s + took_s, 1e-4);
        }
        let (requests, rest) = values.split_at_mut(STATUSES.len());
        let (buckets, rest) = rest.split_at_mut(self.buckets.len());
        for (value, n) in requests.iter_mut().zip(self.requests) {
            *value = n as f64;
        }
        let mut total = 0;
        for (value, n) in buckets.iter_mut().zip(self.buckets) {
            total += n;
            *value = total as f64;
        }
        rest[0] = self.sum_s;
        rest[1] = total as f64;
    }
}

/// The multiple of `unit` nearest to `value`. For units below 1 divided by their inverse, which gives the double that the decimal
/// text would be read as.
fn rounded(value: f64, unit: f64) -> f64 {
    if unit < 1.0 {
        let inverse = (1.0 / unit).round();
        (value * inverse).round() / inverse
    } else {
        (value / unit).round() * unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_to_requests() {
        let endpoint = Endpoint {
            load: 40,
            failure_every: 20,
            median_s: 0.05,
            requests: [0; STATUSES.len()],
            buckets: [0; BOUNDS_S.len() + 1],
            sum_s: 0.0,
        };
        let mut model = Model::Endpoint(Box::new(endpoint));
        let mut random = Random::new(1);
        let mut values = vec![0.0; model.series()];
        for _ in 0..100 {
            model.step(&mut random, &mut values);
            let requests: f64 = values[..STATUSES.len()].iter().sum();
            let buckets = &values[STATUSES.len()..ENDPOINT_SERIES - 2];
            assert!(buckets.is_sorted(), "{buckets:?}");
            assert_eq!(requests, buckets[BOUNDS_S.len()]);
            assert_eq!(requests, values[ENDPOINT_SERIES - 1]);
        }
        assert!(values.iter().all(|v| *v > 0.0), "every status and bucket occurs: {values:?}");
    }

    #[test]
    fn decimals_are_the_ones_a_text_would_give() {
        assert_eq!(rounded(0.1 + 0.2, 0.01), 0.3);
        assert_eq!(rounded(1_234.567_8, 0.01), 1_234.57);
        assert_eq!(rounded(10_000.0, 4_096.0), 8_192.0);
    }
}
