//! Any bytes as the messages of DoPut: rows of values within the limits, or an error. The first byte says how long each header is.
#![no_main]

use arrow_flight::FlightData;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&head, rest)) = bytes.split_first() else { return };
    let messages = rest.chunks(1 + 4 * usize::from(head)).map(|message| {
        let (header, body) = message.split_at(message.len().min(1 + 2 * usize::from(head)));
        Ok(FlightData { data_header: header.to_vec().into(), data_body: body.to_vec().into(), ..FlightData::default() })
    });
    let messages: Vec<_> = messages.collect();
    if let Ok(values) = futures::executor::block_on(sql::flight::bound::receive(futures::stream::iter(messages))) {
        assert!(values.len() <= 1 << 20);
    }
});
