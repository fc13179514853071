//! A leaf as a Parquet object: one row per file, so that SQL tools can read the manifest too.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use uuid::Uuid;

use super::file::{FileEntry, IndexSection, Level};
use super::leaf::Leaf;
use crate::error::{Error, Result};
use crate::partition::{Partition, SLICES_PER_DAY};
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

const VERSION: u32 = 1;
const VERSION_KEY: &str = "telelake.leaf_version";

/// Which leaf it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LeafKey {
    pub(super) tenant: TenantId,
    pub(super) table: Table,
    pub(super) day: i32,
}

/// The Parquet bytes of `leaf`. Unsigned numbers are stored as their signed bit pattern.
pub(super) fn encode(leaf: &Leaf) -> Result<Vec<u8>> {
    let broken = |e: &dyn std::fmt::Display| Error::InvalidEdit { reason: format!("leaf cannot be encoded: {e}") };
    let batch = to_batch(leaf).map_err(|e| broken(&e))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![KeyValue::new(VERSION_KEY.to_owned(), VERSION.to_string())]))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options).map_err(|e| broken(&e))?;
    writer.write(&batch).map_err(|e| broken(&e))?;
    writer.into_inner().map_err(|e| broken(&e))
}

fn to_batch(leaf: &Leaf) -> Result<RecordBatch, arrow::error::ArrowError> {
    let longs = |of: &dyn Fn(&FileEntry) -> Option<i64>| -> ArrayRef {
        Arc::new(leaf.files().map(|file| of(file)).collect::<Int64Array>())
    };
    let ints = |of: &dyn Fn(&FileEntry) -> Option<i32>| -> ArrayRef {
        Arc::new(leaf.files().map(|file| of(file)).collect::<Int32Array>())
    };
    let texts = |of: &dyn Fn(&(String, String)) -> String| -> ArrayRef {
        Arc::new(leaf.files().map(|file| file.key_range.as_ref().map(of)).collect::<StringArray>())
    };
    let ids = FixedSizeBinaryArray::try_from_iter(leaf.files().map(|file| *file.id.as_bytes()))?;
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(ids) as ArrayRef, false),
        ("slice", ints(&|file| file.partition.slice.map(i32::from)), true),
        ("level", ints(&|file| Some(level_code(file.level))), false),
        ("bytes", longs(&|file| Some(file.bytes.cast_signed())), false),
        ("rows", longs(&|file| Some(file.rows.cast_signed())), false),
        ("time_start", longs(&|file| Some(file.time.start.as_nanos())), false),
        ("time_end", longs(&|file| Some(file.time.end.as_nanos())), false),
        ("key_min", texts(&|range| range.0.clone()), true),
        ("key_max", texts(&|range| range.1.clone()), true),
        ("id_min", longs(&|file| file.id_range.map(|range| range.0)), true),
        ("id_max", longs(&|file| file.id_range.map(|range| range.1)), true),
        ("index_offset", longs(&|file| file.index.map(|index| index.offset.cast_signed())), true),
        ("index_length", longs(&|file| file.index.map(|index| index.length.cast_signed())), true),
        ("footer_bytes", longs(&|file| Some(file.footer_bytes.cast_signed())), false),
        ("crc32", ints(&|file| Some(file.crc32.cast_signed())), false),
        ("raw_bytes", longs(&|file| Some(file.raw_bytes.cast_signed())), false),
        ("schema_version", ints(&|file| Some(file.schema_version.cast_signed())), false),
        ("added", Arc::new(leaf.added().map(|seq| seq.cast_signed()).collect::<Int64Array>()), false),
    ])
}

/// Reads the leaf of `key`. The caller has checked the checksum of `bytes`; columns it does not know are left aside.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Unsupported`].
pub(super) fn decode(key: &LeafKey, path: &Path, bytes: Bytes) -> Result<Leaf> {
    let corrupt = |reason: String| Error::Corrupt { path: path.clone(), reason };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(|e| corrupt(e.to_string()))?;
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let version = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == VERSION_KEY)?.value.as_deref()?.parse().ok());
    match version {
        None | Some(0) => return Err(corrupt(format!("it has no {VERSION_KEY}"))),
        Some(found) if found > VERSION => {
            return Err(Error::Unsupported { path: path.clone(), found, supported: VERSION });
        }
        Some(_) => {}
    }
    let rows = usize::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
    let reader = reader.with_batch_size(rows.clamp(1, 1 << 16)).build().map_err(|e| corrupt(e.to_string()))?;
    let mut leaf = Leaf::default();
    for batch in reader {
        let batch = batch.map_err(|e| corrupt(e.to_string()))?;
        add_rows(&mut leaf, key, &batch).map_err(&corrupt)?;
    }
    Ok(leaf)
}

