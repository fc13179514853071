//! `logproto.PushRequest`, walked over its bytes.
//!
//! ```text
//! PushRequest ─1─► Stream ─1─► labels (text)
//!                         └─2─► Entry ─1─► Timestamp { seconds 1, nanos 2 }
//!                                    ├─2─► line
//!                                    └─3─► structured metadata { name 1, value 2 }, repeated
//! ```
//! Field 3 of a stream, a hash, and field 4 of an entry, labels that a query parsed, mean nothing here.

use std::borrow::Cow;

use super::push::{Push, Sent};
use crate::wire::{Reader, WireError};

/// Hands every line of the request `body` to `push`, in order.
pub(super) fn read(body: &[u8], push: &mut Push<'_>) -> Result<(), WireError> {
    let mut sent = Sent::default();
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            stream(field.bytes()?, push, &mut sent)?;
        }
    }
    Ok(())
}

fn stream<'a>(message: &'a [u8], push: &mut Push<'_>, sent: &mut Sent<'a>) -> Result<(), WireError> {
    // The labels may come after the entries.
    let (mut labels, mut entries) = (&[][..], 0);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => labels = field.bytes()?,
            2 => {
                field.bytes()?;
                entries += 1;
            }
            _ => {}
        }
    }
    // A stream without entries is looked at by nobody.
    if entries == 0 {
        return Ok(());
    }
    let stream = match push.stream_of_text(labels) {
        Ok(stream) => stream,
        Err(refusal) => {
            push.refuse(refusal, entries);
            return Ok(());
        }
    };
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        if field.number == 2 {
            entry(field.bytes()?, push, sent)?;
            // What was refused is counted; its neighbours go on.
            let _ = push.line(&stream, sent);
        }
    }
    Ok(())
}

fn entry<'a>(message: &'a [u8], push: &mut Push<'_>, sent: &mut Sent<'a>) -> Result<(), WireError> {
    let (mut seconds, mut nanos, mut line) = (0_i64, 0_i32, &[][..]);
    sent.metadata.clear();
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => {
                let mut reader = field.message()?;
                while let Some(field) = reader.next()? {
                    match field.number {
                        1 => seconds = field.int64()?,
                        2 => nanos = field.int32()?,
                        _ => {}
                    }
                }
            }
            2 => line = field.bytes()?,
            3 => sent.metadata.push(pair(field.message()?, push)?),
            _ => {}
        }
    }
    sent.ts = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(i64::from(nanos)));
    sent.line = push.text(line);
    Ok(())
}

fn pair<'a>(mut reader: Reader<'a>, push: &mut Push<'_>) -> Result<(Cow<'a, str>, Cow<'a, str>), WireError> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some(field) = reader.next()? {
        match field.number {
            1 => name = field.bytes()?,
            2 => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((push.text(name), push.text(value)))
}
