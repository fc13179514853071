//! A recorded corpus: requests in the order in which they were made.
//!
//! ```text
//! "TLR1" then per request:  kind u8 | items u32 LE | length u32 LE | body
//!   kind: 1 metrics, 2 logs, 3 traces (OTLP protobuf), 4 Prometheus remote write 1.0 (protobuf in a snappy block)
//! ```
//! Opening reads the headers only; a body is read when it is sent, so that a corpus may be larger than memory.
//!
//! # Order
//! Requests are dealt to connections in turn. Some servers refuse a sample that is older than the newest of its series, so a corpus
//! of remote write has [`LANES`] lanes: request `i` belongs to lane `i % LANES`, a series to one lane. A number of
//! connections that divides [`LANES`] keeps every series in order.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

/// First bytes of a corpus.
const MAGIC: &[u8; 4] = b"TLR1";
/// Lanes of a corpus of remote write.
pub(crate) const LANES: usize = 4;

/// What a request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// OTLP metrics.
    Metrics = 1,
    /// OTLP logs.
    Logs = 2,
    /// OTLP traces.
    Traces = 3,
    /// Prometheus remote write 1.0.
    RemoteWrite = 4,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Self> {
        [Self::Metrics, Self::Logs, Self::Traces, Self::RemoteWrite]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .with_context(|| format!("kind {byte} is unknown"))
    }

    /// Where a server takes it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
            Self::Traces => "/v1/traces",
            Self::RemoteWrite => "/api/v1/write",
        }
    }

    /// Headers that go with it.
    pub(crate) const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Metrics | Self::Logs | Self::Traces => &[("content-type", "application/x-protobuf")],
            Self::RemoteWrite => &[
                ("content-type", "application/x-protobuf"),
                ("content-encoding", "snappy"),
                ("x-prometheus-remote-write-version", "0.1.0"),
            ],
        }
    }
}

/// One recorded request, still in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    /// What it speaks.
    pub(crate) kind: Kind,
    /// Bytes of its body.
    pub(crate) length: u32,
    offset: u64,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// In order.
    pub(crate) requests: Vec<Request>,
    /// Samples, data points, log records and spans in them, as the recorder counted.
    pub(crate) items: u64,
    file: File,
}

impl Corpus {
    /// Reads the headers of a corpus.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("reading {}", path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let mut reader = BufReader::new(File::open(path)?);
        let bytes = reader.get_ref().metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        ensure!(reader.read_exact(&mut magic).is_ok() && magic == *MAGIC, "it is no recorded corpus");
        let (mut requests, mut items, mut at) = (Vec::new(), 0, MAGIC.len() as u64);
        while at < bytes {
            let mut header = [0; 9];
            reader.read_exact(&mut header).context("it is cut short")?;
            let [kind, i0, i1, i2, i3, l0, l1, l2, l3] = header;
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            items += u64::from(u32::from_le_bytes([i0, i1, i2, i3]));
            requests.push(Request { kind: Kind::from_byte(kind)?, length, offset: at + header.len() as u64 });
            at += header.len() as u64 + u64::from(length);
            if at > bytes {
                bail!("it is cut short");
            }
            reader.seek_relative(i64::from(length))?;
        }
        ensure!(items > 0, "it holds no items");
        Ok(Self { requests, items, file: reader.into_inner() })
    }

    /// The body of one of its requests.
    pub(crate) fn body(&self, request: &Request) -> Result<Bytes> {
        let mut body = vec![0; request.length as usize];
        self.file.read_exact_at(&mut body, request.offset).context("the corpus changed while it was replayed")?;
        Ok(body.into())
    }

    /// Whether `connections` keep the order that its requests need.
    pub(crate) fn check_connections(&self, connections: usize) -> Result<()> {
        ensure!(connections > 0, "connections is 0, must be at least 1");
        let lanes = self.requests.iter().any(|r| r.kind == Kind::RemoteWrite);
        ensure!(
            !lanes || LANES.is_multiple_of(connections),
            "connections is {connections}, must divide {LANES} for remote write"
        );
        Ok(())
    }
}

/// Writes a corpus.
#[derive(Debug)]
pub(crate) struct Recorder<W> {
    to: W,
}

impl<W: Write> Recorder<W> {
    /// An empty corpus.
    pub(crate) fn new(mut to: W) -> Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Self { to })
    }

    /// Appends a request.
    pub(crate) fn append(&mut self, kind: Kind, items: usize, body: &[u8]) -> Result<()> {
        self.to.write_all(&[kind as u8])?;
        self.to.write_all(&u32::try_from(items)?.to_le_bytes())?;
        self.to.write_all(&u32::try_from(body.len())?.to_le_bytes())?;
        self.to.write_all(body)?;
        Ok(())
    }

    /// Everything is written.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.to.flush()?;
        Ok(self.to)
    }
}
