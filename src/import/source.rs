//! What is read, a request at a time.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use ingest::receive::openmetrics::OpenMetricsReader;
use ingest::receive::prometheus::batch::Encoded;
use ingest::receive::tsdb::{self, BlockReader};
use tokio::sync::mpsc;

use crate::failure::{Failure, chain};

/// Bytes of text that are read at once.
const READ_BYTES: usize = 1 << 20;

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// OpenMetrics text in a file.
    Text(PathBuf),
    /// OpenMetrics text from standard input.
    Input,
    /// A block of a Prometheus TSDB.
    Block(PathBuf),
}

/// A request, and how far the reading is.
#[derive(Debug)]
pub(crate) struct Piece {
    /// The request.
    pub(crate) request: Encoded,
    /// Bytes of all sources that were read so far, as [`Source::bytes`] counts them.
    pub(crate) bytes: u64,
}

impl Source {
    /// What `path` names: text, or blocks.
    ///
    /// # Errors
    /// There is nothing, or a folder without blocks.
    pub(crate) fn at(path: &Path) -> Result<Vec<Self>, Failure> {
        if path == Path::new("-") {
            return Ok(vec![Self::Input]);
        }
        if path.is_file() {
            return Ok(vec![Self::Text(path.to_owned())]);
        }
        let blocks = tsdb::blocks(path).map_err(|e| Failure::surroundings(chain(&e)))?;
        if blocks.is_empty() {
            return Err(Failure::surroundings(format!(
                "there are no blocks in {}; what is in the head and the log of a Prometheus is in a snapshot of it \
                 (POST /api/v1/admin/tsdb/snapshot)",
                path.display()
            )));
        }
        Ok(blocks.into_iter().map(Self::Block).collect())
    }

    /// A measure of its size; 0 when nobody knows.
    pub(crate) fn bytes(&self) -> u64 {
        let path = match self {
            Self::Input => return 0,
            Self::Text(path) => path.clone(),
            Self::Block(folder) => folder.join("index"),
        };
        std::fs::metadata(path).map_or(0, |m| m.len())
    }

    fn name(&self) -> String {
        match self {
            Self::Input => "standard input".to_owned(),
            Self::Text(path) | Self::Block(path) => path.display().to_string(),
        }
    }

    /// Sends every request of this source; stops when nobody wants more.
    fn read(&self, before: u64, to: &mpsc::Sender<Piece>) -> Result<(), String> {
        let send = |request, bytes| to.blocking_send(Piece { request, bytes: before + bytes }).is_ok();
        match self {
            Self::Block(folder) => {
                let mut reader = BlockReader::open(folder).map_err(|e| chain(&e))?;
                while let Some(request) = reader.next_batch().map_err(|e| chain(&e))? {
                    if !send(request, reader.progress().0) {
                        return Ok(());
                    }
                }
            }
            Self::Input => read_text(std::io::stdin().lock(), || 0, send)?,
            Self::Text(path) => {
                let file = File::open(path).map_err(|e| format!("cannot open it: {e}"))?;
                let read = Arc::new(AtomicU64::new(0));
                let file = BufReader::with_capacity(READ_BYTES, Counting { file, read: Arc::clone(&read) });
                let so_far = || read.load(Ordering::Relaxed);
                if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
                    read_text(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(file)), so_far, send)?;
                } else {
                    read_text(file, so_far, send)?;
                }
            }
        }
        Ok(())
    }
}

fn read_text(input: impl BufRead, so_far: impl Fn() -> u64, send: impl Fn(Encoded, u64) -> bool) -> Result<(), String> {
    let mut reader = OpenMetricsReader::new(input);
    while let Some(request) = reader.next_batch().map_err(|e| e.to_string())? {
        if !send(request, so_far()) {
            break;
        }
    }
    Ok(())
}

/// Reads `sources` one after the other. Blocks its thread.
///
/// # Errors
/// One line that names the source, and in text the line; what was sent before it is not taken back.
pub(crate) fn read(sources: &[Source], to: &mpsc::Sender<Piece>) -> Result<(), Failure> {
    let mut before = 0;
    for source in sources {
        source.read(before, to).map_err(|reason| Failure::failed(format!("{}: {reason}", source.name())))?;
        before += source.bytes();
    }
    Ok(())
}

/// Counts what was read from a file.
#[derive(Debug)]
struct Counting {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
