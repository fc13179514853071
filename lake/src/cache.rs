//! Byte-bounded caches of immutable things, keyed by file id: footers, index sections, byte ranges.
//!
//! A file never changes and its id is never reused, so nothing here is ever invalidated; it only falls out when the
//! bytes run out. Concurrent misses of one key read the store once.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Schema;
use bytes::Bytes;
use catalog::{FileEntry, FileId};
use moka::future::Cache;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataPushDecoder};

use crate::config::LakeConfig;
use crate::error::{Error, Result};
use crate::index::IndexReader;

/// Files up to this size are kept whole, so that all their ranges are one request.
const WHOLE_FILE_BYTES: u64 = 256 << 10;
/// A range is cached only up to this size; larger ones would evict everything else.
const RANGE_BYTES_MAX: u64 = 4 << 20;

/// The caches of one lake.
#[derive(Debug)]
pub struct Caches {
    footers: Cache<FileId, Arc<Footer>>,
    indexes: Cache<FileId, Arc<IndexReader>>,
    ranges: Cache<(FileId, u64, u64), Bytes>,
}

/// A parsed footer with its page index, ready to build decoders from.
#[derive(Debug)]
pub struct Footer {
    /// Metadata and Arrow schema.
    pub reader: ArrowReaderMetadata,
}

impl Caches {
    /// Empty caches with the bounds of `config`.
    pub fn new(config: &LakeConfig) -> Self {
        let weigh = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            footers: Cache::builder()
                .name("footers")
                .max_capacity(config.metadata_cache_bytes / 2)
                .weigher(move |_, footer: &Arc<Footer>| weigh(footer.reader.metadata().memory_size() + 1024))
                .build(),
            indexes: Cache::builder()
                .name("indexes")
                .max_capacity(config.metadata_cache_bytes / 2)
                .weigher(move |_, index: &Arc<IndexReader>| weigh(index.memory_bytes() + 256))
                .build(),
            ranges: Cache::builder()
                .name("ranges")
                .max_capacity(config.data_cache_bytes)
                .weigher(move |_, bytes: &Bytes| weigh(bytes.len() + 128))
                .build(),
        }
    }

    /// The footer of `file`: from the cache, or by one ranged read of its last [`FileEntry::footer_bytes`].
    ///
    /// # Errors
    /// `Store`, or `Corrupt` when the bytes are no Parquet footer.
    pub async fn footer(&self, store: &dyn ObjectStore, file: &FileEntry) -> Result<Arc<Footer>> {
        if let Some(footer) = self.footers.get(&file.id).await {
            count("footer", true);
            return Ok(footer);
        }
        count("footer", false);
        let load = async {
            let start = file.bytes.saturating_sub(file.footer_bytes);
            let bytes = self.range(store, file, start..file.bytes).await?;
            parse_footer(file, start, bytes).map(Arc::new)
        };
        self.footers.try_get_with(file.id, load).await.map_err(shared)
    }

    /// The index section of `file`, or `None` when it has none. Bytes that break the format count as no index: the scan is
    /// slower, not wrong; the damage is counted and logged.
    ///
    /// # Errors
    /// `Store`.
    pub async fn index(&self, store: &dyn ObjectStore, file: &FileEntry) -> Result<Option<Arc<IndexReader>>> {
        let Some(section) = file.index else { return Ok(None) };
        if let Some(index) = self.indexes.get(&file.id).await {
            count("index", true);
            return Ok(Some(index));
        }
        count("index", false);
        let load = async {
            let bytes = self.range(store, file, section.offset..section.offset.saturating_add(section.length)).await?;
            Ok(Arc::new(IndexReader::parse(bytes).unwrap_or_else(|reason| {
                metrics::counter!("telelake_lake_index_corrupt_total").increment(1);
                tracing::warn!(file = %file.path(), %reason, "index section is damaged; scanning without it");
                IndexReader::empty()
            })))
        };
        self.indexes.try_get_with(file.id, load).await.map(Some).map_err(shared)
    }

    /// The bytes `range` of `file`.
    ///
    /// # Errors
    /// `Store`, or `Corrupt` when the file is shorter.
    pub async fn range(&self, store: &dyn ObjectStore, file: &FileEntry, range: Range<u64>) -> Result<Bytes> {
        Ok(self.ranges(store, file, vec![range]).await?.remove(0))
    }

    /// The bytes of several ranges of `file`, in order. What is not cached is fetched in one go, neighbours together.
    ///
    /// # Errors
    /// As [`Caches::range`].
    pub async fn ranges(&self, store: &dyn ObjectStore, file: &FileEntry, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        if let Some(bad) = ranges.iter().find(|r| r.start > r.end || r.end > file.bytes) {
            let reason = format!("bytes {}..{} are asked for, the file has {}", bad.start, bad.end, file.bytes);
            return Err(Error::Corrupt { path: file.path(), reason });
        }
        if file.bytes <= WHOLE_FILE_BYTES {
            let whole = self.whole(store, file).await?;
            return Ok(ranges.into_iter().map(|r| whole.slice(r.start as usize..r.end as usize)).collect());
        }
        let mut found = Vec::with_capacity(ranges.len());
        for range in &ranges {
            found.push(self.ranges.get(&(file.id, range.start, range.end)).await);
        }
        let missing: Vec<Range<u64>> =
            ranges.iter().zip(&found).filter(|(_, bytes)| bytes.is_none()).map(|(range, _)| range.clone()).collect();
        metrics::counter!("telelake_lake_cache_hits_total", "cache" => "range").increment((ranges.len() - missing.len()) as u64);
        metrics::counter!("telelake_lake_cache_misses_total", "cache" => "range").increment(missing.len() as u64);
        let path = file.path();
        let store_error = |source| Error::Store { path: path.clone(), source };
        let mut fetched = match missing.len() {
            0 => Vec::new(),
            _ => store.get_ranges(&path, &missing).await.map_err(store_error)?,
        }
        .into_iter();
        let mut out = Vec::with_capacity(ranges.len());
        for (range, bytes) in ranges.into_iter().zip(found) {
            if let Some(bytes) = bytes {
                out.push(bytes);
                continue;
            }
            let bytes = fetched.next().unwrap_or_default();
            if bytes.len() as u64 != range.end - range.start {
                return Err(Error::Corrupt {
                    path,
                    reason: format!("the object is shorter than its manifest's {} bytes", file.bytes),
                });
            }
            metrics::counter!("telelake_lake_read_bytes_total").increment(bytes.len() as u64);
            if bytes.len() as u64 <= RANGE_BYTES_MAX {
                // A slice would keep the whole coalesced response alive.
                let own = Bytes::copy_from_slice(&bytes);
                self.ranges.insert((file.id, range.start, range.end), own.clone()).await;
                out.push(own);
            } else {
                out.push(bytes);
            }
        }
        Ok(out)
    }

    async fn whole(&self, store: &dyn ObjectStore, file: &FileEntry) -> Result<Bytes> {
        let key = (file.id, 0, file.bytes);
        if let Some(bytes) = self.ranges.get(&key).await {
            count("range", true);
            return Ok(bytes);
        }
        count("range", false);
        let path = file.path();
        let load = async {
            let bytes =
                store.get_range(&path, 0..file.bytes).await.map_err(|source| Error::Store { path: path.clone(), source })?;
            if bytes.len() as u64 != file.bytes {
                return Err(Error::Corrupt {
                    path: path.clone(),
                    reason: format!("the object has {} bytes, the manifest says {}", bytes.len(), file.bytes),
                });
            }
            metrics::counter!("telelake_lake_read_bytes_total").increment(file.bytes);
            Ok(bytes)
        };
        self.ranges.try_get_with(key, load).await.map_err(shared)
    }
}

