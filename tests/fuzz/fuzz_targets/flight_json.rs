//! Any bytes as a question of plain Flight: SQL that the gate lets in or refuses, or an error; quotes do not get out.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(text) = sql::flight::plain::sql_of(body) {
        assert!(text.len() <= 8 * body.len() + 64, "{} bytes became {}", body.len(), text.len());
        let _let_in = sql::statement::check(&text);
    }
});
