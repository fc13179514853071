//! Reading a request body: admission, limits, decompression. Shared by all receivers.
//!
//! ```text
//! declared length ─ too large? ─► admit bytes ─ full? ─► read chunks ─ too large? ─► decompress ─ too large? ─► Received
//! ```
//! Every size is checked where it is declared, before memory is taken, and again on the bytes themselves. What is held counts
//! against the bytes in flight until the [`Received`] is dropped.

use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use catalog::ErrorKind;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ReceiveConfig;

/// The unit of admission, so that 32 bits count terabytes.
const PERMIT_BYTES: u64 = 1 << 10;
/// How much is decompressed between two checks.
const STEP_BYTES: usize = 64 << 10;
/// Largest zstd window, as a power of two: 64 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;
/// The first bytes of the framed form of snappy.
const SNAPPY_FRAME_MAGIC: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// Why a body was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Larger than allowed, as sent or decompressed.
    #[error("{what} has more than {limit} bytes, which is the limit")]
    TooLarge {
        /// Which size.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Too much is in work already.
    #[error("{limit} bytes of requests are in work, which is the limit; retry after {RETRY_AFTER_S} s")]
    Overloaded {
        /// The limit.
        limit: u64,
    },
    /// A compression that this server does not know.
    #[error("content encoding {encoding:?} is not supported; use none, gzip, zstd, snappy or deflate")]
    UnknownEncoding {
        /// What was sent.
        encoding: String,
    },
    /// The bytes are not what their encoding says.
    #[error("body is not valid {encoding}: {reason}")]
    BadEncoding {
        /// The encoding.
        encoding: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The body broke off.
    #[error("body could not be read: {reason}")]
    Broken {
        /// What happened.
        reason: String,
    },
}

/// How long a sender is asked to pause when too much is in work.
pub const RETRY_AFTER_S: u64 = 1;

impl BodyError {
    /// The pause that a retry should make, in seconds, if a pause can help.
    pub fn retry_after_s(&self) -> Option<u64> {
        matches!(self, Self::Overloaded { .. }).then_some(RETRY_AFTER_S)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::UnknownEncoding { .. } => ErrorKind::Unsupported,
            Self::BadEncoding { .. } | Self::Broken { .. } => ErrorKind::Invalid,
        }
    }
}

/// The bytes of requests that may be in work at once. Cloned, not copied: all receivers share one.
#[derive(Debug, Clone)]
pub struct Admission {
    permits: Arc<Semaphore>,
    bytes_max: u64,
}

impl Admission {
    /// Admits up to `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let permits =
            usize::try_from(bytes_max.div_ceil(PERMIT_BYTES)).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), bytes_max }
    }

    /// Starts with nothing admitted.
    pub fn begin(&self) -> Admitted {
        Admitted { admission: self.clone(), permit: None, permits: 0 }
    }
}

/// Bytes that are in work until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Admission,
    permit: Option<OwnedSemaphorePermit>,
    permits: u64,
}

impl Admitted {
    /// Makes sure that `bytes` in all are admitted.
    ///
    /// # Errors
    /// [`BodyError::Overloaded`] at once when there is no room; it does not wait.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), BodyError> {
        let wanted = bytes.div_ceil(PERMIT_BYTES);
        if wanted <= self.permits {
            return Ok(());
        }
        let full = || BodyError::Overloaded { limit: self.admission.bytes_max };
        let more = u32::try_from(wanted - self.permits).map_err(|_| full())?;
        let permit = Arc::clone(&self.admission.permits).try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        self.permits = wanted;
        Ok(())
    }
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// zlib, RFC 1950, as HTTP means it, or bare deflate, RFC 1951, as many senders do.
    Deflate,
    /// Snappy: framed if it begins like that, else one block.
    Snappy,
    /// Snappy, one block whatever it begins like.
    SnappyBlock,
}

