//! Byte-bounded caches of immutable things, keyed by file id: footers, index sections, byte ranges.
//!
//! A file never changes and its id is never reused, so nothing here is ever invalidated; it only falls out when the
//! bytes run out. Concurrent misses of one key read the store once. Bytes are proven when they come from the store, by the manifest or
//! by the file's [page table](crate::pages), and never again.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Schema;
use bytes::Bytes;
use catalog::manifest::IndexSection;
use catalog::{FileEntry, FileId, Table};
use moka::future::Cache;
use object_store::ObjectStore;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataPushDecoder};

use crate::config::LakeConfig;
use crate::error::{Error, Result};
use crate::index::IndexReader;
use crate::pages::PageTable;
use crate::promoted::{NOTE_KEY, Note, OTHERS_KEY, OthersNote};

/// Files up to this size are kept whole, so that all their ranges are one request.
const WHOLE_FILE_BYTES: u64 = 256 << 10;
/// A range is cached only up to this size; larger ones would evict everything else.
const RANGE_BYTES_MAX: u64 = 4 << 20;
/// Pages that lie within so many bytes are one request when they are asked for [at once](Requests::One): what a bucket takes to begin an answer
/// is longer than what it takes to send that much. A row group of spans with a dozen attributes has 5 MB.
const SPREAD_BYTES_MAX: u64 = 8 << 20;

/// The caches of one lake.
#[derive(Debug)]
pub struct Caches {
    footers: Cache<FileId, Arc<Footer>>,
    indexes: Cache<FileId, Arc<IndexReader>>,
    ranges: Cache<(FileId, u64, u64), Bytes>,
}

/// Whether bytes will be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// They are worth their room in the cache.
    Likely,
    /// They are read through once, as compaction does: keeping them would push out what queries need.
    Never,
}

/// How pages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requests {
    /// As few requests as the store thinks right: neighbours are read together.
    Few,
    /// One if they lie within [`SPREAD_BYTES_MAX`], with all that lies between them.
    One,
}

/// A parsed footer with its page index, ready to build decoders from.
#[derive(Debug)]
pub struct Footer {
    /// Metadata and Arrow schema.
    pub reader: ArrowReaderMetadata,
    /// What is known of the attributes of its rows, if it has a note.
    pub(crate) attributes: Option<Note>,
    /// The same of the attributes of items and scopes; nothing without a note.
    pub(crate) other_attributes: OthersNote,
    pages: PageTable,
}

