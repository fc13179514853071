//! Any bytes as OTLP/JSON of each signal: protobuf that the wire reader can walk, or a refusal.
#![no_main]

use catalog::Signal;
use ingest::receive::otlp::json;
use ingest::wire::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for signal in [Signal::Metrics, Signal::Logs, Signal::Traces] {
        if let Ok(message) = json::to_protobuf(signal, body) {
            let mut reader = Reader::new(&message);
            while reader.next().expect("what we write is protobuf").is_some() {}
        }
    }
});
