//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a client proves that it has the password, and so does the server, and nobody on the way learns it.
//!
//! ```text
//! client                                                   server, which has a [`Verifier`] and no password
//! n,,n=,r=NONCE ──────────────────────────────────────────► Exchange::begin
//!                       r=NONCE+OURS,s=SALT,i=ITERATIONS ◄──┘
//! c=biws,r=NONCE+OURS,p=PROOF ────────────────────────────► Exchange::finish
//!                                            v=SIGNATURE ◄──┘
//! ```
//! Without channel binding: who ends TLS before the node has another certificate. The user's name within the messages is not looked at, as
//! Postgres does not: the start-up message has it.
//!
//! # Invariants
//! - A password is seen here only where a verifier is made of it.
//! - A proof is compared whole: the time taken tells nothing about it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The name of the mechanism.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";
/// Iterations of new verifiers, as Postgres has it.
const ITERATIONS: u32 = 4096;
/// Iterations that a client is asked for at most; it computes them, and so does nobody else.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// What is known of a password: enough to check a proof, too little to make one.
///
/// Its text is what Postgres has in `pg_authid.rolpassword`: `SCRAM-SHA-256$4096:SALT$STORED_KEY:SERVER_KEY`, in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// A text is no verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a verifier is SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY, keys of 32 bytes in base64, at most 10,000,000 iterations"
)]
pub struct InvalidVerifier;

impl Verifier {
    /// The verifier of `password`, with a `salt` that was drawn for it. The password is taken as it is: ASCII, which every client does.
    pub fn of_password(password: &str, salt: [u8; SALT_BYTES]) -> Self {
        let salted = salted_password(password.as_bytes(), &salt, ITERATIONS);
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        Self { iterations: ITERATIONS, salt: salt.to_vec(), stored_key, server_key: hmac(&salted, b"Server Key") }
    }

    /// A verifier that no password fits: always the same for one `user` and `secret`, so that a stranger cannot tell who is known.
    pub fn of_nobody(secret: &[u8; 32], user: &str) -> Self {
        let drawn = |what: &str| hmac(secret, format!("{what} {user}").as_bytes());
        let salt = drawn("salt")[..SALT_BYTES].to_vec();
        Self { iterations: ITERATIONS, salt, stored_key: drawn("stored"), server_key: drawn("server") }
    }
}

impl FromStr for Verifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, InvalidVerifier> {
        let parts = || {
            let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
            let (public, keys) = rest.split_once('$')?;
            let (iterations, salt) = public.split_once(':')?;
            let (stored, server) = keys.split_once(':')?;
            let iterations = iterations.parse().ok().filter(|n| (1..=ITERATIONS_MAX).contains(n))?;
            let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
            let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
            Some(Self { iterations, salt, stored_key: key(stored)?, server_key: key(server)? })
        };
        parts().ok_or(InvalidVerifier)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| STANDARD.encode(bytes));
        write!(f, "{MECHANISM}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for Verifier {
    /// Who has the keys could pass for the server: they are in no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Why an exchange ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message breaks the rules.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The client wants what is not offered.
    #[error("SCRAM: {0} is not offered")]
    NotOffered(&'static str),
    /// The proof is not that of the password.
    #[error("password authentication failed")]
    WrongProof,
}

/// The mechanism and the client's first message in the body of a SASLInitialResponse, for which pgwire's own decoder takes more bytes than there are.
///
/// # Errors
/// Lengths that do not fit.
pub fn initial_response(body: &[u8]) -> Result<(&str, &[u8]), ScramError> {
    let end = body.iter().position(|byte| *byte == 0).ok_or(ScramError::Malformed("no mechanism"))?;
    let mechanism = std::str::from_utf8(&body[..end]).map_err(|_| ScramError::Malformed("no mechanism"))?;
    let (length, message) = body[end + 1..].split_first_chunk().ok_or(ScramError::Malformed("no length"))?;
    match (i32::from_be_bytes(*length), message) {
        (-1, []) => Ok((mechanism, message)),
        (length, message) if usize::try_from(length) == Ok(message.len()) => Ok((mechanism, message)),
        _ => Err(ScramError::Malformed("another length than its own")),
    }
}

/// An exchange whose first half is done.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// The header of the client's first message, in base64: the last message repeats it.
    header: String,
    nonce: String,
    /// The first messages of both, as the proof covers them.
    messages: String,
}

