//! The data of a page of texts, as the search of log lines reads it.
#![no_main]

use lake::scan::texts::of_page;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, &[u8])| {
    let (texts, page) = (usize::from(input.0), input.1);
    let mut offsets = Vec::new();
    if let Ok(buffer) = of_page(page, texts, &mut offsets) {
        assert!(offsets.len() == texts + 1 && offsets.is_sorted());
        assert!(offsets[texts] as usize <= buffer.len());
    }
});
