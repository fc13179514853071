//! How the columns of each table lie in Parquet: encodings, compression, sizes of row groups and pages.
//!
//! Dictionary encoding comes first in Parquet writers and would shadow DELTA_BINARY_PACKED, so it is off for every column that
//! is to be differenced. Columns with dictionaries have room for them (4 MiB a row group): a dictionary that overflows falls back in
//! silence, here to an encoding that is chosen too. Statistics are off for raw floats, whose NaNs would poison them.

use arrow::datatypes::{DataType, Field};
use catalog::schema::{SCHEMA_VERSION, sort_columns, stored};
use catalog::{Level, Table};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use zstd::zstd_safe::{CParameter, Strategy};

use super::packing::Packing;
use crate::index::BLOCK_ROWS;

/// Bytes of a page of log bodies. A query often wants a short time of a stream, whose rows are few: it decodes whole pages. A quarter of the
/// usual size costs 0.7 % of their bytes.
const BODY_PAGE_BYTES: usize = 256 << 10;
/// Rows of logs after which the writer looks whether a page is full: few, so that a page of bodies is not half as large again.
const LOG_BATCH_ROWS: usize = 32;
/// Rows of a page of spans. A trace by its id, and each trace that a search looks at, costs the decoding of a page of every column.
const SPAN_PAGE_ROWS: usize = 8 << 10;
/// Rows after which the writer looks whether a page is full.
const WRITE_BATCH_ROWS: usize = 1 << 10;
/// Most bytes of dictionary per column and row group.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// The key of the column layout's version in the file's metadata.
pub(crate) const SCHEMA_VERSION_KEY: &str = "telelake.schema_version";

/// Rows of a full row group. Whole index blocks for the tables that have them.
pub(crate) fn row_group_rows(table: Table) -> usize {
    match table {
        Table::Samples => 240 << 10,
        // Only whole row groups of histograms can be skipped: counts are differences to the row before.
        Table::Histograms => 16 << 10,
        Table::Logs | Table::Spans => 4 * BLOCK_ROWS,
        Table::Series
        | Table::Exemplars
        | Table::Metadata
        | Table::Streams
        | Table::Resources
        | Table::QueryLog
        | Table::User => 128 << 10,
    }
}

/// How one leaf column is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Dictionary; what does not fit falls back to the encoding.
    Dictionary(Encoding),
    /// That encoding, no dictionary.
    Plainly(Encoding),
}

/// The properties of a file of `table` that has the columns `promoted` of attributes beside those of the table.
pub(crate) fn properties<'p>(table: Table, level: Level, promoted: impl Iterator<Item = &'p str>) -> WriterProperties {
    let schema = stored(table);
    let (page_rows, page_bytes) = match table {
        Table::Logs => (BLOCK_ROWS, 1 << 20),
        Table::Spans => (SPAN_PAGE_ROWS, 512 << 10),
        _ => (20_000, 1 << 20),
    };
    let sorting = sort_columns(table).iter().filter_map(|name| leaf_index(table, name)).map(|column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: true,
    });
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("telelake ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(zstd_level(table, level)))
        .set_max_row_group_row_count(Some(row_group_rows(table)))
        .set_data_page_row_count_limit(page_rows)
        .set_data_page_size_limit(page_bytes)
        .set_write_batch_size(if table == Table::Logs { LOG_BATCH_ROWS } else { WRITE_BATCH_ROWS })
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_column_index_truncate_length(Some(64))
        .set_statistics_truncate_length(Some(64))
        .set_sorting_columns(Some(sorting.collect()))
        .set_key_value_metadata(Some(vec![KeyValue::new(SCHEMA_VERSION_KEY.to_owned(), SCHEMA_VERSION.to_string())]));
    for field in schema.fields() {
        builder = column(builder, table, field, vec![field.name().clone()]);
    }
    for name in promoted {
        // Few values by choice. Bounds would rule nothing out that the index does not.
        builder = builder.set_column_statistics_enabled(ColumnPath::new(vec![name.to_owned()]), EnabledStatistics::None);
    }
    if let Some(packing) = packing(table, level) {
        builder = builder.set_column_compression(packing.column, Compression::UNCOMPRESSED);
    }
    builder.build()
}

/// How texts of log lines are compressed: they are nine tenths of the bytes of their table.
///
/// Measured over 500,000 lines of JSON, logfmt and text in pages of 256 KiB, sorted by stream, in bytes per line and CPU-s per million: the fast strategy 39.8 and
/// 0.28, the double one 38.7 and 0.32 (level 3: 40.5 and 0.36), the greedy one 34.2 and 1.1 (level 9: 35.2 and 2.3). Half of that one's table, which then is
/// no larger than a processor's second cache, costs 0.1 bytes more and an eighth less.
pub(super) fn packing(table: Table, level: Level) -> Option<Packing> {
    let (number, parameters): (_, &[CParameter]) = match level {
        Level::L0 => (1, &[CParameter::Strategy(Strategy::ZSTD_fast), CParameter::HashLog(14), CParameter::MinMatch(7)]),
        Level::L1 => (3, &[CParameter::Strategy(Strategy::ZSTD_dfast), CParameter::HashLog(16), CParameter::MinMatch(6)]),
        Level::L2 => (
            5,
            &[
                CParameter::Strategy(Strategy::ZSTD_greedy),
                CParameter::HashLog(18),
                CParameter::SearchLog(5),
                CParameter::MinMatch(6),
            ],
        ),
    };
    let column = ColumnPath::new(vec!["body".to_owned()]);
    (table == Table::Logs).then_some(Packing { column, level: number, parameters })
}

