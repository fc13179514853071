//! The index of a block: its symbols, and its series one after the other. Postings are not looked at.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::bytes::{Cursor, Short, crc32c};
use super::error::TsdbError;

const MAGIC: u32 = 0xbaaa_d700;
/// References are numbers of symbols; version 1 (Prometheus before 2.0) had offsets.
const VERSION: u8 = 2;
/// Table of contents: six offsets and a checksum.
const TOC_BYTES: u64 = 6 * 8 + 4;
/// Series begin at multiples of this; their reference is the quotient.
const ALIGNMENT: u64 = 16;
/// Largest entry of a series: some hundred thousand chunks.
const ENTRY_BYTES_MAX: u64 = 64 << 20;

/// A series: its reference, the symbols of its labels, the references of its chunks.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) reference: u64,
    pub(super) labels: Vec<(u32, u32)>,
    pub(super) chunks: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    file: BufReader<File>,
    /// All text, and where each symbol is in it.
    text: String,
    ends: Vec<u32>,
    start: u64,
    end: u64,
    at: u64,
    entry: Vec<u8>,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, TsdbError> {
        let io = |e| TsdbError::io(path, e);
        let corrupt = |offset, reason| TsdbError::corrupt(path, offset, reason);
        let mut file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut head = [0; 5];
        if len < TOC_BYTES + head.len() as u64 {
            return Err(corrupt(0, "the file is too short"));
        }
        file.read_exact(&mut head).map_err(io)?;
        let mut head = Cursor(&head);
        if head.u32() != Ok(MAGIC) {
            return Err(corrupt(0, "this is no index"));
        }
        match head.u8() {
            Ok(VERSION) => {}
            found => return Err(TsdbError::Version { path: path.to_owned(), found: found.unwrap_or(0), supported: VERSION }),
        }
        let mut toc = [0; TOC_BYTES as usize];
        file.read_exact_at(&mut toc, len - TOC_BYTES).map_err(io)?;
        let (offsets, checksum) = toc.split_at(48);
        if crc32c(offsets) != Cursor(checksum).u32().unwrap_or(0) {
            return Err(corrupt(len - TOC_BYTES, "the table of contents does not match its checksum"));
        }
        let mut offsets = Cursor(offsets);
        let [symbols, start, labels, label_table, postings, postings_table] =
            std::array::from_fn(|_| offsets.u64().expect("there are six of them"));
        // Label indices are optional, and so are postings: series end where the next section begins.
        let after = [labels, label_table, postings, postings_table].into_iter().filter(|at| *at > start).min();
        let end = after.unwrap_or(len - TOC_BYTES);
        if end > len - TOC_BYTES || symbols >= len || start > end {
            return Err(corrupt(len - TOC_BYTES, "the table of contents leads beyond the file"));
        }
        let (text, ends) = read_symbols(path, &file, symbols, len)?;
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        let file = BufReader::with_capacity(256 << 10, file);
        Ok(Self { path: path.to_owned(), file, text, ends, start, end, at: start, entry: Vec::new() })
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        (self.at.min(self.end) - self.start, self.end - self.start)
    }

    /// The text of a symbol that [`Index::next_series`] named.
    pub(super) fn symbol(&self, symbol: u32) -> &str {
        let at = symbol as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.text[start..self.ends[at] as usize]
    }

    /// The next series, in the order of labels.
    pub(super) fn next_series(&mut self) -> Result<Option<Entry>, TsdbError> {
        let begin = self.at.next_multiple_of(ALIGNMENT);
        let padding = begin - self.at;
        // What is left may be padding in front of the next section.
        if begin + 1 >= self.end {
            return Ok(None);
        }
        let mut skipped = [0; ALIGNMENT as usize];
        self.read(padding as usize, &mut skipped)?;
        let len = self.read_len()?;
        if len == 0 {
            return Ok(None); // padding behind the last series
        }
        if len > ENTRY_BYTES_MAX || self.at + len + 4 > self.end {
            return Err(self.corrupt(begin, "a series is longer than its section"));
        }
        let mut entry = std::mem::take(&mut self.entry);
        entry.resize(len as usize + 4, 0);
        self.read(len as usize + 4, &mut entry)?;
        let (body, checksum) = entry.split_at(len as usize);
        if crc32c(body) != Cursor(checksum).u32().unwrap_or(0) {
            return Err(self.corrupt(begin, "a series does not match its checksum"));
        }
        let parsed = self.parse(body, begin / ALIGNMENT).map_err(|Short| self.corrupt(begin, "a series ends too early"))?;
        let symbols = self.ends.len();
        let known = |symbol: &u32| (*symbol as usize) < symbols;
        if !parsed.labels.iter().all(|(name, value)| known(name) && known(value)) {
            return Err(self.corrupt(begin, "a label is not in the table of symbols"));
        }
        self.entry = entry;
        Ok(Some(parsed))
    }

    fn parse(&self, body: &[u8], reference: u64) -> Result<Entry, Short> {
        let mut cursor = Cursor(body);
        let symbol = |value: u64| u32::try_from(value).map_err(|_| Short);
        let mut labels = Vec::with_capacity(cursor.count()?);
        for _ in 0..labels.capacity() {
            labels.push((symbol(cursor.uvarint()?)?, symbol(cursor.uvarint()?)?));
        }
        let count = cursor.count()?;
        let mut chunks = Vec::with_capacity(count);
        for at in 0..count {
            // Times of chunks are in the chunks.
            if at == 0 {
                cursor.varint()?;
            } else {
                cursor.uvarint()?;
            }
            cursor.uvarint()?;
            let reference = match chunks.last() {
                None => cursor.uvarint()?,
                Some(last) => cursor.varint()?.wrapping_add(*last as i64) as u64,
            };
            chunks.push(reference);
        }
        Ok(Entry { reference, labels, chunks })
    }

    fn read_len(&mut self) -> Result<u64, TsdbError> {
        let mut len = 0u64;
        for at in 0..5 {
            let mut byte = [0];
            self.read(1, &mut byte)?;
            len |= u64::from(byte[0] & 0x7f) << (7 * at);
            if byte[0] < 0x80 {
                return Ok(len);
            }
        }
        Err(self.corrupt(self.at, "the length of a series is no varint"))
    }

    fn read(&mut self, count: usize, into: &mut [u8]) -> Result<(), TsdbError> {
        self.file.read_exact(&mut into[..count]).map_err(|e| TsdbError::io(&self.path, e))?;
        self.at += count as u64;
        Ok(())
    }

    fn corrupt(&self, offset: u64, reason: &'static str) -> TsdbError {
        TsdbError::corrupt(&self.path, offset, reason)
    }
}

