//! The decoded rows of one dictionary file or fresh batch: labels interned, with postings.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayAccessor, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use catalog::{FileEntry, FileId, LabelSet, Table};
use futures::TryStreamExt;
use moka::future::Cache;
use object_store::ObjectStore;

use super::Scope;
use crate::cache::{Caches, Reuse};
use crate::error::{Error, Result};
use crate::index::{Postings, PostingsBuilder, add_labels};
use crate::scan::{self, ScanSpec};

/// What a table was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TableKey {
    /// A file.
    File(FileId),
    /// A batch in memory, by the address and length of its ids. The cached table keeps the batch, so the address stays taken.
    Batch(usize, usize),
}

/// Label sets with their ids, by row. Texts are interned: a label costs 8 bytes, a text is held once.
pub struct LabelTable {
    ids: Vec<i64>,
    /// Rows by ascending id.
    by_id: Vec<u32>,
    keys: Vec<u32>,
    /// The labels of row `i` are `pairs[starts[i]..starts[i + 1]]`, names ascending.
    starts: Vec<u32>,
    pairs: Vec<(u32, u32)>,
    texts: Texts,
    postings: Postings,
    /// The name under which the postings have the text of the first column.
    key_label: Option<&'static str>,
    kept: Option<RecordBatch>,
}

/// One series or stream: a handle into a [`LabelTable`].
#[derive(Clone)]
pub struct Series {
    table: Arc<LabelTable>,
    row: u32,
}

impl Series {
    pub(super) fn new(table: &Arc<LabelTable>, row: u32) -> Self {
        Self { table: Arc::clone(table), row }
    }
    /// Its id.
    pub fn id(&self) -> i64 {
        self.table.ids[self.row as usize]
    }
    /// The metric of a series, the service of a stream.
    pub fn metric(&self) -> &str {
        self.table.texts.get(self.table.keys[self.row as usize])
    }
    /// Its labels, ascending by name, without `__name__`.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        let texts = &self.table.texts;
        self.table.pairs_of(self.row).iter().map(|(name, value)| (texts.get(*name), texts.get(*value)))
    }
    /// The value of a label, if it has that label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.table.label(self.row, name)
    }
    /// Its labels as a set of their own.
    pub fn label_set(&self) -> LabelSet {
        LabelSet::new(self.labels())
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} #{}", self.metric(), self.label_set(), self.id())
    }
}

impl fmt::Debug for LabelTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LabelTable({} rows)", self.ids.len())
    }
}

impl LabelTable {
    /// Decodes `batches`, which have the id in column 1, the key text in column 0 and a column `labels`. `postings` are those of
    /// the file, if it has them.
    fn new(table: Table, batches: &[RecordBatch], postings: Option<Postings>) -> Option<Self> {
        let key_label = (table == Table::Series).then_some("__name__");
        let mut texts = TextsBuilder::default();
        let (mut ids, mut keys, mut starts, mut pairs) = (Vec::new(), Vec::new(), vec![0_u32], Vec::new());
        for batch in batches {
            ids.extend_from_slice(batch.column_by_name(id_column(table))?.as_primitive_opt::<Int64Type>()?.values());
            let key = batch.column(0).as_dictionary_opt::<Int32Type>()?.downcast_dict::<StringArray>()?;
            keys.extend((0..key.len()).map(|row| texts.intern(if key.is_valid(row) { key.value(row) } else { "" })));
            let labels = batch.column_by_name("labels")?.as_map_opt()?;
            let (names, values) = (labels.keys().as_string_opt::<i32>()?, labels.values().as_string_opt::<i32>()?);
            for entries in labels.value_offsets().windows(2) {
                let first = pairs.len();
                for entry in entries[0] as usize..entries[1] as usize {
                    let value = if values.is_valid(entry) { values.value(entry) } else { "" };
                    pairs.push((texts.intern(names.value(entry)), texts.intern(value)));
                }
                let text = |at: u32| texts.texts.get(at);
                if !pairs[first..].is_sorted_by_key(|(name, _)| text(*name)) {
                    pairs[first..].sort_by(|a, b| text(a.0).cmp(text(b.0)));
                }
                starts.push(pairs.len() as u32);
            }
        }
        let postings = match postings.filter(|p| p.row_count() as usize == ids.len()) {
            Some(postings) => postings,
            None => built(key_label, batches, ids.len())?,
        };
        let mut by_id: Vec<u32> = (0..ids.len() as u32).collect();
        by_id.sort_unstable_by_key(|row| (ids[*row as usize], *row));
        Some(Self { ids, by_id, keys, starts, pairs, texts: texts.texts, postings, key_label, kept: None })
    }

