//! CSV as RFC 4180 has it, but with `\n`: a header line, nested values as JSON, null as nothing, the empty text as `""`.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::value::{columns, separate};
use crate::error::Result;

pub(super) struct Csv {
    head: Vec<u8>,
}

impl Csv {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let mut head = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            separate(i, &mut head);
            write_field(field.name().as_bytes(), &mut head);
        }
        head.push(b'\n');
        Self { head }
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = columns(batch)?;
        let mut out = std::mem::take(&mut self.head);
        let mut field = Vec::new();
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                separate(i, &mut out);
                if !column.is_null(row) {
                    field.clear();
                    column.write_plain(row, &mut field);
                    write_field(&field, &mut out);
                }
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The header, if no batch brought it.
    pub(super) fn finish(self) -> Vec<u8> {
        self.head
    }
}

fn write_field(field: &[u8], out: &mut Vec<u8>) {
    if !field.is_empty() && !field.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        return out.extend_from_slice(field);
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