impl Exchange {
    /// Reads the client's first message. `ours` is a nonce that was drawn for it, in ASCII without commas. Returns what to answer, too.
    ///
    /// # Errors
    /// The message is malformed, or wants channel binding or another identity.
    pub fn begin(verifier: Verifier, message: &[u8], ours: &str) -> Result<(Self, String), ScramError> {
        let message = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))?;
        let mut parts = message.splitn(3, ',');
        let (Some(binding), Some(identity), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ScramError::Malformed("no header"));
        };
        match binding {
            // `y`: the client could, and sees that it is not offered.
            "n" | "y" => {}
            binding if binding.starts_with("p=") => return Err(ScramError::NotOffered("channel binding")),
            _ => return Err(ScramError::Malformed("header")),
        }
        match identity {
            "" => {}
            identity if identity.starts_with("a=") => return Err(ScramError::NotOffered("an authorization identity")),
            _ => return Err(ScramError::Malformed("header")),
        }
        let mut attributes = bare.split(',');
        match attributes.next() {
            Some(name) if name.starts_with("n=") => {}
            Some(extension) if extension.starts_with("m=") => return Err(ScramError::NotOffered("an extension")),
            _ => return Err(ScramError::Malformed("no user")),
        }
        let theirs = attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).filter(|nonce| !nonce.is_empty());
        let theirs = theirs.filter(|nonce| nonce.bytes().all(|byte| byte.is_ascii_graphic()));
        let theirs = theirs.ok_or(ScramError::Malformed("no nonce"))?;
        let nonce = format!("{theirs}{ours}");
        let answer = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        let messages = format!("{bare},{answer}");
        Ok((Self { verifier, header: STANDARD.encode(format!("{binding},{identity},")), nonce, messages }, answer))
    }

    /// Reads the client's last message and returns what to answer: the server's own proof.
    ///
    /// # Errors
    /// The message is malformed, or does not belong to the first; the password is another.
    pub fn finish(&self, message: &[u8]) -> Result<String, ScramError> {
        let message = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))?;
        let (before, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let mut attributes = before.split(',');
        if attributes.next().and_then(|header| header.strip_prefix("c=")) != Some(self.header.as_str()) {
            return Err(ScramError::Malformed("another header than before"));
        }
        if attributes.next().and_then(|nonce| nonce.strip_prefix("r=")) != Some(self.nonce.as_str()) {
            return Err(ScramError::Malformed("another nonce than before"));
        }
        let proof = STANDARD.decode(proof).ok().and_then(|proof| <[u8; 32]>::try_from(proof).ok());
        let mut client_key = proof.ok_or(ScramError::Malformed("a proof has 32 bytes"))?;
        let messages = format!("{},{before}", self.messages);
        let signature = hmac(&self.verifier.stored_key, messages.as_bytes());
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        let shown: [u8; 32] = Sha256::digest(client_key).into();
        if shown.iter().zip(&self.verifier.stored_key).fold(0, |acc, (a, b)| acc | (a ^ b)) != 0 {
            return Err(ScramError::WrongProof);
        }
        Ok(format!("v={}", STANDARD.encode(hmac(&self.verifier.server_key, messages.as_bytes()))))
    }
}

