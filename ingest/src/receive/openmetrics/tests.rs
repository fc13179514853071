use prost::Message;

use super::*;
use crate::receive::prometheus::messages::v2;

/// Every sample as `series time value [start] [type help unit] [exemplar]`, in the order of the requests.
fn read(text: &str) -> Result<Vec<String>, String> {
    let mut reader = OpenMetricsReader::new(text.as_bytes());
    let mut lines = Vec::new();
    while let Some(batch) = reader.next_batch().map_err(|error| error.to_string())? {
        let request = v2::Request::decode(batch.body.as_slice()).unwrap();
        let text = |symbol: u32| request.symbols[symbol as usize].clone();
        let pairs =
            |refs: &[u32]| refs.chunks(2).map(|p| format!("{}={:?}", text(p[0]), text(p[1]))).collect::<Vec<_>>().join(",");
        let (mut samples, mut exemplars) = (0, 0);
        for series in &request.timeseries {
            for sample in &series.samples {
                let mut line = format!("{} {} {}", pairs(&series.labels_refs), sample.timestamp, sample.value());
                if sample.start_timestamp != 0 {
                    line.push_str(&format!(" since {}", sample.start_timestamp));
                }
                if let Some(m) = series.metadata {
                    line.push_str(&format!(" is {} {:?} {:?}", m.r#type, text(m.help_ref), text(m.unit_ref)));
                }
                for exemplar in series.exemplars.iter().filter(|e| e.timestamp == sample.timestamp) {
                    line.push_str(&format!(" # {} {}", pairs(&exemplar.labels_refs), exemplar.value));
                    exemplars += 1;
                }
                lines.push(line);
                samples += 1;
            }
        }
        assert_eq!((batch.counts.samples, batch.counts.exemplars), (samples, exemplars));
    }
    Ok(lines)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(read(text).as_deref(), Ok(expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>().as_slice()));
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(read(text).unwrap_err(), expected);
}

#[test]
fn samples_with_their_times() {
    check(
        "# TYPE up gauge\n# HELP up Whether it \\\"is\\\" \\\\up\\n.\n# UNIT up seconds\nup{job=\"a\"} 1 1.5\nup{job=\"a\"} 0 2\n# EOF\n",
        &[
            r#"job="a",__name__="up" 1500 1 is 2 "Whether it \"is\" \\up\n." "seconds""#,
            r#"job="a",__name__="up" 2000 0 is 2 "Whether it \"is\" \\up\n." "seconds""#,
        ],
    );
    check("up 1 1793491200.123\nup 2 -1\n# EOF", &[r#"__name__="up" 1793491200123 1"#, r#"__name__="up" -1000 2"#]);
    check(
        "a NaN 1\na +Inf 2\na -inf 3\na 1e-3 4\n# EOF",
        &[r#"__name__="a" 1000 NaN"#, r#"__name__="a" 2000 inf"#, r#"__name__="a" 3000 -inf"#, r#"__name__="a" 4000 0.001"#],
    );
    // Escapes, an empty set, a comma at the end, names of any text.
    check(
        "a{} 1 1\na{b=\"\\\\x\\\"\\n\\y\",} 1 1\n{\"a.b\",\"c d\"=\"ü\"} 1 1\n{\"a.b\"} 1 2\n# a comment\n# EOF",
        &[
            r#"__name__="a" 1000 1"#,
            r#"b="\\x\"\n\\y",__name__="a" 1000 1"#,
            r#"c d="ü",__name__="a.b" 1000 1"#,
            r#"__name__="a.b" 2000 1"#,
        ],
    );
}

#[test]
fn counters_begin_where_their_created_line_says() {
    check(
        "# TYPE a counter\na_total 1 10\na_total 2 20\na_created 5 20\na_created 4 10\na_total{x=\"y\"} 3 10\na_total{x=\"z\"} 4 10\n\
         a_created{x=\"z\"} 7 10\n# TYPE b gauge\nb_created 1 1\n# EOF",
        &[
            r#"__name__="a_total" 10000 1 since 4000 is 1 "" """#,
            r#"__name__="a_total" 20000 2 since 5000 is 1 "" """#,
            r#"x="y",__name__="a_total" 10000 3 is 1 "" """#,
            r#"x="z",__name__="a_total" 10000 4 since 7000 is 1 "" """#,
            r#"__name__="b_created" 1000 1"#,
        ],
    );
}

#[test]
fn histograms_and_summaries_are_series() {
    check(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1 1 # {trace_id=\"abc\"} 0.5 1\nh_bucket{le=\"+Inf\"} 2 1\nh_count 2 1\nh_sum 3 1\nh_created 0.5 1\n\
         # TYPE s summary\ns{quantile=\"0.5\"} 1 1\ns_sum 1 1\n# EOF",
        &[
            r#"__name__="h_count" 1000 2 since 500 is 3 "" """#,
            r#"__name__="h_sum" 1000 3 since 500 is 3 "" """#,
            r#"le="+Inf",__name__="h_bucket" 1000 2 since 500 is 3 "" """#,
            r#"le="1.0",__name__="h_bucket" 1000 1 since 500 is 3 "" "" # trace_id="abc" 0.5"#,
            r#"__name__="s_sum" 1000 1 is 5 "" """#,
            r#"quantile="0.5",__name__="s" 1000 1 is 5 "" """#,
        ],
    );
}

#[test]
fn errors_name_their_line() {
    refused("up 1 1\n", "line 2: the text ends without `# EOF`, so that some of it is missing");
    refused("", "line 1: the text ends without `# EOF`, so that some of it is missing");
    refused("# EOF\nup 1 1\n", "line 2: there is text behind `# EOF`");
    refused("up 1 1\nup 1\n# EOF", "line 2: up has no time; text with times is what can be imported");
    refused("up one 1\n# EOF", "line 1: the value \"one\" is no number");
    refused("up 1 now\n# EOF", "line 1: the time \"now\" is no number");
    refused("up 1 1e300\n# EOF", &format!("line 1: the time {} is out of range", 1e300));
    refused("up{a=\"1\" 1 1\n# EOF", "line 1: expected `,` or `}` at \"1 1\"");
    refused("up{a=\"1} 1 1\n# EOF", "line 1: a quoted text has no end");
    refused("up{a} 1 1\n# EOF", "line 1: expected `=` at \"} 1 1\"");
    refused("up{1=\"1\"} 1 1\n# EOF", "line 1: expected a name at \"1=\\\"1\\\"} 1 1\"");
    refused("1up 1 1\n# EOF", "line 1: expected a name at \"1up 1 1\"");
    refused("{a=\"1\"} 1 1\n# EOF", "line 1: the metric has no name");
    refused("up 1 1 more\n# EOF", "line 1: unexpected text \"more\"");
    refused("up 1 1 # 5\n# EOF", "line 1: an exemplar has no labels");
    refused("# TYPE up gouge\n# EOF", "line 1: invalid metric type \"gouge\"");
    refused(&format!("up 1 1\n{}", "x".repeat(LINE_BYTES_MAX + 1)), "line 2: the line is longer than 1048576 bytes");
    let mut reader = OpenMetricsReader::new(&b"up 1 1\na{b=\"\xff\"} 1 1\n# EOF"[..]);
    assert_eq!(reader.next_batch().unwrap_err().to_string(), "line 2: text is not valid UTF-8");
}

#[test]
fn batches_are_bounded() {
    let text = (0..50_000).map(|n| format!("up{{n=\"{n}\"}} 1 1\n")).collect::<String>() + "# EOF\n";
    let mut reader = OpenMetricsReader::new(text.as_bytes());
    let mut sizes = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        sizes.push(batch.counts.samples);
    }
    assert_eq!(sizes, [20_000, 20_000, 10_000]);
    // A counter that never says when it began does not wait for ever.
    let text =
        "# TYPE a counter\n".to_owned() + &(0..50_000).map(|n| format!("a_total {n} {n}\n")).collect::<String>() + "# EOF\n";
    assert_eq!(read(&text).unwrap().len(), 50_000);
}

proptest::proptest! {
    #[test]
    fn any_text_never_panics(text in "(([a-z_:]{0,3}(\\{([a-z]{0,2}=?\"?[^\n]{0,3}\"?,?){0,3}\\}?)? [0-9.eNa+-]{0,4} [0-9.-]{0,4}( # \\{\\} 1)?|# (TYPE|HELP|UNIT|EOF)? ?[a-z]{0,3} ?(counter|histogram)?|.{0,20})\n){0,12}(# EOF)?") {
        let _ = read(&text);
    }
}
