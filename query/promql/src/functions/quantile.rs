//! The quantile of a list of numbers.

/// The number below which the part `q` of `values` lies, between two of them by their distances to it; NaNs are the smallest.
/// Reorders `values`. O(values).
///
/// NaN for no values or a `q` that is NaN, infinite for one outside `[0, 1]`.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let order = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()));
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let (_, lower, above) = values.select_nth_unstable_by(rank as usize, order);
    let upper = above.iter().min_by(|a, b| order(a, b)).unwrap_or(lower);
    *lower * (1.0 - weight) + *upper * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_by_distance() {
        #[track_caller]
        fn check(q: f64, values: &[f64], expected: f64) {
            let found = quantile(q, &mut values.to_vec());
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{q} of {values:?}: {found}");
        }
        check(0.5, &[3.0, 1.0, 2.0], 2.0);
        check(0.25, &[0.0, 4.0], 1.0);
        check(1.0, &[5.0, 7.0, 6.0], 7.0);
        check(0.0, &[5.0, 7.0, 6.0], 5.0);
        check(0.3, &[1.0], 1.0);
        check(0.5, &[f64::NAN, 2.0, 1.0], 1.0); // NaN is the smallest
        check(0.0, &[f64::NAN, 2.0, 1.0], f64::NAN);
        check(0.5, &[], f64::NAN);
        check(f64::NAN, &[1.0], f64::NAN);
        check(-0.1, &[1.0], f64::NEG_INFINITY);
        check(1.1, &[1.0], f64::INFINITY);
        check(0.5, &[1.0, f64::INFINITY], f64::INFINITY);
    }
}
