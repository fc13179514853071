//! Checksums of pages: what lets a scan notice a flipped bit before it becomes a wrong row.
//!
//! ```text
//! PAR1 | pages of all columns and row groups | index section | page table | page indexes | footer | PAR1
//!                                                              └───── the last FileEntry::footer_bytes ─────┘
//! page table:  "TLPC" | crc32 of all bytes before it | pages u32 | pages * { length u32, crc32 u32 }     little-endian
//! ```
//! Every other reader steps over the table, as over the index section. The last bytes are proven by the manifest: the checksum of what
//! lies before, combined with theirs, is that of the whole object. So one read of the end of a file gives a footer and checksums to
//! trust, and each page is proven when its bytes come from the store. Checksums run at 18 GB/s a core, so that nothing is left out.
//!
//! # Invariants
//! - Pages follow each other without a gap from byte 4 on, in the order of the table.
//! - No byte of a page or footer reaches a decoder unproven.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use catalog::FileEntry;
use parking_lot::Mutex;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result as ParquetResult};

use crate::write::Packer;

const MAGIC: &[u8; 4] = b"TLPC";
const HEAD_BYTES: usize = 12;
const ENTRY_BYTES: usize = 8;
/// Where the first page begins: behind "PAR1".
const FIRST: u64 = 4;

/// The pages of a file as they were written.
#[derive(Debug, Default)]
pub(crate) struct PageTable {
    /// Where each page begins, and where the last one ends.
    starts: Vec<u64>,
    crcs: Vec<u32>,
}

impl PageTable {
    /// Reads the table at the head of `tail`, the last [`FileEntry::footer_bytes`] of `file`, once the manifest has proven all of them.
    ///
    /// # Errors
    /// What is wrong. Never panics on any bytes.
    pub(crate) fn parse(file: &FileEntry, tail: &[u8]) -> Result<Self, String> {
        let word = |at: usize| tail.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
        let (Some(MAGIC), Some(before), Some(pages)) = (tail.first_chunk(), word(4), word(8)) else {
            return Err("it has no page table".to_owned());
        };
        let mut whole = crc32fast::Hasher::new_with_initial_len(before, file.bytes - tail.len() as u64);
        let mut end = crc32fast::Hasher::new();
        end.update(tail);
        whole.combine(&end);
        let crc32 = whole.finalize();
        if crc32 != file.crc32 {
            return Err(format!("its end makes crc32 {crc32:08x}, the manifest says {:08x}", file.crc32));
        }
        let entries = tail[HEAD_BYTES..].as_chunks::<ENTRY_BYTES>().0.iter().take(pages as usize);
        if entries.len() != pages as usize {
            return Err(format!("its page table ends before page {pages}"));
        }
        let mut this = Self::default();
        this.starts.reserve_exact(pages as usize + 1);
        this.crcs.reserve_exact(pages as usize);
        let mut start = FIRST;
        this.starts.push(start);
        for [l0, l1, l2, l3, c0, c1, c2, c3] in entries.copied() {
            start += u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
            this.starts.push(start);
            this.crcs.push(u32::from_le_bytes([c0, c1, c2, c3]));
        }
        Ok(this)
    }

    /// Proves `bytes`, which were read from `range` of the file: one page or several.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn check(&self, range: &Range<u64>, bytes: &[u8]) -> Result<(), String> {
        let mut page = self.starts.partition_point(|start| *start < range.start);
        let mut at = range.start;
        while at < range.end {
            let (Some(start), Some(end), Some(expected)) =
                (self.starts.get(page), self.starts.get(page + 1), self.crcs.get(page))
            else {
                return Err(format!("bytes {at}..{} are in no page", range.end));
            };
            if *start != at || *end > range.end {
                return Err(format!("bytes {at}..{} are part of the page {start}..{end}", range.end));
            }
            let found = crc32fast::hash(&bytes[(at - range.start) as usize..(end - range.start) as usize]);
            if found != *expected {
                return Err(format!("the page {start}..{end} has crc32 {found:08x}, it was written with {expected:08x}"));
            }
            (at, page) = (*end, page + 1);
        }
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.starts.len() * 8 + self.crcs.len() * 4
    }
}

