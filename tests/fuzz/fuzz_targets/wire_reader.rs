//! Any bytes as protobuf: every field is read as every type, nested messages down to the limit of attribute values.
#![no_main]

use ingest::wire::{AnyValue, KeyValue, Reader, VALUE_DEPTH_MAX, Value};
use libfuzzer_sys::fuzz_target;

fn walk(message: &[u8], depth: usize) {
    let mut reader = Reader::new(message);
    let mut left = reader.remaining() + 1;
    while let Ok(Some(field)) = reader.next() {
        assert!(reader.remaining() < left, "every step consumes something");
        left = reader.remaining();
        let _ = (field.text(), field.uint64(), field.int64(), field.uint32(), field.int32(), field.sint32(), field.boolean());
        let _ = (field.fixed64(), field.sfixed64(), field.double(), field.fixed32());
        let _ = (field.fixed64s(&mut Vec::new()), field.doubles(&mut Vec::new()), field.uint64s(&mut Vec::new()));
        if let Value::Bytes(bytes) = field.value
            && depth < VALUE_DEPTH_MAX
        {
            let _ = KeyValue::read(bytes);
            match AnyValue::read(bytes) {
                Ok(AnyValue::Array(array)) => drop(AnyValue::elements(array, |_| Ok::<_, ingest::wire::WireError>(()))),
                Ok(AnyValue::Map(map)) => drop(AnyValue::entries(map, |_| Ok::<_, ingest::wire::WireError>(()))),
                _ => {}
            }
            walk(bytes, depth + 1);
        }
    }
}

fuzz_target!(|message: &[u8]| walk(message, 0));
