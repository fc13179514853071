//! A store that misbehaves on purpose, from a seed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use catalog::Entropy;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::counting::StoreOp;

/// What goes wrong, and how often. Shares are between 0 (never) and 1 (always). The default is a healthy store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    /// Share of requests that fail and do nothing.
    pub fail_before: f64,
    /// Share of requests that are carried out, but whose answer is lost.
    pub fail_after: f64,
    /// Share of requests that are refused with "503 slow down" and do nothing.
    pub throttle: f64,
    /// Each request takes a time drawn from zero to this (`tokio::time`).
    pub latency_max: Duration,
    /// The first so many requests of each kind on each path fail.
    pub first_attempts: u32,
    /// Share of multipart uploads whose completion fails with parts left behind.
    pub torn_multipart: f64,
    /// Share of gets whose body ends early. Only for data with a checksum: nothing here reports it.
    pub short_body: f64,
    /// Share of gets with one bit flipped in the body.
    pub flipped_bit: f64,
    /// A new object is missing from listings for so long.
    pub list_delay: Duration,
    /// Only paths that contain this suffer; empty: all.
    pub only: String,
}

/// Wraps any store; the same entropy and the same order of requests give the same faults.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    entropy: Arc<dyn Entropy>,
    faults: Mutex<Faults>,
    attempts: Mutex<HashMap<(StoreOp, Path), u32>>,
    born: Mutex<HashMap<Path, Instant>>,
    injected: AtomicU64,
    down: AtomicBool,
}

impl FaultStore {
    /// Lets `faults` loose on what goes to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, entropy: Arc<dyn Entropy>, faults: Faults) -> Self {
        let shared = Shared {
            entropy,
            faults: Mutex::new(faults),
            attempts: Mutex::default(),
            born: Mutex::default(),
            injected: AtomicU64::new(0),
            down: AtomicBool::new(false),
        };
        Self { inner, shared: Arc::new(shared) }
    }
    /// From now on `faults` instead.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock() = faults;
        self.shared.attempts.lock().clear();
    }
    /// Whether every request fails, as if the network were cut.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }
    /// How many faults were injected so far.
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::SeqCst)
    }
    /// The store below, which is healthy.
    pub fn healthy(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner)
    }
}

impl Shared {
    /// True with probability `share`.
    fn draw(&self, share: f64) -> bool {
        // 53 bits make a uniform double in [0, 1). No bits are drawn for what is off, so that seeds stay comparable.
        let hit = share > 0.0 && ((self.entropy.next_u64() >> 11) as f64) / ((1u64 << 53) as f64) < share;
        self.injected.fetch_add(u64::from(hit), Ordering::SeqCst);
        hit
    }

    fn faults_for(&self, path: &Path) -> Faults {
        let faults = self.faults.lock();
        if path.as_ref().contains(&faults.only) { faults.clone() } else { Faults::default() }
    }

    /// Lets the request pass, or not. `Ok(true)`: its answer is going to be lost.
    async fn enter(&self, op: StoreOp, path: &Path) -> Result<bool> {
        let faults = self.faults_for(path);
        if !faults.latency_max.is_zero() {
            let bound_ns = u64::try_from(faults.latency_max.as_nanos()).unwrap_or(u64::MAX).max(1);
            tokio::time::sleep(Duration::from_nanos(self.entropy.next_u64() % bound_ns)).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(fault(op, path, "the store is down"));
        }
        if faults.first_attempts > 0 {
            let mut attempts = self.attempts.lock();
            let attempt = attempts.entry((op, path.clone())).or_default();
            if *attempt < faults.first_attempts {
                *attempt += 1;
                self.injected.fetch_add(1, Ordering::SeqCst);
                return Err(fault(op, path, "one of the first attempts"));
            }
        }
        if self.draw(faults.throttle) {
            return Err(fault(op, path, "503 slow down"));
        }
        if self.draw(faults.fail_before) {
            return Err(fault(op, path, "connection reset before the request"));
        }
        Ok(self.draw(faults.fail_after))
    }

    fn leave<T>(&self, op: StoreOp, path: &Path, lost: bool, result: Result<T>) -> Result<T> {
        if lost { result.and(Err(fault(op, path, "the answer was lost"))) } else { result }
    }

    fn note_birth(&self, path: &Path) {
        if !self.faults_for(path).list_delay.is_zero() {
            self.born.lock().insert(path.clone(), Instant::now());
        }
    }

    fn is_listed(&self, path: &Path) -> bool {
        let delay = self.faults_for(path).list_delay;
        let mut born = self.born.lock();
        match born.get(path) {
            Some(at) if at.elapsed() < delay => false,
            Some(_) => born.remove(path).is_some(),
            None => true,
        }
    }

    fn spoil(&self, faults: &Faults, body: Bytes) -> Bytes {
        if body.is_empty() {
            return body;
        }
        let length = body.len() as u64;
        if self.draw(faults.short_body) {
            return body.slice(..usize::try_from(self.entropy.next_u64() % length).expect("below the length"));
        }
        if self.draw(faults.flipped_bit) {
            let bit = self.entropy.next_u64() % (length * 8);
            let mut bytes = body.to_vec();
            bytes[usize::try_from(bit / 8).expect("below the length")] ^= 1 << (bit % 8);
            return bytes.into();
        }
        body
    }
}

