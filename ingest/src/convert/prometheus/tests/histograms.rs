//! Native histograms: what is stored of them, and what is refused.

use super::requests::{Table2, request, series};
use super::*;
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount};

fn spans(spans: &[(i32, u32)]) -> Vec<BucketSpan> {
    spans.iter().map(|(offset, length)| BucketSpan { offset: *offset, length: *length }).collect()
}

/// Buckets 1, 3, 4 on the positive side and 1, 2 on the negative; 2 in the zero bucket.
fn integer() -> Histogram {
    Histogram {
        count: Some(Count::CountInt(23)),
        sum: 18.4,
        schema: 1,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::ZeroCountInt(2)),
        negative_spans: spans(&[(0, 2)]),
        negative_deltas: vec![1, 1],
        positive_spans: spans(&[(0, 2), (1, 2)]),
        positive_deltas: vec![1, 2, 3, 2],
        reset_hint: 2,
        timestamp: NOW,
        ..Histogram::default()
    }
}

fn float() -> Histogram {
    Histogram {
        count: Some(Count::CountFloat(7.5)),
        zero_count: Some(ZeroCount::ZeroCountFloat(0.5)),
        negative_deltas: vec![],
        negative_counts: vec![1.0, 0.0],
        positive_deltas: vec![],
        positive_counts: vec![0.5, 2.5, 1.5, 1.5],
        ..integer()
    }
}

fn custom() -> Histogram {
    Histogram {
        count: Some(Count::CountInt(6)),
        schema: -53,
        zero_threshold: 0.0,
        zero_count: None,
        negative_spans: vec![],
        negative_deltas: vec![],
        positive_spans: spans(&[(0, 1), (1, 1)]),
        positive_deltas: vec![2, 2],
        custom_values: vec![0.1, 5.0],
        ..integer()
    }
}

fn taken(histogram: &Histogram) -> [Taken; 2] {
    let series = v1::TimeSeries { histograms: vec![histogram.clone()], ..series(&[("__name__", "h")], &[]) };
    let mut table = Table2::default();
    table.add(&series);
    let converter = converter(RemoteWriteConfig { buckets_max: 8, ..RemoteWriteConfig::default() });
    [converter.v1(&request(vec![series])), converter.v2(&table.request)]
}

#[test]
fn all_kinds_are_stored_with_absolute_counts() {
    #[track_caller]
    fn check(histogram: &Histogram, expected: &str) {
        for taken in taken(histogram) {
            assert_eq!(taken.converted.reason, None);
            let lines = lines(&taken, &mut BTreeMap::new());
            assert_eq!(lines[0], format!("histogram h{{}} {NOW} None {expected}"));
        }
    }
    check(&integer(), "1 2 0.001 4032666666666666 [23, 2] [] [[(0, 1), (1, 3), (3, 6), (4, 8)], [(0, 1), (1, 2)]]");
    check(&float(), "1 2 0.001 4032666666666666 [7.5, 0.5] [] [[(0, 0.5), (1, 2.5), (3, 1.5), (4, 1.5)], [(0, 1.0), (1, 0.0)]]");
    check(&custom(), "-53 2 0 4032666666666666 [6, 0] [0.1, 5.0] [[(0, 2), (2, 4)], []]");
    let empty = Histogram { timestamp: NOW, ..Histogram::default() };
    check(&empty, "0 0 0 0 [0, 0] [] [[], []]");
    // The end of a series, in both kinds.
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    check(&Histogram { sum: stale, ..empty.clone() }, "0 0 0 7ff0000000000002 [0, 0] [] [[], []]");
    let stale = Histogram { sum: stale, count: Some(Count::CountFloat(0.0)), ..empty };
    check(&stale, "0 0 0 7ff0000000000002 [0.0, 0.0] [] [[], []]");
    // NaN observations are in the count and in no bucket.
    let nan = Histogram { sum: f64::NAN, count: Some(Count::CountInt(25)), ..integer() };
    check(&nan, "1 2 0.001 7ff8000000000000 [25, 2] [] [[(0, 1), (1, 3), (3, 6), (4, 8)], [(0, 1), (1, 2)]]");
    // Two schemas above 8: four neighbours merge. (-3..=0] and (1..=4].
    let fine = Histogram {
        schema: 10,
        count: Some(Count::CountInt(17)),
        zero_count: None,
        negative_spans: spans(&[(-7, 1)]),
        negative_deltas: vec![5],
        positive_spans: spans(&[(0, 2), (1, 2)]),
        positive_deltas: vec![1, 1, 2, 1],
        ..integer()
    };
    check(&fine, "8 2 0.001 4032666666666666 [17, 0] [] [[(0, 1), (1, 11)], [(-1, 5)]]");
}

