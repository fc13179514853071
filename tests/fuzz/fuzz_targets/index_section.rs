//! Any bytes as the index section of a file: every section is unpacked and asked, and may only err on the side of "may be there".
#![no_main]

use bytes::Bytes;
use lake::Scalar;
use lake::index::IndexReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(index) = IndexReader::parse(Bytes::copy_from_slice(input)) else { return };
    if let Some(postings) = index.postings() {
        for name in postings.names().map(str::to_owned).collect::<Vec<_>>() {
            let at = postings.name_index(&name).expect("it is one of the names");
            postings.has(at);
            for term in postings.terms(at) {
                postings.value(term);
                postings.rows(term);
            }
        }
    }
    if let Some(grams) = index.grams() {
        (0..grams.blocks().min(64)).for_each(|block| _ = grams.may_contain(block, b"connection refused"));
    }
    for filters in [index.trace_ids(), index.span_ids(), index.attributes(), index.file_trace_ids()].into_iter().flatten() {
        (0..64).for_each(|block| _ = filters.may_contain(block, 0x9e37_79b9_7f4a_7c15));
    }
    _ = index.streams();
    _ = index.lacks_attributes(0);
    index.lacks_attribute(0, "attrs_str", "k", &Scalar::Text("v".to_owned()));
});
