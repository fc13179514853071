//! Which keys the maps of a row group have, by the dictionaries of their key columns: a map without any of the keys that somebody asks for
//! need not be decoded.
//!
//! ```text
//! attrs_str.entries.key: [dictionary: http.route, url.path ...] [page] [page]     asked: http.status ─► not there: the map is left out
//! ```
//!
//! # Invariants
//! - A map is left out only when its keys are all in the dictionary, and the dictionary has none of those asked for.

use std::sync::Arc;

use bytes::Buf;
use catalog::{FileEntry, schema};
use object_store::ObjectStore;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::parts::Parts;
use crate::cache::{Caches, Footer, Reuse};
use crate::error::{Error, Result};

/// Row groups of a scan beyond which their dictionaries are not looked at.
const ROW_GROUPS_MAX: usize = 8;

/// Those of `columns` that are maps and have none of `keys` in any of `row_groups`.
///
/// # Errors
/// `Store`, `Corrupt`; `Decode` of a dictionary that is none.
pub(super) async fn lacking(
    (store, caches, reuse): (&dyn ObjectStore, &Caches, Reuse),
    (file, footer): (&FileEntry, &Footer),
    columns: &[String],
    keys: &[String],
    row_groups: &[usize],
) -> Result<Vec<String>> {
    let mut lacking = Vec::new();
    if row_groups.len() > ROW_GROUPS_MAX {
        return Ok(lacking);
    }
    let stored = schema::stored(file.table);
    'columns: for name in columns {
        let is_map =
            stored.fields().find(name).is_some_and(|(_, field)| matches!(field.data_type(), arrow::datatypes::DataType::Map(..)));
        let Some(leaf) = (0..footer.reader.parquet_schema().num_columns()).find(|leaf| {
            let parts = footer.reader.parquet_schema().column(*leaf);
            is_map && parts.path().parts().first() == Some(name)
        }) else {
            continue;
        };
        for group in row_groups {
            let chunk = footer.reader.metadata().row_group(*group).column(leaf);
            let Some(range) = dictionary(chunk) else { continue 'columns };
            let bytes = caches.pages(store, file, footer, vec![range.clone()], reuse).await?.pop().unwrap_or_default();
            let failed =
                |e: ParquetError| Error::Decode { table: file.table, file: file.id, reason: format!("keys of {name}: {e}") };
            if has_any(chunk, Parts::new(vec![(range.start, bytes)]), keys).map_err(failed)? {
                continue 'columns;
            }
        }
        lacking.push(name.clone());
    }
    Ok(lacking)
}

/// Where the dictionary of a column is, when all of its values are in it.
fn dictionary(chunk: &ColumnChunkMetaData) -> Option<std::ops::Range<u64>> {
    // PLAIN is the dictionary's own: texts of keys fall back to another (`write::layout`).
    let of_dictionary = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
    let falls_back = chunk.encodings().any(|encoding| !of_dictionary.contains(&encoding));
    let (start, end) = (chunk.dictionary_page_offset()?, chunk.data_page_offset());
    (!falls_back && start < end).then_some(start.unsigned_abs()..end.unsigned_abs())
}

/// Whether the dictionary has one of `keys`.
fn has_any(chunk: &ColumnChunkMetaData, parts: Parts, keys: &[String]) -> ParquetResult<bool> {
    let mut pages = SerializedPageReader::new(Arc::new(parts), chunk, 0, None)?;
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
        return Err(ParquetError::General("no dictionary".to_owned()));
    };
    let mut rest = buf;
    for _ in 0..num_values {
        let length = if rest.len() < 4 { usize::MAX } else { rest.get_u32_le() as usize };
        if rest.len() < length {
            return Err(ParquetError::General("a dictionary that ends early".to_owned()));
        }
        let key = rest.split_to(length);
        if keys.iter().any(|asked| asked.as_bytes() == key) {
            return Ok(true);
        }
    }
    Ok(false)
}
