//! A Markdown table.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::value::columns;
use crate::error::Result;

pub(super) struct Markdown {
    head: String,
}

impl Markdown {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let names: Vec<String> = schema.fields().iter().map(|field| escape(field.name())).collect();
        Self { head: format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len())) }
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = columns(batch)?;
        let mut out = std::mem::take(&mut self.head);
        let mut bytes = Vec::new();
        for row in 0..batch.num_rows() {
            out.push('|');
            for column in &columns {
                bytes.clear();
                column.write_plain(row, &mut bytes);
                out.push_str(&format!(" {} |", escape(&String::from_utf8_lossy(&bytes))));
            }
            out.push('\n');
        }
        Ok(out.into_bytes())
    }

    /// The header, if no batch brought it.
    pub(super) fn finish(self) -> Vec<u8> {
        self.head.into_bytes()
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace("\r\n", "<br>").replace('\n', "<br>")
}
