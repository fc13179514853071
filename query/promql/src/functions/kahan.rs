//! Sums that lose less: Kahan's, with Neumaier's rule for terms larger than the sum.

/// Adds `term` to `sum`, of which `lost` was lost to rounding before; the new sum and what is lost of it. The sum that is meant is
/// `sum + lost`. An infinite sum has lost nothing.
#[inline]
pub fn kahan(term: f64, sum: f64, lost: f64) -> (f64, f64) {
    let next = sum + term;
    if next.is_infinite() {
        return (next, 0.0);
    }
    let (large, small) = if sum.abs() >= term.abs() { (sum, term) } else { (term, sum) };
    (next, lost + ((large - next) + small))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cancels_is_not_lost() {
        #[track_caller]
        fn check(terms: &[f64], expected: f64) {
            let (sum, lost) = terms.iter().fold((0.0, 0.0), |(sum, lost), term| kahan(*term, sum, lost));
            assert_eq!(if sum.is_infinite() { sum } else { sum + lost }, expected);
        }
        check(&[1.0, 1e100, 1.0, -1e100], 2.0);
        check(&[5e-324, 1e300, -1e300], 5e-324);
        check(&[0.1; 10], 1.0);
        check(&[f64::MAX, f64::MAX, 1.0], f64::INFINITY);
        check(&[f64::INFINITY, 1.0], f64::INFINITY);
    }
}