impl Caches {
    /// Empty caches with the bounds of `config`.
    pub fn new(config: &LakeConfig) -> Self {
        let weigh = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            footers: Cache::builder()
                .name("footers")
                .max_capacity(config.metadata_cache_bytes / 2)
                .weigher(move |_, footer: &Arc<Footer>| weigh(footer.memory_bytes()))
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
    /// `Store`, or `Corrupt` when the bytes are not those that were written.
    pub async fn footer(&self, store: &dyn ObjectStore, file: &FileEntry) -> Result<Arc<Footer>> {
        self.end(store, file, None).await
    }

    /// The footer of `file` and its index section, if it has one: what is in no cache is one read, since one lies before the other.
    ///
    /// # Errors
    /// Those of [`Caches::footer`].
    pub(crate) async fn footer_and_index(
        &self,
        store: &dyn ObjectStore,
        file: &FileEntry,
    ) -> Result<(Arc<Footer>, Option<Arc<IndexReader>>)> {
        let section = file.index.filter(|section| section.offset.checked_add(section.length) == Some(end_of(file)));
        let missing = section.filter(|_| !self.indexes.contains_key(&file.id));
        let footer = self.end(store, file, missing).await?;
        Ok((footer, self.index(store, file).await?))
    }

    /// The footer of `file`; when it is read, the index section `before` it is read too, and kept.
    async fn end(&self, store: &dyn ObjectStore, file: &FileEntry, before: Option<IndexSection>) -> Result<Arc<Footer>> {
        if let Some(footer) = self.footers.get(&file.id).await {
            count("footer", true);
            return Ok(footer);
        }
        count("footer", false);
        let load = async {
            let start = end_of(file);
            let first = before.map_or(start, |section| section.offset);
            let mut bytes = self.range(store, file, first..file.bytes).await?;
            if before.is_some() {
                count("index", false);
                // Both are kept, each for as long as it is used.
                let section = Bytes::copy_from_slice(&bytes.split_to((start - first) as usize));
                self.indexes.insert(file.id, parse_index(file, section)).await;
                bytes = Bytes::copy_from_slice(&bytes);
            }
            let pages = PageTable::parse(file, &bytes).map_err(|reason| corrupt(file, reason))?;
            parse_footer(file, start, bytes, pages).map(Arc::new)
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
            Ok(parse_index(file, bytes))
        };
        self.indexes.try_get_with(file.id, load).await.map(Some).map_err(shared)
    }

    /// The index section of `file` if it is in the cache.
    pub(crate) async fn known_index(&self, file: &FileEntry) -> Option<Arc<IndexReader>> {
        self.indexes.get(&file.id).await
    }

    /// Pages of `file`, in order: each range is one page or several. What is not cached is fetched in one go, neighbours together, and
    /// proven by `footer`, which is that of the file.
    ///
    /// # Errors
    /// `Store`, or `Corrupt` when the file is shorter or the bytes are not those that were written.
    pub(crate) async fn pages(
        &self,
        store: &dyn ObjectStore,
        file: &FileEntry,
        footer: &Footer,
        ranges: Vec<Range<u64>>,
        reuse: Reuse,
    ) -> Result<Vec<Bytes>> {
        self.pages_by(store, file, footer, ranges, (reuse, Requests::Few)).await
    }

    /// As [`Caches::pages`], with a say in how many requests that may be.
    pub(crate) async fn pages_by(
        &self,
        store: &dyn ObjectStore,
        file: &FileEntry,
        footer: &Footer,
        ranges: Vec<Range<u64>>,
        (reuse, requests): (Reuse, Requests),
    ) -> Result<Vec<Bytes>> {
        if file.bytes <= WHOLE_FILE_BYTES {
            let whole = self.whole(store, file).await?;
            return Ok(ranges.into_iter().map(|range| slice(&whole, &range)).collect());
        }
        let mut found = Vec::with_capacity(ranges.len());
        for range in &ranges {
            found.push(self.ranges.get(&(file.id, range.start, range.end)).await);
        }
        let missing: Vec<Range<u64>> =
            ranges.iter().zip(&found).filter(|(_, bytes)| bytes.is_none()).map(|(range, _)| range.clone()).collect();
        metrics::counter!("telelake_lake_cache_hits_total", "cache" => "range").increment((ranges.len() - missing.len()) as u64);
        metrics::counter!("telelake_lake_cache_misses_total", "cache" => "range").increment(missing.len() as u64);
        let spread = missing.iter().map(|range| range.start).min()..missing.iter().map(|range| range.end).max();
        let fetched = match (requests, spread) {
            (Requests::One, Range { start: Some(start), end: Some(end) }) if end.saturating_sub(start) <= SPREAD_BYTES_MAX => {
                let all = start..end;
                let bytes = fetch(store, file, std::slice::from_ref(&all)).await?.remove(0);
                missing.iter().map(|range| slice(&bytes, &(range.start - start..range.end - start))).collect()
            }
            _ => fetch(store, file, &missing).await?,
        };
        for (bytes, range) in fetched.iter().zip(&missing) {
            footer.pages.check(range, bytes).map_err(|reason| corrupt(file, reason))?;
        }
        let mut fetched = fetched.into_iter();
        let mut out = Vec::with_capacity(ranges.len());
        for (range, bytes) in ranges.into_iter().zip(found) {
            if let Some(bytes) = bytes {
                out.push(bytes);
                continue;
            }
            let bytes = fetched.next().unwrap_or_default();
            if bytes.len() as u64 <= RANGE_BYTES_MAX && reuse == Reuse::Likely {
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

    /// Bytes of `file` that whoever asks proves, and keeps in a form of its own.
    async fn range(&self, store: &dyn ObjectStore, file: &FileEntry, range: Range<u64>) -> Result<Bytes> {
        if file.bytes <= WHOLE_FILE_BYTES {
            return Ok(slice(&self.whole(store, file).await?, &range));
        }
        Ok(fetch(store, file, &[range]).await?.remove(0))
    }

    /// A small file, proven by the manifest.
    async fn whole(&self, store: &dyn ObjectStore, file: &FileEntry) -> Result<Bytes> {
        let key = (file.id, 0, file.bytes);
        if let Some(bytes) = self.ranges.get(&key).await {
            count("range", true);
            return Ok(bytes);
        }
        count("range", false);
        let load = async {
            let all = 0..file.bytes;
            let bytes = fetch(store, file, &[all]).await?.remove(0);
            let crc32 = crc32fast::hash(&bytes);
            if crc32 != file.crc32 {
                return Err(corrupt(file, format!("it has crc32 {crc32:08x}, the manifest says {:08x}", file.crc32)));
            }
            Ok(bytes)
        };
        self.ranges.try_get_with(key, load).await.map_err(shared)
    }
}

/// Reads `ranges`.
async fn fetch(store: &dyn ObjectStore, file: &FileEntry, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(bad) = ranges.iter().find(|r| r.start > r.end || r.end > file.bytes) {
        return Err(corrupt(file, format!("bytes {}..{} are asked for, the file has {}", bad.start, bad.end, file.bytes)));
    }
    let path = file.path();
    let fetched = store.get_ranges(&path, ranges).await.map_err(|source| Error::Store { path, source })?;
    let lengths = fetched.iter().map(|bytes| bytes.len() as u64);
    if !lengths.eq(ranges.iter().map(|range| range.end - range.start)) {
        return Err(corrupt(file, format!("the object is shorter than its manifest's {} bytes", file.bytes)));
    }
    metrics::counter!("telelake_lake_read_bytes_total").increment(fetched.iter().map(|bytes| bytes.len() as u64).sum());
    Ok(fetched)
}

/// A part of a file that is in memory; what lies beyond its end is left out.
fn slice(whole: &Bytes, range: &Range<u64>) -> Bytes {
    let end = whole.len().min(usize::try_from(range.end).unwrap_or(usize::MAX));
    whole.slice(end.min(range.start as usize)..end)
}

fn corrupt(file: &FileEntry, reason: String) -> Error {
    metrics::counter!("telelake_lake_corrupt_reads_total").increment(1);
    Error::Corrupt { path: file.path(), reason }
}

fn count(cache: &'static str, hit: bool) {
    let name = if hit { "telelake_lake_cache_hits_total" } else { "telelake_lake_cache_misses_total" };
    metrics::counter!(name, "cache" => cache).increment(1);
}

/// Where the last [`FileEntry::footer_bytes`] of a file begin.
fn end_of(file: &FileEntry) -> u64 {
    file.bytes.saturating_sub(file.footer_bytes)
}

fn parse_index(file: &FileEntry, bytes: Bytes) -> Arc<IndexReader> {
    Arc::new(IndexReader::parse(bytes).unwrap_or_else(|reason| {
        metrics::counter!("telelake_lake_index_corrupt_total").increment(1);
        tracing::warn!(file = %file.path(), %reason, "index section is damaged; scanning without it");
        IndexReader::empty()
    }))
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

impl Footer {
    fn memory_bytes(&self) -> usize {
        self.reader.metadata().memory_size() + self.pages.memory_bytes() + 1024
    }
}

fn parse_footer(file: &FileEntry, start: u64, bytes: Bytes, pages: PageTable) -> Result<Footer> {
    let corrupt = |reason: String| corrupt(file, reason);
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
    if file.table == Table::User {
        // Their types are in the file.
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let reader = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(parse)?;
        return Ok(Footer { reader, attributes: None, other_attributes: OthersNote::default(), pages });
    }
    // The file's columns in the types of the catalog: dictionaries stay dictionaries, times keep their zone.
    let stored = catalog::schema::stored(file.table);
    let mut fields = Vec::new();
    let notes = metadata.file_metadata().key_value_metadata();
    let note = |key: &str| notes.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)?.value.as_deref());
    let attributes = note(NOTE_KEY).map(Note::parse).transpose().map_err(corrupt)?;
    let other_attributes = note(OTHERS_KEY).map(OthersNote::parse).transpose().map_err(corrupt)?.unwrap_or_default();
    for column in metadata.file_metadata().schema_descr().root_schema().get_fields() {
        let name = column.name();
        let promoted = || attributes.as_ref()?.field(file.table, name).map(Arc::new);
        let field = stored.fields().find(name).map(|(_, field)| Arc::clone(field)).or_else(promoted);
        fields.push(field.ok_or_else(|| corrupt(format!("its column {name:?} is none of table {}", file.table)))?);
    }
    let options =
        ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields))).with_page_index_policy(PageIndexPolicy::Optional);
    let reader = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(parse)?;
    Ok(Footer { reader, attributes, other_attributes, pages })
}
