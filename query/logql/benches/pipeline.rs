//! Nanoseconds per line: a text filter over a buffer, one key of a JSON and of a logfmt line, an expression, a format.

use criterion::{BatchSize, Criterion, Throughput};
use logql::parse::parse_log_selector;
use logql::pipeline::{GroupBy, Groups, Hints, Pipeline};

const LINES: usize = 10_000;

fn json(n: usize) -> String {
    format!(
        r#"{{"ts":"2026-11-25T10:00:{:02}Z","level":"{}","msg":"request served","method":"GET","path":"/api/users/{n}","status":{},"latency_ms":{}.5,"user":{{"id":{},"name":"ann"}},"trace_id":"{n:032x}","bytes":{}}}"#,
        n % 60,
        ["info", "warn", "error"][n % 3],
        [200, 404, 500][n % 3],
        n % 900,
        n % 50,
        n * 3
    )
}

fn logfmt(n: usize) -> String {
    format!(
        "ts=2026-11-25T10:00:{:02}Z level={} msg=\"request served\" method=GET path=/api/users/{n} status={} latency={}ms user_id={} trace_id={n:032x} bytes={}",
        n % 60,
        ["info", "warn", "error"][n % 3],
        [200, 404, 500][n % 3],
        n % 900,
        n % 50,
        n * 3
    )
}

fn pipeline(stages: &str, hints: Hints) -> Pipeline {
    let log = parse_log_selector(&format!("{{app=\"web\"}} {stages}")).expect("the query parses");
    Pipeline::new(&log.stages, hints, 0).expect("the pipeline compiles")
}

fn filter(c: &mut Criterion) {
    let mut group = c.benchmark_group("filter");
    group.throughput(Throughput::Elements(LINES as u64));
    let mut buffer = Vec::new();
    let mut offsets = vec![0];
    for n in 0..LINES {
        buffer.extend_from_slice(json(n).as_bytes());
        offsets.push(buffer.len() as i32);
    }
    for (name, stages) in
        [("rare text", "|= \"/api/users/777\""), ("common text", "|= \"error\""), ("expression", "|~ \"status.:5..\"")]
    {
        let filters = pipeline(stages, Hints::all()).leading_filters();
        let run = |mut rows: Vec<bool>| {
            filters.filter_rows(&buffer, &offsets, &mut rows);
            rows
        };
        group.bench_function(name, |b| b.iter_batched(|| vec![true; LINES], run, BatchSize::LargeInput));
    }
    group.finish();
}

fn stages(c: &mut Criterion) {
    let mut group = c.benchmark_group("stages");
    group.throughput(Throughput::Elements(LINES as u64));
    let json: Vec<String> = (0..LINES).map(json).collect();
    let logfmt: Vec<String> = (0..LINES).map(logfmt).collect();
    let by_status = || Hints::only(["status"]);
    for (name, stages, lines, hints) in [
        ("json, 1 of 10 keys", "| json", &json, by_status()),
        ("json, all keys", "| json", &json, Hints::all()),
        ("json by path", "| json status=\"status\"", &json, by_status()),
        ("json, filtered", "| json | status >= 500", &json, by_status()),
        ("logfmt, 1 key", "| logfmt", &logfmt, by_status()),
        ("logfmt, all keys", "| logfmt", &logfmt, Hints::all()),
        ("regexp", r"| regexp `status=(?P<status>\d+)`", &logfmt, by_status()),
        ("pattern", "| pattern `<_> level=<level> <_> status=<status> <_>`", &logfmt, by_status()),
        ("line_format", "| logfmt | line_format `{{.level}} {{.msg}} {{.status}}`", &logfmt, Hints::only(["level"])),
        ("line_format, functions", "| line_format `{{ __line__ | trunc 20 | upper }}`", &logfmt, Hints::all()),
    ] {
        let pipeline = pipeline(stages, hints);
        group.bench_function(name, |b| {
            let mut stream = pipeline.stream([("app", "web"), ("cluster", "eu")]);
            let mut groups = Groups::new(GroupBy::By(vec!["status".to_owned()]));
            b.iter(|| {
                let mut kept = 0;
                for line in lines {
                    if let Some(line) = stream.process(0, line, []) {
                        groups.group(line.labels);
                        kept += 1;
                    }
                }
                kept
            });
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    filter(&mut c);
    stages(&mut c);
    c.final_summary();
}
