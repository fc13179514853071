//! A folder as an object store that keeps what it acknowledged, even when the power goes.
//!
//! ```text
//! put ─► .tmp/{n}/{k} write, fsync ─► link (create) or rename (overwrite) into place ─► fsync of the folder ─► Ok
//!         └ a crash leaves it here; the next open removes it, unless its process still lives (a lock says so)
//! ```
//!
//! `object_store`'s own [`LocalFileSystem`] does not sync; it serves the reads here.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoKind, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;

use super::config::StoreError;

/// The folder of unfinished files, below the root. No object can be named so.
const STAGING: &str = ".tmp";
/// Held while processes enter and clean [`STAGING`].
const ENTRY_LOCK: &str = ".lock";
/// Held by a process as long as it lives.
const ALIVE_LOCK: &str = "alive";
/// Folders remembered as synced. Beyond it all are forgotten: costs an fsync each, nothing else.
const SYNCED_FOLDERS_MAX: usize = 10_000;
/// How often a put may lose its folder to a delete that empties it.
const PLACE_ATTEMPTS_MAX: usize = 16;
/// Deletes at work at once.
const DELETES_PARALLEL: usize = 8;

/// An object store in a folder. See the module for what it promises.
///
/// Many processes may share the folder. Objects are files under the names of their paths; deleting the last one of a folder
/// removes the folder. `PutMode::Update` and attributes are not supported.
#[derive(Debug, Clone)]
pub struct LocalStore {
    reads: LocalFileSystem,
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    staging: PathBuf,
    next: AtomicU64,
    /// Folders that are on the disk for certain.
    synced: Mutex<HashSet<PathBuf>>,
    _alive: File,
}

/// A file that is not in place yet. Dropping it removes it.
#[derive(Debug)]
struct Staged {
    path: PathBuf,
    file: File,
}

