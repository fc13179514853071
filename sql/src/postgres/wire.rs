//! The socket of a session: bytes pass as they are, but a message that announces too many of them is not read.
//!
//! ```text
//! socket ─ [`Shared`] ─┬─ TLS, or not ─ [`Wire`] ─ messages
//!                      └─ [`gone`]: is the client still there?
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
use tokio_rustls::server::TlsStream;

use super::frames::Frames;

/// Bytes of a message of somebody who was let in: a statement, or values for its placeholders.
pub(super) const MESSAGE_BYTES_MAX: usize = 2 << 20;
/// Bytes of a message of a stranger, as Postgres has it.
pub(super) const STRANGER_BYTES_MAX: usize = 10_000;
/// Between two looks whether a client is still there that has sent more already.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A socket that a session reads while somebody else looks whether its client is [`gone`]. It closes with its last owner.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) Arc<TcpStream>);

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What messages travel in.
#[derive(Debug)]
pub(super) enum Channel {
    /// As they are.
    Plain(Shared),
    /// Encrypted.
    Secure(Box<TlsStream<Shared>>),
}

impl Channel {
    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Self::Secure(_))
    }
}

/// A channel with bounded messages.
#[derive(Debug)]
pub(super) struct Wire {
    channel: Channel,
    frames: Frames,
    /// Whether the client was let in.
    known: Arc<AtomicBool>,
}

impl Wire {
    /// The channel, before its startup message; with the switch that says the client was let in.
    pub(super) fn new(channel: Channel) -> (Self, Arc<AtomicBool>) {
        let known = Arc::new(AtomicBool::new(false));
        (Self { channel, frames: Frames::default(), known: Arc::clone(&known) }, known)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(match &mut self.channel {
            Channel::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Channel::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        let limit = if self.known.load(Ordering::Relaxed) { MESSAGE_BYTES_MAX } else { STRANGER_BYTES_MAX };
        Poll::Ready(self.frames.follow(&buf.filled()[before..], limit))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.channel {
            Channel::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Channel::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.channel {
            Channel::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Channel::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.channel {
            Channel::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Channel::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
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
