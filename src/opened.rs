//! A store, its catalog and its lake, opened as the configuration says: what a node and the tools without a node share.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::manifest::Catalog;
use catalog::{Env, ErrorKind};
use lake::Lake;
use lake::store::CountingStore;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::fs::{FlockOperation, flock};

use crate::cli::ConfigArgs;
use crate::config::{Config, Sources, load};
use crate::failure::{Failure, chain};

/// Below the node's folder: the files, unless `store.url` says otherwise.
const LAKE_FOLDER: &str = "lake";
/// Below the node's folder: the write-ahead log, unless `ingest.wal.dir` says otherwise.
const WAL_FOLDER: &str = "wal";
/// Below the node's folder: held by the process that runs on it.
const LOCK_FILE: &str = "telelake.lock";

/// A store that has not answered by then is out of reach.
const REACH_MAX: Duration = Duration::from_secs(10);
const CHECK_CREDENTIALS: &str = "check the credentials and that they may list, read, write and delete there";

/// An open lake.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) lake: Arc<Lake>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) env: Env,
}

/// The configuration of the sources that `args` and the environment name. Not validated: flags may follow.
///
/// # Errors
/// As [`load`].
pub(crate) fn configure(args: &ConfigArgs) -> Result<Config, Failure> {
    let sources = Sources { file: args.config.clone(), environment: std::env::vars().collect(), set: args.set.clone() };
    let mut config = load(&sources)?;
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(url) = &args.store {
        config.store.url.clone_from(url);
    }
    if let Some(format) = args.log_format {
        config.log.format = format;
    }
    if let Some(level) = &args.log_level {
        config.log.level.clone_from(level);
    }
    if config.store.url.is_empty() {
        config.store.url = config.data.join(LAKE_FOLDER).display().to_string();
    }
    Ok(config)
}

/// Where the log of a node with this configuration lies.
pub(crate) fn wal_dir(config: &Config) -> PathBuf {
    config.ingest.wal.dir.clone().unwrap_or_else(|| config.data.join(WAL_FOLDER))
}

/// Whether the files lie on this machine.
pub(crate) fn is_local(url: &str) -> bool {
    !url.contains("://") || url.starts_with("file://")
}

/// Opens store, catalog and lake.
///
/// # Errors
/// What refuses, and what to do about it.
pub(crate) async fn open(config: &Config, env: Env) -> Result<Opened, Failure> {
    let environment: HashMap<String, String> = std::env::vars().collect();
    let store = lake::store::open_store(&config.store, &environment).map_err(|e| Failure::surroundings(chain(&e)))?;
    let store: Arc<dyn ObjectStore> = Arc::new(CountingStore::new(store));
    if !is_local(&config.store.url) {
        reach(&config.store.url, &*store).await?;
    }
    let catalog = Catalog::open(Arc::clone(&store), env.clone(), config.catalog.clone())
        .await
        .map_err(|e| Failure::surroundings(explain(&config.store.url, &e)))?;
    let lake = Lake::open(store, Arc::clone(&catalog), env.clone(), config.lake.clone());
    Ok(Opened { lake, catalog, env })
}

/// Asks the store for an object that nobody has, to find out soon whether anybody answers: later requests are patient.
async fn reach(url: &str, store: &dyn ObjectStore) -> Result<(), Failure> {
    let reason = match tokio::time::timeout(REACH_MAX, store.get(&StorePath::from("telelake-reach"))).await {
        Ok(Ok(_) | Err(object_store::Error::NotFound { .. })) => return Ok(()),
        Ok(Err(error @ (object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }))) => {
            let reason = chain(&error);
            return Err(Failure::surroundings(format!("cannot open the lake on {url}: {reason}; {CHECK_CREDENTIALS}")));
        }
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {} s", REACH_MAX.as_secs()),
    };
    Err(Failure::surroundings(format!("cannot open the lake on {url}: {reason}; check the url, the endpoint and the network")))
}

/// What to do about a catalog that does not open.
fn explain(url: &str, error: &catalog::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::Denied => CHECK_CREDENTIALS,
        ErrorKind::NotFound => "create the bucket, or correct the url",
        ErrorKind::Unavailable => "check the url, the endpoint and the network",
        ErrorKind::Corrupt => "run `telelake check`; nothing was changed",
        _ => "nothing was changed",
    };
    format!("cannot open the lake on {url}: {}; {advice}", chain(error))
}

/// The right to run on a node's folder, held while this lives.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder if need be and takes the lock.
    ///
    /// # Errors
    /// The folder cannot be written, or another process holds it.
    pub(crate) fn take(data: &Path) -> Result<Self, Failure> {
        let refuse = |e: std::io::Error| {
            Failure::surroundings(format!(
                "cannot write to the folder {}: {e}; make it writable or choose another one with --data DIR",
                data.display()
            ))
        };
        std::fs::create_dir_all(data).map_err(refuse)?;
        let file = File::options().create(true).truncate(false).write(true).open(data.join(LOCK_FILE)).map_err(refuse)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::surroundings(format!(
                "the folder {} is in use by another telelake process; stop that one or choose another folder with --data DIR",
                data.display()
            ))),
            Err(e) => Err(refuse(e.into())),
        }
    }
}

/// Refuses to look at a folder that no node has written to: a tool should not create an empty lake by a typing error.
///
/// # Errors
/// There is no such folder.
pub(crate) fn must_exist(config: &Config) -> Result<(), Failure> {
    let url = &config.store.url;
    let folder = url.strip_prefix("file://").unwrap_or(url);
    if is_local(url) && !Path::new(folder).is_dir() {
        return Err(Failure::surroundings(format!(
            "there is no lake at {folder}; name the node's folder with --data DIR or the store with --store URL"
        )));
    }
    Ok(())
}
