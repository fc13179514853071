//! Tables that users make: ingested as a whole, read like any other, dropped by name.
//!
//! ```text
//! rows of one stream ─[Ingesting]─► stored types ─► files on the store ─ commit ─► visible, or refused and nothing is
//!                                     limits: rows, bytes           └ the table is as it was judged, else judge again
//! ```
//! They do not go through the write-ahead log: that is for rows of known columns in small requests, and a million rows of a stranger's columns are
//! a file at once. The files are synced before the commit, and the commit before the answer.
//!
//! # Invariants
//! - An ingestion is one commit: all of it is seen or nothing, whatever dies when. Files without a commit are orphans, which gc deletes.
//! - All files of a table have the same columns.
//! - Only tables of the schema `user` can be changed here, and only those of the tenant who asks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use catalog::manifest::{Operation, Snapshot, TableChange};
use catalog::{ErrorKind, FileEntry, TenantId, UserTableName};
use lake::{Lake, UserWriter};
use query::Engine;
use query::admission::Turn;

use crate::engine::SqlEngine;
use crate::error::{Error, Result};

/// Files of one table. Nothing merges them, and each is opened by every query of the table; who appends all day long wants a receiver.
const FILES_MAX: usize = 1_000;
/// How often a change is judged anew because somebody else was faster.
const TRIES_MAX: usize = 16;

/// The types that a column can have.
const TYPES: &str = "Boolean, Int8 to Int64, UInt8 to UInt32, Float32, Float64, Utf8, LargeUtf8, Binary, LargeBinary, Decimal128, Date32, Date64, \
                     Time32, Time64 and Timestamp";

/// What is to be done when there is such a table, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ingest {
    /// Makes a new one; it is an error if there is one.
    Create,
    /// Adds to it; it is an error if there is none.
    Append,
    /// Puts the rows in the place of those that are there.
    Replace,
    /// Adds to it, or makes it.
    CreateAppend,
}

/// `DROP TABLE [IF EXISTS] user.name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropTable {
    /// The name in the schema `user`, as it was written.
    pub name: String,
    /// It is no error if there is none.
    pub if_exists: bool,
}

/// An ingestion at work. Dropped before its commit, nothing has happened.
#[derive(Debug)]
pub(crate) struct Ingesting {
    engine: Arc<SqlEngine>,
    tenant: TenantId,
    name: UserTableName,
    mode: Ingest,
    schema: SchemaRef,
    writer: UserWriter,
    rows: u64,
    bytes: u64,
    _turn: Turn,
}

impl SqlEngine {
    /// Begins to ingest rows with the columns of `schema`.
    ///
    /// # Errors
    /// A name or a column that cannot be, a table that is there or is not, too many at once: all that can be known before the rows are.
    pub(crate) async fn ingest(
        self: &Arc<Self>,
        tenant: &TenantId,
        name: &str,
        mode: Ingest,
        schema: &Schema,
    ) -> Result<Ingesting> {
        let name = UserTableName::parse(name).map_err(|e| wrong(e.to_string()))?;
        let schema = stored_schema(schema)?;
        let turn = self.ingests.turn(tenant, self.config.queue_wait).await?;
        let lake = self.engine().lake();
        judge(lake, &lake.catalog().snapshot(), tenant, &name, mode, &schema, self.config.user_tables_max).await?;
        let writer = lake.user_writer(tenant, &name, Arc::clone(&schema)).map_err(query::Error::from)?;
        let engine = Arc::clone(self);
        Ok(Ingesting { engine, tenant: tenant.clone(), name, mode, schema, writer, rows: 0, bytes: 0, _turn: turn })
    }
}

/// Drops a table that a user made. What was asked before reads on.
///
/// # Errors
/// `NoTable`; the manifest's.
pub(crate) async fn drop_table(engine: &Engine, tenant: &TenantId, dropping: &DropTable) -> Result<()> {
    let missing = || match dropping.if_exists {
        true => Ok(()),
        false => Err(Error::NoTable { name: dropping.name.clone() }),
    };
    let Ok(name) = UserTableName::parse(&dropping.name) else { return missing() };
    let catalog = engine.lake().catalog();
    let mut tries = 0;
    loop {
        let Some(first) = catalog.snapshot().user_table(tenant, &name).first().map(|file| file.id) else { return missing() };
        let (change, files) = (TableChange::Replace, Vec::new());
        let operation =
            Operation::ChangeUserTable { tenant: tenant.clone(), name: name.clone(), first: Some(first), change, files };
        match catalog.commit(vec![operation]).await {
            Ok(_) => return Ok(()),
            Err(error) => again(error, &mut tries)?,
        }
        catalog.refresh().await.map_err(query::Error::from)?;
    }
}

