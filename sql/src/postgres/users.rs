//! What users of the tenant made, as the catalog tells of it: rows beside those that are the same for every session.
//!
//! ```text
//! schema `user` of this statement ─► names and columns ─► the library's own rows ─► oids that depend on the name alone ─► pg_class, ...
//! ```
//! # Invariants
//! - What is listed is what this statement could read: same tenant, same snapshot.
//! - An oid depends on nothing but the table's name, so that another table that comes or goes leaves it as it is. (Of two names with one number,
//!   which takes a billion of them, the second in the alphabet has the next.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;
use datafusion::catalog::SchemaProvider;
use datafusion::common::{Result, internal_err};
use datafusion::datasource::TableType;
use futures::{StreamExt, TryStreamExt, stream};

use super::catalog::{Database, Listed, Names, columns};

/// Tables of `pg_catalog` with rows about tables.
pub(super) const TABLES: [&str; 3] = ["pg_class", "pg_attribute", "pg_tables"];
/// Their columns that have the oid of a table, and the one that has its schema's.
const OIDS: [&str; 3] = ["oid", "relfilenode", "attrelid"];
const NAMESPACE: &str = "relnamespace";

/// The first oid of a user's table: far beyond those that are counted.
const FIRST: u32 = 1 << 30;
/// How many files are looked into at once.
const READS: usize = 16;

/// The tables of `users` with their columns, in the order of their names.
///
/// # Errors
/// A file of one of them cannot be read.
pub(super) async fn listed(users: &dyn SchemaProvider) -> Result<Vec<Listed>> {
    let mut names = users.table_names();
    names.sort_unstable();
    let listed = stream::iter(names).map(|name| async move {
        let Some(table) = users.table(&name).await? else { return Ok(None) };
        let schema = query::namespace::USER.to_owned();
        Ok(Some(Listed { schema, name, columns: columns(&table.schema()), kind: TableType::Base }))
    });
    listed.buffered(READS).try_filter_map(|listed| async move { Ok(listed) }).try_collect().await
}

/// The rows of `table`, one of [`TABLES`], about `listed`, tables of the schema whose oid is `namespace`.
///
/// # Errors
/// The library has no such table.
pub(super) async fn rows(names: &Names, listed: Vec<Listed>, table: &str, namespace: i32) -> Result<RecordBatch> {
    let oids = oids(listed.iter().map(|table| table.name.as_str()));
    let database = Database::new("", Arc::new(names.with_tables(listed)));
    let (classes, rows) = database.classes_and(table).await?;
    // The library counts its own way; which table a number means, it says itself.
    let (counted, called) = (number(&classes, "oid")?, classes.column_by_name("relname").map(|c| c.as_string::<i32>()));
    let called = called.into_iter().flatten().map(Option::unwrap_or_default);
    let renumbered: BTreeMap<i32, i32> =
        counted.iter().flatten().zip(called).filter_map(|(oid, name)| Some((oid, *oids.get(name)?))).collect();
    let schema = rows.schema();
    let column = |(field, column): (&Arc<arrow::datatypes::Field>, &ArrayRef)| -> ArrayRef {
        match field.name().as_str() {
            NAMESPACE => Arc::new(Int32Array::from_value(namespace, column.len())),
            name if OIDS.contains(&name) => {
                let known = |oid: i32| renumbered.get(&oid).copied().unwrap_or(oid);
                Arc::new(column.as_primitive::<Int32Type>().unary::<_, Int32Type>(known))
            }
            _ => Arc::clone(column),
        }
    };
    let columns = schema.fields().iter().zip(rows.columns()).map(column).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn number<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a Int32Array> {
    match rows.column_by_name(name) {
        Some(column) => Ok(column.as_primitive::<Int32Type>()),
        None => internal_err!("there is no column {name}"),
    }
}

/// An oid for every name; names come in order.
fn oids<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, i32> {
    let mut taken = BTreeSet::new();
    let oid = |name: &'a str| {
        // FNV-1a, 32 bits.
        let hash = name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let mut oid = FIRST | (hash & (FIRST - 1));
        while !taken.insert(oid) {
            oid = FIRST | (oid.wrapping_add(1) & (FIRST - 1));
        }
        (name.to_owned(), i32::try_from(oid).unwrap_or(i32::MAX))
    };
    names.map(oid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_depends_on_the_name_alone() {
        let all = oids(["a", "b", "owners"].into_iter());
        let less = oids(["owners"].into_iter());
        assert_eq!(all["owners"], less["owners"]);
        assert!(all.values().all(|oid| *oid >= 1 << 30));
        assert_eq!(all.values().collect::<BTreeSet<_>>().len(), 3);
    }
}
