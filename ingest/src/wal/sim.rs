//! A simulated disk: it forgets what was not synced, tears what it was writing, fails and fills up on command.
//!
//! ```text
//! write ─► cache ──sync ok──► disk                  crash(seed): of every unsynced write any set of sectors survives;
//!            └─────sync EIO─► any part of it         of unsynced creations, renames, removals the first few do
//! ```
//! A failed sync drops the dirty mark, as Linux does: the cache still shows the bytes, a later sync succeeds, the disk may not
//! have them. Everything is decided by the seed; nothing blocks, so a whole node can run on one thread.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::Entropy;
use catalog::env::fixed::SeededEntropy;
use parking_lot::Mutex;

use super::fs::{Lock, Space, WalFile, WalFs};

const SECTOR: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Folder entries as the process sees them, by whole path.
    names: BTreeMap<PathBuf, usize>,
    /// Folder entries as they are on the disk.
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes to the folder since it was synced.
    changes: Vec<Change>,
    files: Vec<Contents>,
    locks: BTreeMap<PathBuf, Arc<AtomicBool>>,
    random: Arc<SeededEntropy>,
    space: Space,
    failing_syncs: u32,
    failing_writes: u32,
    syncs: u64,
    /// Calls until the power fails.
    calls_left: Option<u64>,
    /// The machine is off: every call fails.
    dead: bool,
}

