//! The log's folder: whose it is, who has it open, and which segments lie in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use catalog::Env;
use catalog::manifest::WriterId;

use super::frame::{self, FORMAT_VERSION, HeadState, Kind, SEGMENT_HEAD_BYTES, SegmentHead};
use super::fs::{Lock, WalFile, WalFs};
use crate::error::{Error, Result};

const IDENTITY: &str = "writer";
const LOCK: &str = "lock";

/// An opened folder. Nobody else has it while this lives.
pub(crate) struct Folder {
    pub(crate) fs: Arc<dyn WalFs>,
    pub(crate) dir: PathBuf,
    pub(crate) writer: WriterId,
    _lock: Lock,
}

/// A segment that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Its first record.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// A file that can become a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Free {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Segments that have begun, by number.
    pub(crate) segments: Vec<Segment>,
    /// Files to recycle.
    pub(crate) free: Vec<Free>,
    /// Larger than every number that was ever used.
    pub(crate) next_number: u64,
}

impl Folder {
    /// Takes the folder: creates it if need be, locks it, reads or makes up the writer's identity.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], [`Error::Unsupported`], [`Error::Corrupt`].
    pub(crate) fn open(fs: Arc<dyn WalFs>, dir: &Path, env: &Env) -> Result<Self> {
        fs.create_dir(dir).map_err(io("create folder", dir))?;
        let lock_path = dir.join(LOCK);
        let lock = fs.lock(&lock_path).map_err(io("lock", &lock_path))?;
        let lock = lock.map_err(|pid| Error::Locked { path: dir.to_owned(), pid })?;
        let names = fs.list(dir).map_err(io("list", dir))?;
        let writer = if names.iter().any(|name| name == IDENTITY) {
            read_identity(&*fs, dir)?
        } else if let Some(name) = names.iter().find(|name| name.ends_with(".seg")) {
            let reason = format!("the file {IDENTITY:?} is missing beside it");
            return Err(Error::Corrupt { path: dir.join(name), reason });
        } else {
            let writer = env.new_uuid();
            write_identity(&*fs, dir, writer)?;
            writer
        };
        Ok(Self { fs, dir: dir.to_owned(), writer, _lock: lock })
    }

    /// The file of segment `number`.
    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}.seg"))
    }

    /// The file of segment `number` when its bytes are not needed any more.
    pub(crate) fn free_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("free-{number:020}.seg"))
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("dir", &self.dir).field("writer", &self.writer).finish_non_exhaustive()
    }
}

/// Reads the identity of the log in `dir`.
///
/// # Errors
/// [`Error::Io`], [`Error::Unsupported`], [`Error::Corrupt`].
pub(crate) fn read_identity(fs: &dyn WalFs, dir: &Path) -> Result<WriterId> {
    let path = dir.join(IDENTITY);
    let bytes = read_all(fs, &path)?;
    let corrupt = || Error::Corrupt { path: path.clone(), reason: "it is no writer identity".to_owned() };
    let text = std::str::from_utf8(&bytes).map_err(|_| corrupt())?;
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("telelake-wal ")).ok_or_else(corrupt)?;
    let found: u32 = version.parse().map_err(|_| corrupt())?;
    if found > FORMAT_VERSION {
        return Err(Error::Unsupported { path, found, supported: FORMAT_VERSION });
    }
    lines.next().and_then(|line| line.parse().ok()).ok_or_else(corrupt)
}

fn write_identity(fs: &dyn WalFs, dir: &Path, writer: WriterId) -> Result<()> {
    let (path, temporary) = (dir.join(IDENTITY), dir.join("writer.tmp"));
    let file = fs.create(&temporary, 0).map_err(io("create", &temporary))?;
    let text = format!("telelake-wal {FORMAT_VERSION}\n{writer}\n");
    file.write_at(text.as_bytes(), 0).and_then(|()| file.sync()).map_err(io("write", &temporary))?;
    fs.rename(&temporary, &path).map_err(io("rename", &temporary))?;
    fs.sync_dir(dir).map_err(io("sync folder", dir))
}

/// Lists the segments of `writer` in `dir`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unsupported`] for a segment of a newer version; [`Error::Corrupt`] for one of another writer.
pub(crate) fn contents(fs: &dyn WalFs, dir: &Path, writer: WriterId) -> Result<Contents> {
    let mut found = Contents { next_number: 1, ..Contents::default() };
    for name in fs.list(dir).map_err(io("list", dir))? {
        let Some(stem) = name.strip_suffix(".seg") else { continue };
        let Ok(number) = stem.trim_start_matches("free-").parse::<u64>() else { continue };
        let path = dir.join(&name);
        let file = fs.open(&path).map_err(io("open", &path))?;
        let bytes = file.length().map_err(io("read", &path))?;
        let (segment, seen) = if stem.starts_with("free-") { (None, 0) } else { begun(&*file, &path, writer, number, bytes)? };
        found.next_number = found.next_number.max(number.max(seen).saturating_add(1));
        match segment {
            Some(first) => found.segments.push(Segment { number, first, path, bytes }),
            None => found.free.push(Free { path, bytes }),
        }
    }
    found.segments.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// The first record of segment `number` if it has begun, and the number that its head has.
fn begun(file: &dyn WalFile, path: &Path, writer: WriterId, number: u64, bytes: u64) -> Result<(Option<u64>, u64)> {
    let mut head = [0; SEGMENT_HEAD_BYTES];
    if bytes < SEGMENT_HEAD_BYTES as u64 {
        return Ok((None, 0));
    }
    file.read_at(&mut head, 0).map_err(io("read", path))?;
    match SegmentHead::read(&head) {
        HeadState::Newer(found) => Err(Error::Unsupported { path: path.to_owned(), found, supported: FORMAT_VERSION }),
        HeadState::Good(head) if head.writer != writer => {
            let reason = format!("it belongs to the log of writer {}, this one is {writer}", head.writer);
            Err(Error::Corrupt { path: path.to_owned(), reason })
        }
        HeadState::Good(head) if head.number == number => Ok((Some(head.first), number)),
        // Renamed to be written again, and the crash came before its new head.
        HeadState::Good(head) => Ok((None, head.number)),
        HeadState::None => {
            // The checkpoint frame behind the head says the same; if it is good, only the head was lost.
            let bytes = read_all_of(file, path)?;
            let frame = frame::frame_at(writer, number, &bytes, SEGMENT_HEAD_BYTES);
            Ok((frame.filter(|(header, _)| header.kind == Kind::Checkpoint).map(|(header, _)| header.sequence), number))
        }
    }
}

/// The whole file.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn read_all(fs: &dyn WalFs, path: &Path) -> Result<Vec<u8>> {
    read_all_of(&*fs.open(path).map_err(io("open", path))?, path)
}

fn read_all_of(file: &dyn WalFile, path: &Path) -> Result<Vec<u8>> {
    let length = file.length().map_err(io("read", path))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io("read", path)(std::io::ErrorKind::FileTooLarge.into()))?];
    file.read_at(&mut bytes, 0).map_err(io("read", path))?;
    Ok(bytes)
}

/// Names what failed on what.
pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