/// HMAC-SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802, 2.2, which is PBKDF2 with one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut last = hmac(password, &[salt, &1u32.to_be_bytes()].concat());
    let mut sum = last;
    for _ in 1..iterations {
        last = hmac(password, &last);
        sum.iter_mut().zip(last).for_each(|(byte, more)| *byte ^= more);
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 7677, section 3: the password `pencil`.
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OURS: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn pencil() -> Verifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64").try_into().expect("16 bytes");
        Verifier::of_password("pencil", salt)
    }

    #[test]
    fn the_example_of_the_rfc() {
        let (exchange, answer) = Exchange::begin(pencil(), FIRST.as_bytes(), OURS).expect("begun");
        assert_eq!(answer, format!("r=rOprNGfwEbeRWgbNEkqO{OURS},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        assert_eq!(exchange.finish(LAST.as_bytes()), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned()));
    }

    #[test]
    fn verifiers_are_texts() {
        let text = pencil().to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"), "{text}");
        assert_eq!(text.parse(), Ok(pencil()));
        assert!(!format!("{:?}", pencil()).contains("W22Z"));
        let (public, _) = text.rsplit_once('$').expect("keys");
        for wrong in
            ["", "md5abc", public, &format!("{public}$AAAA:AAAA"), &text.replace("4096", "0"), &text.replace("4096", "99999999")]
        {
            assert_eq!(wrong.parse::<Verifier>(), Err(InvalidVerifier), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let begin = |first: &str| Exchange::begin(pencil(), first.as_bytes(), OURS).map(|(exchange, _)| exchange);
        for (first, expected) in [
            ("p=tls-server-end-point,,n=,r=abc", ScramError::NotOffered("channel binding")),
            ("n,a=other,n=,r=abc", ScramError::NotOffered("an authorization identity")),
            ("n,,m=more,n=,r=abc", ScramError::NotOffered("an extension")),
            ("n,,n=,r=", ScramError::Malformed("no nonce")),
            ("n,,n=,r=a b", ScramError::Malformed("no nonce")),
            ("n,,r=abc", ScramError::Malformed("no user")),
            ("x,,n=,r=abc", ScramError::Malformed("header")),
            ("n", ScramError::Malformed("no header")),
        ] {
            assert_eq!(begin(first).map(drop), Err(expected), "{first}");
        }
        let exchange = begin(FIRST).expect("begun");
        for (last, expected) in [
            (LAST.replace("dHzb", "dHzc"), ScramError::WrongProof),
            (LAST.replace("biws", "eSws"), ScramError::Malformed("another header than before")),
            (LAST.replace("rOpr", "rOpx"), ScramError::Malformed("another nonce than before")),
            (LAST.replace("p=dHzb", "p="), ScramError::Malformed("a proof has 32 bytes")),
            (LAST.replace(",p=", ",q="), ScramError::Malformed("no proof")),
        ] {
            assert_eq!(exchange.finish(last.as_bytes()), Err(expected), "{last}");
        }
        let nobody = Verifier::of_nobody(&[7; 32], "user");
        let (exchange, _) = Exchange::begin(nobody, FIRST.as_bytes(), OURS).expect("begun");
        assert_eq!(exchange.finish(LAST.as_bytes()), Err(ScramError::WrongProof));
    }

    #[test]
    fn the_first_message_says_its_length() {
        let body = |length: i32, message: &[u8]| [b"SCRAM-SHA-256\0", &length.to_be_bytes()[..], message].concat();
        assert_eq!(initial_response(&body(5, b"n,,n=")), Ok((MECHANISM, &b"n,,n="[..])));
        assert_eq!(initial_response(&body(-1, b"")), Ok((MECHANISM, &b""[..])));
        for wrong in
            [body(6, b"n,,n="), body(-1, b"n"), body(i32::MIN, b""), b"SCRAM-SHA-256\0\0".to_vec(), b"SCRAM".to_vec(), Vec::new()]
        {
            assert!(matches!(initial_response(&wrong), Err(ScramError::Malformed(_))), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(first in prop::collection::vec(any::<u8>(), 0..80), last in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Exchange::begin(Verifier::of_nobody(&[1; 32], "a"), &first, OURS);
            let _ = initial_response(&first);
            let (exchange, _) = Exchange::begin(Verifier::of_nobody(&[1; 32], "a"), FIRST.as_bytes(), OURS).expect("begun");
            prop_assert!(exchange.finish(&last).is_err());
        }

        #[test]
        fn any_text_is_a_verifier_or_not(text in "(SCRAM-SHA-256)?[$:0-9A-Za-z+/=]{0,120}") {
            if let Ok(verifier) = text.parse::<Verifier>() {
                prop_assert_eq!(verifier.to_string().parse(), Ok(verifier));
            }
        }
    }
}