impl Ingesting {
    /// The columns that rows must have: those of [`stored_rows`].
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds rows with these columns.
    ///
    /// # Errors
    /// A limit; the store's.
    pub(crate) async fn push(&mut self, rows: RecordBatch) -> Result<()> {
        let config = &self.engine.config;
        let size = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0) as u64;
        self.rows += rows.num_rows() as u64;
        self.bytes += rows.columns().iter().map(size).sum::<u64>();
        if self.rows > config.ingest_rows_max {
            return Err(Error::Ingest { what: "rows", name: "sql.ingest_rows_max", limit: config.ingest_rows_max });
        }
        if self.bytes > config.ingest_bytes_max {
            return Err(Error::Ingest { what: "bytes", name: "sql.ingest_bytes_max", limit: config.ingest_bytes_max });
        }
        Ok(self.writer.push(&rows).await.map_err(query::Error::from)?)
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Makes all of it visible and tells how many rows there were.
    ///
    /// # Errors
    /// The table is not any more, or not yet, as [`Ingest`] wants it; the store's; the manifest's.
    pub(crate) async fn commit(self) -> Result<u64> {
        let Self { engine, tenant, name, mode, schema, writer, rows, .. } = self;
        let lake = engine.engine().lake();
        let files = writer.finish().await.map_err(query::Error::from)?;
        let mut tries = 0;
        loop {
            let snapshot = lake.catalog().snapshot();
            let tables_max = engine.config.user_tables_max;
            let (live, change) = judge(lake, &snapshot, &tenant, &name, mode, &schema, tables_max).await?;
            if change == TableChange::Append && live.len() + files.len() > FILES_MAX {
                let reason =
                    format!("user.{name} has {} files, one for each ingestion; limit is {FILES_MAX}: replace it", live.len());
                return Err(Error::TableFull { reason });
            }
            let first = live.first().map(|file| file.id);
            let (owner, table) = (tenant.clone(), name.clone());
            let operation = Operation::ChangeUserTable { tenant: owner, name: table, first, change, files: files.clone() };
            match lake.catalog().commit(vec![operation]).await {
                Ok(_) => return Ok(rows),
                Err(error) => again(error, &mut tries)?,
            }
            lake.catalog().refresh().await.map_err(query::Error::from)?;
        }
    }
}

/// Whether an ingestion may change the table as `snapshot` has it: its files, and what becomes of them.
///
/// # Errors
/// It may not; the store's.
async fn judge(
    lake: &Lake,
    snapshot: &Snapshot,
    tenant: &TenantId,
    name: &UserTableName,
    mode: Ingest,
    schema: &SchemaRef,
    tables_max: usize,
) -> Result<(Vec<Arc<FileEntry>>, TableChange)> {
    let live = snapshot.user_table(tenant, name);
    let Some(oldest) = live.first() else {
        if mode == Ingest::Append {
            return Err(Error::NoTable { name: name.to_string() });
        }
        let tables = snapshot.user_tables(tenant).len();
        if tables >= tables_max {
            let reason =
                format!("there are {tables} tables in the schema user, limit sql.user_tables_max is {tables_max}; drop one");
            return Err(Error::TableFull { reason });
        }
        return Ok((live, TableChange::Append));
    };
    match mode {
        Ingest::Create => Err(Error::TableExists { name: name.to_string() }),
        Ingest::Replace => Ok((live, TableChange::Replace)),
        Ingest::Append | Ingest::CreateAppend => {
            let known = lake.user_schema(oldest).await.map_err(query::Error::from)?;
            if known.fields() != schema.fields() {
                return Err(wrong(format!("user.{name} has the columns {}, the rows have {}", told(&known), told(schema))));
            }
            Ok((live, TableChange::Append))
        }
    }
}

/// Nothing if it is worth another try.
fn again(error: catalog::Error, tries: &mut usize) -> Result<()> {
    *tries += 1;
    match error.kind() {
        ErrorKind::Conflict if *tries < TRIES_MAX => Ok(()),
        _ => Err(query::Error::from(error).into()),
    }
}

