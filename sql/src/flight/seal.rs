//! Signed messages: what a client holds for the server and cannot change.
//!
//! ```text
//! sealed = HMAC-SHA256(key, purpose ‖ message)  ‖  message
//! ```

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;

const TAG_BYTES: usize = 32;

/// What a sealed message is for: one that was made for another purpose does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A prepared statement's handle.
    Prepared = 1,
    /// What DoGet takes.
    Ticket = 2,
    /// A session's options.
    Session = 3,
}

/// Seals messages and opens them.
pub(super) struct Seal {
    keyed: Hmac<Sha256>,
}

impl Seal {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { keyed: Hmac::new_from_slice(&key).expect("HMAC takes keys of every length") }
    }

    /// The sealed form of `message`.
    pub(super) fn seal(&self, purpose: Purpose, message: &impl Message) -> Bytes {
        let message = message.encode_to_vec();
        let mut sealed = Vec::with_capacity(TAG_BYTES + message.len());
        sealed.extend_from_slice(&self.signed(purpose, &message).finalize().into_bytes());
        sealed.extend_from_slice(&message);
        sealed.into()
    }

    /// The message in `sealed`, if it was sealed here for `purpose`.
    pub(super) fn open<M: Message + Default>(&self, purpose: Purpose, sealed: &[u8]) -> Option<M> {
        let (tag, message) = sealed.split_at_checked(TAG_BYTES)?;
        self.signed(purpose, message).verify_slice(tag).ok()?;
        M::decode(message).ok()
    }

    fn signed(&self, purpose: Purpose, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&[purpose as u8]);
        mac.update(message);
        mac
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_does_not_open() {
        let seal = Seal::new([7; 32]);
        let sealed = seal.seal(Purpose::Ticket, &"SELECT 1".to_owned());
        assert_eq!(seal.open::<String>(Purpose::Ticket, &sealed).as_deref(), Some("SELECT 1"));
        assert_eq!(seal.open::<String>(Purpose::Prepared, &sealed), None, "for another purpose");
        assert_eq!(Seal::new([8; 32]).open::<String>(Purpose::Ticket, &sealed), None, "under another key");
        for at in 0..sealed.len() {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert_eq!(seal.open::<String>(Purpose::Ticket, &changed), None, "byte {at}");
            assert_eq!(seal.open::<String>(Purpose::Ticket, &sealed[..at]), None, "cut at {at}");
        }
    }
}