fn read_symbols(path: &Path, file: &File, at: u64, file_len: u64) -> Result<(String, Vec<u32>), TsdbError> {
    let io = |e| TsdbError::io(path, e);
    let corrupt = |reason| TsdbError::corrupt(path, at, reason);
    let mut len = [0; 4];
    file.read_exact_at(&mut len, at).map_err(io)?;
    let len = u64::from(u32::from_be_bytes(len));
    if at + 4 + len + 4 > file_len {
        return Err(corrupt("the table of symbols leads beyond the file"));
    }
    let mut table = vec![0; len as usize + 4];
    file.read_exact_at(&mut table, at + 4).map_err(io)?;
    let (body, checksum) = table.split_at(len as usize);
    if crc32c(body) != Cursor(checksum).u32().unwrap_or(0) {
        return Err(corrupt("the table of symbols does not match its checksum"));
    }
    let ended = |Short| corrupt("the table of symbols ends too early");
    let mut cursor = Cursor(body);
    let count = cursor.u32().map_err(ended)? as usize;
    if count > cursor.0.len() {
        return Err(ended(Short));
    }
    let (mut text, mut ends) = (String::with_capacity(body.len()), Vec::with_capacity(count));
    for _ in 0..count {
        let symbol = cursor.count().and_then(|len| cursor.take(len)).map_err(ended)?;
        text.push_str(std::str::from_utf8(symbol).map_err(|_| corrupt("a symbol is not valid UTF-8"))?);
        ends.push(text.len() as u32); // the table's own length has 32 bits
    }
    Ok((text, ends))
}