impl Encoding {
    /// The encoding of that name in `Content-Encoding` or `grpc-encoding`; nothing is identity.
    ///
    /// # Errors
    /// [`BodyError::UnknownEncoding`], also for a list of encodings.
    pub fn parse(name: Option<&[u8]>) -> Result<Self, BodyError> {
        let name = name.unwrap_or_default().trim_ascii();
        let known: [(&[u8], Self); 7] = [
            (b"", Self::Identity),
            (b"identity", Self::Identity),
            (b"gzip", Self::Gzip),
            (b"zstd", Self::Zstd),
            (b"deflate", Self::Deflate),
            (b"snappy", Self::Snappy),
            (b"x-snappy-framed", Self::Snappy),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding).ok_or_else(|| {
            let encoding = String::from_utf8_lossy(&name[..name.len().min(64)]).into_owned();
            BodyError::UnknownEncoding { encoding }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Snappy | Self::SnappyBlock => "snappy",
        }
    }
}

/// A body in memory, as sent, that holds its admission.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    admitted: Admitted,
}

/// Collects the chunks of a body under a limit.
#[derive(Debug)]
pub struct Collector {
    chunks: Vec<Bytes>,
    len: u64,
    limit: u64,
    admitted: Admitted,
}

impl Collector {
    /// A collector for at most `config.body_bytes_max` bytes and `framing_bytes` around them.
    pub fn new(config: &ReceiveConfig, admission: &Admission, framing_bytes: u64) -> Self {
        Self { chunks: Vec::new(), len: 0, limit: config.body_bytes_max + framing_bytes, admitted: admission.begin() }
    }

    /// The sender says that `bytes` will come.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`], [`BodyError::Overloaded`].
    pub fn expect(&mut self, bytes: u64) -> Result<(), BodyError> {
        if bytes > self.limit {
            return Err(BodyError::TooLarge { what: "request body", limit: self.limit });
        }
        self.admitted.grow_to(bytes)
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// As [`Collector::expect`].
    pub fn push(&mut self, chunk: Bytes) -> Result<(), BodyError> {
        self.len += chunk.len() as u64;
        self.expect(self.len)?;
        self.chunks.push(chunk);
        Ok(())
    }

    /// The first `N` bytes, once they are there.
    pub fn head<const N: usize>(&self) -> Option<[u8; N]> {
        let mut head = [0; N];
        let mut bytes = self.chunks.iter().flatten();
        for slot in &mut head {
            *slot = *bytes.next()?;
        }
        Some(head)
    }

    /// Everything, from byte `skip` on. A body in one chunk is not copied.
    pub fn finish(mut self, skip: usize) -> Received {
        let bytes = match self.chunks.len() {
            0 => Bytes::new(),
            1 => self.chunks.swap_remove(0),
            _ => self.chunks.concat().into(),
        };
        Received { bytes: bytes.slice(skip.min(bytes.len())..), admitted: self.admitted }
    }
}

/// Reads a whole HTTP body. `declared` is its `Content-Length`.
///
/// # Errors
/// [`BodyError`]; nothing is read when the declared length is refused.
pub async fn read(
    mut body: Body,
    declared: Option<u64>,
    config: &ReceiveConfig,
    admission: &Admission,
) -> Result<Received, BodyError> {
    let mut collector = Collector::new(config, admission, 0);
    collector.expect(declared.unwrap_or(0))?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| BodyError::Broken { reason: e.to_string() })?;
        if let Ok(chunk) = frame.into_data() {
            collector.push(chunk)?;
        }
    }
    Ok(collector.finish(0))
}

