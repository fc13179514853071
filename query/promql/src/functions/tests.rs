//! The arithmetic on small inputs.

use super::*;
use crate::annotation::Annotations;
use crate::ast::{Function, Span};
use crate::histogram::{Histogram, Side};

#[test]
fn nothing_is_lost_by_adding_up() {
    let total = [1.0, 1e100, 1.0, -1e100].iter().fold((0.0, 0.0), |(sum, lost), term| kahan(*term, sum, lost));
    assert_eq!(total.0 + total.1, 2.0);
}

#[test]
fn quantiles_lie_between_values() {
    for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.25, 1.75), (-1.0, f64::NEG_INFINITY), (2.0, f64::INFINITY)] {
        assert_eq!(quantile(q, &mut [4.0, 1.0, 3.0, 2.0]), expected, "{q}");
    }
    assert!(quantile(0.5, &mut []).is_nan());
}

#[test]
fn dates_have_parts() {
    let check = |at: f64, function: Function, expected: f64| {
        assert_eq!(date::part(function).map(|part| part(at)), Some(expected), "{function:?} of {at}");
    };
    check(1_136_239_445.0, Function::Year, 2006.0); // 2006-01-02 22:04:05
    check(1_136_239_445.0, Function::Month, 1.0);
    check(1_136_239_445.0, Function::DayOfMonth, 2.0);
    check(1_136_239_445.0, Function::DayOfWeek, 1.0);
    check(1_136_239_445.0, Function::DayOfYear, 2.0);
    check(1_136_239_445.0, Function::Hour, 22.0);
    check(1_136_239_445.0, Function::Minute, 4.0);
    check(1_709_164_800.0, Function::DaysInMonth, 29.0); // 2024-02-29
    check(1_735_603_200.0, Function::DayOfYear, 366.0); // 2024-12-31
    check(-1.0, Function::Year, 1969.0);
}

#[test]
fn classic_buckets() {
    let buckets = |counts: [f64; 3]| -> Vec<classic::Bucket> {
        [1.0, 2.0, f64::INFINITY].into_iter().zip(counts).map(|(upper, count)| classic::Bucket { upper, count }).collect()
    };
    assert_eq!(classic::bucket_quantile(0.5, &mut buckets([2.0, 4.0, 4.0])).value, 1.0);
    assert_eq!(classic::bucket_quantile(0.75, &mut buckets([2.0, 4.0, 4.0])).value, 1.5);
    assert_eq!(classic::bucket_quantile(1.0, &mut buckets([2.0, 3.0, 4.0])).value, 2.0);
    let mended = classic::bucket_quantile(0.5, &mut buckets([2.0, 1.0, 4.0])).fixed.expect("a count fell");
    assert_eq!((mended.lowest, mended.highest, mended.most, mended.samples), (2.0, 2.0, 1.0, 1));
    assert_eq!(classic::bucket_fraction(0.5, 1.5, &mut buckets([2.0, 4.0, 4.0])), 0.5);
}

#[test]
fn native_buckets() {
    let mut h = Histogram { count: 4.0, sum: 5.0, ..Histogram::default() };
    h.set_sides(&Side(vec![(0, 1.0), (1, 2.0), (2, 1.0)]), &Side::default());
    let mut notes = Annotations::default();
    let quantile = native::histogram_quantile(0.5, &h, "", Span::default(), &mut notes);
    assert!((quantile - 2.0_f64.sqrt()).abs() < 1e-12);
    assert_eq!(native::histogram_fraction(1.0, 2.0, &h, "", Span::default(), &mut notes), 0.5);
    assert!(notes.is_empty());
}
