//! The few file operations the log needs, so that a simulated disk can take the real one's place.

use std::any::Any;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// In use.
    pub used: u64,
    /// Free for us.
    pub free: u64,
}

/// What keeps a folder ours while it lives.
pub type Lock = Box<dyn Any + Send + Sync>;

/// Files as a log needs them. Calls may block.
///
/// Promises: bytes are durable once [`WalFile::sync`] returned `Ok`; names once [`WalFs::sync_dir`] did. Before that a crash may
/// keep any part of them.
pub trait WalFs: Send + Sync + fmt::Debug {
    /// Creates the folder and its parents. No error when it exists.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names in the folder, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>>;
    /// Creates a file of `length` bytes, allocated, reading as zeros. An existing one is replaced.
    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn WalFile>>;
    /// Renames, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock file `path`; `Err(holder)` inside when another process has it. Released on drop and when the process dies.
    fn lock(&self, path: &Path) -> io::Result<Result<Lock, String>>;
    /// Room on the disk of `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Whether calls can take long, so that they must not run on an async thread.
    fn blocks(&self) -> bool;
}

/// An open file.
pub trait WalFile: Send + Sync + fmt::Debug {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `out` from `offset`; an error when the file ends before.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written durable. After an error nothing may be assumed of what was written since the last success, not even
    /// when a later call succeeds.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFs;

impl WalFs for DiskFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn WalFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        if length > 0 {
            allocate(&file, length)?;
        }
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Result<Lock, String>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For the error message of the next who tries; the lock itself is the kernel's.
                file.set_len(0)?;
                write!(file, "{}", std::process::id())?;
                Ok(Ok(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(32).read_to_string(&mut holder)?;
                Ok(Err(holder.trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok(Space { used: used.saturating_mul(stat.f_frsize), free: stat.f_bavail.saturating_mul(stat.f_frsize) })
    }

    fn blocks(&self) -> bool {
        true
    }
}

/// Reserves the blocks, so that a full disk shows here and not in the middle of a segment.
fn allocate(file: &File, length: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // Some file systems cannot; then the file grows as it is written.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(length),
        Err(error) => Err(error.into()),
    }
}

impl WalFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("lock");
        let lock = DiskFs.lock(&path).expect("no i/o error").expect("nobody has it");
        let holder = DiskFs.lock(&path).expect("no i/o error").err();
        assert_eq!(holder, Some(std::process::id().to_string()));
        drop(lock);
        assert!(DiskFs.lock(&path).expect("no i/o error").is_ok());
    }

    #[test]
    fn created_files_have_their_length() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("1.seg");
        let file = DiskFs.create(&path, 4096).expect("a file");
        assert_eq!(file.length().expect("a length"), 4096);
        file.write_at(b"rows", 100).expect("a write");
        file.sync().expect("a sync");
        let mut back = [0; 5];
        DiskFs.open(&path).expect("it exists").read_at(&mut back, 99).expect("a read");
        assert_eq!(&back, b"\0rows");
        assert!(DiskFs.space(dir.path()).expect("a size").free > 0);
    }
}