impl Received {
    /// Bytes as sent.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Decompresses. CPU work: call it off the async threads. The result holds what is in flight, as sent and decompressed.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] as soon as a declared size or the bytes themselves exceed `config.decompressed_bytes_max`,
    /// [`BodyError::Overloaded`], [`BodyError::BadEncoding`].
    pub fn decompress(mut self, encoding: Encoding, config: &ReceiveConfig) -> Result<Self, BodyError> {
        let limit = config.decompressed_bytes_max;
        if encoding == Encoding::Identity {
            return if self.bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(self) };
        }
        let mut out = Growing { bytes: Vec::new(), sent: self.bytes.len() as u64, limit, encoding, admitted: &mut self.admitted };
        match encoding {
            Encoding::Identity => {}
            Encoding::Gzip => out.fill(flate2::read::MultiGzDecoder::new(self.bytes.as_ref()))?,
            Encoding::Deflate if has_zlib_header(&self.bytes) => out.fill(flate2::read::ZlibDecoder::new(self.bytes.as_ref()))?,
            Encoding::Deflate => out.fill(flate2::read::DeflateDecoder::new(self.bytes.as_ref()))?,
            Encoding::Zstd => out.zstd(&self.bytes)?,
            Encoding::Snappy if self.bytes.starts_with(SNAPPY_FRAME_MAGIC) => {
                out.fill(snap::read::FrameDecoder::new(self.bytes.as_ref()))?
            }
            Encoding::Snappy | Encoding::SnappyBlock => out.snappy_block(&self.bytes)?,
        }
        self.bytes = out.bytes.into();
        Ok(self)
    }

    /// `bytes` more are in work because of this body: another form of it.
    ///
    /// # Errors
    /// [`BodyError::Overloaded`].
    pub fn hold(&mut self, bytes: u64) -> Result<(), BodyError> {
        self.admitted.grow_to((self.admitted.permits * PERMIT_BYTES).saturating_add(bytes))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

/// What was decompressed so far.
struct Growing<'a> {
    bytes: Vec<u8>,
    sent: u64,
    limit: u64,
    encoding: Encoding,
    admitted: &'a mut Admitted,
}

impl Growing<'_> {
    /// There will be `more` bytes; says no before they are allocated.
    fn reserve(&mut self, more: u64) -> Result<(), BodyError> {
        let total = (self.bytes.len() as u64).saturating_add(more);
        if total > self.limit {
            return Err(too_large(self.limit));
        }
        self.admitted.grow_to(self.sent + total)
    }

    fn fill(&mut self, mut from: impl Read) -> Result<(), BodyError> {
        let mut step = vec![0; STEP_BYTES];
        loop {
            let read = from.read(&mut step).map_err(|e| self.bad(&e))?;
            if read == 0 {
                return Ok(());
            }
            self.reserve(read as u64)?;
            self.bytes.extend_from_slice(&step[..read]);
        }
    }

    fn zstd(&mut self, sent: &[u8]) -> Result<(), BodyError> {
        // A frame may say how large it is; an honest one is refused before any work.
        if let Ok(Some(declared)) = zstd::zstd_safe::get_frame_content_size(sent) {
            self.reserve(declared)?;
        }
        let mut decoder = zstd::stream::read::Decoder::with_buffer(sent).map_err(|e| self.bad(&e))?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|e| self.bad(&e))?;
        self.fill(decoder)
    }

    fn snappy_block(&mut self, sent: &[u8]) -> Result<(), BodyError> {
        // Some encoders make nothing of nothing, where the format has a length of 0.
        if sent.is_empty() {
            return Ok(());
        }
        let declared = snap::raw::decompress_len(sent).map_err(|e| self.bad(&e))?;
        self.reserve(declared as u64)?;
        self.bytes = vec![0; declared];
        let written = snap::raw::Decoder::new().decompress(sent, &mut self.bytes).map_err(|e| self.bad(&e))?;
        self.bytes.truncate(written);
        Ok(())
    }

    fn bad(&self, error: &dyn std::error::Error) -> BodyError {
        BodyError::BadEncoding { encoding: self.encoding.name(), reason: error.to_string() }
    }
}

/// Whether `bytes` begin as zlib's format does. A bare deflate stream does not: it would begin with a stored block whose padding is not
/// zero.
fn has_zlib_header(bytes: &[u8]) -> bool {
    matches!(bytes, [method, flags, ..] if method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31))
}