    /// How many rows it has; an id may occur in several.
    pub fn len(&self) -> usize {
        self.ids.len()
    }
    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
    /// Every row.
    pub fn iter(self: &Arc<Self>) -> impl Iterator<Item = Series> + '_ {
        (0..self.ids.len() as u32).map(|row| Series::new(self, row))
    }
    /// The series with that id.
    pub fn find(self: &Arc<Self>, id: i64) -> Option<Series> {
        let at = self.by_id.partition_point(|row| self.ids[*row as usize] < id);
        let row = *self.by_id.get(at)?;
        (self.ids[row as usize] == id).then(|| Series::new(self, row))
    }
    pub(super) fn id(&self, row: u32) -> i64 {
        self.ids[row as usize]
    }
    pub(super) fn postings(&self) -> &Postings {
        &self.postings
    }
    /// The value of a label of a row as matchers see it, `__name__` included.
    pub(super) fn label(&self, row: u32, name: &str) -> Option<&str> {
        if self.key_label == Some(name) {
            return Some(self.texts.get(self.keys[row as usize]));
        }
        let pairs = self.pairs_of(row);
        let at = pairs.binary_search_by(|(n, _)| self.texts.get(*n).cmp(name)).ok()?;
        Some(self.texts.get(pairs[at].1))
    }
    fn pairs_of(&self, row: u32) -> &[(u32, u32)] {
        &self.pairs[self.starts[row as usize] as usize..self.starts[row as usize + 1] as usize]
    }
    pub(super) fn memory_bytes(&self) -> usize {
        let kept = self.kept.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        self.ids.len() * 20
            + self.pairs.len() * 8
            + self.texts.bytes.len()
            + self.texts.ends.len() * 4
            + self.postings.memory_bytes()
            + kept
    }
}

/// The column with the ids of a dictionary, or of facts that point into it.
pub(crate) fn id_column(table: Table) -> &'static str {
    match table {
        Table::Streams | Table::Logs => "stream_id",
        Table::Resources => "resource_id",
        _ => "sid",
    }
}

fn built(key: Option<&str>, batches: &[RecordBatch], rows: usize) -> Option<Postings> {
    let mut postings = PostingsBuilder::default();
    let mut first = 0;
    for batch in batches {
        add_labels(&mut postings, key, batch, first);
        first += batch.num_rows() as u32;
    }
    Postings::parse(Bytes::from(postings.finish(rows as u32))).ok()
}

/// Distinct texts, one after the other.
#[derive(Debug, Default)]
struct Texts {
    bytes: String,
    ends: Vec<u32>,
}

impl Texts {
    fn get(&self, at: u32) -> &str {
        let at = at as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start as usize..self.ends[at] as usize]
    }
}

#[derive(Debug, Default)]
struct TextsBuilder {
    texts: Texts,
    known: HashMap<Box<str>, u32>,
}

impl TextsBuilder {
    fn intern(&mut self, text: &str) -> u32 {
        if let Some(at) = self.known.get(text) {
            return *at;
        }
        let at = self.texts.ends.len() as u32;
        self.texts.bytes.push_str(text);
        self.texts.ends.push(self.texts.bytes.len() as u32);
        self.known.insert(text.into(), at);
        at
    }
}

/// The tables of `scope`, decoded or from the cache: those of fresh batches after those of files.
pub(super) async fn load(
    store: &Arc<dyn ObjectStore>,
    caches: &Arc<Caches>,
    cache: &Cache<TableKey, Arc<LabelTable>>,
    scope: &Scope,
) -> Result<Vec<Arc<LabelTable>>> {
    let mut tables = Vec::with_capacity(scope.files.len() + scope.fresh.len());
    for file in &scope.files {
        let load = decode_file(store, caches, file);
        let table = cache.try_get_with(TableKey::File(file.id), load).await;
        tables.push(table.map_err(crate::cache::shared)?);
    }
    for batch in &scope.fresh {
        tables.push(decode_batch(cache, scope.table, batch).await?);
    }
    Ok(tables)
}

async fn decode_file(store: &Arc<dyn ObjectStore>, caches: &Arc<Caches>, file: &Arc<FileEntry>) -> Result<Arc<LabelTable>> {
    let schema = catalog::schema::rows(file.table);
    let columns = [schema.field(0).name().as_str(), id_column(file.table), "labels"];
    let batches: Vec<RecordBatch> =
        scan::scan(Arc::clone(store), Arc::clone(caches), Arc::clone(file), ScanSpec::all(columns), Reuse::Never)?
            .try_collect()
            .await?;
    let index = caches.index(store.as_ref(), file).await?;
    let postings = index.and_then(|index| index.postings().cloned());
    let wrong = || Error::Corrupt { path: file.path(), reason: "it is no table of labels".to_owned() };
    LabelTable::new(file.table, &batches, postings).map(Arc::new).ok_or_else(wrong)
}

async fn decode_batch(cache: &Cache<TableKey, Arc<LabelTable>>, table: Table, batch: &RecordBatch) -> Result<Arc<LabelTable>> {
    let wrong = || Error::Schema { table, reason: "it is no table of labels".to_owned() };
    let ids = batch.column_by_name(id_column(table)).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(wrong)?;
    let key = TableKey::Batch(ids.values().as_ptr().addr(), ids.len());
    let load = async {
        let mut decoded = LabelTable::new(table, std::slice::from_ref(batch), None).ok_or_else(wrong)?;
        decoded.kept = Some(batch.clone());
        Ok(Arc::new(decoded))
    };
    cache.try_get_with(key, load).await.map_err(crate::cache::shared)
}

/// Orders series by their labels as Prometheus prints them: metric first, then names and values in turn.
pub fn by_labels(a: &Series, b: &Series) -> Ordering {
    a.metric().cmp(b.metric()).then_with(|| a.labels().cmp(b.labels()))
}
