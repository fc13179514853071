//! The columns of a batch of spans that are counted.

use arrow::array::{
    Array, DictionaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::Int32Type;

use super::attributes::Attributes;
use super::size::Sizes;

/// A batch in the schema of `spans`.
#[derive(Debug)]
pub(super) struct SpanBatch<'a> {
    pub(super) trace_ids: &'a FixedSizeBinaryArray,
    pub(super) span_ids: &'a FixedSizeBinaryArray,
    pub(super) parent_ids: &'a FixedSizeBinaryArray,
    pub(super) starts: &'a TimestampNanosecondArray,
    pub(super) durations: &'a Int64Array,
    pub(super) services: Texts<'a>,
    pub(super) names: Texts<'a>,
    pub(super) kinds: &'a Int32Array,
    pub(super) statuses: &'a Int32Array,
    pub(super) messages: Texts<'a>,
    pub(super) resources: &'a Int64Array,
    pub(super) attributes: Attributes<'a>,
    pub(super) sizes: Sizes<'a>,
}

/// A dictionary column of text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    keys: &'a Int32Array,
    values: &'a StringArray,
}

impl<'a> Texts<'a> {
    fn of(batch: &'a RecordBatch, name: &str) -> Option<Self> {
        let column: &DictionaryArray<Int32Type> = column(batch, name)?;
        Some(Self { keys: column.keys(), values: column.values().as_any().downcast_ref()? })
    }

    /// The key of a row, -1 for null: equal keys are equal texts.
    #[inline]
    pub(super) fn key(&self, row: usize) -> i32 {
        if self.keys.is_null(row) { -1 } else { self.keys.value(row) }
    }

    /// The text of a row, empty for null.
    #[inline]
    pub(super) fn get(&self, row: usize) -> &'a str {
        match usize::try_from(self.key(row)) {
            Ok(key) if key < self.values.len() => self.values.value(key),
            _ => "",
        }
    }
}

pub(super) fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Option<&'a T> {
    batch.column_by_name(name)?.as_any().downcast_ref()
}

impl<'a> SpanBatch<'a> {
    /// The columns; `None` if the batch is no batch of spans.
    pub(super) fn new(batch: &'a RecordBatch) -> Option<Self> {
        Some(Self {
            trace_ids: column(batch, "trace_id")?,
            span_ids: column(batch, "span_id")?,
            parent_ids: column(batch, "parent_span_id")?,
            starts: column(batch, "ts")?,
            durations: column(batch, "duration_ns")?,
            services: Texts::of(batch, "service")?,
            names: Texts::of(batch, "name")?,
            kinds: column(batch, "kind")?,
            statuses: column(batch, "status_code")?,
            messages: Texts::of(batch, "status_message")?,
            resources: column(batch, "resource_id")?,
            attributes: Attributes::new(batch)?,
            sizes: Sizes::new(batch)?,
        })
    }

    pub(super) fn trace_id(&self, row: usize) -> [u8; 16] {
        fixed(self.trace_ids.value(row))
    }

    pub(super) fn span_id(&self, row: usize) -> [u8; 8] {
        fixed(self.span_ids.value(row))
    }

    /// `None`: the span is the root of its trace.
    pub(super) fn parent_id(&self, row: usize) -> Option<[u8; 8]> {
        self.parent_ids.is_valid(row).then(|| fixed(self.parent_ids.value(row)))
    }

    /// At least 0.
    #[inline]
    pub(super) fn duration_ns(&self, row: usize) -> i64 {
        self.durations.value(row).max(0)
    }
}

/// The columns are as wide as their schema says; of others the missing bytes are 0.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut id = [0; N];
    let length = bytes.len().min(N);
    id[..length].copy_from_slice(&bytes[..length]);
    id
}