fn too_large(limit: u64) -> BodyError {
    BodyError::TooLarge { what: "decompressed request body", limit }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn config() -> ReceiveConfig {
        ReceiveConfig {
            body_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            in_flight_bytes_max: 4 << 20,
            ..ReceiveConfig::default()
        }
    }

    fn compressed(encoding: Encoding, framed: bool, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => bytes.to_vec(),
            Encoding::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            Encoding::Zstd if framed => zstd::stream::encode_all(bytes, 1).unwrap(),
            Encoding::Zstd => zstd::bulk::compress(bytes, 1).unwrap(),
            Encoding::Snappy if framed => {
                let mut writer = snap::write::FrameEncoder::new(Vec::new());
                writer.write_all(bytes).unwrap();
                writer.into_inner().unwrap()
            }
            Encoding::Snappy | Encoding::SnappyBlock => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        }
    }

    fn decompress(encoding: Encoding, sent: Vec<u8>) -> Result<Vec<u8>, BodyError> {
        let admission = Admission::new(config().in_flight_bytes_max);
        let received = Received { bytes: sent.into(), admitted: admission.begin() };
        received.decompress(encoding, &config()).map(|r| r.as_slice().to_vec())
    }

    const ALL: [(Encoding, bool); 7] = [
        (Encoding::Identity, false),
        (Encoding::Gzip, false),
        (Encoding::Deflate, false),
        (Encoding::Zstd, false),
        (Encoding::Zstd, true),
        (Encoding::Snappy, false),
        (Encoding::Snappy, true),
    ];

    #[test]
    fn bodies_up_to_the_limit_come_back_and_bombs_do_not() {
        let at_limit = vec![7; 1 << 20];
        let bomb = vec![0; 32 << 20];
        for (encoding, framed) in ALL {
            assert_eq!(decompress(encoding, compressed(encoding, framed, b"")), Ok(vec![]), "{encoding:?}");
            assert!(decompress(encoding, compressed(encoding, framed, &at_limit)).is_ok_and(|b| b == at_limit), "{encoding:?}");
            for too_long in [&bomb[..(1 << 20) + 1], &bomb] {
                let result = decompress(encoding, compressed(encoding, framed, too_long));
                assert_eq!(result.map(|_| ()), Err(too_large(1 << 20)), "{encoding:?} {framed}");
            }
        }
    }

    #[test]
    fn a_size_that_is_only_claimed_is_not_allocated() {
        // The length of the block, 4 GiB - 1, and nothing else.
        assert_eq!(decompress(Encoding::Snappy, vec![0xff, 0xff, 0xff, 0xff, 0x0f]), Err(too_large(1 << 20)));
        let mut frame = compressed(Encoding::Zstd, false, &[1; 3000]);
        // Magic, descriptor, then the content size, which now says 65 KiB instead.
        frame[5] = 0xff;
        frame[6] = 0xff;
        assert!(matches!(decompress(Encoding::Zstd, frame), Err(BodyError::BadEncoding { .. })));
    }

    #[test]
    fn garbage_is_named() {
        for (encoding, framed) in &ALL[1..] {
            let mut sent = compressed(*encoding, *framed, &[5; 1000]);
            sent.truncate(sent.len() - 2);
            let result = decompress(*encoding, sent);
            assert!(matches!(result, Err(BodyError::BadEncoding { .. })), "{encoding:?} {framed} {result:?}");
        }
    }

    #[test]
    fn encodings_have_names() {
        assert_eq!(Encoding::parse(None), Ok(Encoding::Identity));
        assert_eq!(Encoding::parse(Some(b"GZIP")), Ok(Encoding::Gzip));
        for name in [&b"br"[..], b"gzip, gzip", b"lz4", b"\xff"] {
            assert!(matches!(Encoding::parse(Some(name)), Err(BodyError::UnknownEncoding { .. })), "{name:?}");
        }
    }

    #[test]
    fn admission_is_given_back() {
        let admission = Admission::new(10 << 10);
        let mut first = admission.begin();
        first.grow_to(6 << 10).unwrap();
        first.grow_to(5 << 10).unwrap();
        let mut second = admission.begin();
        assert_eq!(second.grow_to(5 << 10), Err(BodyError::Overloaded { limit: 10 << 10 }));
        drop(first);
        second.grow_to(10 << 10).unwrap();
        assert!(second.grow_to((10 << 10) + 1).is_err());
    }
}
