//! Any bytes as those of a Postgres client, cut anywhere: what is announced is followed the same way however it was cut; and any text as
//! the options of a start-up message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sql::postgres::frames::Frames;
use sql::postgres::settings::options;

const LIMIT: usize = 10_000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, rest)) = bytes.split_first() else { return };
    let mut whole = Frames::default();
    let mut pieces = Frames::default();
    let at_once = whole.follow(rest, LIMIT);
    let in_pieces = rest.chunks(usize::from(cut) + 1).try_for_each(|piece| pieces.follow(piece, LIMIT));
    assert_eq!(at_once.is_ok(), in_pieces.is_ok());
    if at_once.is_ok() {
        assert_eq!(whole.is_whole(), pieces.is_whole());
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        let found = options(text);
        assert!(found.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= text.len());
    }
});
