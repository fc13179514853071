//! A table drawn with characters. Its column widths depend on all rows, so it is drawn at the end.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::value::columns;
use crate::error::Result;

/// Characters that a cell shows of its value.
const CELL_CHARS_MAX: usize = 400;

pub(super) struct Pretty {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Pretty {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        Self { names: schema.fields().iter().map(|field| field.name().clone()).collect(), rows: Vec::new() }
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = columns(batch)?;
        for row in 0..batch.num_rows() {
            self.rows.push(columns.iter().map(|column| cell(column, row)).collect());
        }
        Ok(Vec::new())
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| width(name)).collect();
        for row in &self.rows {
            for (at, cell) in row.iter().enumerate() {
                widths[at] = widths[at].max(cell.lines().map(width).max().unwrap_or(0));
            }
        }
        let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+");
        let rule = format!("+{rule}+\n");
        let mut out = rule.clone();
        draw(&self.names, &widths, &mut out);
        out.push_str(&rule);
        for row in &self.rows {
            draw(row, &widths, &mut out);
        }
        if !self.rows.is_empty() {
            out.push_str(&rule);
        }
        Ok(out.into_bytes())
    }
}

fn cell(column: &super::value::Column<'_>, row: usize) -> String {
    let mut bytes = Vec::new();
    column.write_plain(row, &mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    match text.char_indices().nth(CELL_CHARS_MAX) {
        // Plans are read whole.
        Some((at, _)) if !text.contains('\n') => format!("{}…", &text[..at]),
        _ => text.into_owned(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// One row; a cell with line breaks takes as many lines.
fn draw(row: &[String], widths: &[usize], out: &mut String) {
    let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
    for line in 0..height {
        for (cell, width) in row.iter().zip(widths) {
            let text = cell.lines().nth(line).unwrap_or_default();
            out.push_str(&format!("| {text:<width$} "));
        }
        out.push_str("|\n");
    }
}
