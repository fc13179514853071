//! Retries what may be retried, for stores that do not do so themselves.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use catalog::Entropy;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::local::is_disk_full;

/// How often and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts_max: u32,
    /// Upper bound of the first pause; doubles each time.
    pub pause_first: Duration,
    /// Upper bound of every pause.
    pub pause_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts_max: 6, pause_first: Duration::from_millis(50), pause_max: Duration::from_secs(5) }
    }
}

/// Whether the same request may well succeed a moment later. A full disk may not.
pub fn is_transient(error: &Error) -> bool {
    matches!(error, Error::Generic { .. } | Error::JoinError { .. }) && !is_disk_full(error)
}

/// Retries transient failures with full jitter: each pause is drawn from zero to a bound that doubles.
///
/// A create whose answer was lost comes back as `AlreadyExists`, as it does from a real bucket: whoever creates must be able to tell
/// its own object. Multipart uploads and listings are passed through; a failed one is begun again by its owner.
/// A delete that finds nothing on a later attempt is a success.
#[derive(Debug)]
pub struct RetryStore {
    inner: Arc<dyn ObjectStore>,
    entropy: Arc<dyn Entropy>,
    policy: RetryPolicy,
}

impl RetryStore {
    /// Retries what goes to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, entropy: Arc<dyn Entropy>, policy: RetryPolicy) -> Self {
        Self { inner, entropy, policy }
    }

    async fn retry<T, F: Future<Output = Result<T>>>(&self, attempt: impl FnMut(u32) -> F) -> Result<T> {
        retry(&*self.entropy, self.policy, attempt).await
    }
}

async fn retry<T, F: Future<Output = Result<T>>>(
    entropy: &dyn Entropy,
    policy: RetryPolicy,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<T> {
    let mut bound = policy.pause_first;
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt(tried).await {
            Err(error) if is_transient(&error) && tried < policy.attempts_max => {
                tracing::debug!(tried, %error, "store request failed, retrying");
                let bound_ns = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX).max(1);
                tokio::time::sleep(Duration::from_nanos(entropy.next_u64() % bound_ns)).await;
                bound = (bound * 2).min(policy.pause_max);
            }
            result => return result,
        }
    }
}

impl fmt::Display for RetryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetryStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for RetryStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.retry(|_| self.inner.put_opts(location, payload.clone(), opts.clone())).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.retry(|_| self.inner.put_multipart_opts(location, opts.clone())).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.retry(|_| self.inner.get_opts(location, options.clone())).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.retry(|_| self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, entropy, policy) = (Arc::clone(&self.inner), Arc::clone(&self.entropy), self.policy);
        locations
            .and_then(move |location| {
                let (inner, entropy) = (Arc::clone(&inner), Arc::clone(&entropy));
                async move {
                    let delete = |tried| {
                        let (inner, location) = (&inner, &location);
                        async move {
                            match inner.delete(location).await {
                                Err(Error::NotFound { .. }) if tried > 1 => Ok(()),
                                result => result,
                            }
                        }
                    };
                    retry(&*entropy, policy, delete).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.retry(|_| self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.retry(|_| self.inner.copy_opts(from, to, options.clone())).await
    }
}
