//! Postings: for every label name and value the rows that have it.
//!
//! ```text
//! rows u32 | names u32 | terms u32 | names * { text u32 u32, rows u32 u32, first term u32 } | terms * { text u32 u32, rows u32 u32 } | texts and row sets
//! ```
//! Pairs are offset (from the start of the texts) and length. Names ascend, and the terms of a name ascend by value, so that equality is a
//! binary search and a prefix a range. A row set is `0` + a roaring bitmap, or its size (1 to 8) + the ascending rows as u32 each.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use roaring::RoaringBitmap;

use super::Cursor;

const NAME_BYTES: usize = 20;
const TERM_BYTES: usize = 16;
const FEW: usize = 8;

/// Collects postings row by row.
#[derive(Debug, Default)]
pub struct PostingsBuilder {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, Vec<u32>>>,
}

impl PostingsBuilder {
    /// Adds that `row` has `name = value`. Rows must come in ascending order.
    pub fn add(&mut self, name: &str, value: &str, row: u32) {
        let values = match self.names.get_mut(name) {
            Some(values) => values,
            None => self.names.entry(name.into()).or_default(),
        };
        match values.get_mut(value) {
            Some(rows) => rows.push(row),
            None => {
                values.insert(value.into(), vec![row]);
            }
        }
    }

    /// The section for a file of `rows` rows.
    pub fn finish(self, rows: u32) -> Vec<u8> {
        let mut blob = Blob::default();
        let mut names = Vec::with_capacity(self.names.len() * NAME_BYTES);
        let mut terms = Vec::new();
        let mut term_count = 0_u32;
        let name_count = self.names.len() as u32;
        for (name, values) in self.names {
            let mut having = RoaringBitmap::new();
            let first_term = term_count;
            for (value, mut rows) in values {
                rows.dedup();
                put(&mut terms, blob.text(&value));
                put(&mut terms, blob.rows(&RoaringBitmap::from_sorted_iter(rows.iter().copied()).unwrap_or_default()));
                having.extend(rows);
                term_count += 1;
            }
            put(&mut names, blob.text(&name));
            put(&mut names, blob.rows(&having));
            names.extend_from_slice(&first_term.to_le_bytes());
        }
        let mut out = Vec::with_capacity(12 + names.len() + terms.len() + blob.bytes.len());
        for word in [rows, name_count, term_count] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.append(&mut names);
        out.append(&mut terms);
        out.append(&mut blob.bytes);
        out
    }
}

fn put(out: &mut Vec<u8>, (offset, length): (u32, u32)) {
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
}

#[derive(Debug, Default)]
struct Blob {
    bytes: Vec<u8>,
}

impl Blob {
    fn text(&mut self, text: &str) -> (u32, u32) {
        self.put(|bytes| bytes.extend_from_slice(text.as_bytes()))
    }
    fn rows(&mut self, rows: &RoaringBitmap) -> (u32, u32) {
        self.put(|bytes| match rows.len() as usize {
            few @ 1..=FEW => {
                bytes.push(few as u8);
                rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
            }
            _ => {
                bytes.push(0);
                rows.serialize_into(bytes).expect("writing to memory does not fail");
            }
        })
    }
    fn put(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> (u32, u32) {
        let start = self.bytes.len();
        fill(&mut self.bytes);
        (start as u32, (self.bytes.len() - start) as u32)
    }
}

/// Parsed postings. Anything that does not fit the format reads as absent.
#[derive(Debug, Clone)]
pub struct Postings {
    bytes: Bytes,
    rows: u32,
    names: usize,
    terms: usize,
    blob: usize,
}

impl Postings {
    /// Parses what [`PostingsBuilder::finish`] wrote.
    ///
    /// # Errors
    /// What does not fit.
    pub fn parse(bytes: Bytes) -> Result<Self, &'static str> {
        let mut cursor = Cursor::new(&bytes);
        let short = "postings end early";
        let (rows, names, terms) =
            (cursor.u32().ok_or(short)?, cursor.u32().ok_or(short)? as usize, cursor.u32().ok_or(short)? as usize);
        cursor.take(names.checked_mul(NAME_BYTES).ok_or(short)?).ok_or(short)?;
        cursor.take(terms.checked_mul(TERM_BYTES).ok_or(short)?).ok_or(short)?;
        let blob = cursor.at;
        let this = Self { bytes, rows, names, terms, blob };
        // A name that is looked for and not found is said to be in no row.
        if !(1..names).all(|i| this.name(i - 1) < this.name(i)) {
            return Err("names of postings are not in order");
        }
        Ok(this)
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many rows there are.
    pub fn row_count(&self) -> u32 {
        self.rows
    }

