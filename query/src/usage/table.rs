//! Rows of the log as columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringDictionaryBuilder, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use catalog::{Table, schema};

use super::caller::Caller;
use super::row::{Cache, Outcome, Row};

/// `rows` in the schema of [`Table::QueryLog`].
///
/// # Errors
/// Texts of more than 2 GiB together.
pub fn batch(rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let nanos = |duration: std::time::Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let caller = |field: fn(&Caller) -> &Option<Box<str>>| dictionary(rows, |row| field(&row.origin.caller).as_deref());
    let text = |value: fn(&Row) -> Option<&str>| -> ArrayRef { Arc::new(rows.iter().map(value).collect::<StringArray>()) };
    let columns: Vec<ArrayRef> = vec![
        dictionary(rows, |row| Some(row.language.name()))?,
        times(rows, |row| Some(row.at.as_nanos())),
        Arc::new(StringArray::from_iter_values(&ids)),
        dictionary(rows, |row| Some(row.tenant.as_str()))?,
        dictionary(rows, |row| Some(row.origin.api))?,
        dictionary(rows, |row| Some(row.origin.endpoint))?,
        text(|row| Some(&row.text)),
        numbers(rows, |row| Some(count(row.text_bytes))),
        times(rows, |row| row.start_ns),
        times(rows, |row| row.end_ns),
        numbers(rows, |row| row.step_ns),
        dictionary(rows, |row| Some(row.outcome.unwrap_or(Outcome::Cancelled).name()))?,
        text(|row| row.error.as_deref()),
        numbers(rows, |row| Some(nanos(row.duration))),
        numbers(rows, |row| row.rows.map(count)),
        numbers(rows, |row| row.result_bytes.map(count)),
        numbers(rows, |row| Some(count(row.files))),
        numbers(rows, |row| Some(count(row.bytes))),
        dictionary(rows, |row| row.cache.map(Cache::name))?,
        caller(|caller| &caller.user)?,
        caller(|caller| &caller.user_agent)?,
        caller(|caller| &caller.dashboard_uid)?,
        caller(|caller| &caller.panel_id)?,
        caller(|caller| &caller.panel_plugin_id)?,
        caller(|caller| &caller.grafana_org_id)?,
        caller(|caller| &caller.datasource_uid)?,
        text(|row| row.origin.caller.query_group_id.as_deref()),
        caller(|caller| &caller.query_tags)?,
    ];
    RecordBatch::try_new(schema::rows(Table::QueryLog), columns)
}

fn dictionary<'r>(rows: &'r [Row], value: impl Fn(&'r Row) -> Option<&'r str>) -> Result<ArrayRef, ArrowError> {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    for row in rows {
        match value(row) {
            Some(text) => drop(builder.append(text)?),
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn times(rows: &[Row], value: impl Fn(&Row) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<TimestampNanosecondArray>().with_timezone("UTC"))
}

fn numbers(rows: &[Row], value: impl Fn(&Row) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<Int64Array>())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use catalog::{TenantId, Timestamp};
    use uuid::Uuid;

    use super::super::caller::Origin;
    use super::super::row::Language;
    use super::*;

    #[test]
    fn rows_fit_the_schema() {
        let origin = Origin { api: "prometheus", endpoint: "query", caller: Caller::of_session("me", None) };
        let mut row = Row::new(Uuid::from_u128(7), TenantId::anonymous(), Timestamp::from_secs(1), Language::Promql, origin);
        row.set_text("up");
        let bare = Row { origin: Origin::default(), cache: Some(Cache::Partial), ..row.clone() };
        let batch = batch(&[row, bare]).expect("in the schema");
        assert_eq!(batch.num_rows(), 2);
        let column = |name: &str| Arc::clone(batch.column_by_name(name).expect("there is one"));
        assert_eq!((column("user").null_count(), column("cache").null_count(), column("error").null_count()), (1, 1, 2));
        assert_eq!(column("text").as_string::<i32>().value(0), "up");
        assert_eq!(column("query_id").as_string::<i32>().value(1), Uuid::from_u128(7).to_string());
    }
}
