//! Any bytes as the two messages of a SCRAM client, and any text as a verifier: refused or understood, and nobody proves a password that nobody has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sql::postgres::Verifier;
use sql::postgres::scram::{Exchange, initial_response};

fuzz_target!(|bytes: &[u8]| {
    let mut messages = bytes.splitn(2, |byte| *byte == 0);
    let (first, last) = (messages.next().unwrap_or_default(), messages.next().unwrap_or_default());
    if let Ok((exchange, answer)) = Exchange::begin(Verifier::of_nobody(&[7; 32], "user"), first, "ours") {
        assert!(answer.starts_with("r=") && answer.contains("ours,s="));
        assert!(exchange.finish(last).is_err());
    }
    if let Ok((mechanism, message)) = initial_response(bytes) {
        assert!(mechanism.len() + message.len() < bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(verifier) = text.parse::<Verifier>()
    {
        assert_eq!(verifier.to_string().parse(), Ok(verifier));
    }
});