#[test]
fn what_does_not_add_up_is_refused() {
    #[track_caller]
    fn check(histogram: Histogram, expected: &str) {
        for taken in taken(&histogram) {
            assert_eq!(taken.written, Written::default());
            assert_eq!(taken.converted.reason, Some(format!("1 refused: {expected}, such as h{{}}")));
        }
    }
    let h = integer;
    let mismatch =
        "histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)";
    check(Histogram { count: Some(Count::CountInt(24)), ..h() }, mismatch);
    check(Histogram { count: None, ..h() }, mismatch);
    check(
        Histogram { count: Some(Count::CountInt(22)), sum: f64::NAN, ..h() },
        "histogram's observation count should be at least the number of observations found in the buckets",
    );
    let spans_mismatch = "histogram spans specify different number of buckets than provided";
    check(Histogram { positive_spans: spans(&[(0, 3)]), ..h() }, spans_mismatch);
    check(Histogram { negative_spans: spans(&[]), ..h() }, spans_mismatch);
    check(Histogram { positive_spans: spans(&[(0, u32::MAX)]), ..h() }, spans_mismatch);
    check(Histogram { positive_counts: vec![], ..Histogram { positive_spans: spans(&[(0, 1)]), ..float() } }, spans_mismatch);
    check(Histogram { positive_spans: spans(&[(0, 2), (-1, 2)]), ..h() }, "histogram has a span whose offset is negative");
    let negative = "histogram has a bucket whose observation count is negative";
    check(Histogram { positive_deltas: vec![1, -2, 3, 2], ..h() }, negative);
    check(Histogram { negative_counts: vec![1.0, -0.5], ..float() }, negative);
    check(Histogram { zero_count: Some(ZeroCount::ZeroCountFloat(-1.0)), ..float() }, negative);
    check(Histogram { count: Some(Count::CountFloat(-1.0)), ..float() }, "histogram's observation count is negative");
    check(Histogram { positive_deltas: vec![1, i64::MAX, 3, 2], ..h() }, "a histogram's count does not fit 63 bits");
    let schema = "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets \
                  (9 to 52 are reduced to 8), or -53 for custom buckets";
    for wrong in [-5, 53, -52, i32::MIN, i32::MAX] {
        check(Histogram { schema: wrong, ..h() }, schema);
    }
    check(
        Histogram { positive_spans: spans(&[(i32::MAX, 2), (1, 2)]), ..h() },
        "a histogram's bucket index does not fit 32 bits",
    );
    check(Histogram { positive_deltas: vec![0; 9], ..h() }, "histogram has more than 8 buckets or spans");
    check(Histogram { positive_deltas: vec![0; 90], ..h() }, "histogram has more than 8 buckets or spans");
    check(Histogram { positive_spans: spans(&[(0, 0); 9]), ..h() }, "histogram has more than 8 buckets or spans");
    check(Histogram { custom_values: vec![1.0], ..h() }, "histogram with exponential schema must not have custom bounds");
    let c = custom;
    check(Histogram { custom_values: vec![0.1], ..c() }, "histogram custom bounds are too few");
    check(Histogram { custom_values: vec![0.1, 0.1], ..c() }, "histogram custom bounds must be in strictly increasing order");
    check(Histogram { custom_values: vec![0.1, f64::NAN], ..c() }, "histogram custom bounds must be finite");
    check(Histogram { custom_values: vec![0.1, f64::INFINITY], ..c() }, "histogram custom bounds must be finite");
    check(Histogram { positive_spans: spans(&[(-1, 1), (1, 1)]), ..c() }, "histogram has a span whose offset is negative");
    check(Histogram { zero_threshold: 0.1, ..c() }, "custom buckets: must have zero count and zero threshold of 0");
    check(
        Histogram { negative_spans: spans(&[(0, 1)]), negative_deltas: vec![1], ..c() },
        "custom buckets: must not have negative spans or buckets",
    );
}

#[test]
fn a_series_has_one_kind_at_a_time() {
    let floats = series(&[("__name__", "h")], &[NOW, NOW + 1]);
    let histograms = v1::TimeSeries {
        samples: vec![],
        histograms: vec![integer(), Histogram { timestamp: NOW + 2, ..float() }],
        ..floats.clone()
    };
    let said = Some("1 refused: duplicate sample for timestamp: a float and a histogram; the first one is kept, such as h{}");
    for (order, written) in [([&floats, &histograms], [2, 1]), ([&histograms, &floats], [1, 2])] {
        let converter = converter(RemoteWriteConfig::default());
        let taken = converter.v1(&request(order.into_iter().cloned().collect()));
        assert_eq!([taken.written.samples, taken.written.histograms], written);
        assert_eq!(taken.converted.reason.as_deref(), said);
        let mut table = Table2::default();
        for series in order {
            table.add(series);
        }
        let taken = converter.v2(&table.request);
        assert_eq!([taken.written.samples, taken.written.histograms], written);
        assert_eq!(taken.converted.reason.as_deref(), said);
    }
}
