//! Any text as a line through the parsers, and as a pattern, an address, a path: labels or an error, never a panic; and filters over
//! many lines pass what they pass one by one; what is kept has the texts that an index is asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logql::ast::{LineFilter, LineFilterOp, LineMatch, Stage};
use logql::parse::parse_log_selector;
use logql::patterns::{Miner, MinerConfig};
use logql::pipeline::{Hints, IpMatcher, LinePredicate, Pipeline, parse_json_path, parse_logfmt_path, required_literals};

const STAGES: [&str; 8] = [
    "| json",
    "| json x=\"a.b[0]\", y=\"c\"",
    "| logfmt --strict --keep-empty",
    "| logfmt x=\"a\"",
    "| pattern `<a> <b>=<c>`",
    "| unpack",
    "| decolorize | logfmt | a > 5 or a > 5s or a > 5KB or a = ip(`::/0`)",
    "|= `a` != `b`",
];

fuzz_target!(|input: (&str, &str)| {
    let (line, text) = input;
    for stages in STAGES {
        let log = parse_log_selector(&format!("{{a=\"b\"}} {stages}")).expect("the stages parse");
        let pipeline = Pipeline::new(&log.stages, Hints::all(), 0).expect("the stages compile");
        let mut stream = pipeline.stream([("app", "web")]);
        let kept = stream.process(0, line, [("trace", text)]).is_some();
        let leading = pipeline.leading_filters();
        assert!(leading.matches(line.as_bytes()) || !kept);
        let mut behind = pipeline.behind_filters().stream([("app", "web")]);
        assert_eq!(kept, leading.matches(line.as_bytes()) && behind.process(0, line, [("trace", text)]).is_some());
        let lines = [line, text, line];
        let offsets = [0, line.len() as i32, (line.len() + text.len()) as i32, (2 * line.len() + text.len()) as i32];
        let mut rows = [true; 3];
        leading.filter_rows(lines.concat().as_bytes(), &offsets, &mut rows);
        assert_eq!(rows, lines.map(|line| leading.matches(line.as_bytes())));
    }
    for op in [LineFilterOp::Contains, LineFilterOp::Pattern, LineFilterOp::Matches] {
        let filter = LineFilter { op, alternatives: vec![LineMatch::Text(text.to_owned())] };
        let stages = [Stage::LineFilter(filter.clone())];
        if let Ok(filter) = LinePredicate::new(&filter)
            && filter.matches(line.as_bytes())
        {
            let line = line.to_ascii_lowercase();
            for literals in required_literals(&stages) {
                assert!(literals.iter().any(|literal| line.contains(&literal.text.to_ascii_lowercase())));
            }
        }
    }
    if let Ok(matcher) = IpMatcher::new(text) {
        matcher.is_in(line.as_bytes());
    }
    let _ = (parse_json_path(text), parse_logfmt_path(text));
    let mut miner = Miner::new(MinerConfig::default());
    miner.add(0, line);
    miner.add(0, text);
    miner.finish();
});