/// What went wrong in the file system; the source of an [`Error::Generic`].
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
struct LocalError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Whether `error`, or a cause of it, says that the disk or the quota is full.
pub fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| matches!(e.kind(), IoKind::StorageFull | IoKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl LocalStore {
    /// Opens the folder `root`, creates it if need be, proves that it can be written, and removes what dead processes left half written.
    ///
    /// # Errors
    /// [`StoreError::NotAFolder`], [`StoreError::ReadOnly`], [`StoreError::Folder`].
    pub fn open(root: impl AsRef<FsPath>) -> Result<Self, StoreError> {
        let root = root.as_ref();
        create_folders(root).map_err(|source| match source.kind() {
            IoKind::NotADirectory | IoKind::AlreadyExists => StoreError::NotAFolder { path: root.to_owned() },
            IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => StoreError::ReadOnly { path: root.to_owned(), source },
            _ => StoreError::Folder { path: root.to_owned(), source },
        })?;
        let root = fs::canonicalize(root).map_err(|source| StoreError::Folder { path: root.to_owned(), source })?;
        let (staging, alive) = enter(&root).map_err(|source| match source.kind() {
            IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => StoreError::ReadOnly { path: root.clone(), source },
            _ => StoreError::Folder { path: root.clone(), source },
        })?;
        let reads = LocalFileSystem::new_with_prefix(&root)
            .map_err(|e| StoreError::Folder { path: root.clone(), source: io::Error::other(e) })?;
        let folder = Folder { root, staging, next: AtomicU64::new(0), synced: Mutex::default(), _alive: alive };
        Ok(Self { reads, folder: Arc::new(folder) })
    }

    /// The folder, absolute.
    pub fn root(&self) -> &FsPath {
        &self.folder.root
    }

    /// Where the object at `location` lies.
    fn place_of(&self, location: &Path) -> Result<PathBuf> {
        refuse_reserved(location)?;
        self.reads.path_to_filesystem(location)
    }
}

impl Folder {
    fn stage(&self) -> Result<Staged> {
        let path = self.staging.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let opened = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = opened.map_err(|e| error("create", &path, e))?;
        Ok(Staged { path, file })
    }

    /// Syncs `staged` and gives it its name.
    fn publish(&self, staged: &Staged, place: &FsPath, create: bool) -> Result<PutResult> {
        staged.file.sync_all().map_err(|e| error("sync", &staged.path, e))?;
        let e_tag = staged.file.metadata().ok().map(|m| e_tag(&m));
        self.put_in_place(&staged.path, place, create)?;
        Ok(PutResult { e_tag, version: None })
    }

    /// Links (`create`) or renames `from` to `place` and syncs the folder there.
    fn put_in_place(&self, from: &FsPath, place: &FsPath, create: bool) -> Result<()> {
        let parent = place.parent().unwrap_or(&self.root);
        for _ in 0..PLACE_ATTEMPTS_MAX {
            let ready = self.ensure_folder(parent);
            let placed = ready.and_then(|()| if create { fs::hard_link(from, place) } else { fs::rename(from, place) });
            match placed {
                Ok(()) => return sync_folder(parent).map_err(|e| error("sync", parent, e)),
                // A delete removed the empty folder, or one above it, since we looked.
                Err(e) if e.kind() == IoKind::NotFound && from.exists() => self.forget_folder(parent),
                Err(e) if e.kind() == IoKind::NotFound => return Err(error("find", from, e)),
                Err(e) => return Err(error("create", place, e)),
            }
        }
        Err(error("create", place, io::Error::other("its folder keeps being removed")))
    }

    /// Makes sure that `folder` exists on the disk.
    fn ensure_folder(&self, folder: &FsPath) -> io::Result<()> {
        if folder == self.root || self.synced.lock().contains(folder) {
            return Ok(());
        }
        let Some(parent) = folder.parent() else { return Ok(()) };
        self.ensure_folder(parent)?;
        create_folder(folder, parent)?;
        let mut synced = self.synced.lock();
        if synced.len() >= SYNCED_FOLDERS_MAX {
            synced.clear();
        }
        synced.insert(folder.to_owned());
        Ok(())
    }

    fn forget_folder(&self, folder: &FsPath) {
        self.synced.lock().retain(|known| !folder.starts_with(known) && !known.starts_with(folder));
    }

    fn delete(&self, place: &FsPath) -> Result<()> {
        fs::remove_file(place).map_err(|e| error("delete", place, e))?;
        let mut parent = place.parent();
        while let Some(folder) = parent.filter(|folder| *folder != self.root) {
            // Fails as soon as a folder holds anything.
            if fs::remove_dir(folder).is_err() {
                break;
            }
            self.forget_folder(folder);
            parent = folder.parent();
        }
        Ok(())
    }

    fn copy(&self, from: &FsPath, to: &FsPath, create: bool) -> Result<()> {
        // Files are never written in place, so that a second name is as good as a copy.
        if create {
            return self.put_in_place(from, to, true);
        }
        let path = self.staging.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::hard_link(from, &path).map_err(|e| error("copy", from, e))?;
        let result = self.put_in_place(&path, to, false);
        // Still there when it failed, or when both were the same file, which a rename leaves alone.
        let _ = fs::remove_file(&path);
        result
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl fmt::Display for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalStore({})", self.folder.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let create = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(unsupported("put_opts with PutMode::Update", self)),
        };
        if !opts.attributes.is_empty() {
            return Err(unsupported("put_opts with attributes", self));
        }
        let (place, folder) = (self.place_of(location)?, Arc::clone(&self.folder));
        blocking(move || {
            let mut staged = folder.stage()?;
            for bytes in payload.iter() {
                staged.file.write_all(bytes).map_err(|e| error("write", &staged.path, e))?;
            }
            folder.publish(&staged, &place, create)
        })
        .await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        if !opts.attributes.is_empty() {
            return Err(unsupported("put_multipart_opts with attributes", self));
        }
        let (place, folder) = (self.place_of(location)?, Arc::clone(&self.folder));
        let staged = blocking(move || folder.stage()).await?;
        let state = Arc::new(Mutex::new(UploadState { staged: Some(staged), written: 0 }));
        Ok(Box::new(LocalUpload { folder: Arc::clone(&self.folder), place, state, offset: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        refuse_reserved(location)?;
        self.reads.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        refuse_reserved(location)?;
        self.reads.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let place = store.place_of(&location)?;
                blocking(move || store.folder.delete(&place)).await?;
                Ok(location)
            }
        };
        locations.map(delete).buffered(DELETES_PARALLEL).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reads.list(prefix).try_filter(|meta| futures::future::ready(!is_reserved(&meta.location))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.reads.list_with_offset(prefix, offset);
        listed.try_filter(|meta| futures::future::ready(!is_reserved(&meta.location))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut listed = self.reads.list_with_delimiter(prefix).await?;
        listed.common_prefixes.retain(|prefix| !is_reserved(prefix));
        listed.objects.retain(|meta| !is_reserved(&meta.location));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let create = matches!(options.mode, CopyMode::Create);
        let (from, to, folder) = (self.place_of(from)?, self.place_of(to)?, Arc::clone(&self.folder));
        blocking(move || folder.copy(&from, &to, create)).await
    }
}

#[derive(Debug)]
struct LocalUpload {
    folder: Arc<Folder>,
    place: PathBuf,
    state: Arc<Mutex<UploadState>>,
    /// Where the next part begins.
    offset: u64,
}

#[derive(Debug)]
struct UploadState {
    /// `None` once completed or aborted.
    staged: Option<Staged>,
    /// Bytes of the parts that were written.
    written: u64,
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (offset, length) = (self.offset, data.content_length() as u64);
        self.offset += length;
        let state = Arc::clone(&self.state);
        Box::pin(blocking(move || {
            let mut state = state.lock();
            let Some(staged) = &mut state.staged else { return Err(finished()) };
            let write = |file: &mut File| {
                file.seek(SeekFrom::Start(offset))?;
                data.iter().try_for_each(|bytes| file.write_all(bytes))
            };
            write(&mut staged.file).map_err(|e| error("write", &staged.path, e))?;
            state.written += length;
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (folder, place, state, expected) =
            (Arc::clone(&self.folder), self.place.clone(), Arc::clone(&self.state), self.offset);
        blocking(move || {
            let mut state = state.lock();
            if state.written != expected {
                let reason = format!("{} of {expected} bytes were written", state.written);
                return Err(error("complete", &place, io::Error::other(reason)));
            }
            let staged = state.staged.take().ok_or_else(finished)?;
            folder.publish(&staged, &place, false)
        })
        .await
    }

    async fn abort(&mut self) -> Result<()> {
        let state = Arc::clone(&self.state);
        blocking(move || state.lock().staged.take().map(drop).ok_or_else(finished)).await
    }
}

/// Enters the staging folder of `root`: cleans up after the dead, and makes a folder of our own.
fn enter(root: &FsPath) -> io::Result<(PathBuf, File)> {
    let staging = root.join(STAGING);
    match fs::create_dir(&staging) {
        Err(e) if e.kind() != IoKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let entry = OpenOptions::new().write(true).create(true).truncate(false).open(staging.join(ENTRY_LOCK))?;
    // Without locks (some network file systems) nothing is known of others: leave their files alone.
    let locked = entry.lock().is_ok();
    if locked {
        remove_leftovers(&staging)?;
    }
    for n in 0u32.. {
        let own = staging.join(n.to_string());
        match fs::create_dir(&own) {
            Ok(()) => {
                let alive = File::create(own.join(ALIVE_LOCK))?;
                if locked {
                    alive.lock()?;
                }
                return Ok((own, alive));
            }
            Err(e) if e.kind() == IoKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("every name in the staging folder is taken"))
}

/// Removes the staging folders whose process is gone. The entry lock is held.
fn remove_leftovers(staging: &FsPath) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let dead = match File::open(path.join(ALIVE_LOCK)) {
            Ok(alive) => alive.try_lock().is_ok(),
            Err(e) => e.kind() == IoKind::NotFound,
        };
        if dead {
            let files = fs::read_dir(&path).map_or(0, Iterator::count).saturating_sub(1);
            tracing::info!(folder = %path.display(), files, "removing unfinished files of a dead process");
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// Creates `folder` and what is missing above it, each synced into its parent.
fn create_folders(folder: &FsPath) -> io::Result<()> {
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(_) => return Err(IoKind::NotADirectory.into()),
        Err(e) if e.kind() != IoKind::NotFound => return Err(e),
        Err(_) => {}
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(FsPath::new("."));
    create_folders(parent)?;
    create_folder(folder, parent)
}

/// Creates `folder` and syncs it into `parent`. One that is there already is as good.
///
/// # Errors
/// `AlreadyExists`: something else has its name. `NotFound`: it was there, and a delete has removed it since.
fn create_folder(folder: &FsPath, parent: &FsPath) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() == IoKind::AlreadyExists => {
            if !fs::metadata(folder)?.is_dir() {
                return Err(e);
            }
        }
        created => created?,
    }
    sync_folder(parent)
}

fn sync_folder(folder: &FsPath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The same tag that [`LocalFileSystem`] gives on reads.
fn e_tag(metadata: &fs::Metadata) -> String {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0u64;
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{inode:x}-{:x}-{:x}", modified.as_micros(), metadata.len())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn is_reserved(location: &Path) -> bool {
    location.parts().next().is_some_and(|part| part.as_ref() == STAGING)
}

fn refuse_reserved(location: &Path) -> Result<()> {
    if is_reserved(location) {
        let source = format!("{location} lies in the folder of unfinished files").into();
        return Err(Error::NotSupported { source });
    }
    Ok(())
}

fn error(action: &'static str, path: &FsPath, source: io::Error) -> Error {
    let (kind, name) = (source.kind(), path.display().to_string());
    let source = Box::new(LocalError { action, path: path.to_owned(), source });
    match kind {
        IoKind::NotFound => Error::NotFound { path: name, source },
        IoKind::AlreadyExists => Error::AlreadyExists { path: name, source },
        IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem => Error::PermissionDenied { path: name, source },
        _ => Error::Generic { store: "LocalStore", source },
    }
}

fn unsupported(operation: &str, store: &LocalStore) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: store.to_string() }
}

fn finished() -> Error {
    Error::Generic { store: "LocalStore", source: "the upload was completed or aborted before".into() }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn leftovers_of_the_dead_are_removed_and_those_of_the_living_stay() {
        let folder = tempfile::tempdir().expect("temp dir");
        let dead = folder.path().join(STAGING).join("7");
        fs::create_dir_all(&dead).expect("dead process");
        fs::write(dead.join("0"), b"half a file").expect("leftover");
        fs::write(dead.join(ALIVE_LOCK), b"").expect("its lock");
        let living = LocalStore::open(folder.path()).expect("open");
        assert!(!dead.exists());
        let mut upload = living.put_multipart(&Path::from("a/slow")).await.expect("begin");
        upload.put_part(PutPayload::from_static(b"slow")).await.expect("part");
        let other = LocalStore::open(folder.path()).expect("a second process");
        other.put(&Path::from("a/quick"), PutPayload::from_static(b"quick")).await.expect("put");
        let listed: Vec<_> = other.list(None).map_ok(|m| m.location.to_string()).try_collect().await.expect("list");
        assert_eq!(listed, ["a/quick"]);
        upload.complete().await.expect("complete");
        assert_eq!(other.get(&Path::from("a/slow")).await.expect("get").bytes().await.expect("bytes"), "slow");
        drop((upload, living, other));
        let left: Vec<_> =
            fs::read_dir(folder.path().join(STAGING)).expect("staging").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(left, [ENTRY_LOCK]);
    }

    #[tokio::test]
    async fn names_cannot_leave_the_folder_or_meet_unfinished_files() {
        let folder = tempfile::tempdir().expect("temp dir");
        let store = LocalStore::open(folder.path().join("inner")).expect("open");
        for name in ["../out", "a/../../out", "./x", "a/%2e%2e/b", "a\\..\\b", "a b/ü"] {
            let location = Path::from(name);
            store.put(&location, PutPayload::from_static(b"x")).await.expect("put");
            let place = store.place_of(&location).expect("place");
            assert!(place.starts_with(store.root()), "{name}: {place:?}");
            store.head(&location).await.expect("head");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("outer").count(), 1);
        for name in [".tmp", ".tmp/0/alive"] {
            let location = Path::parse(name).expect("a valid path");
            store.get(&location).await.expect_err("reserved");
            store.put(&location, PutPayload::from_static(b"x")).await.expect_err("reserved");
            store.delete(&location).await.expect_err("reserved");
        }
    }

    #[tokio::test]
    async fn puts_survive_deletes_that_empty_their_folder() {
        let folder = tempfile::tempdir().expect("temp dir");
        let store = LocalStore::open(folder.path()).expect("open");
        let churn = |name: &'static str| {
            let store = store.clone();
            tokio::spawn(async move {
                let location = Path::from(format!("deep/er/{name}"));
                for _ in 0..100 {
                    store.put_opts(&location, PutPayload::from_static(b"x"), PutMode::Create.into()).await.expect("put");
                    store.delete(&location).await.expect("delete");
                }
            })
        };
        for task in ["a", "b", "c"].map(churn) {
            task.await.expect("no put fails");
        }
        assert!(!folder.path().join("deep").exists());
    }

    #[tokio::test]
    async fn an_upload_with_a_missing_part_does_not_complete() {
        let folder = tempfile::tempdir().expect("temp dir");
        let store = LocalStore::open(folder.path()).expect("open");
        let mut upload = store.put_multipart(&Path::from("a")).await.expect("begin");
        drop(upload.put_part(PutPayload::from_static(b"never polled")));
        upload.complete().await.expect_err("a part is missing");
        store.head(&Path::from("a")).await.expect_err("nothing was published");
    }

    #[test]
    fn a_full_disk_is_recognised() {
        let full = error("write", FsPath::new("x"), IoKind::StorageFull.into());
        assert!(is_disk_full(&full));
        assert!(!is_disk_full(&error("write", FsPath::new("x"), IoKind::TimedOut.into())));
    }
}
