//! Counts what is asked of a store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// What was asked, as object stores charge for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreOp {
    /// A put, a part of a multipart upload, or its completion.
    Put,
    /// A get or a ranged get.
    Get,
    /// A question for size and time.
    Head,
    /// A listing, whatever its number of pages.
    List,
    /// A deleted object.
    Delete,
    /// A copy or a rename inside the store.
    Copy,
}

impl StoreOp {
    const ALL: [Self; 6] = [Self::Put, Self::Get, Self::Head, Self::List, Self::Delete, Self::Copy];

    /// The value of the label `op`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Copy => "copy",
        }
    }
}

/// Requests of one kind since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpCount {
    /// Requests, failed ones included.
    pub requests: u64,
    /// Requests that failed. A missing object counts: it was asked for.
    pub errors: u64,
    /// Bytes written, or bytes that the answers of gets hold.
    pub bytes: u64,
}

/// All counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Puts and parts.
    pub put: OpCount,
    /// Gets.
    pub get: OpCount,
    /// Heads.
    pub head: OpCount,
    /// Listings.
    pub list: OpCount,
    /// Deletes.
    pub delete: OpCount,
    /// Copies and renames.
    pub copy: OpCount,
}

impl StoreCounts {
    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        let sub = |a: OpCount, b: OpCount| OpCount {
            requests: a.requests.saturating_sub(b.requests),
            errors: a.errors.saturating_sub(b.errors),
            bytes: a.bytes.saturating_sub(b.bytes),
        };
        Self {
            put: sub(self.put, earlier.put),
            get: sub(self.get, earlier.get),
            head: sub(self.head, earlier.head),
            list: sub(self.list, earlier.list),
            delete: sub(self.delete, earlier.delete),
            copy: sub(self.copy, earlier.copy),
        }
    }
    /// Requests of every kind.
    pub fn requests(self) -> u64 {
        [self.put, self.get, self.head, self.list, self.delete, self.copy].iter().map(|op| op.requests).sum()
    }
}

#[derive(Debug)]
struct Counters {
    counts: [[AtomicU64; 3]; 6],
    metrics: Vec<(metrics::Counter, metrics::Counter, metrics::Counter)>,
}

impl Counters {
    fn new() -> Self {
        let metrics = StoreOp::ALL
            .into_iter()
            .map(|op| {
                (
                    metrics::counter!("telelake_store_requests_total", "op" => op.name()),
                    metrics::counter!("telelake_store_errors_total", "op" => op.name()),
                    metrics::counter!("telelake_store_bytes_total", "op" => op.name()),
                )
            })
            .collect();
        Self { counts: Default::default(), metrics }
    }

    fn add(&self, op: StoreOp, bytes: u64, failed: bool) {
        let [requests, errors, total] = &self.counts[op as usize];
        let (m_requests, m_errors, m_bytes) = &self.metrics[op as usize];
        requests.fetch_add(1, Ordering::Relaxed);
        m_requests.increment(1);
        if failed {
            errors.fetch_add(1, Ordering::Relaxed);
            m_errors.increment(1);
        } else {
            total.fetch_add(bytes, Ordering::Relaxed);
            m_bytes.increment(bytes);
        }
    }

    fn read(&self, op: StoreOp) -> OpCount {
        let [requests, errors, bytes] = self.counts[op as usize].each_ref().map(|n| n.load(Ordering::Relaxed));
        OpCount { requests, errors, bytes }
    }
}

/// How many requests the client of a bucket makes of `ranges`: those with a gap of no more than [`OBJECT_STORE_COALESCE_DEFAULT`] are one.
fn requests(ranges: &[Range<u64>]) -> usize {
    let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let (mut requests, mut end) = (0, None);
    for range in sorted {
        if end.is_none_or(|end: u64| range.start.saturating_sub(end) > OBJECT_STORE_COALESCE_DEFAULT) {
            requests += 1;
        }
        end = end.max(Some(range.end));
    }
    requests
}

