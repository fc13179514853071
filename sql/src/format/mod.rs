//! Answers as bytes: JSON, JSON lines, CSV, Arrow, Parquet, and tables for people. Also used by the command line.

mod arrow_ipc;
mod csv;
mod json;
mod markdown;
mod parquet_file;
mod pretty;
mod value;

pub(crate) use value::json_text;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::engine::QueryStats;
use crate::error::{Error, Result};

/// A format of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON object: columns, rows as arrays, statistics.
    Json,
    /// One JSON object per row and line.
    JsonLines,
    /// Comma separated, with a header line.
    Csv,
    /// The Arrow IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
    /// A table drawn with characters.
    Pretty,
    /// A Markdown table.
    Markdown,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 7] = [Self::Json, Self::JsonLines, Self::Csv, Self::Arrow, Self::Parquet, Self::Pretty, Self::Markdown];

    /// Its name in `format=`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
            Self::Pretty => "pretty",
            Self::Markdown => "markdown",
        }
    }

    /// The format of that name; ClickHouse's names are known, too.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "json" | "jsoncompact" => Self::Json,
            "jsonl" | "ndjson" | "jsonlines" | "jsoneachrow" => Self::JsonLines,
            "csv" | "csvwithnames" => Self::Csv,
            "arrow" | "arrowstream" | "ipc" => Self::Arrow,
            "parquet" => Self::Parquet,
            "pretty" | "table" | "text" | "prettycompact" => Self::Pretty,
            "markdown" | "md" => Self::Markdown,
            _ => return None,
        })
    }

    /// The format that an `Accept` header asks for: the first one known, `None` for anything.
    pub fn from_accept(accept: &str) -> Option<Self> {
        accept.split(',').filter_map(|part| part.split(';').next()).find_map(|media| match media.trim() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => Some(Self::JsonLines),
            "text/csv" => Some(Self::Csv),
            "application/vnd.apache.arrow.stream" => Some(Self::Arrow),
            "application/vnd.apache.parquet" => Some(Self::Parquet),
            "text/markdown" => Some(Self::Markdown),
            "text/plain" => Some(Self::Pretty),
            _ => None,
        })
    }

    /// Its media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLines => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Pretty => "text/plain; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    /// Whether bytes can be sent while the query runs. The others are complete or not sent at all.
    pub const fn streams(self) -> bool {
        matches!(self, Self::JsonLines | Self::Csv | Self::Arrow | Self::Markdown)
    }
}

/// How buffers within an Arrow stream are compressed. Not every reader has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The compression of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "lz4" | "lz4_frame" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Turns batches into bytes of one format.
pub struct Encoder {
    writer: Writer,
}

enum Writer {
    Json(json::Json),
    JsonLines(json::JsonLines),
    Csv(csv::Csv),
    Arrow(Box<arrow_ipc::Arrow>),
    Parquet(Box<parquet_file::Parquet>),
    Pretty(pretty::Pretty),
    Markdown(markdown::Markdown),
}

impl Encoder {
    /// An encoder for batches of `schema`, which has plain types (see [`crate::edge`]).
    ///
    /// # Errors
    /// `Encode` when the format cannot hold a column.
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Self> {
        Self::compressed(format, schema, None)
    }

    /// The same, with compressed buffers where the format has them, which is Arrow alone.
    ///
    /// # Errors
    /// `Encode` when the format cannot hold a column.
    pub fn compressed(format: Format, schema: &SchemaRef, compression: Option<Compression>) -> Result<Self> {
        let writer = match format {
            Format::Json => Writer::Json(json::Json::new(schema)),
            Format::JsonLines => Writer::JsonLines(json::JsonLines::new(schema)),
            Format::Csv => Writer::Csv(csv::Csv::new(schema)),
            Format::Arrow => Writer::Arrow(Box::new(arrow_ipc::Arrow::new(schema, compression)?)),
            Format::Parquet => Writer::Parquet(Box::new(parquet_file::Parquet::new(schema)?)),
            Format::Pretty => Writer::Pretty(pretty::Pretty::new(schema)),
            Format::Markdown => Writer::Markdown(markdown::Markdown::new(schema)),
        };
        Ok(Self { writer })
    }

    /// The bytes of a batch; formats that do not stream may give none before the end.
    ///
    /// # Errors
    /// `Encode`.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        match &mut self.writer {
            Writer::Json(w) => w.encode(batch),
            Writer::JsonLines(w) => w.encode(batch),
            Writer::Csv(w) => w.encode(batch),
            Writer::Arrow(w) => w.encode(batch),
            Writer::Parquet(w) => w.encode(batch),
            Writer::Pretty(w) => w.encode(batch),
            Writer::Markdown(w) => w.encode(batch),
        }
    }

    /// The bytes after the last batch. `stats` go into formats that have a place for them.
    ///
    /// # Errors
    /// `Encode`.
    pub fn finish(self, stats: Option<&QueryStats>) -> Result<Vec<u8>> {
        match self.writer {
            Writer::Json(w) => w.finish(stats),
            Writer::JsonLines(_) => Ok(Vec::new()),
            Writer::Csv(w) => Ok(w.finish()),
            Writer::Arrow(w) => w.finish(),
            Writer::Parquet(w) => w.finish(),
            Writer::Pretty(w) => w.finish(),
            Writer::Markdown(w) => Ok(w.finish()),
        }
    }

    /// The record that ends an answer whose query failed midway; `None`: the format has none and the answer must be cut.
    pub fn fail(&self, error: &Error) -> Option<Vec<u8>> {
        let message = error.public_message();
        match &self.writer {
            Writer::JsonLines(_) => {
                let record = serde_json::json!({"error": message, "kind": error.kind().name()});
                Some(format!("{record}\n").into_bytes())
            }
            Writer::Csv(_) => Some(format!("\"error: {}\"\n", message.replace('"', "\"\"")).into_bytes()),
            Writer::Markdown(_) => Some(format!("\nerror: {message}\n").into_bytes()),
            Writer::Json(_) | Writer::Arrow(_) | Writer::Parquet(_) | Writer::Pretty(_) => None,
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Encode { reason: error.to_string() }
}

#[cfg(test)]
mod tests;
