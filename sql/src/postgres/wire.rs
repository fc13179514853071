//! The socket of a session: bytes pass as they are, but a message that announces too many of them is not read.
//!
//! ```text
//! length (4) ─ startup ─► code (1), length (4) ─ message ─► code, length ─ message ─► ...
//! ```
//! pgwire takes messages of up to 1 GiB into memory, also from strangers; so the announced lengths are followed here, below it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of a message of somebody who was let in: a statement, or values for its placeholders.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// Bytes of a message of a stranger, as Postgres has it.
pub(super) const STRANGER_BYTES_MAX: usize = 10_000;
/// Between two looks whether a client is still there that has sent more already.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A socket with bounded messages.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    frames: Frames,
    /// Whether the client was let in.
    known: Arc<AtomicBool>,
}

impl Wire {
    /// The socket, before its startup message; with the switch that says the client was let in.
    pub(super) fn new(stream: Arc<TcpStream>) -> (Self, Arc<AtomicBool>) {
        let known = Arc::new(AtomicBool::new(false));
        (Self { stream, frames: Frames::default(), known: Arc::clone(&known) }, known)
    }
}

/// Where in a message the bytes are.
#[derive(Debug, Default)]
struct Frames {
    /// Of the head of the message: its code, but for the startup message, and its length.
    head: Vec<u8>,
    /// Bytes that are left of the body.
    body: usize,
    started: bool,
}

impl Frames {
    /// Follows `bytes`.
    ///
    /// # Errors
    /// A message that begins in them is longer than `limit`, or shorter than its own head.
    fn follow(&mut self, mut bytes: &[u8], limit: usize) -> io::Result<()> {
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

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    let before = buf.filled().len();
                    buf.advance(read);
                    let limit = if self.known.load(Ordering::Relaxed) { MESSAGE_BYTES_MAX } else { STRANGER_BYTES_MAX };
                    return Poll::Ready(self.frames.follow(&buf.filled()[before..], limit));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The socket is shared with [`gone`] and closes with its last owner.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Waits until the client has closed its side. What it sent and nobody read yet hides that, as long as it lies there.
pub(super) async fn gone(stream: &TcpStream) {
    loop {
        match stream.peek(&mut [0]).await {
            Ok(0) | Err(_) => return,
            Ok(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
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
            prop_assert!(in_pieces.is_err() || frames.body == 0 && frames.head.is_empty());
        }

        #[test]
        fn any_bytes_are_followed(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Frames::default().follow(&bytes, 100);
        }
    }
}