/// Counts requests and bytes, for [`CountingStore::snapshot`] and as `telelake_store_requests_total{op}`,
/// `telelake_store_errors_total{op}` and `telelake_store_bytes_total{op}`. Retries inside a client are not seen from here.
///
/// Open it after the metrics recorder is installed: handles are taken once.
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    counters: Arc<Counters>,
}

impl CountingStore {
    /// Counts what goes to `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, counters: Arc::new(Counters::new()) }
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> StoreCounts {
        let read = |op| self.counters.read(op);
        StoreCounts {
            put: read(StoreOp::Put),
            get: read(StoreOp::Get),
            head: read(StoreOp::Head),
            list: read(StoreOp::List),
            delete: read(StoreOp::Delete),
            copy: read(StoreOp::Copy),
        }
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountingStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        let result = self.inner.put_opts(location, payload, opts).await;
        self.counters.add(StoreOp::Put, bytes, result.is_err());
        result
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(CountingUpload { inner, counters: Arc::clone(&self.counters) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { StoreOp::Head } else { StoreOp::Get };
        let result = self.inner.get_opts(location, options).await;
        let bytes = match &result {
            Ok(got) if op == StoreOp::Get => got.range.end.saturating_sub(got.range.start),
            _ => 0,
        };
        self.counters.add(op, bytes, result.is_err());
        result
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let result = self.inner.get_ranges(location, ranges).await;
        let bytes = result.as_ref().map_or(0, |parts| parts.iter().map(|part| part.len() as u64).sum());
        self.counters.add(StoreOp::Get, bytes, result.is_err());
        // A folder and a memory have no requests to save.
        (1..requests(ranges)).for_each(|_| self.counters.add(StoreOp::Get, 0, result.is_err()));
        result
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let counters = Arc::clone(&self.counters);
        let deleted = self.inner.delete_stream(locations);
        deleted.inspect(move |result| counters.add(StoreOp::Delete, 0, result.is_err())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counters.add(StoreOp::List, 0, false);
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counters.add(StoreOp::List, 0, false);
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let result = self.inner.list_with_delimiter(prefix).await;
        self.counters.add(StoreOp::List, 0, result.is_err());
        result
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let result = self.inner.copy_opts(from, to, options).await;
        self.counters.add(StoreOp::Copy, 0, result.is_err());
        result
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let result = self.inner.rename_opts(from, to, options).await;
        self.counters.add(StoreOp::Copy, 0, result.is_err());
        result
    }
}

#[derive(Debug)]
struct CountingUpload {
    inner: Box<dyn MultipartUpload>,
    counters: Arc<Counters>,
}

#[async_trait]
impl MultipartUpload for CountingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let bytes = data.content_length() as u64;
        let (part, counters) = (self.inner.put_part(data), Arc::clone(&self.counters));
        Box::pin(async move {
            let result = part.await;
            counters.add(StoreOp::Put, bytes, result.is_err());
            result
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await;
        self.counters.add(StoreOp::Put, 0, result.is_err());
        result
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn requests_and_bytes_are_counted() {
        let store = CountingStore::new(Arc::new(InMemory::new()));
        let path = Path::from("a/b");
        store.put(&path, PutPayload::from_static(b"12345")).await.expect("put");
        let before = store.snapshot();
        store.get(&path).await.expect("get").bytes().await.expect("bytes");
        store.get_range(&path, 1..3).await.expect("range");
        store.head(&path).await.expect("head");
        store.get(&Path::from("none")).await.expect_err("missing");
        assert_eq!(store.list(None).try_collect::<Vec<_>>().await.expect("list").len(), 1);
        store.delete(&path).await.expect("delete");
        let counts = store.snapshot();
        assert_eq!(counts.put, OpCount { requests: 1, errors: 0, bytes: 5 });
        assert_eq!(counts.get, OpCount { requests: 3, errors: 1, bytes: 7 });
        assert_eq!((counts.head.requests, counts.list.requests, counts.delete.requests), (1, 1, 1));
        assert_eq!(counts.since(before).requests(), 6);
    }
}
