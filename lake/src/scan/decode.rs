//! Stored columns to rows, only those asked for.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use catalog::{Table, schema};

use crate::blank::blank;
use crate::cache::Footer;
use crate::coding::{HistogramDecoder, values_of};
use crate::error::{Error, Result};
use crate::promoted::{Promoted, map_of};

const VALUE_PARTS: [&str; 3] = ["v_int", "v_exp", "v_f64"];
const COUNT_PARTS: [&str; 3] = ["delta", "positive_deltas", "negative_deltas"];

/// Which stored columns make up the columns asked for.
#[derive(Debug)]
pub(super) struct Projection {
    table: Table,
    schema: SchemaRef,
    stored: Vec<String>,
    /// Maps that are made of columns.
    made: Vec<(String, Vec<Promoted>)>,
    /// Stored columns that are not read: no row that is read has a value there.
    blank: Vec<String>,
    histograms: HistogramDecoder,
}

impl Projection {
    pub(super) fn new(table: Table, columns: &[String]) -> Result<Self> {
        let rows = schema::rows(table);
        let mut fields: Vec<Arc<Field>> = Vec::with_capacity(columns.len());
        let mut stored: Vec<String> = Vec::new();
        for column in columns {
            let (_, field) = rows.fields().find(column).ok_or_else(|| Error::NoColumn { table, column: column.clone() })?;
            fields.push(Arc::clone(field));
            let parts = parts(table, column);
            let names = if parts.is_empty() { vec![column.as_str()] } else { parts.to_vec() };
            for name in names {
                if !stored.iter().any(|s| s == name) {
                    stored.push(name.to_owned());
                }
            }
        }
        Ok(Self {
            table,
            schema: Arc::new(Schema::new(fields)),
            stored,
            made: Vec::new(),
            blank: Vec::new(),
            histograms: HistogramDecoder::default(),
        })
    }

    /// Of attributes only those under these keys are wanted: maps of which the file has them in columns are not read.
    pub(super) fn narrow(&mut self, footer: &Footer, keys: &[String]) {
        let Some(note) = &footer.attributes else { return };
        for map in std::mem::take(&mut self.stored) {
            match note.columns_of(&map, keys) {
                Some(columns) => {
                    self.stored.extend(columns.iter().map(|promoted| promoted.column.clone()));
                    self.made.push((map, columns));
                }
                None => self.stored.push(map),
            }
        }
    }

    /// The stored columns needed.
    pub(super) fn stored(&self) -> &[String] {
        &self.stored
    }

    /// Leaves out the columns that `is_blank`: null, or an empty map, in every row that will be read.
    pub(super) fn leave_out(&mut self, is_blank: impl Fn(&str) -> bool) {
        if !self.is_chained() && self.table != Table::Samples {
            // Maps that are made of columns want all of them.
            let made = |name: &str| self.made.iter().flat_map(|(_, columns)| columns).any(|promoted| promoted.column == name);
            self.blank.extend(self.stored.extract_if(.., |name| is_blank(name) && !made(name)));
        }
    }

    /// Whether rows depend on the row before, so that a row group must be read from its first row on.
    pub(super) fn is_chained(&self) -> bool {
        self.stored.iter().any(|s| s == COUNT_PARTS[0])
    }

    /// The columns asked for. A column that the file is too old for is null.
    pub(super) fn decode(&mut self, stored: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let n = stored.num_rows();
        let part = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("the file has no column {name}"));
            stored.column_by_name(name).ok_or_else(missing)
        };
        let counts = match self.is_chained() {
            true => Some(self.histograms.decode(part(COUNT_PARTS[0])?, part(COUNT_PARTS[1])?, part(COUNT_PARTS[2])?)?),
            false => None,
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            columns.push(match (self.table, field.name().as_str(), &counts) {
                (Table::Samples, "value", _) => values_of(part(VALUE_PARTS[0])?, part(VALUE_PARTS[1])?, part(VALUE_PARTS[2])?)?,
                (Table::Histograms, "positive_counts", Some([positive, _])) => Arc::clone(positive),
                (Table::Histograms, "negative_counts", Some([_, negative])) => Arc::clone(negative),
                (_, name, _) if self.made.iter().any(|(map, _)| map == name) => {
                    let made = self.made.iter().filter(|(map, _)| map == name).flat_map(|(_, columns)| columns);
                    let columns: Result<Vec<_>, _> =
                        made.map(|p| part(&p.column).map(|column| (p.name.as_str(), column))).collect();
                    map_of(field, &columns?, n)?
                }
                (_, name, _) => match stored.column_by_name(name) {
                    Some(column) => Arc::clone(column),
                    None if self.blank.iter().any(|blank| blank == name) => blank(field, n)?,
                    None if field.is_nullable() => new_null_array(field.data_type(), n),
                    None => return Err(ArrowError::SchemaError(format!("the file has no column {name}"))),
                },
            });
        }
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &RecordBatchOptions::new().with_row_count(Some(n)))
    }
}

/// The stored columns behind a column that is coded.
fn parts(table: Table, column: &str) -> &'static [&'static str] {
    match (table, column) {
        (Table::Samples, "value") => &VALUE_PARTS,
        (Table::Histograms, "positive_counts" | "negative_counts") => &COUNT_PARTS,
        _ => &[],
    }
}
