//! Functions of single samples.

use std::f64::consts::PI;

use super::{kahan, native};
use crate::ast::Function;
use crate::histogram::Histogram;

/// The function of a number. `None` for functions that take more, or none.
pub fn of_float(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Ceil => f64::ceil,
        Function::Floor => f64::floor,
        Function::Exp => f64::exp,
        Function::Sqrt => f64::sqrt,
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
        Function::Rad => |v| v * PI / 180.0,
        Function::Deg => |v| v * 180.0 / PI,
        // Zero keeps its sign, NaN stays.
        Function::Sgn => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        _ => return None,
    })
}

/// The number that a function makes of a native histogram. `None` for other functions.
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

/// `value` between `min` and `max`. NaN if any of them is; the caller has ruled out `min > max`.
pub fn clamp(value: f64, min: f64, max: f64) -> f64 {
    if value.is_nan() || min.is_nan() || max.is_nan() { f64::NAN } else { value.min(max).max(min) }
}

/// To the nearest multiple of `to`; halves go up. By the inverse, as multiplying by a fraction loses less.
pub fn round(value: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (value * inverse + 0.5).floor() / inverse
}

/// The variance of the observations, each taken to be in the middle of its bucket.
fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut lost) = (0.0, 0.0);
    for bucket in histogram.buckets().iter().filter(|b| b.count != 0.0) {
        let delta = native::middle(histogram, bucket) - mean;
        (sum, lost) = kahan(bucket.count * delta * delta, sum, lost);
    }
    (sum + lost) / histogram.count
}
