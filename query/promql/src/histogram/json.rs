//! Native histograms as JSON: `{"count":"3","sum":"7.5","buckets":[[rule,"lower","upper","count"],...]}`.
//! Source: Prometheus `util/jsonutil/marshal.go`. The rule says which bounds belong to a bucket: 0 the upper one, 1 the lower one, 2 none,
//! 3 both.

use std::io::Write;

use gosyntax::number::write_float;

use super::Histogram;

/// Appends `histogram`. Empty buckets are left out, and the list with them when all are.
pub fn write_json(out: &mut Vec<u8>, histogram: &Histogram) {
    out.extend_from_slice(br#"{"count":"#);
    write_quoted(out, histogram.count);
    out.extend_from_slice(br#","sum":"#);
    write_quoted(out, histogram.sum);
    let mut begun = false;
    for bucket in histogram.buckets().iter().filter(|b| b.count != 0.0) {
        out.extend_from_slice(if begun { b",[" } else { b",\"buckets\":[[" });
        begun = true;
        // Writing to memory cannot fail.
        let _ = write!(out, "{}", bucket.rule());
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            write_quoted(out, value);
        }
        out.push(b']');
    }
    out.extend_from_slice(if begun { b"]}" } else { b"}" });
}

/// A number in quotes, since JSON has no NaN and no infinity.
fn write_quoted(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    write_float(out, value);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{BucketSpan, CUSTOM_BUCKETS};

    #[track_caller]
    fn check(histogram: &Histogram, expected: &str) {
        let mut out = Vec::new();
        write_json(&mut out, histogram);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn histograms() {
        check(&Histogram::default(), r#"{"count":"0","sum":"0"}"#);
        let exponential = Histogram {
            count: 13.5,
            sum: 3897.0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: 1, length: 2 }],
            positive_counts: vec![5.0, 0.0, 3.5],
            negative_spans: vec![BucketSpan { offset: 1, length: 1 }],
            negative_counts: vec![3.0],
            ..Histogram::default()
        };
        check(
            &exponential,
            r#"{"count":"13.5","sum":"3897","buckets":[[1,"-2","-1","3"],[3,"-0.001","0.001","2"],[0,"0.5","1","5"],[0,"4","8","3.5"]]}"#,
        );
        let custom = Histogram {
            schema: CUSTOM_BUCKETS,
            count: 3.0,
            sum: 7.5,
            custom_bounds: vec![0.25, 5.0],
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_counts: vec![1.0, 1.0, 1.0],
            ..Histogram::default()
        };
        check(&custom, r#"{"count":"3","sum":"7.5","buckets":[[3,"-Inf","0.25","1"],[0,"0.25","5","1"],[0,"5","+Inf","1"]]}"#);
    }
}
