//! The chunk files of a block.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::bytes::{Cursor, crc32c};
use super::error::TsdbError;

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
/// What is read at once; chunks of one series lie side by side.
const WINDOW_BYTES: usize = 256 << 10;
/// Largest chunk: 64 Ki samples of a histogram of some thousand buckets are cut long before.
const CHUNK_BYTES_MAX: u64 = 64 << 20;
/// Length, encoding and checksum of a chunk.
const AROUND_BYTES: u64 = 5 + 1 + 4;

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    len: u64,
}

/// All segments, and a window of the one that was read last.
#[derive(Debug)]
pub(super) struct Chunks {
    segments: Vec<Segment>,
    folder: PathBuf,
    window: Vec<u8>,
    /// Segment and offset of the window.
    at: (usize, u64),
}

impl Chunks {
    /// Opens the segments in `folder` in the order of their numbers.
    pub(super) fn open(folder: &Path) -> Result<Self, TsdbError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| TsdbError::io(folder, e))? {
            let entry = entry.map_err(|e| TsdbError::io(folder, e))?;
            if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) {
                names.push((number, entry.path()));
            }
        }
        names.sort();
        let segments = names.into_iter().map(|(_, path)| Segment::open(path)).collect::<Result<_, _>>()?;
        Ok(Self { segments, folder: folder.to_owned(), window: Vec::new(), at: (usize::MAX, 0) })
    }

    /// Encoding and data of the chunk that the index calls `reference`: number of the segment above, offset in it below.
    pub(super) fn read(&mut self, reference: u64) -> Result<(u8, &[u8]), TsdbError> {
        let (number, offset) = ((reference >> 32) as usize, reference & u64::from(u32::MAX));
        let Some(segment) = self.segments.get(number) else {
            return Err(TsdbError::corrupt(&self.folder, reference, "the index names a segment that is not there"));
        };
        let corrupt = |reason| TsdbError::corrupt(&segment.path, offset, reason);
        if offset >= segment.len {
            return Err(corrupt("the index names a chunk behind the end of the segment"));
        }
        fill(segment, number, offset, AROUND_BYTES, &mut self.window, &mut self.at)?;
        let mut head = Cursor(&self.window[(offset - self.at.1) as usize..]);
        let before = head.0.len();
        let len = head.uvarint().ok().filter(|len| *len <= CHUNK_BYTES_MAX).ok_or_else(|| corrupt("a chunk is too long"))?;
        let start = offset + (before - head.0.len()) as u64;
        if start + 1 + len + 4 > segment.len {
            return Err(corrupt("a chunk is longer than its segment"));
        }
        fill(segment, number, start, 1 + len + 4, &mut self.window, &mut self.at)?;
        let from = (start - self.at.1) as usize;
        let (body, checksum) = self.window[from..from + len as usize + 5].split_at(len as usize + 1);
        if crc32c(body) != Cursor(checksum).u32().unwrap_or(0) {
            return Err(corrupt("a chunk does not match its checksum"));
        }
        Ok((body[0], &body[1..]))
    }

    /// The chunk cannot be decoded.
    pub(super) fn corrupt(&self, reference: u64, reason: &'static str) -> TsdbError {
        let segment = self.segments.get((reference >> 32) as usize).map_or(self.folder.as_path(), |s| s.path.as_path());
        TsdbError::corrupt(segment, reference & u64::from(u32::MAX), reason)
    }
}

impl Segment {
    fn open(path: PathBuf) -> Result<Self, TsdbError> {
        let file = File::open(&path).map_err(|e| TsdbError::io(&path, e))?;
        let len = file.metadata().map_err(|e| TsdbError::io(&path, e))?.len();
        let mut head = [0; 5];
        if len < 8 || file.read_exact_at(&mut head, 0).is_err() {
            return Err(TsdbError::corrupt(&path, 0, "the file is too short"));
        }
        let mut cursor = Cursor(&head);
        if cursor.u32() != Ok(MAGIC) {
            return Err(TsdbError::corrupt(&path, 0, "this is no file of chunks"));
        }
        match head[4] {
            VERSION => Ok(Self { path, file, len }),
            found => Err(TsdbError::Version { path, found, supported: VERSION }),
        }
    }
}

/// Makes sure that the window holds `len` bytes from `offset` on, or all there are.
fn fill(
    segment: &Segment,
    number: usize,
    offset: u64,
    len: u64,
    window: &mut Vec<u8>,
    at: &mut (usize, u64),
) -> Result<(), TsdbError> {
    let end = (offset + len).min(segment.len);
    if at.0 == number && at.1 <= offset && end <= at.1 + window.len() as u64 {
        return Ok(());
    }
    let wanted = (len.max(WINDOW_BYTES as u64)).min(segment.len - offset);
    *at = (usize::MAX, 0);
    window.resize(wanted as usize, 0);
    segment.file.read_exact_at(window, offset).map_err(|e| TsdbError::io(&segment.path, e))?;
    *at = (number, offset);
    Ok(())
}
