//! Any text as a LogQL query, a selector and the labels of a stream: understood or refused, never a panic or a stack overflow, and what
//! was understood is printed as a text that means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logql::parse::{parse, parse_labels, parse_matchers};
use logql::print::pretty;
use logql::units::{parse_bytes, parse_duration, parse_float};

fuzz_target!(|text: &str| {
    if let Ok(expr) = parse(text) {
        for again in [expr.to_string(), pretty(&expr, 100), pretty(&expr, 0)] {
            let read = parse(&again).unwrap_or_else(|e| panic!("{again:?} was printed and is refused: {e}"));
            assert_eq!(read.to_string(), expr.to_string());
        }
    }
    let _ = parse_matchers(text);
    let _ = parse_labels(text);
    let _ = parse_bytes(text);
    let _ = parse_duration(text);
    let _ = parse_float(text);
});
