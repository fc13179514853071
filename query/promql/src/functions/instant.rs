//! Functions of one sample: of a float, or of a histogram.

use std::f64::consts::PI;

use super::{kahan, max, min};
use crate::ast::Function;
use crate::histogram::Histogram;

/// What `function` makes of a float; `None` when it is no function of a float alone.
pub fn of_float(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Ceil => f64::ceil,
        Function::Floor => f64::floor,
        Function::Sqrt => f64::sqrt,
        Function::Sgn => sign,
        Function::Exp => f64::exp,
        Function::Ln => f64::ln,
        Function::Log2 => f64::log2,
        Function::Log10 => f64::log10,
        Function::Sin => f64::sin,
        Function::Cos => f64::cos,
        Function::Tan => f64::tan,
        Function::Asin => f64::asin,
        Function::Acos => f64::acos,
        Function::Atan => f64::atan,
        Function::Sinh => f64::sinh,
        Function::Cosh => f64::cosh,
        Function::Tanh => f64::tanh,
        Function::Asinh => f64::asinh,
        Function::Acosh => f64::acosh,
        Function::Atanh => f64::atanh,
        Function::Rad => |degrees| degrees * PI / 180.0,
        Function::Deg => |radians| radians * 180.0 / PI,
        _ => return None,
    })
}

/// What `function` makes of a histogram; `None` when it is no function of a histogram alone.
pub fn of_histogram(function: Function) -> Option<fn(&Histogram) -> f64> {
    Some(match function {
        Function::HistogramCount => |h| h.count,
        Function::HistogramSum => |h| h.sum,
        Function::HistogramAvg => |h| h.sum / h.count,
        Function::HistogramStdvar => variance,
        Function::HistogramStddev => |h| variance(h).sqrt(),
        _ => return None,
    })
}

/// `clamp(value, least, most)`, where `least <= most`. For `clamp_min` and `clamp_max` the other bound is infinite.
pub fn clamp(value: f64, least: f64, most: f64) -> f64 {
    max(least, min(most, value))
}

/// `round(value, to)`: the nearest multiple of `to`, of two the upper one.
pub fn round(value: f64, to: f64) -> f64 {
    // Multiplying with the inverse gives back more of the decimals that people write.
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

/// -1, 1, or what it is: zeros and NaN.
fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The mean squared distance to the mean, with every observation in the middle of its bucket: the geometric one in exponential buckets,
/// the arithmetic one in custom buckets, 0 in the zero bucket.
fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in histogram.buckets().into_iter().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.is_custom() {
            (bucket.upper + bucket.lower) / 2.0
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper)
        };
        let distance = middle - mean;
        (sum, lost) = kahan(bucket.count * distance * distance, sum, lost);
    }
    (sum + lost) / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_up_at_ties() {
        for (value, to, expected) in [(2.5, 1.0, 3.0), (-2.5, 1.0, -2.0), (1.25, 0.1, 1.3), (7.0, 5.0, 5.0), (8.0, -5.0, 10.0)] {
            assert!((round(value, to) - expected).abs() < 1e-12, "round({value}, {to}) = {}", round(value, to));
        }
        assert!(round(1.0, 0.0).is_nan());
    }

    #[test]
    fn clamps_keep_what_is_between() {
        assert_eq!(clamp(5.0, 1.0, 3.0), 3.0);
        assert_eq!(clamp(-5.0, 1.0, 3.0), 1.0);
        assert!(clamp(f64::NAN, 1.0, 3.0).is_nan());
        assert!(clamp(1.0, f64::NAN, 3.0).is_nan());
        assert_eq!(clamp(5.0, 1.0, f64::INFINITY), 5.0);
    }

    #[test]
    fn signs() {
        let sgn = of_float(Function::Sgn).expect("a function of a float");
        assert_eq!((sgn(-3.0), sgn(7.0), sgn(0.0)), (-1.0, 1.0, 0.0));
        assert!(sgn(-0.0).is_sign_negative() && sgn(f64::NAN).is_nan());
    }
}
