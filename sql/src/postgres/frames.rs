//! Where messages begin and end, followed without reading them.
//!
//! ```text
//! length (4) ─ startup ─► code (1), length (4) ─ message ─► code, length ─ message ─► ...
//! ```
//! # Invariants
//! - A message that announces more than the limit is refused at its head, before its body is there.
//! - Memory is that of one head, whatever comes.

use std::io;

/// Where in a message the bytes are that came last.
#[derive(Debug, Default)]
pub struct Frames {
    /// Of the head of the message: its code, but for the startup message, and its length.
    head: Vec<u8>,
    /// Bytes that are left of the body.
    body: usize,
    started: bool,
}

impl Frames {
    /// Whether the last message is there to its end.
    pub fn is_whole(&self) -> bool {
        self.body == 0 && self.head.is_empty()
    }

    /// Follows `bytes`, the next that came; messages may be cut anywhere.
    ///
    /// # Errors
    /// A message that begins in them is longer than `limit`, or shorter than its own head.
    pub fn follow(&mut self, mut bytes: &[u8], limit: usize) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let skipped = self.body.min(bytes.len());
                self.body -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let code = usize::from(self.started);
            if let Some(length) = self.head.get(code..code + 4) {
                let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
                if !(4..=limit).contains(&length) {
                    let problem = format!("message of {length} bytes, limit is {limit}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
                }
                self.body = length - 4; // the length counts itself
                self.started = true;
                self.head.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(code: Option<u8>, body: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = code.into_iter().collect();
        bytes.extend((body as u32 + 4).to_be_bytes());
        bytes.resize(bytes.len() + body, 0xff);
        bytes
    }

    #[test]
    fn long_messages_are_refused_at_their_head() {
        let follow = |bytes: &[u8]| Frames::default().follow(bytes, 100);
        assert!(follow(&message(None, 96)).is_ok());
        assert!(follow(&message(None, 97)[..4]).is_err(), "before its body is there");
        assert!(follow(&[0, 0, 0, 3]).is_err(), "shorter than its head");
        let second = |length: usize| [message(None, 8), message(Some(b'Q'), length)].concat();
        assert!(follow(&second(96)).is_ok());
        assert!(follow(&second(97)).is_err());
    }

    proptest! {
        /// However the bytes are cut, the same messages are seen.
        #[test]
        fn cuts_do_not_matter(bodies in prop::collection::vec(0usize..120, 1..8), cut in 1usize..17) {
            let mut bytes = message(None, bodies[0]);
            bodies[1..].iter().for_each(|body| bytes.extend(message(Some(b'Q'), *body)));
            let whole = Frames::default().follow(&bytes, 100);
            let mut frames = Frames::default();
            let in_pieces = bytes.chunks(cut).try_for_each(|piece| frames.follow(piece, 100));
            prop_assert_eq!(whole.is_ok(), bodies.iter().all(|body| body + 4 <= 100));
            prop_assert_eq!(in_pieces.is_ok(), whole.is_ok());
            prop_assert!(in_pieces.is_err() || frames.is_whole());
        }

        #[test]
        fn any_bytes_are_followed(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Frames::default().follow(&bytes, 100);
        }
    }
}
