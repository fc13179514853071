//! Rules of the algebra on small histograms.

use proptest::prelude::*;

use super::*;

fn exponential(schema: i32, zero: (f64, f64), positive: &[(i32, f64)], negative: &[(i32, f64)]) -> Histogram {
    let mut h = Histogram { schema, zero_threshold: zero.0, zero_count: zero.1, ..Histogram::default() };
    h.set_sides(&Side(positive.to_vec()), &Side(negative.to_vec()));
    h.count = zero.1 + positive.iter().chain(negative).map(|(_, c)| c).sum::<f64>();
    h
}

fn custom(bounds: &[f64], counts: &[(i32, f64)]) -> Histogram {
    let mut h = Histogram { schema: CUSTOM_BUCKETS, custom_bounds: bounds.to_vec(), ..Histogram::default() };
    h.set_sides(&Side(counts.to_vec()), &Side::default());
    h.count = counts.iter().map(|(_, c)| c).sum();
    h
}

#[test]
fn bounds_are_powers() {
    for (index, schema, bound) in [
        (0, 0, 1.0),
        (1, 0, 2.0),
        (-1, 0, 0.5),
        (1, -1, 4.0),
        (2, 1, 2.0),
        (1024, 0, f64::MAX),
        (1025, 0, f64::INFINITY),
        (256, 8, 2.0),
    ] {
        assert_eq!(exponential_bound(index, schema), bound, "{index} at {schema}");
    }
    assert!((exponential_bound(1, 1) - 2.0_f64.sqrt()).abs() < 1e-15);
}

#[test]
fn sums_meet_at_the_coarser_layout() {
    let fine = exponential(1, (0.001, 1.0), &[(1, 2.0), (2, 3.0)], &[]);
    let coarse = exponential(0, (0.001, 2.0), &[(1, 1.0), (3, 4.0)], &[(0, 1.0)]);
    let (sum, _) = fine.add(&coarse).expect("both exponential");
    assert_eq!((sum.schema, sum.zero_count, sum.count), (0, 3.0, 14.0));
    assert_eq!(sum.positive(), Side(vec![(1, 6.0), (3, 4.0)]));
    assert_eq!(sum.negative(), Side(vec![(0, 1.0)]));
    // A wider zero bucket takes in what it covers, and grows to the edge of a bucket that it cuts.
    let wide = exponential(0, (0.75, 2.0), &[(2, 1.0)], &[]);
    let low = exponential(0, (0.001, 1.0), &[(0, 5.0), (2, 1.0)], &[]);
    let (sum, _) = wide.add(&low).expect("both exponential");
    assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 8.0));
    assert_eq!(sum.positive(), Side(vec![(2, 2.0)]));
}

#[test]
fn custom_bounds_are_reconciled() {
    let (sum, notes) = custom(&[1.0, 2.0, 3.0], &[(0, 1.0), (1, 2.0), (3, 4.0)])
        .add(&custom(&[1.0, 3.0], &[(0, 10.0), (1, 20.0), (2, 30.0)]))
        .expect("both custom");
    assert!(notes.bounds_reconciled);
    assert_eq!(sum.custom_bounds, [1.0, 3.0]);
    assert_eq!(sum.positive(), Side(vec![(0, 11.0), (1, 22.0), (2, 34.0)]));
    assert_eq!(custom(&[1.0], &[]).add(&exponential(0, (0.0, 0.0), &[], &[])), Err(Incompatible));
}

#[test]
fn resets_are_seen() {
    let before = exponential(1, (0.001, 1.0), &[(1, 2.0), (2, 3.0)], &[]);
    let check = |now: Histogram, reset: bool| assert_eq!(now.is_reset_after(&before), reset, "{now}");
    check(before.clone(), false);
    check(exponential(1, (0.001, 1.0), &[(1, 3.0), (2, 3.0)], &[]), false);
    check(exponential(0, (0.001, 1.0), &[(1, 5.0)], &[]), false); // coarser, nothing fell
    check(exponential(2, (0.001, 1.0), &[(2, 2.0), (4, 3.0)], &[]), true); // finer
    check(exponential(1, (0.001, 1.0), &[(1, 9.0), (2, 2.0)], &[]), true); // one fell
    check(exponential(1, (0.001, 0.0), &[(1, 9.0), (2, 3.0)], &[]), true);
    check(Histogram { reset_hint: ResetHint::Reset, ..before.clone() }, true);
}

#[test]
fn contradicting_hints_are_told() {
    use ResetHint::*;
    for (a, b, sum, collision) in [
        (Reset, Reset, Reset, false),
        (Reset, NotReset, Unknown, true),
        (Reset, Unknown, Unknown, false),
        (Unknown, NotReset, Unknown, false),
        (Gauge, Reset, Gauge, false),
        (NotReset, Gauge, Gauge, false),
    ] {
        let with = |hint| Histogram { reset_hint: hint, ..exponential(0, (0.0, 1.0), &[], &[]) };
        let (result, notes) = with(a).add(&with(b)).expect("both exponential");
        assert_eq!((result.reset_hint, notes.reset_collision), (sum, collision), "{a:?} {b:?}");
    }
}

