//! `rate_counter`: the increase per second of a counter that may start again from zero, extrapolated to the window as Prometheus' `rate`
//! does it (`promql/functions.go`, `extrapolatedRate`).

/// The rate of `samples`, ordered by time, in the window of `range_ns` that ends at `end_ns`. One sample shows no increase: 0.
pub(super) fn rate(samples: &[(i64, f64)], end_ns: i64, range_ns: i64) -> f64 {
    let ([first, ..], [.., last]) = (samples, samples) else { return 0.0 };
    if samples.len() < 2 || first.0 == last.0 {
        return 0.0;
    }
    let resets: f64 = samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
    let increase = last.1 - first.1 + resets;
    let seconds = |ns: i64| ns as f64 / 1e9;
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (samples.len() - 1) as f64;
    // the series is taken to go on to the edge of the window, unless that is further than its samples are apart
    let to_edge = |distance: f64| if distance >= between * 1.1 { between / 2.0 } else { distance };
    let mut to_start = to_edge(seconds(first.0 - end_ns.saturating_sub(range_ns)));
    let to_end = to_edge(seconds(end_ns - last.0));
    if increase > 0.0 && first.1 >= 0.0 {
        // a counter was never below zero
        to_start = to_start.min(sampled * (first.1 / increase));
    }
    increase * ((sampled + to_start + to_end) / sampled) / seconds(range_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extrapolated_to_the_window() {
        const S: i64 = 1_000_000_000;
        #[track_caller]
        fn check(samples: &[(i64, f64)], end_s: i64, range_s: i64, expected: f64) {
            let samples: Vec<_> = samples.iter().map(|(at, value)| (at * S, *value)).collect();
            assert!((rate(&samples, end_s * S, range_s * S) - expected).abs() < 1e-12);
        }
        check(&[(50, 10.0)], 60, 60, 0.0);
        check(&[(30, 100.0), (60, 160.0)], 60, 60, 2.0); // all of the window
        check(&[(30, 30.0), (60, 90.0)], 60, 60, 1.5); // back to zero only
        check(&[(70, 600.0), (100, 660.0)], 100, 90, 1.0); // half a distance towards a far edge
        check(&[(0, 50.0), (30, 80.0), (60, 10.0)], 60, 60, 40.0 / 60.0); // started again
    }
}