fn count(cache: &'static str, hit: bool) {
    let name = if hit { "telelake_lake_cache_hits_total" } else { "telelake_lake_cache_misses_total" };
    metrics::counter!(name, "cache" => cache).increment(1);
}

/// An error that several waiters of one load share.
pub(crate) fn shared(error: Arc<Error>) -> Error {
    Arc::try_unwrap(error).unwrap_or_else(|shared| match &*shared {
        Error::Store { path, source } => Error::Store {
            path: path.clone(),
            source: object_store::Error::Generic { store: "shared read", source: source.to_string().into() },
        },
        Error::Corrupt { path, reason } => Error::Corrupt { path: path.clone(), reason: reason.clone() },
        other => Error::Internal(other.to_string()),
    })
}

fn parse_footer(file: &FileEntry, start: u64, bytes: Bytes) -> Result<Footer> {
    let corrupt = |reason: String| Error::Corrupt { path: file.path(), reason };
    let parse = |e: parquet::errors::ParquetError| corrupt(e.to_string());
    let mut decoder =
        ParquetMetaDataPushDecoder::try_new(file.bytes).map_err(parse)?.with_page_index_policy(PageIndexPolicy::Optional);
    decoder.push_range(start..file.bytes, bytes).map_err(parse)?;
    let metadata = match decoder.try_decode().map_err(parse)? {
        DecodeResult::Data(metadata) => metadata,
        DecodeResult::NeedsData(_) | DecodeResult::Finished => {
            return Err(corrupt(format!("its footer is longer than the {} bytes the manifest says", file.footer_bytes)));
        }
    };
    // The file's columns in the types of the catalog: dictionaries stay dictionaries, times keep their zone.
    let stored = catalog::schema::stored(file.table);
    let mut fields = Vec::new();
    for column in metadata.file_metadata().schema_descr().root_schema().get_fields() {
        let unknown = || corrupt(format!("its column {:?} is none of table {}", column.name(), file.table));
        fields.push(Arc::clone(stored.fields().find(column.name()).ok_or_else(unknown)?.1));
    }
    let options =
        ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields))).with_page_index_policy(PageIndexPolicy::Optional);
    let reader = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(parse)?;
    Ok(Footer { reader })
}
