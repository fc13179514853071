//! A native histogram as JSON text, in the shape of Prometheus' API: `{"count":"3","sum":"7.5","buckets":[[rule,"lower","upper","count"],...]}`.
//! The rule says which bounds belong to a bucket: 0 the upper one, 1 the lower one, 2 none, 3 both. Empty buckets are left out.

use promql::histogram::Histogram;
use promql::print::float;

/// As the API writes numbers: without an exponent as long as they are not very small or large.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) { value.to_string() } else { float(value) }
}

/// The text of `histogram`.
pub(super) fn text(histogram: &Histogram) -> String {
    let mut out = format!(r#"{{"count":"{}","sum":"{}""#, number(histogram.count), number(histogram.sum));
    let mut separator = r#","buckets":["#;
    for bucket in histogram.buckets().iter().filter(|bucket| bucket.count != 0.0) {
        let (lower, upper, count) = (number(bucket.lower), number(bucket.upper), number(bucket.count));
        out.push_str(&format!(r#"{separator}[{},"{lower}","{upper}","{count}"]"#, bucket.rule()));
        separator = ",";
    }
    out.push_str(if separator == "," { "]}" } else { "}" });
    out
}

#[cfg(test)]
mod tests {
    use promql::histogram::BucketSpan;

    use super::*;

    #[test]
    fn as_the_api_writes_it() {
        assert_eq!(text(&Histogram::default()), r#"{"count":"0","sum":"0"}"#);
        let histogram = Histogram {
            count: 13.5,
            sum: 3_897_000.0,
            zero_threshold: 0.001,
            zero_count: 2.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 1 }, BucketSpan { offset: 1, length: 2 }],
            positive_counts: vec![5.0, 0.0, 3.5],
            ..Histogram::default()
        };
        let expected =
            r#"{"count":"13.5","sum":"3897000","buckets":[[3,"-0.001","0.001","2"],[0,"0.5","1","5"],[0,"4","8","3.5"]]}"#;
        assert_eq!(text(&histogram), expected);
    }
}
