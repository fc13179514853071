//! For the tests of this crate: a store that fails as stores do, an environment that follows tokio's clock, and files to commit.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::file::{FileEntry, IndexSection, Level};
use crate::env::fixed::SeededEntropy;
use crate::env::{Clock, Entropy, Env};
use crate::partition::Partition;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// What befalls one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Refused before anything happened.
    Before,
    /// Done, but the answer is an error.
    LostAnswer,
    /// The answer is an error at once; the request is done that much later, if still possible.
    Late(Duration),
    /// Done, and answered that much later.
    Slow(Duration),
    /// A read body has a flipped bit; a listing misses its last half.
    Damaged,
    /// Denied for want of permission.
    Denied,
}

/// How often requests of a [`FaultStore`] fail, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rates {
    pub(super) before: u64,
    pub(super) lost_answer: u64,
    pub(super) late: u64,
    pub(super) slow: u64,
    pub(super) damaged: u64,
}

/// One process's view of a shared store.
#[derive(Debug, Clone)]
pub(super) struct FaultStore(Arc<State>);

#[derive(Debug)]
struct State {
    inner: Arc<dyn ObjectStore>,
    entropy: Arc<SeededEntropy>,
    rates: Mutex<Rates>,
    script: Mutex<VecDeque<(&'static str, Fault)>>,
    requests: Mutex<Vec<String>>,
    crashed: AtomicBool,
    overwrites: AtomicBool,
}

impl FaultStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self(Arc::new(State {
            inner,
            entropy: SeededEntropy::new(seed),
            rates: Mutex::default(),
            script: Mutex::default(),
            requests: Mutex::default(),
            crashed: AtomicBool::new(false),
            overwrites: AtomicBool::new(false),
        }))
    }

    pub(super) fn set_rates(&self, rates: Rates) {
        *self.0.rates.lock() = rates;
    }

    /// The next request whose `verb path` contains `pattern` suffers `fault`.
    pub(super) fn next(&self, pattern: &'static str, fault: Fault) {
        self.0.script.lock().push_back((pattern, fault));
    }

    /// From now on nobody gets an answer: the process is dead. Requests on their way still land.
    pub(super) fn crash(&self) {
        self.0.crashed.store(true, Ordering::SeqCst);
    }

    /// From now on create-if-absent overwrites.
    pub(super) fn forget_create(&self) {
        self.0.overwrites.store(true, Ordering::SeqCst);
    }

    /// The requests since the last call, as `verb path`.
    pub(super) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.0.requests.lock())
    }

    fn percent(&self, of: u64) -> bool {
        of > 0 && self.0.entropy.next_u64() % 100 < of
    }

    async fn fault(&self, verb: &str, path: &Path) -> Option<Fault> {
        let request = format!("{verb} {path}");
        let scripted = {
            let mut script = self.0.script.lock();
            let hit = script.iter().position(|(pattern, _)| request.contains(pattern));
            hit.and_then(|at| script.remove(at))
        };
        self.0.requests.lock().push(request);
        if self.0.crashed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let rates = *self.0.rates.lock();
        let long = Duration::from_millis(self.0.entropy.next_u64() % 200_000);
        let random = [
            (rates.before, Fault::Before),
            (rates.lost_answer, Fault::LostAnswer),
            (rates.late, Fault::Late(long)),
            (rates.slow, Fault::Slow(Duration::from_millis(long.as_millis() as u64 / 20))),
            (rates.damaged, Fault::Damaged),
        ];
        let random = random.into_iter().find(|(rate, _)| self.percent(*rate)).map(|(_, fault)| fault);
        let fault = scripted.map(|(_, fault)| fault).or(random);
        tokio::time::sleep(Duration::from_millis(1 + self.0.entropy.next_u64() % 20)).await;
        fault
    }

    async fn alive(&self) {
        if self.0.crashed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        verb: &str,
        path: &Path,
        request: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let answer = match self.fault(verb, path).await {
            None | Some(Fault::Damaged) => request.await,
            Some(Fault::Before) => Err(broken("503 slow down")),
            Some(Fault::Denied) => Err(object_store::Error::PermissionDenied { path: path.to_string(), source: "403".into() }),
            Some(Fault::LostAnswer) => request.await.and_then(|_| Err(broken("connection reset"))),
            Some(Fault::Slow(by)) => {
                let answer = request.await;
                tokio::time::sleep(by).await;
                answer
            }
            Some(Fault::Late(by)) => {
                tokio::spawn(async move {
                    tokio::time::sleep(by).await;
                    let _nobody_listens = request.await;
                });
                Err(broken("timeout"))
            }
        };
        self.alive().await;
        answer
    }
}

fn broken(reason: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: reason.into() }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.0.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.0.overwrites.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        let (inner, to) = (Arc::clone(&self.0.inner), path.clone());
        self.run("PUT", path, async move { inner.put_opts(&to, payload, options).await }).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let damage = {
            let rates = *self.0.rates.lock();
            self.percent(rates.damaged)
        };
        let (inner, from) = (Arc::clone(&self.0.inner), path.clone());
        let found = self.run("GET", path, async move { inner.get_opts(&from, options).await }).await?;
        if !damage {
            return Ok(found);
        }
        let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
        let mut bytes = found.bytes().await?.to_vec();
        let at = (self.0.entropy.next_u64() as usize) % bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (self.0.entropy.next_u64() % 8);
        }
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes.into()) }).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        paths
            .and_then(move |path| {
                let (this, inner, target) = (this.clone(), Arc::clone(&this.0.inner), path.clone());
                async move { this.run("DELETE", &path, async move { inner.delete(&target).await.map(|()| target) }).await }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let path = prefix.clone().unwrap_or_default();
            let inner = Arc::clone(&this.0.inner);
            let listing = async move { inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            let mut found = this.run("LIST", &path, listing).await?;
            let rates = *this.0.rates.lock();
            if this.percent(rates.damaged) {
                found.sort_by(|a, b| a.location.cmp(&b.location));
                found.truncate(found.len() / 2);
            }
            Ok::<_, object_store::Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.inner.copy_opts(from, to, options).await
    }
}

/// A clock that follows tokio's, so that a paused runtime moves both.
#[derive(Debug)]
struct TokioClock {
    start: tokio::time::Instant,
}

/// When tests begin: 2026-01-01.
pub(super) const START: Timestamp = Timestamp::from_secs(1_767_225_600);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        START.saturating_add(self.start.elapsed())
    }
}

/// Clocks that are made at the same instant agree.
pub(super) fn env(seed: u64, start: tokio::time::Instant) -> Env {
    Env { clock: Arc::new(TokioClock { start }), entropy: SeededEntropy::new(seed) }
}

pub(super) fn tenant() -> TenantId {
    TenantId::parse("acme").expect("valid")
}

/// A file of one minute of log rows on `day` after [`START`].
pub(super) fn file(id: Uuid, table: Table, day: i64) -> FileEntry {
    let start = START.saturating_add(Duration::from_secs(86_400 * day as u64 + 3_600));
    FileEntry {
        id,
        tenant: tenant(),
        table,
        partition: Partition::of(table, start),
        level: Level::L0,
        bytes: 1_000,
        rows: 10,
        time: TimeRange::new(start, start.saturating_add(Duration::from_secs(60))),
        key_range: Some(("checkout".to_owned(), "search".to_owned())),
        id_range: Some((-5, 5)),
        index: Some(IndexSection { offset: 4, length: 100 }),
        footer_bytes: 80,
        crc32: u32::MAX,
        raw_bytes: 10_000,
        schema_version: 1,
    }
}
