//! Any text as a TraceQL query, a field and a query that is still being typed: understood or refused, never a panic or a stack overflow,
//! and what was understood is printed as a text that is the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traceql::parse::hints::Hints;
use traceql::parse::{field, lenient, parse};

fuzz_target!(|text: &str| {
    if let Ok(query) = parse(text) {
        let printed = query.to_string();
        match parse(&printed) {
            Ok(again) => assert_eq!(again.to_string(), printed),
            // parentheses are printed that were not written
            Err(why) => assert!(why.message.contains("limit is"), "{printed:?} was printed and is refused: {why}"),
        }
        let _ = Hints::of(&query);
    }
    if let Ok(field) = field(text) {
        let _ = field.to_string();
    }
    if let Some(condition) = lenient(text) {
        let _ = condition.to_string();
    }
});