    /// The label names, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        (0..self.names).map(|i| self.name(i))
    }

    /// The position of a name.
    pub fn name_index(&self, name: &str) -> Option<usize> {
        search(0..self.names, |i| self.name(i).cmp(name))
    }

    /// The rows that have the label at all, by the position of its name.
    pub fn has(&self, name: usize) -> RoaringBitmap {
        self.row_set(12 + name * NAME_BYTES + 8)
    }

    /// The terms of a name, ascending by value.
    pub fn terms(&self, name: usize) -> Range<usize> {
        let first = |name: usize| match name < self.names {
            true => (self.word(12 + name * NAME_BYTES + 16) as usize).min(self.terms),
            false => self.terms,
        };
        first(name)..first(name + 1).max(first(name))
    }

    /// The value of a term.
    pub fn value(&self, term: usize) -> &str {
        self.text(self.term_at(term))
    }

    /// The term of a name with that value.
    pub fn find(&self, name: usize, value: &str) -> Option<usize> {
        search(self.terms(name), |term| self.value(term).cmp(value))
    }

    /// The rows of a term.
    pub fn rows(&self, term: usize) -> RoaringBitmap {
        self.row_set(self.term_at(term) + 8)
    }

    fn name(&self, i: usize) -> &str {
        self.text(12 + i * NAME_BYTES)
    }

    fn term_at(&self, term: usize) -> usize {
        12 + self.names * NAME_BYTES + term * TERM_BYTES
    }

    fn word(&self, at: usize) -> u32 {
        self.bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
    }

    fn slice(&self, at: usize) -> &[u8] {
        let start = self.blob + self.word(at) as usize;
        self.bytes.get(start..start + self.word(at + 4) as usize).unwrap_or_default()
    }

    fn text(&self, at: usize) -> &str {
        std::str::from_utf8(self.slice(at)).unwrap_or_default()
    }

    fn row_set(&self, at: usize) -> RoaringBitmap {
        let bytes = self.slice(at);
        match bytes.split_first() {
            Some((0, bitmap)) => RoaringBitmap::deserialize_from(bitmap).unwrap_or_default(),
            Some((few, rows)) => {
                let rows = rows.chunks_exact(4).take(usize::from(*few));
                rows.map(|row| u32::from_le_bytes([row[0], row[1], row[2], row[3]])).collect()
            }
            None => RoaringBitmap::new(),
        }
    }
}

fn search(range: Range<usize>, compare: impl Fn(usize) -> std::cmp::Ordering) -> Option<usize> {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        match compare(middle) {
            std::cmp::Ordering::Equal => return Some(middle),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_in_order_are_refused() {
        let mut postings = PostingsBuilder::default();
        postings.add("a", "1", 0);
        postings.add("b", "2", 1);
        let bytes = postings.finish(2);
        assert_eq!(Postings::parse(bytes.clone().into()).map(|postings| postings.name_index("b")), Ok(Some(1)));
        let mut swapped = bytes.clone();
        let (one, other) = (12..12 + NAME_BYTES, 12 + NAME_BYTES..12 + 2 * NAME_BYTES);
        swapped[one.clone()].copy_from_slice(&bytes[other.clone()]);
        swapped[other].copy_from_slice(&bytes[one]);
        assert_eq!(Postings::parse(swapped.into()).map(|_| ()), Err("names of postings are not in order"));
    }
}
