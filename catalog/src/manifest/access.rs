//! The store as the manifest uses it: every request has a deadline, idempotent ones are retried with full jitter.

use std::time::Duration;

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::config::CatalogConfig;
use crate::env::Env;
use crate::error::{Error, Result};

/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) env: Env,
    pub(super) config: CatalogConfig,
}

impl Access {
    /// Waits before try number `attempt` (0: not at all): a random time up to an exponentially growing one.
    pub(super) async fn pause(&self, attempt: u32) {
        if attempt == 0 {
            return;
        }
        let longest = self.config.backoff.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX);
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_nanos(self.env.entropy.next_u64() % nanos.max(1))).await;
    }

    async fn within<T>(&self, request: impl Future<Output = object_store::Result<T>>) -> object_store::Result<T> {
        let limit = self.config.request_timeout;
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer,
            Err(_) => {
                Err(object_store::Error::Generic { store: "catalog", source: format!("no answer within {limit:?}").into() })
            }
        }
    }

    /// The object's bytes; `None` when it does not exist.
    pub(super) async fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let mut attempt = 0;
        loop {
            let answer = self.within(async { self.store.get_opts(path, GetOptions::default()).await?.bytes().await }).await;
            match answer {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(source) => self.again(&mut attempt, path, source).await?,
            }
        }
    }

    /// Writes the object, replacing what is there.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let mut attempt = 0;
        loop {
            match self.within(self.store.put(path, PutPayload::from_bytes(bytes.clone()))).await {
                Ok(_) => return Ok(()),
                Err(source) => self.again(&mut attempt, path, source).await?,
            }
        }
    }

    /// One try to create the object; the caller makes sense of the error.
    pub(super) async fn create_once(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..Default::default() };
        self.within(self.store.put_opts(path, PutPayload::from_bytes(bytes), options)).await.map(|_| ())
    }

    /// Creates the object unless there is one; whose it is does not matter.
    pub(super) async fn ensure(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let mut attempt = 0;
        loop {
            match self.create_once(path, bytes.clone()).await {
                Ok(()) | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    return Ok(());
                }
                Err(source) => self.again(&mut attempt, path, source).await?,
            }
        }
    }

    /// Deletes the object; it need not exist.
    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        let mut attempt = 0;
        loop {
            match self.within(self.store.delete(path)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(source) => self.again(&mut attempt, path, source).await?,
            }
        }
    }

    /// The objects below `prefix`, ascending by path. A hint: a store may list late.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix = Path::from(prefix);
        let mut attempt = 0;
        loop {
            match self.within(self.store.list(Some(&prefix)).try_collect::<Vec<_>>()).await {
                Ok(mut objects) => {
                    objects.sort_unstable_by(|a, b| a.location.cmp(&b.location));
                    return Ok(objects);
                }
                Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
                Err(source) => self.again(&mut attempt, &prefix, source).await?,
            }
        }
    }

    /// Counts a failed try: pauses, or gives up with the error.
    async fn again(&self, attempt: &mut u32, path: &Path, source: object_store::Error) -> Result<()> {
        *attempt += 1;
        if is_definite(&source) || *attempt >= self.config.attempts_max {
            return Err(Error::Store { path: path.clone(), source });
        }
        tracing::debug!(%path, error = %source, attempt, "store request failed, trying again");
        metrics::counter!("telelake_catalog_store_retries_total").increment(1);
        self.pause(*attempt).await;
        Ok(())
    }
}

/// Whether the store said no, so that trying again, or asking whether it happened after all, is pointless.
pub(super) fn is_definite(error: &object_store::Error) -> bool {
    use object_store::Error as E;
    matches!(
        error,
        E::PermissionDenied { .. }
            | E::Unauthenticated { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. }
            | E::InvalidPath { .. }
            | E::NotFound { .. }
            | E::UnknownConfigurationKey { .. }
    )
}
