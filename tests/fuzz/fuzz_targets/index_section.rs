//! Any bytes as the index section of a file, as they are and as the bodies of a good frame: every section is unpacked and asked, and may only
//! err on the side of "may be there".
//!
//! ```text
//! input := (kind u8, length u16, body)*
//! ```
#![no_main]

use bytes::Bytes;
use lake::Scalar;
use lake::index::IndexReader;
use libfuzzer_sys::fuzz_target;

/// Sections that are not packed, with the checksums that nothing of a fuzzer's would ever have.
fn framed(mut input: &[u8]) -> Vec<u8> {
    let (mut entries, mut bodies, mut sections) = (Vec::new(), Vec::new(), 0_u16);
    while let [kind, low, high, rest @ ..] = input {
        let (body, behind) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
        entries.extend(u16::from(kind % 12).to_le_bytes());
        entries.extend(0_u16.to_le_bytes());
        entries.extend((body.len() as u32).to_le_bytes());
        entries.extend((body.len() as u32).to_le_bytes());
        entries.extend(crc32fast::hash(body).to_le_bytes());
        bodies.extend_from_slice(body);
        (input, sections) = (behind, sections + 1);
    }
    let mut frame = b"TLIX".to_vec();
    frame.extend(1_u16.to_le_bytes());
    frame.extend(sections.to_le_bytes());
    frame.extend(entries);
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame.extend(bodies);
    frame
}

fuzz_target!(|input: &[u8]| {
    ask(input.to_vec());
    ask(framed(input));
});

fn ask(section: Vec<u8>) {
    let Ok(index) = IndexReader::parse(Bytes::from(section)) else { return };
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
}
