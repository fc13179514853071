//! The arithmetic of the functions: numbers in, numbers out; nothing here knows series, labels or steps.
//!
//! - [`instant`], [`date`]: one sample in, one out.
//! - [`classic`], [`native`]: quantiles and fractions of histograms.
//! - [`range`]: the samples of a window in, one sample out.
//! - [`fast`]: the floats of a series in, a number at each step out.
//! - [`kahan()`], [`quantile()`]: what aggregations and ranges share.
//!
//! Source: Prometheus `promql/functions.go`, `promql/quantile.go`, `util/kahansum`.

pub mod classic;
pub mod date;
pub mod fast;
pub mod instant;
mod kahan;
pub mod native;
mod quantile;
pub mod range;

pub use kahan::kahan;
pub use quantile::quantile;

/// The larger one as Go's `math.Max` has it: +Inf before NaN, NaN before the rest, 0 before -0.
pub fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a == 0.0 && b == 0.0 {
        return if a.is_sign_negative() { b } else { a };
    }
    if a > b { a } else { b }
}

/// The smaller one as Go's `math.Min` has it: -Inf before NaN, NaN before the rest, -0 before 0.
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_those_of_go() {
        #[track_caller]
        fn check(a: f64, b: f64, least: f64, most: f64) {
            let same = |x: f64, y: f64| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
            assert!(same(min(a, b), least) && same(min(b, a), least), "min {a} {b}");
            assert!(same(max(a, b), most) && same(max(b, a), most), "max {a} {b}");
        }
        check(1.0, 2.0, 1.0, 2.0);
        check(0.0, -0.0, -0.0, 0.0);
        check(f64::NAN, 1.0, f64::NAN, f64::NAN);
        check(f64::NAN, f64::INFINITY, f64::NAN, f64::INFINITY);
        check(f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::NAN);
    }
}
