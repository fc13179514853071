//! The index section: what lets a scan skip rows that Parquet's own statistics cannot rule out.
//!
//! ```text
//! Parquet file:  PAR1 | row groups | index section | page table | page indexes | footer | PAR1
//!                                    ▲ FileEntry.index{offset, length}; any other reader steps over it
//! index section: head(kinds, lengths, checksums) | postings | grams | ids | attributes
//! ```
//!
//! | table | section | answers |
//! |---|---|---|
//! | series, streams | postings: label = value ► rows | matchers |
//! | logs | 4-grams of the body, lower-cased, per block of 8 Ki rows | `Contains`, also when case is ignored |
//! | logs | trace and span ids per block of [`BLOCK_ROWS`] rows | `In` on ids |
//! | logs | lines and bytes per stream | counts of whole files |
//! | logs, spans | attributes `key = value` per block | `KeyIs` |
//! | spans | trace ids of the file | `In` on the trace id |
//!
//! The grams are lower-cased (ASCII only) because that costs little selectivity, makes the filter smaller, and serves case-insensitive
//! regexes too. Filters say "no" only when it is true; bytes that break the format count as "may be there".

mod attributes;
mod bloom;
mod builder;
mod frame;
mod grams;
mod postings;
mod streams;

use std::sync::OnceLock;

use bytes::Bytes;

pub use bloom::BlockFilters;
pub(crate) use builder::{IndexBuilder, add_labels, id_hash};
pub use grams::{BlockSet, GramFilters};
pub use postings::{Postings, PostingsBuilder};
pub use streams::StreamLines;

use crate::predicate::Scalar;
use frame::{Frame, Kind};

/// Rows of an index block; the last block of a file is shorter.
pub const BLOCK_ROWS: usize = 32 << 10;

/// The hash under which an attribute is found in [`IndexReader::attributes`].
pub fn attribute_hash(column: &str, key: &str, value: &Scalar) -> Option<u64> {
    attributes::hash_of(column, key, value)
}

/// A parsed index section. Sections are unpacked when first asked for.
#[derive(Debug)]
pub struct IndexReader {
    frame: Frame,
    postings: OnceLock<Option<Postings>>,
    grams: OnceLock<Option<GramFilters>>,
    filters: [OnceLock<Option<BlockFilters>>; 4],
    streams: OnceLock<Option<Box<[StreamLines]>>>,
}

impl IndexReader {
    /// An index without any section: nothing can be ruled out.
    pub fn empty() -> Self {
        Self::over(Frame::default())
    }

    /// Reads the head and checks every checksum.
    ///
    /// # Errors
    /// What is wrong with the bytes. Never panics on any.
    pub fn parse(bytes: Bytes) -> Result<Self, String> {
        Frame::parse(bytes).map(Self::over)
    }

    fn over(frame: Frame) -> Self {
        Self { frame, postings: OnceLock::new(), grams: OnceLock::new(), filters: Default::default(), streams: OnceLock::new() }
    }

    /// Label postings, rows numbered in file order.
    pub fn postings(&self) -> Option<&Postings> {
        self.postings.get_or_init(|| Postings::parse(self.frame.section(Kind::Postings)?).ok()).as_ref()
    }

    /// Grams of the body per block of [`GramFilters::block_rows`] rows.
    pub fn grams(&self) -> Option<&GramFilters> {
        let load = || {
            if let Some(section) = self.frame.section(Kind::GramRows) {
                return GramFilters::parse(&section).ok();
            }
            match self.frame.section(Kind::FineGrams) {
                Some(section) => GramFilters::parse_blocks(&section).ok(),
                None => GramFilters::parse_coarse(&self.frame.section(Kind::Grams)?).ok(),
            }
        };
        self.grams.get_or_init(load).as_ref()
    }

    /// Lines by stream, in file order: each stream once.
    pub fn streams(&self) -> Option<&[StreamLines]> {
        let load = || streams::parse(&self.frame.section(Kind::Streams)?).ok();
        self.streams.get_or_init(load).as_deref()
    }

    /// Trace ids per block.
    pub fn trace_ids(&self) -> Option<&BlockFilters> {
        self.filter(0, Kind::TraceIds)
    }

    /// Span ids per block.
    pub fn span_ids(&self) -> Option<&BlockFilters> {
        self.filter(1, Kind::SpanIds)
    }

    /// Attributes per block; see [`attribute_hash`].
    pub fn attributes(&self) -> Option<&BlockFilters> {
        self.filter(2, Kind::Attributes)
    }

