//! Any text as a PromQL query, a selector and a pattern: understood or refused, never a panic or a stack overflow, and what was
//! understood is printed as a text that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql::parse::{ParseOptions, compile_regex, duration_or_seconds, parse, parse_selector};
use promql::print::{json, pretty};

fuzz_target!(|text: &str| {
    let options = ParseOptions { experimental: true };
    if let Ok(expr) = parse(text, &options) {
        let printed = expr.to_string();
        for again in [&printed, &pretty(&expr)] {
            let again = parse(again, &options).unwrap_or_else(|e| panic!("{again:?} was printed and is refused: {e}"));
            assert_eq!(again.to_string(), printed);
        }
        assert!(json(&expr).is_object());
    }
    let _ = parse_selector(text);
    let _ = duration_or_seconds(text);
    let _ = compile_regex(text);
});