impl State {
    /// A machine just switched on, with an empty disk: nothing is locked, and nothing is set to fail.
    fn fresh(random: Arc<SeededEntropy>, space: Space) -> Self {
        Self {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            files: Vec::new(),
            locks: BTreeMap::new(),
            random,
            space,
            failing_syncs: 0,
            failing_writes: 0,
            syncs: 0,
            calls_left: None,
            dead: false,
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Contents {
    cache: Vec<u8>,
    disk: Vec<u8>,
    dirty: Vec<Range<usize>>,
}

impl SimFs {
    /// An empty disk with 1 TiB of room.
    pub fn new(seed: u64) -> Self {
        let state = State::fresh(SeededEntropy::new(seed), Space { used: 0, free: 1 << 40 });
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power. This handle, and every file opened by it, fails from now on; the answer is the disk after the restart.
    pub fn crash(&self) -> Self {
        let mut state = self.state.lock();
        state.dead = true;
        let random = Arc::clone(&state.random);
        let survivors = match state.changes.len() {
            0 => 0,
            n => random.next_u64() as usize % (n + 1),
        };
        let mut names = state.durable_names.clone();
        for change in &state.changes[..survivors] {
            apply(&mut names, change);
        }
        let files = state.files.iter().map(|file| after_power_cut(file, &random)).collect();
        let fresh = State::fresh(random, state.space);
        let state = State { names: names.clone(), durable_names: names, files, ..fresh };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Kills the process but not the machine: this handle fails from now on, the answer has everything that was written.
    pub fn kill(&self) -> Self {
        let copy = self.clone_disk();
        self.state.lock().dead = true;
        copy
    }

    /// A second disk with everything that was written to this one, locks aside: the folder copied under a running process.
    pub fn clone_disk(&self) -> Self {
        let state = self.state.lock();
        let state = State {
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            changes: state.changes.clone(),
            files: state.files.clone(),
            ..State::fresh(Arc::clone(&state.random), state.space)
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power at the `n`th call from now (0: the next): that call takes effect in part or not at all, and fails, as do all later ones.
    /// [`SimFs::crash`] then has the disk after the restart.
    pub fn die_at_call(&self, n: u64) {
        self.state.lock().calls_left = Some(n);
    }

    /// The next `n` syncs of files fail with EIO and keep any part of what was dirty.
    pub fn fail_syncs(&self, n: u32) {
        self.state.lock().failing_syncs = n;
    }

    /// The next `n` writes fail with EIO after any part of their bytes.
    pub fn fail_writes(&self, n: u32) {
        self.state.lock().failing_writes = n;
    }

    /// Sets the room that [`WalFs::space`] reports; creating a file beyond it fails with ENOSPC.
    pub fn set_space(&self, space: Space) {
        self.state.lock().space = space;
    }

    /// Successful syncs of files since the start.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Flips a bit of a file, on the disk and in the cache.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidInput` when the file is shorter.
    pub fn flip_bit(&self, path: &Path, offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let file = &mut state.files[id];
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        *file.cache.get_mut(offset).ok_or(io::ErrorKind::InvalidInput)? ^= 1;
        if let Some(byte) = file.disk.get_mut(offset) {
            *byte ^= 1;
        }
        Ok(())
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.alive()?;
        apply(&mut state.names, &change);
        state.changes.push(change);
        Ok(())
    }

    fn alive(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if let Some(left) = &mut state.calls_left {
            if *left == 0 {
                state.dead = true;
            } else {
                *left -= 1;
            }
        }
        if state.dead { Err(io::Error::other("the simulated machine is off")) } else { Ok(state) }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &Change) {
    match change {
        Change::Link(path, id) => {
            names.insert(path.clone(), *id);
        }
        Change::Rename(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
        Change::Remove(path) => {
            names.remove(path);
        }
    }
}

/// What the disk has of `file` after a power cut: of every unsynced sector the old or the new bytes.
fn after_power_cut(file: &Contents, random: &SeededEntropy) -> Contents {
    let mut disk = file.disk.clone();
    disk.resize(file.cache.len().max(disk.len()), 0);
    for range in &file.dirty {
        keep_some(&mut disk, &file.cache, range.clone(), random);
    }
    Contents { cache: disk.clone(), disk, dirty: Vec::new() }
}

fn keep_some(disk: &mut [u8], cache: &[u8], range: Range<usize>, random: &SeededEntropy) {
    // All, nothing, a front part, or any sectors.
    let mood = random.next_u64() % 4;
    let front = range.start + random.next_u64() as usize % (range.len() + 1);
    let mut start = range.start;
    while start < range.end {
        let end = (start / SECTOR * SECTOR + SECTOR).min(range.end);
        let keep = match mood {
            0 => true,
            1 => false,
            2 => start < front,
            _ => random.next_u64().is_multiple_of(2),
        };
        if keep {
            disk[start..end].copy_from_slice(&cache[start..end]);
        }
        start = end;
    }
}

impl WalFs for SimFs {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.alive().map(drop)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WalFile>> {
        let id = *self.alive()?.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { fs: self.clone(), id }))
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Box<dyn WalFile>> {
        let mut state = self.alive()?;
        if state.space.free < length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = state.files.len();
        let zeros = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?];
        state.files.push(Contents { cache: zeros.clone(), disk: zeros, dirty: Vec::new() });
        drop(state);
        self.change(Change::Link(path.to_owned(), id))?;
        Ok(Box::new(SimFile { fs: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.alive()?.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Change::Remove(path.to_owned()))
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Result<Lock, String>> {
        let mut state = self.alive()?;
        let held = state.locks.entry(path.to_owned()).or_default();
        if held.swap(true, Ordering::SeqCst) {
            return Ok(Err("1".to_owned()));
        }
        Ok(Ok(Box::new(SimLock(Arc::clone(held)))))
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        Ok(self.alive()?.space)
    }

    fn blocks(&self) -> bool {
        false
    }
}

struct SimLock(Arc<AtomicBool>);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    id: usize,
}

impl WalFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.fs.alive()?.files[self.id].cache.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.fs.alive()?;
        let cache = &state.files[self.id].cache;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let bytes = cache.get(start..).and_then(|rest| rest.get(..out.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let dying = self.fs.state.lock().calls_left == Some(0);
        let mut state = if dying { self.fs.state.lock() } else { self.fs.alive()? };
        if state.dead {
            return Err(io::Error::other("the simulated machine is off"));
        }
        state.dead = dying;
        let fails = dying || state.failing_writes > 0;
        state.failing_writes = state.failing_writes.saturating_sub(1);
        let written = if fails { state.random.next_u64() as usize % (bytes.len() + 1) } else { bytes.len() };
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let file = &mut state.files[self.id];
        let end = start + written;
        if file.cache.len() < end {
            file.cache.resize(end, 0);
        }
        file.cache[start..end].copy_from_slice(&bytes[..written]);
        file.dirty.push(start..end);
        if fails { Err(io::Error::other("simulated EIO on write")) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.alive()?;
        let random = Arc::clone(&state.random);
        let fails = state.failing_syncs > 0;
        state.failing_syncs = state.failing_syncs.saturating_sub(1);
        state.syncs += u64::from(!fails);
        let Contents { cache, disk, dirty } = &mut state.files[self.id];
        disk.resize(cache.len(), 0);
        for range in std::mem::take(dirty) {
            if fails {
                keep_some(disk, cache, range, &random);
            } else {
                disk[range.clone()].copy_from_slice(&cache[range]);
            }
        }
        if fails { Err(io::Error::other("simulated EIO on sync")) } else { Ok(()) }
    }
}
