use opentelemetry_proto::tonic::common::v1::{AnyValue as ProstAny, KeyValue as ProstKeyValue, any_value};
use proptest::prelude::*;
use prost::Message;

use super::*;

/// Walks a message and, while it looks like one, everything inside; the sum keeps the work from being optimised away.
fn walk(bytes: &[u8], depth: usize) -> Result<usize, WireError> {
    let (mut reader, mut fields) = (Reader::new(bytes), 0);
    while let Some(field) = reader.next()? {
        fields += 1;
        let _ = (field.text(), field.double(), field.sint32(), field.boolean(), field.int32(), field.fixed32());
        let (mut floats, mut ints) = (Vec::new(), Vec::new());
        let _ = (field.doubles(&mut floats), field.uint64s(&mut ints), field.fixed64s(&mut ints));
        if let (Value::Bytes(inner), true) = (field.value, depth < 8) {
            fields += walk(inner, depth + 1).unwrap_or(0);
            let _ = KeyValue::read(inner);
        }
    }
    Ok(fields)
}

#[test]
fn malformed_bytes_are_named() {
    #[track_caller]
    fn check(bytes: &[u8], expected: WireError) {
        assert_eq!(walk(bytes, 0), Err(expected));
    }
    check(&[0x08], WireError::Truncated); // a tag without a value
    check(&[0x08, 0x80], WireError::Truncated); // half a varint
    check(&[0x0a, 0x05, 1, 2], WireError::Truncated); // length beyond the end
    check(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Truncated); // length 2^64 - 1
    check(&[0x09, 1, 2, 3], WireError::Truncated); // half a fixed64
    check(&[0x00, 0x01], WireError::BadTag(0)); // field 0
    check(&[0x0f], WireError::BadTag(15)); // wire type 7
    check(&[0x0b, 0x0c], WireError::Group { field: 1 });
    check(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], WireError::LongVarint); // bit 65
    check(&[0x80; 16], WireError::LongVarint);
}

#[test]
fn wrong_types_are_named() {
    let field = Reader::new(&[0x08, 0x01]).next().unwrap().unwrap();
    assert_eq!(field.bytes(), Err(WireError::WireType { field: 1, expected: "bytes", found: "varint" }));
    let field = Reader::new(&[0x0a, 0x01, 0xff]).next().unwrap().unwrap();
    assert_eq!(field.text(), Err(WireError::Utf8 { field: 1 }));
    assert_eq!(field.doubles(&mut Vec::new()), Err(WireError::Packed { field: 1, length: 1, element: 8 }));
}

#[test]
fn zigzag() {
    for value in [0, -1, 1, i32::MIN, i32::MAX] {
        let mut bytes = Vec::new();
        prost::encoding::sint32::encode(3, &value, &mut bytes);
        assert_eq!(Reader::new(&bytes).next().unwrap().unwrap().sint32(), Ok(value));
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = walk(&bytes, 0);
    }

    #[test]
    fn varints_as_prost_reads_them(value in any::<u64>(), cut in 0usize..12) {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        prop_assert_eq!(Reader::new(&bytes).varint(), Ok(value));
        bytes.truncate(cut);
        prop_assert_eq!(Reader::new(&bytes).varint().is_ok(), prost::encoding::decode_varint(&mut bytes.as_slice()).is_ok());
    }

    #[test]
    fn key_values_as_prost_reads_them(key in ".{0,20}", text in ".{0,20}", int in any::<i64>(), double in any::<f64>(), which in 0..4) {
        let value = match which {
            0 => any_value::Value::StringValue(text.clone()),
            1 => any_value::Value::IntValue(int),
            2 => any_value::Value::DoubleValue(double),
            _ => any_value::Value::BoolValue(int > 0),
        };
        let message = ProstKeyValue { key: key.clone(), value: Some(ProstAny { value: Some(value) }), ..Default::default() };
        let bytes = message.encode_to_vec();
        let read = KeyValue::read(&bytes).unwrap();
        prop_assert_eq!(read.key, key.as_bytes());
        let same = match read.value {
            AnyValue::Text(t) => which == 0 && t == text.as_bytes(),
            AnyValue::Int(i) => which == 1 && i == int,
            AnyValue::Double(d) => which == 2 && d.to_bits() == double.to_bits(),
            AnyValue::Bool(b) => which == 3 && b == (int > 0),
            _ => false,
        };
        prop_assert!(same, "{:?}", read.value);
    }
}
