//! Any text as a template: understood or refused, written or failed, within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logql::labels::Labels;
use logql::template::{Data, OUTPUT_BYTES_MAX, RegexCache, Template};

fuzz_target!(|text: &str| {
    let Ok(template) = Template::parse("line", text) else { return };
    let labels = Labels::of_stream([("app", "web"), ("n", "7"), ("empty", ""), ("json", r#"{"a":[1,"b",{"c":null}]}"#)]);
    let data = Data { labels: &labels, line: "GET /a?b=c 200 12.5ms é", ts_ns: 1_600_000_000_123_456_789, now_ns: 1_700_000_000_000_000_000 };
    let mut out = String::new();
    match template.execute(&data, &mut out, &mut RegexCache::default()) {
        // a value is looked at once it is written
        Ok(()) => assert!(out.len() <= 8 * OUTPUT_BYTES_MAX, "{} bytes", out.len()),
        Err(why) => assert!(out.is_empty() && !why.is_empty()),
    }
    template.label_names(&mut Vec::new());
});
