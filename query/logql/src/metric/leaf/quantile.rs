//! `quantile_over_time`.

/// The number below which the part `q` of the values lies, between two of them by their distances to it; NaNs are the smallest. Reorders.
///
/// NaN for no values or a `q` that is NaN, infinite for one outside `[0, 1]`.
pub(super) fn quantile(q: f64, samples: &mut [(i64, f64)]) -> f64 {
    if samples.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let order = |a: &(i64, f64), b: &(i64, f64)| a.1.partial_cmp(&b.1).unwrap_or_else(|| b.1.is_nan().cmp(&a.1.is_nan()));
    let rank = q * (samples.len() - 1) as f64;
    let weight = rank - rank.floor();
    let (_, lower, above) = samples.select_nth_unstable_by(rank as usize, order);
    let upper = above.iter().min_by(|a, b| order(a, b)).map_or(lower.1, |sample| sample.1);
    lower.1 * (1.0 - weight) + upper * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_by_distance() {
        #[track_caller]
        fn check(q: f64, values: &[f64], expected: f64) {
            let mut samples: Vec<_> = values.iter().map(|value| (0, *value)).collect();
            let found = quantile(q, &mut samples);
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{q} of {values:?}: {found}");
        }
        check(0.5, &[3.0, 1.0, 2.0], 2.0);
        check(0.25, &[0.0, 4.0], 1.0);
        check(1.0, &[5.0, 7.0, 6.0], 7.0);
        check(0.5, &[f64::NAN, 2.0, 1.0], 1.0);
        check(0.5, &[], f64::NAN);
        check(-0.1, &[1.0], f64::NEG_INFINITY);
        check(1.1, &[1.0], f64::INFINITY);
    }
}