fn add_rows(leaf: &mut Leaf, key: &LeafKey, batch: &RecordBatch) -> Result<(), String> {
    let columns: BTreeMap<&str, &ArrayRef> =
        batch.schema_ref().fields().iter().map(|field| field.name().as_str()).zip(batch.columns()).collect();
    let column = |name: &str| columns.get(name).copied().ok_or_else(|| format!("column {name} is missing"));
    let long =
        |name: &str| column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| format!("column {name} has another type"));
    let int = |name: &str| column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| format!("column {name} has another type"));
    let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| format!("column {name} has another type"));
    let id = column("id")?.as_fixed_size_binary_opt().ok_or("column id has another type")?;
    let (slice, level, crc32, schema_version) = (int("slice")?, int("level")?, int("crc32")?, int("schema_version")?);
    let (bytes, rows, raw_bytes, footer_bytes) = (long("bytes")?, long("rows")?, long("raw_bytes")?, long("footer_bytes")?);
    let (time_start, time_end, added) = (long("time_start")?, long("time_end")?, long("added")?);
    let (key_min, key_max, id_min, id_max) = (text("key_min")?, text("key_max")?, long("id_min")?, long("id_max")?);
    let (index_offset, index_length) = (long("index_offset")?, long("index_length")?);
    for row in 0..batch.num_rows() {
        let both = |a: &dyn Array, b: &dyn Array| a.is_valid(row) && b.is_valid(row);
        let file = FileEntry {
            id: Uuid::from_slice(id.value(row)).map_err(|e| e.to_string())?,
            tenant: key.tenant.clone(),
            table: key.table,
            partition: Partition { day: key.day, slice: slice_of(slice.is_valid(row).then(|| slice.value(row)))? },
            level: level_of(level.value(row))?,
            bytes: bytes.value(row).cast_unsigned(),
            rows: rows.value(row).cast_unsigned(),
            time: TimeRange::new(Timestamp::from_nanos(time_start.value(row)), Timestamp::from_nanos(time_end.value(row))),
            key_range: both(key_min, key_max).then(|| (key_min.value(row).to_owned(), key_max.value(row).to_owned())),
            id_range: both(id_min, id_max).then(|| (id_min.value(row), id_max.value(row))),
            index: both(index_offset, index_length).then(|| IndexSection {
                offset: index_offset.value(row).cast_unsigned(),
                length: index_length.value(row).cast_unsigned(),
            }),
            footer_bytes: footer_bytes.value(row).cast_unsigned(),
            crc32: crc32.value(row).cast_unsigned(),
            raw_bytes: raw_bytes.value(row).cast_unsigned(),
            schema_version: schema_version.value(row).cast_unsigned(),
        };
        if !leaf.insert(Arc::new(file), added.value(row).cast_unsigned()) {
            return Err(format!("file {:?} is listed twice", id.value(row)));
        }
    }
    Ok(())
}

fn slice_of(slice: Option<i32>) -> Result<Option<u8>, String> {
    let Some(slice) = slice else { return Ok(None) };
    let known = u8::try_from(slice).ok().filter(|slice| *slice < SLICES_PER_DAY);
    known.map(Some).ok_or_else(|| format!("slice {slice} of a day is unknown"))
}

fn level_code(level: Level) -> i32 {
    match level {
        Level::L0 => 0,
        Level::L1 => 1,
        Level::L2 => 2,
    }
}

fn level_of(code: i32) -> Result<Level, String> {
    match code {
        0 => Ok(Level::L0),
        1 => Ok(Level::L1),
        2 => Ok(Level::L2),
        other => Err(format!("level {other} is unknown")),
    }
}
