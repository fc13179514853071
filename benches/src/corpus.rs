//! A recorded corpus: requests in the order in which they were made.
//!
//! ```text
//! "TLR1" then per request:  signal u8 (1 metrics, 2 logs, 3 traces) | items u32 LE | length u32 LE | OTLP protobuf body
//! ```

use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes};

/// First bytes of a corpus.
pub(crate) const MAGIC: &[u8; 4] = b"TLR1";

/// One recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `/v1/metrics`, `/v1/logs` or `/v1/traces`.
    pub(crate) path: &'static str,
    /// OTLP protobuf.
    pub(crate) body: Bytes,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// In order.
    pub(crate) requests: Vec<Request>,
    /// Data points, log records and spans in them.
    pub(crate) items: u64,
}

impl Corpus {
    /// Reads a whole corpus into memory.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut bytes = Bytes::from(std::fs::read(path).with_context(|| format!("reading {}", path.display()))?);
        if !bytes.starts_with(MAGIC) {
            bail!("{} is no recorded corpus", path.display());
        }
        bytes.advance(MAGIC.len());
        let mut corpus = Self { requests: Vec::new(), items: 0 };
        while !bytes.is_empty() {
            if bytes.len() < 9 {
                bail!("{} is cut short", path.display());
            }
            let signal = bytes.get_u8();
            corpus.items += u64::from(bytes.get_u32_le());
            let length = bytes.get_u32_le() as usize;
            if bytes.len() < length {
                bail!("{} is cut short", path.display());
            }
            let path = match signal {
                1 => "/v1/metrics",
                2 => "/v1/logs",
                3 => "/v1/traces",
                other => bail!("signal {other} is unknown"),
            };
            corpus.requests.push(Request { path, body: bytes.split_to(length) });
        }
        Ok(corpus)
    }
}
