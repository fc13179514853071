//! `json` and `jsonl`.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::value::{columns, separate, write_text};
use crate::engine::QueryStats;
use crate::error::Result;

/// `{"columns": [{"name", "type"}], "rows": [[...]], "stats": {...}}`.
pub(super) struct Json {
    rows: u64,
    head: Vec<u8>,
}

impl Json {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let mut head = b"{\"columns\":[".to_vec();
        for (i, field) in schema.fields().iter().enumerate() {
            separate(i, &mut head);
            head.extend_from_slice(b"{\"name\":");
            write_text(field.name(), &mut head);
            head.extend_from_slice(b",\"type\":");
            write_text(&type_name(field.data_type()), &mut head);
            head.push(b'}');
        }
        head.extend_from_slice(b"],\"rows\":[");
        Self { rows: 0, head }
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = columns(batch)?;
        let mut out = std::mem::take(&mut self.head);
        for row in 0..batch.num_rows() {
            out.extend_from_slice(if self.rows > 0 { b",\n[" } else { b"\n[" });
            self.rows += 1;
            for (i, column) in columns.iter().enumerate() {
                separate(i, &mut out);
                column.write(row, &mut out);
            }
            out.push(b']');
        }
        Ok(out)
    }

    pub(super) fn finish(mut self, stats: Option<&QueryStats>) -> Result<Vec<u8>> {
        let mut out = std::mem::take(&mut self.head);
        out.push(b']');
        if let Some(stats) = stats {
            out.extend_from_slice(b",\n\"stats\":");
            serde_json::to_writer(&mut out, stats).map_err(super::broken)?;
        }
        out.extend_from_slice(b"}\n");
        Ok(out)
    }
}

/// One object per row.
pub(super) struct JsonLines {
    names: Vec<Vec<u8>>,
}

impl JsonLines {
    pub(super) fn new(schema: &SchemaRef) -> Self {
        let name = |name: &str| {
            let mut out = Vec::new();
            write_text(name, &mut out);
            out.push(b':');
            out
        };
        Self { names: schema.fields().iter().map(|field| name(field.name())).collect() }
    }

    pub(super) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = columns(batch)?;
        let mut out = Vec::with_capacity(batch.num_rows() * 32);
        for row in 0..batch.num_rows() {
            out.push(b'{');
            for (i, (name, column)) in self.names.iter().zip(&columns).enumerate() {
                separate(i, &mut out);
                out.extend_from_slice(name);
                column.write(row, &mut out);
            }
            out.extend_from_slice(b"}\n");
        }
        Ok(out)
    }
}

/// SQL's words for the types that answers have; Arrow's for the rest.
fn type_name(data_type: &arrow::datatypes::DataType) -> String {
    use arrow::datatypes::{DataType, TimeUnit};
    match data_type {
        DataType::Utf8 => "text".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Binary | DataType::FixedSizeBinary(_) => "bytes".to_owned(),
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            format!("timestamp({digits}){}", if zone.is_some() { " with time zone" } else { "" })
        }
        DataType::List(item) => format!("{}[]", type_name(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map({}, {})", type_name(fields[0].data_type()), type_name(fields[1].data_type()))
            }
            _ => "map".to_owned(),
        },
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type())));
            format!("struct({})", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}
