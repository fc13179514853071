//! Before the first message: does the client want encryption, and how does it ask?
//!
//! ```text
//! SSLRequest ─ no certificate ─► 'N', go on     with one ─► 'S' ─► TLS ─► messages
//! GSSENCRequest ───────────────► 'N', go on
//! a ClientHello at once (Postgres 17) ─────────► TLS, if it says that it speaks "postgresql" inside
//! ```
//! # Invariants
//! - Not a byte behind a request for encryption is read before TLS is there: what was put in front of it on the way is none of ours.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::wire::{Channel, Shared};

/// Between two looks for the rest of a request for encryption.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A request for encryption: eight bytes, of which the last four are one of these.
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// The first byte of a ClientHello.
const HELLO: u8 = 0x16;
/// What is spoken inside, as clients name it that begin with TLS at once.
const ALPN: &[u8] = b"postgresql";

/// The channel that the client wants, if it can be had; `None` if it does not begin with anything of this protocol, or leaves.
///
/// # Errors
/// The socket's; a handshake that fails.
pub(super) async fn negotiate(stream: Arc<TcpStream>, tls: Option<&TlsAcceptor>) -> io::Result<Option<Channel>> {
    let mut shared = Shared(stream);
    for _ in 0..3 {
        let mut head = [0; 8];
        let seen = loop {
            match shared.0.peek(&mut head).await? {
                0 => return Ok(None),
                _ if head[0] == HELLO => {
                    let Some(tls) = tls else { return Ok(None) };
                    let secure = tls.accept(shared).await?;
                    let named = secure.get_ref().1.alpn_protocol() == Some(ALPN);
                    return Ok(named.then(|| Channel::Secure(Box::new(secure))));
                }
                8 => break head,
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let code = u32::from_be_bytes([seen[4], seen[5], seen[6], seen[7]]);
        if seen[..4] != [0, 0, 0, 8] || !matches!(code, SSL | GSS) {
            return Ok(Some(Channel::Plain(shared)));
        }
        shared.read_exact(&mut head).await?;
        match tls {
            Some(tls) if code == SSL => {
                shared.write_all(b"S").await?;
                return Ok(Some(Channel::Secure(Box::new(tls.accept(shared).await?))));
            }
            _ => shared.write_all(b"N").await?,
        }
    }
    Ok(None)
}
