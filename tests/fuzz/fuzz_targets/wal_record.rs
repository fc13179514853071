//! Any bytes as the body of a log record: rows that encode again to what decodes to the same, or an error.
#![no_main]

use catalog::Timestamp;
use ingest::wal::{decode_record, encode_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok((tenant, rows)) = decode_record(body) {
        let again = encode_record(&tenant, None, Timestamp::from_millis(1), &rows).expect("rows of the house encode");
        let (same_tenant, same_rows) = decode_record(&again).expect("what was encoded decodes");
        assert_eq!((tenant, rows.len()), (same_tenant, same_rows.len()));
        for ((table, batch), (same_table, same_batch)) in rows.iter().zip(&same_rows) {
            assert_eq!((table, batch.num_rows()), (same_table, same_batch.num_rows()));
        }
    }
});
