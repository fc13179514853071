//! How many lines of each stream a file of logs has, and how many bytes they have: what counts of whole files need.
//!
//! ```text
//! streams u32 | streams * { id i64 | lines u32 | bytes u64 | first ns i64 | last ns i64 | 1 if two neighbours have one time, else 0 }
//! ```
//! A file is sorted by stream and time, so that a stream is one run of rows. There is no such section where streams have few lines: it would be
//! as large as the lines.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use bytes::Bytes;

use super::Cursor;

/// Least lines of a stream, on average.
const LINES_MIN: u64 = 16;

/// The lines of one stream in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLines {
    /// Its id.
    pub stream: i64,
    /// Lines.
    pub lines: u32,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Nanoseconds since the epoch of the first line.
    pub first_ns: i64,
    /// Of the last line.
    pub last_ns: i64,
    /// Whether two lines have one time: then they may be equal.
    pub is_tied: bool,
}

/// Collects the streams of a file.
#[derive(Debug, Default)]
pub(super) struct StreamBuilder {
    streams: Vec<StreamLines>,
    lines: u64,
    /// Rows that are not in order, or not as logs are: nothing is known.
    is_unusable: bool,
}

impl StreamBuilder {
    /// Adds the next rows of the file.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        let column = |name: &str| rows.column_by_name(name);
        let (Some(ids), Some(times), Some(bodies)) = (
            column("stream_id").and_then(|ids| ids.as_primitive_opt::<Int64Type>()),
            column("ts").and_then(|times| times.as_primitive_opt::<TimestampNanosecondType>()),
            column("body").and_then(|bodies| bodies.as_string_opt::<i32>()),
        ) else {
            self.is_unusable = true;
            return;
        };
        self.lines += rows.num_rows() as u64;
        let offsets = bodies.value_offsets();
        for (row, (stream, ts)) in ids.values().iter().zip(times.values()).enumerate() {
            let bytes = u64::from((offsets[row + 1] - offsets[row]).unsigned_abs());
            match self.streams.last_mut() {
                Some(last) if last.stream == *stream && last.lines < u32::MAX => {
                    self.is_unusable |= *ts < last.last_ns;
                    last.is_tied |= *ts == last.last_ns;
                    (last.lines, last.bytes, last.last_ns) = (last.lines + 1, last.bytes + bytes, *ts);
                }
                _ => self.streams.push(StreamLines {
                    stream: *stream,
                    lines: 1,
                    bytes,
                    first_ns: *ts,
                    last_ns: *ts,
                    is_tied: false,
                }),
            }
        }
        if self.streams.len() as u64 * LINES_MIN > self.lines.max(1 << 16) * 2 {
            // Streams will not grow that much any more.
            self.is_unusable = true;
        }
        if self.is_unusable {
            self.streams = Vec::new();
        }
    }

    /// The section; `None` if there is none.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        let Self { streams, lines, is_unusable } = self;
        if is_unusable || streams.is_empty() || streams.len() as u64 * LINES_MIN > lines {
            return None;
        }
        let mut out = (streams.len() as u32).to_le_bytes().to_vec();
        for of in &streams {
            out.extend_from_slice(&of.stream.to_le_bytes());
            out.extend_from_slice(&of.lines.to_le_bytes());
            out.extend_from_slice(&of.bytes.to_le_bytes());
            out.extend_from_slice(&of.first_ns.to_le_bytes());
            out.extend_from_slice(&of.last_ns.to_le_bytes());
            out.push(u8::from(of.is_tied));
        }
        Some(out)
    }
}

/// Reads a section.
pub(super) fn parse(bytes: &Bytes) -> Result<Box<[StreamLines]>, &'static str> {
    const SHORT: &str = "streams end early";
    let mut cursor = Cursor::new(bytes);
    let count = cursor.u32().ok_or(SHORT)?;
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(StreamLines {
            stream: cursor.i64().ok_or(SHORT)?,
            lines: cursor.u32().ok_or(SHORT)?,
            bytes: cursor.i64().ok_or(SHORT)?.cast_unsigned(),
            first_ns: cursor.i64().ok_or(SHORT)?,
            last_ns: cursor.i64().ok_or(SHORT)?,
            is_tied: cursor.take(1).ok_or(SHORT)?[0] != 0,
        });
    }
    Ok(streams.into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampNanosecondArray};

    use super::*;

    fn batch(rows: &[(i64, i64, &str)]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 3] = [
            ("stream_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)))),
            ("ts", Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1)))),
            ("body", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2)))),
        ];
        RecordBatch::try_from_iter(columns).expect("one length")
    }

    fn read(builder: StreamBuilder) -> Option<Box<[StreamLines]>> {
        builder.finish().map(|section| parse(&section.into()).expect("valid"))
    }

    #[test]
    fn streams_come_back() {
        let mut builder = StreamBuilder::default();
        let rows: Vec<_> = (0..20).map(|ts| (1, ts, "abc")).chain((5..30).map(|ts| (2, ts / 2, ""))).collect();
        builder.add(&batch(&rows[..7]));
        builder.add(&batch(&rows[7..]));
        let one = StreamLines { stream: 1, lines: 20, bytes: 60, first_ns: 0, last_ns: 19, is_tied: false };
        let other = StreamLines { stream: 2, lines: 25, bytes: 0, first_ns: 2, last_ns: 14, is_tied: true };
        assert_eq!(read(builder).as_deref(), Some(&[one, other][..]));
    }

    #[test]
    fn there_is_none_where_it_would_not_pay_or_be_wrong() {
        let mut short = StreamBuilder::default();
        short.add(&batch(&(0..20).map(|id| (id, 0, "a")).collect::<Vec<_>>()));
        assert_eq!(read(short), None);
        let mut unsorted = StreamBuilder::default();
        unsorted.add(&batch(&(0..20).map(|ts| (1, -ts, "a")).collect::<Vec<_>>()));
        assert_eq!(read(unsorted), None);
    }
}