/// Notes the pages of a file while it is written, through the Parquet writer's own page stores, and compresses those of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageNotes {
    pages: Arc<Mutex<Vec<(u32, u32)>>>,
    packer: Option<Packer>,
}

impl PageNotes {
    /// Nothing yet. Pages of the column of `packer` come as they are encoded.
    pub(crate) fn new(packer: Option<Packer>) -> Self {
        Self { pages: Arc::default(), packer }
    }

    /// The page table of a file whose first bytes, up to the table, have the checksum `before`; `end` is where its last page ends.
    ///
    /// # Errors
    /// The pages do not add up to `end`: the writer has put something between them.
    pub(crate) fn table(&self, before: u32, end: u64) -> ParquetResult<Vec<u8>> {
        let pages = self.pages.lock();
        let found = pages.iter().fold(FIRST, |at, (length, _)| at + u64::from(*length));
        if found != end {
            return Err(ParquetError::General(format!("pages end at byte {found}, row groups at byte {end}")));
        }
        let mut table = Vec::with_capacity(HEAD_BYTES + pages.len() * ENTRY_BYTES);
        table.extend_from_slice(MAGIC);
        table.extend_from_slice(&before.to_le_bytes());
        table.extend_from_slice(&(pages.len() as u32).to_le_bytes());
        for (length, crc) in pages.iter() {
            table.extend_from_slice(&length.to_le_bytes());
            table.extend_from_slice(&crc.to_le_bytes());
        }
        Ok(table)
    }
}

impl PageStoreFactory for PageNotes {
    fn create(&self, args: &PageStoreArgs<'_>) -> ParquetResult<Box<dyn PageStore>> {
        let packer = self.packer.clone().filter(|packer| packer.packs(args.column_descriptor().path()));
        let pages = Arc::clone(&self.pages);
        Ok(Box::new(NotingStore { pages, packer, blobs: Vec::new(), resident: 0, header: None }))
    }
}

/// Keeps the pages of one column chunk in memory until they are put into the file. They come, and are taken out in the order of the file, a
/// page's header first and its data second.
struct NotingStore {
    pages: Arc<Mutex<Vec<(u32, u32)>>>,
    packer: Option<Packer>,
    blobs: Vec<Bytes>,
    resident: usize,
    /// Length and checksum of the header whose data comes next.
    header: Option<(usize, crc32fast::Hasher)>,
}

impl PageStore for NotingStore {
    fn put(&mut self, mut value: Bytes) -> ParquetResult<PageKey> {
        if let (Some(packer), 1) = (&self.packer, self.blobs.len() % 2)
            && let Some(header) = self.blobs.last_mut()
        {
            let (head, packed) = packer.pack(header, &value)?;
            self.resident = self.resident + head.len() - header.len();
            (*header, value) = (head, packed);
        }
        self.resident += value.len();
        self.blobs.push(value);
        Ok(PageKey::new(self.blobs.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> ParquetResult<Bytes> {
        let missing = || ParquetError::General(format!("there is no page {key:?}"));
        let blob = self.blobs.get_mut(key.get() as usize).map(std::mem::take).ok_or_else(missing)?;
        self.resident -= blob.len();
        let is_data = self.header.is_some();
        let (length, mut crc) = self.header.take().unwrap_or_default();
        crc.update(&blob);
        let length = length + blob.len();
        if is_data {
            let length = u32::try_from(length).map_err(|_| ParquetError::General(format!("a page has {length} bytes")))?;
            self.pages.lock().push((length, crc.finalize()));
        } else {
            self.header = Some((length, crc));
        }
        Ok(blob)
    }

    fn memory_size(&self) -> usize {
        self.resident
    }
}