    /// Trace ids of the whole file, as its only block.
    pub fn file_trace_ids(&self) -> Option<&BlockFilters> {
        self.filter(3, Kind::FileTraceIds)
    }

    /// Whether every row of `block` lacks the attribute `key = value` of the map `column`.
    pub fn lacks_attribute(&self, block: usize, column: &str, key: &str, value: &Scalar) -> bool {
        let Some(filters) = self.attributes() else { return false };
        let Some(hash) = attribute_hash(column, key, value) else { return false };
        let open = attributes::open_hash(column, key);
        !filters.may_contain(block, hash) && !filters.may_contain(block, open)
    }

    /// The map columns of attributes: all of them are empty in blocks that [`IndexReader::lacks_attributes`].
    pub const ATTRIBUTES: [&'static str; 5] = attributes::COLUMNS;

    /// Whether no row of `block` of logs has an attribute.
    pub fn lacks_attributes(&self, block: usize) -> bool {
        match self.frame.has(Kind::Attributes) {
            true => self.attributes().is_some_and(|filters| filters.is_empty(block)),
            // A file without any attribute has no section of them, but has its grams.
            false => [Kind::GramRows, Kind::FineGrams, Kind::Grams].into_iter().any(|kind| self.frame.has(kind)),
        }
    }

    /// Bytes held, an upper estimate of what unpacking adds included.
    pub fn memory_bytes(&self) -> usize {
        // Those that are parsed by a look at their lengths.
        let grams = if self.frame.has(Kind::GramRows) { self.grams().map_or(0, GramFilters::unpacked_bytes) } else { 0 };
        self.frame.memory_bytes() + grams
    }

    /// Kind and stored length of every section, for `inspect`.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.frame.sections()
    }

    fn filter(&self, at: usize, kind: Kind) -> Option<&BlockFilters> {
        self.filters[at].get_or_init(|| BlockFilters::parse(self.frame.section(kind)?).ok()).as_ref()
    }
}

/// The hasher of keys that are hashes already.
type AsIs = std::hash::BuildHasherDefault<AsIsHasher>;

#[derive(Debug, Default, Clone, Copy)]
struct AsIsHasher(u64);

impl std::hash::Hasher for AsIsHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Reads little-endian numbers and slices; `None` past the end.
#[derive(Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let slice = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(slice)
    }
    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }
    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample_section() -> Vec<u8> {
        let mut postings = PostingsBuilder::default();
        for row in 0..100_u32 {
            postings.add("host", &format!("h{}", row % 7), row);
        }
        let mut grams = grams::GramBuilder::default();
        grams.add(b"connection refused by upstream");
        let mut filters = bloom::FilterBuilder::default();
        filters.add_block((0..1000_u32).map(|i| u64::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        frame::write(vec![
            (Kind::Postings, postings.finish(100)),
            (Kind::GramRows, grams.finish()),
            (Kind::TraceIds, filters.finish()),
        ])
    }

    fn ask_everything(index: &IndexReader) {
        if let Some(postings) = index.postings() {
            for name in 0..postings.names().count() {
                postings.has(name);
                for term in postings.terms(name) {
                    postings.value(term);
                    postings.rows(term);
                }
            }
            postings.name_index("host");
        }
        if let Some(grams) = index.grams() {
            for block in 0..3 {
                grams.may_contain(block, b"refused");
            }
        }
        index.streams();
        for filters in [index.trace_ids(), index.span_ids(), index.attributes(), index.file_trace_ids()].into_iter().flatten() {
            for block in 0..3 {
                filters.may_contain(block, 42);
            }
        }
    }

    #[test]
    fn sections_come_back() {
        let index = IndexReader::parse(sample_section().into()).expect("valid");
        let postings = index.postings().expect("present");
        let host = postings.name_index("host").expect("present");
        let term = postings.find(host, "h3").expect("present");
        assert_eq!(postings.rows(term).iter().take(2).collect::<Vec<_>>(), [3, 10]);
        assert!(index.grams().expect("present").may_contain(0, b"REFUSED by"));
        assert!(!index.grams().expect("present").may_contain(0, b"accepted"));
        assert!(index.span_ids().is_none());
        ask_everything(&index);
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let good = sample_section();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(IndexReader::parse(bad.into()).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(index) = IndexReader::parse(bytes.clone().into()) {
                ask_everything(&index);
            }
            // Past the checksums, as if they had matched.
            for kind in Kind::ALL {
                let framed = frame::write(vec![(kind, bytes.clone())]);
                ask_everything(&IndexReader::parse(framed.into()).expect("well framed"));
            }
        }
    }
}