fn fault(op: StoreOp, path: &Path, what: &str) -> Error {
    Error::Generic { store: "FaultStore", source: format!("{} {path}: {what}", op.name()).into() }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let lost = self.shared.enter(StoreOp::Put, location).await?;
        let result = self.inner.put_opts(location, payload, opts).await;
        if result.is_ok() {
            self.shared.note_birth(location);
        }
        self.shared.leave(StoreOp::Put, location, lost, result)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.shared.enter(StoreOp::Put, location).await?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(FaultUpload { inner, location: location.clone(), shared: Arc::clone(&self.shared) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { StoreOp::Head } else { StoreOp::Get };
        let lost = self.shared.enter(op, location).await?;
        let got = self.inner.get_opts(location, options).await;
        let got = self.shared.leave(op, location, lost, got)?;
        let faults = self.shared.faults_for(location);
        if op == StoreOp::Head || (faults.short_body == 0.0 && faults.flipped_bit == 0.0) {
            return Ok(got);
        }
        let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let body = self.shared.spoil(&faults, got.bytes().await?);
        let payload = GetResultPayload::Stream(futures::stream::once(async move { Ok(body) }).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .and_then(move |location| {
                let store = store.clone();
                async move {
                    let lost = store.shared.enter(StoreOp::Delete, &location).await?;
                    let result = store.inner.delete(&location).await;
                    store.shared.leave(StoreOp::Delete, &location, lost, result)?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (shared, at) = (Arc::clone(&self.shared), prefix.cloned().unwrap_or_default());
        let listed = self.inner.list(prefix);
        futures::stream::once(async move {
            shared.enter(StoreOp::List, &at).await?;
            Ok::<_, Error>(listed.try_filter(move |meta| futures::future::ready(shared.is_listed(&meta.location))))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.shared.enter(StoreOp::List, &prefix.cloned().unwrap_or_default()).await?;
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        listed.objects.retain(|meta| self.shared.is_listed(&meta.location));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let lost = self.shared.enter(StoreOp::Copy, to).await?;
        let result = self.inner.copy_opts(from, to, options).await;
        self.shared.leave(StoreOp::Copy, to, lost, result)
    }
}

#[derive(Debug)]
struct FaultUpload {
    inner: Box<dyn MultipartUpload>,
    location: Path,
    shared: Arc<Shared>,
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, shared, location) = (self.inner.put_part(data), Arc::clone(&self.shared), self.location.clone());
        Box::pin(async move {
            let lost = shared.enter(StoreOp::Put, &location).await?;
            let result = part.await;
            shared.leave(StoreOp::Put, &location, lost, result)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let lost = self.shared.enter(StoreOp::Put, &self.location).await?;
        if self.shared.draw(self.shared.faults_for(&self.location).torn_multipart) {
            return Err(fault(StoreOp::Put, &self.location, "torn upload"));
        }
        let result = self.inner.complete().await;
        if result.is_ok() {
            self.shared.note_birth(&self.location);
        }
        self.shared.leave(StoreOp::Put, &self.location, lost, result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.shared.enter(StoreOp::Delete, &self.location).await?;
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use catalog::env::fixed::SeededEntropy;
    use object_store::PutMode;
    use object_store::memory::InMemory;

    use super::*;

    fn store(faults: Faults) -> FaultStore {
        FaultStore::new(Arc::new(InMemory::new()), SeededEntropy::new(7), faults)
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_object() {
        let store = store(Faults { fail_after: 1.0, ..Faults::default() });
        let path = Path::from("a");
        store.put_opts(&path, PutPayload::from_static(b"x"), PutMode::Create.into()).await.expect_err("lost");
        store.healthy().head(&path).await.expect("it is there");
        store.delete(&path).await.expect_err("lost");
        store.healthy().head(&path).await.expect_err("it is gone");
        assert_eq!(store.injected(), 2);
    }

    #[tokio::test]
    async fn the_first_attempts_of_each_request_fail() {
        let store = store(Faults { first_attempts: 2, ..Faults::default() });
        for _ in 0..2 {
            store.put(&Path::from("a"), PutPayload::default()).await.expect_err("early");
            store.head(&Path::from("a")).await.expect_err("early");
        }
        store.put(&Path::from("a"), PutPayload::default()).await.expect("third");
        store.head(&Path::from("a")).await.expect("third");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_spoiled_and_listings_late() {
        let store = store(Faults { list_delay: Duration::from_secs(9), ..Faults::default() });
        let path = Path::from("a");
        store.put(&path, PutPayload::from_static(b"0123456789")).await.expect("put");
        let names = || async { store.list(None).try_collect::<Vec<_>>().await.expect("list").len() };
        assert_eq!(names().await, 0);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(names().await, 1);
        let read = || async { store.get(&path).await.expect("get").bytes().await.expect("bytes") };
        store.set(Faults { short_body: 1.0, ..Faults::default() });
        assert!(read().await.len() < 10);
        store.set(Faults { flipped_bit: 1.0, ..Faults::default() });
        let spoiled = read().await;
        assert!(spoiled.len() == 10 && spoiled != "0123456789");
    }
}
