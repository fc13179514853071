//! Any bytes in every encoding: at most the limit comes out, or a refusal.
#![no_main]

use bytes::Bytes;
use ingest::receive::body::{Collector, Encoding};
use ingest::receive::{Admission, ReceiveConfig};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let config = ReceiveConfig {
        body_bytes_max: LIMIT,
        decompressed_bytes_max: LIMIT,
        in_flight_bytes_max: 4 * LIMIT,
        ..ReceiveConfig::default()
    };
    let admission = Admission::new(config.in_flight_bytes_max);
    for name in ["identity", "gzip", "deflate", "zstd", "snappy"] {
        let encoding = Encoding::parse(Some(name.as_bytes())).expect("a known encoding");
        let mut collector = Collector::new(&config, &admission, 0);
        if collector.push(Bytes::copy_from_slice(input)).is_err() {
            return;
        }
        if let Ok(body) = collector.finish(0).decompress(encoding, &config) {
            assert!(body.len() as u64 <= LIMIT, "{name}: {} bytes", body.len());
        }
    }
    assert!(admission.begin().grow_to(config.in_flight_bytes_max).is_ok(), "everything was given back");
});
