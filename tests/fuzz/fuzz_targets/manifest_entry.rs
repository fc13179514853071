//! Any bytes as an entry of the manifest's log, as they are and as the body of a good frame.
#![no_main]

use catalog::manifest::{decode_log_entry, encode_log_entry};
use libfuzzer_sys::fuzz_target;

/// Header of a log entry: magic, version, length, checksum of both and of the body.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"TLml".to_vec();
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes);
    crc.update(body);
    bytes.extend_from_slice(&crc.finalize().to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fuzz_target!(|input: &[u8]| {
    let _ = decode_log_entry(1, input);
    if let Ok(entry) = decode_log_entry(1, &framed(input)) {
        let again = encode_log_entry(&entry).expect("what was read can be written");
        assert_eq!(decode_log_entry(1, &again).expect("what was written can be read"), entry);
    }
});