/// The columns as they are stored: signed, in one kind of text and bytes, and all of them may be null.
fn stored_schema(schema: &Schema) -> Result<SchemaRef> {
    if schema.fields().is_empty() {
        return Err(wrong("the rows have no columns".to_owned()));
    }
    let mut names = std::collections::HashSet::new();
    let stored = |field: &Arc<Field>| {
        let name = field.name();
        if name.is_empty() || !names.insert(name.clone()) {
            return Err(wrong(format!("there is more than one column {name:?}, or it has no name")));
        }
        let stored = stored_type(field.data_type());
        let misfit = || wrong(format!("column {name:?} has the type {}; a table can have {TYPES}", field.data_type()));
        Ok(Field::new(name, stored.ok_or_else(misfit)?, true))
    };
    Ok(Arc::new(Schema::new(schema.fields().iter().map(stored).collect::<Result<Vec<_>>>()?)))
}

/// The type in which values of `data_type` are stored; `None`: they are not.
fn stored_type(data_type: &DataType) -> Option<DataType> {
    use DataType::{
        Binary, Boolean, Date32, Date64, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeUtf8, Time32,
        Time64, Timestamp, UInt8, UInt16, UInt32, Utf8,
    };
    match data_type {
        Boolean | Int8 | Int16 | Int32 | Int64 | Float32 | Float64 | Utf8 | Binary | Decimal128(..) | Date32 | Time32(_)
        | Time64(_) => Some(data_type.clone()),
        // Parquet counts no whole seconds.
        Timestamp(TimeUnit::Second, zone) => Some(Timestamp(TimeUnit::Millisecond, zone.clone())),
        Timestamp(..) => Some(data_type.clone()),
        // What others read from the files is signed.
        UInt8 => Some(Int16),
        UInt16 => Some(Int32),
        UInt32 => Some(Int64),
        LargeUtf8 => Some(Utf8),
        LargeBinary => Some(Binary),
        Date64 => Some(Date32),
        _ => None,
    }
}

/// Rows in the types in which they are stored.
///
/// # Errors
/// A value that does not fit.
pub(crate) fn stored_rows(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let columns =
        rows.columns().iter().zip(schema.fields()).map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast_with_options(column, field.data_type(), &exact),
        });
    let stored = columns.collect::<Result<Vec<_>, _>>().and_then(|columns| RecordBatch::try_new(Arc::clone(schema), columns));
    stored.map_err(|e| wrong(e.to_string()))
}

/// Columns in a message.
fn told(schema: &Schema) -> String {
    const TOLD_MAX: usize = 20;
    let fields = schema.fields().iter().take(TOLD_MAX).map(|field| format!("{} {}", field.name(), field.data_type()));
    let more = if schema.fields().len() > TOLD_MAX { ", .." } else { "" };
    format!("({}{more})", fields.collect::<Vec<_>>().join(", "))
}

fn wrong(reason: String) -> Error {
    Error::Parameter { name: "ingestion", reason }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, UInt8Array};
    use arrow::datatypes::Int16Type;

    use super::*;

    #[test]
    fn types_are_stored_or_named() {
        let of = |fields: Vec<Field>| stored_schema(&Schema::new(fields)).map_err(|e| e.to_string());
        let field = |name: &str, data_type| Field::new(name, data_type, false);
        let schema = of(vec![field("a", DataType::UInt8), field("b", DataType::LargeUtf8)]).unwrap();
        assert_eq!(told(&schema), "(a Int16, b Utf8)");
        assert!(schema.fields().iter().all(|f| f.is_nullable()));
        for (refused, expected) in [
            (vec![], "no columns"),
            (vec![field("a", DataType::UInt64)], "column \"a\" has the type UInt64"),
            (vec![field("a", DataType::Null)], "has the type Null"),
            (vec![field("a", DataType::Utf8), field("a", DataType::Utf8)], "more than one column \"a\""),
            (vec![field("", DataType::Utf8)], "no name"),
        ] {
            let error = of(refused).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rows_are_cast_exactly() {
        let rows = RecordBatch::try_from_iter([("a", Arc::new(UInt8Array::from(vec![0, 255])) as ArrayRef)]).unwrap();
        let stored = stored_rows(&rows, &stored_schema(rows.schema_ref()).unwrap()).unwrap();
        assert_eq!(stored.column(0).as_primitive::<Int16Type>().values(), &[0, 255]);
    }
}
