//! Sizes from columns against those of the encoder.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use proptest::prelude::*;

use super::super::batch::SpanBatch;
use super::super::size::span_bytes;
use super::*;

/// Attributes with different keys and scalar values.
fn attributes(max: usize) -> impl Strategy<Value = Vec<KeyValue>> {
    let value = prop_oneof![
        "[a-zä]{0,9}".prop_map(Value::StringValue),
        "[a-z]{120,300}".prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        (0..1_000_i64).prop_map(Value::IntValue),
        (1..1_000_i32).prop_map(|n| Value::DoubleValue(f64::from(n) + 0.5)),
        any::<bool>().prop_map(Value::BoolValue),
    ];
    prop::collection::vec(value, 0..max).prop_map(|values| {
        let pair = |(at, value)| KeyValue {
            key: format!("key.{at}"),
            value: Some(AnyValue { value: Some(value) }),
            ..Default::default()
        };
        values.into_iter().enumerate().map(pair).collect()
    })
}

fn any_span() -> impl Strategy<Value = Span> {
    let head = ("[a-z]{0,200}", 0..6_i32, 0..3_u8, 0..3_i32, "[a-z]{0,9}", "[a-z=:]{0,9}");
    let events = prop::collection::vec((attributes(3), "[a-z]{0,9}", 0..300_u32), 0..3);
    let links = prop::collection::vec((attributes(3), "[a-z]{0,9}", 0..3_u32), 0..3);
    (head, attributes(6), events, links, 0..200_u32, 0..2_u32).prop_map(
        |((name, kind, parent, code, message, trace_state), attributes, events, links, dropped, flags)| {
            let mut out = span(&name, kind, (1, 2, parent), 10);
            let event = |(attributes, name, dropped_attributes_count)| Event {
                time_unix_nano: START_MS as u64 * MS,
                name,
                attributes,
                dropped_attributes_count,
            };
            let link = |(attributes, trace_state, flags)| Link {
                trace_id: vec![5; 16],
                span_id: vec![6; 8],
                trace_state,
                attributes,
                dropped_attributes_count: 0,
                flags,
            };
            out.events = events.into_iter().map(event).collect();
            out.links = links.into_iter().map(link).collect();
            let has_status = code != 0 || !message.is_empty();
            out.status = has_status.then_some(Status { code, message });
            (out.attributes, out.trace_state, out.dropped_attributes_count, out.flags) =
                (attributes, trace_state, dropped, flags);
            out
        },
    )
}

proptest! {
    #[test]
    fn a_span_is_as_large_as_its_message(spans in prop::collection::vec(any_span(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let expected: Vec<usize> = spans.iter().map(Message::encoded_len).collect();
        let rig = Rig::new(GeneratorConfig::default());
        runtime.block_on(rig.of("a", spans));
        let appends = rig.shelf.appends.lock();
        let (_, batch) = appends[0].rows.iter().find(|(table, _)| *table == Table::Spans).expect("spans");
        let batch = SpanBatch::new(batch).expect("the schema of spans");
        let sizes: Vec<usize> = (0..expected.len()).map(|row| span_bytes(&batch, row)).collect();
        prop_assert_eq!(sizes, expected);
    }
}