#[test]
fn trims_cut_buckets() {
    let h = custom(&[5.0, 10.0], &[(0, 1.0), (1, 6.0), (2, 4.0)]);
    let below = h.trim_upper(7.5);
    assert_eq!((below.count, below.sum), (4.0, 2.5 + 3.0 * 6.25));
    let above = h.trim_lower(20.0);
    assert_eq!((above.count, above.sum), (4.0, 80.0)); // the last bucket has no end
    assert_eq!(h.trim_lower(f64::NEG_INFINITY), h);
    let zero = exponential(0, (0.5, 2.0), &[(1, 10.0)], &[]);
    assert!((zero.trim_upper(0.1).count - 0.4).abs() < 1e-12); // the zero bucket is on the positive side
}

#[test]
fn text_is_that_of_prometheus() {
    let mut h = exponential(0, (0.001, 1.0), &[(0, 2.0), (2, 1.5)], &[(1, 1.0)]);
    h.sum = -0.25;
    assert_eq!(h.to_string(), "{count:5.5, sum:-0.25, [-2,-1):1, [-0.001,0.001]:1, (0.5,1]:2, (2,4]:1.5}");
}

fn any_side() -> impl Strategy<Value = Side> {
    prop::collection::btree_map(-20..20_i32, prop_oneof![Just(0.0), (1..1000_u32).prop_map(f64::from)], 0..8)
        .prop_map(|side| Side(side.into_iter().collect()))
}

/// No bucket reaches into the zero bucket, as it is in whatever was observed.
fn any_exponential_of(schema: i32) -> impl Strategy<Value = Histogram> {
    let threshold = prop_oneof![Just(0.0), Just(0.001), Just(0.25), Just(3.0)];
    let parts = (any_side(), any_side(), threshold, 0..100_u32);
    parts.prop_map(move |(mut positive, mut negative, width, zero)| {
        for side in [&mut positive, &mut negative] {
            side.0.retain(|(index, _)| exponential_bound(index - 1, schema) >= width);
        }
        exponential(schema, (width, f64::from(zero)), &positive.0, &negative.0)
    })
}

fn any_exponential() -> impl Strategy<Value = Histogram> {
    (SCHEMA_MIN..=SCHEMA_MAX).prop_flat_map(any_exponential_of)
}

fn any_custom() -> impl Strategy<Value = Histogram> {
    let bounds = prop::collection::btree_set(-10..10_i32, 0..6);
    (bounds, prop::collection::vec(0..100_u32, 7)).prop_map(|(bounds, counts)| {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let buckets = counts.iter().zip(0..).take(bounds.len() + 1).map(|(count, index)| (index, f64::from(*count)));
        custom(&bounds, &buckets.collect::<Vec<_>>())
    })
}

/// All observations that buckets have.
fn observations(h: &Histogram) -> f64 {
    h.zero_count + h.positive_counts.iter().chain(&h.negative_counts).sum::<f64>()
}

proptest! {
    /// Whole numbers add up without rounding, so the order cannot matter. With two schemas it may, in Prometheus too: the edge of one zero
    /// bucket can lie in a bucket of the coarser schema.
    #[test]
    fn sums_commute_and_lose_nothing(
        (a, b) in prop_oneof![
            (SCHEMA_MIN..=SCHEMA_MAX).prop_flat_map(|schema| (any_exponential_of(schema), any_exponential_of(schema))),
            (any_custom(), any_custom()),
        ]
    ) {
        let (ab, notes) = a.add(&b).expect("one kind");
        let (ba, other_notes) = b.add(&a).expect("one kind");
        prop_assert!(ab.compact().equals(&ba.compact()), "{} and {}", ab, ba);
        prop_assert_eq!(notes, other_notes);
        prop_assert_eq!(ab.count, a.count + b.count);
    }

    #[test]
    fn coarser_and_compact_are_the_same_observations(h in any_exponential(), schema in SCHEMA_MIN..=SCHEMA_MAX) {
        prop_assert_eq!(observations(&h.reduced(schema)), observations(&h));
        prop_assert!(h.compact().compact().equals(&h.compact()));
        prop_assert_eq!(observations(&h.compact()), observations(&h));
        prop_assert_eq!(h.compact().to_string(), h.to_string());
        prop_assert!(!h.is_reset_after(&h));
    }

    #[test]
    fn trims_divide_what_there_is(h in prop_oneof![any_exponential(), any_custom()], at in -50.0..50.0_f64) {
        let (below, above) = (h.trim_upper(at), h.trim_lower(at));
        prop_assert!(observations(&below) <= observations(&h) * (1.0 + 1e-9));
        prop_assert!(observations(&above) <= observations(&h) * (1.0 + 1e-9));
        if !h.is_custom() {
            let both = observations(&below) + observations(&above);
            prop_assert!((both - observations(&h)).abs() <= 1e-9 * observations(&h));
        }
    }
}