fn zstd_level(table: Table, level: Level) -> ZstdLevel {
    let level = match (level, table) {
        (Level::L0, _) => 1,
        // Times are half as large again with level 5, and cost a tenth of what bodies do.
        (Level::L2, Table::Logs) => 9,
        (Level::L1 | Level::L2, _) => 3,
    };
    ZstdLevel::try_new(level).expect("levels 1 to 22 exist")
}

/// The position of a top-level column among the leaves of the file.
fn leaf_index(table: Table, name: &str) -> Option<i32> {
    fn leaves(data_type: &DataType) -> i32 {
        match data_type {
            DataType::Struct(fields) => fields.iter().map(|f| leaves(f.data_type())).sum(),
            DataType::Map(field, _) | DataType::List(field) => leaves(field.data_type()),
            _ => 1,
        }
    }
    let schema = stored(table);
    let at = schema.index_of(name).ok()?;
    Some(schema.fields()[..at].iter().map(|f| leaves(f.data_type())).sum())
}

fn column(builder: WriterPropertiesBuilder, table: Table, field: &Field, path: Vec<String>) -> WriterPropertiesBuilder {
    let child = |field: &Field| {
        let mut path = path.clone();
        path.push(field.name().clone());
        path
    };
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().fold(builder, |b, f| column(b, table, f, child(f))),
        DataType::Map(entries, _) => column(builder, table, entries, child(entries)),
        DataType::List(element) => {
            // Parquet's three levels: the list's group has a repeated group `list` around the element.
            let mut path = path;
            path.push("list".to_owned());
            path.push(element.name().clone());
            column(builder, table, element, path)
        }
        _ => leaf(builder, coding(table, &path, field.data_type()), field.data_type(), path),
    }
}

fn leaf(builder: WriterPropertiesBuilder, coding: Coding, data_type: &DataType, path: Vec<String>) -> WriterPropertiesBuilder {
    let nested = path.len() > 1;
    let statistics = match data_type {
        DataType::Float64 => EnabledStatistics::None,
        // Bounds of list items and map values prune nothing and cost bytes in every footer.
        _ if nested => EnabledStatistics::None,
        DataType::Utf8 => EnabledStatistics::None,
        _ => EnabledStatistics::Page,
    };
    let is_body = coding == Coding::Plainly(Encoding::DELTA_LENGTH_BYTE_ARRAY);
    let path = ColumnPath::new(path);
    let builder = if is_body { builder.set_column_data_page_size_limit(path.clone(), BODY_PAGE_BYTES) } else { builder };
    let (dictionary, encoding) = match coding {
        Coding::Dictionary(fallback) => (true, fallback),
        Coding::Plainly(encoding) => (false, encoding),
    };
    builder
        .set_column_dictionary_enabled(path.clone(), dictionary)
        .set_column_encoding(path.clone(), encoding)
        .set_column_statistics_enabled(path, statistics)
}

/// The coding of the leaf at `path`.
pub(crate) fn coding(table: Table, path: &[String], data_type: &DataType) -> Coding {
    use Coding::{Dictionary, Plainly};
    let name = path[0].as_str();
    let in_events = matches!(name, "events" | "links");
    match data_type {
        DataType::Timestamp(..) => Plainly(Encoding::DELTA_BINARY_PACKED),
        DataType::Boolean => Plainly(Encoding::RLE),
        DataType::Float64 if path.len() == 1 => Plainly(match (table, name) {
            (Table::Samples, _) => Encoding::BYTE_STREAM_SPLIT,
            _ => Encoding::PLAIN,
        }),
        DataType::Float64 => Dictionary(Encoding::PLAIN),
        DataType::Int8 | DataType::Int32 => Dictionary(Encoding::DELTA_BINARY_PACKED),
        DataType::Int64 => match (table, name) {
            // Runs of one id: a dictionary of the ids with run lengths.
            (_, "sid" | "stream_id" | "resource_id") if !table.is_dictionary() => Dictionary(Encoding::PLAIN),
            (_, "attrs_int") => Dictionary(Encoding::DELTA_BINARY_PACKED),
            (_, "sid" | "stream_id" | "resource_id") => Plainly(Encoding::PLAIN),
            _ => Plainly(Encoding::DELTA_BINARY_PACKED),
        },
        DataType::FixedSizeBinary(_) => match (table, name) {
            // Sorted by trace: a few spans in a row share it. (Version 1 pages have no dictionaries of fixed-size binaries.)
            (Table::Spans, "trace_id") => Plainly(Encoding::DELTA_BYTE_ARRAY),
            _ => Plainly(Encoding::PLAIN),
        },
        DataType::Utf8 if name == "body" && !in_events => Plainly(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        _ => Dictionary(Encoding::DELTA_LENGTH_BYTE_ARRAY),
    }
}
