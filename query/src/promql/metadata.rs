//! Type, help and unit of metrics, as senders say them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMillisecondType};
use catalog::{FileEntry, FileId, Table, TenantId, TimeRange};
use futures::TryStreamExt;
use lake::ScanSpec;
use moka::future::Cache;

use super::answer::Metadata;
use super::error::Result;
use super::request::MetadataRequest;
use crate::view::View;

/// Bytes of decoded metadata kept between requests. A metric costs some 200 bytes.
const CACHE_BYTES: u64 = 16 << 20;
const COLUMNS: [&str; 5] = ["metric", "ts", "type", "unit", "help"];

/// One row: metric, time, what is said.
type Row = (String, i64, Metadata);

/// Decoded metadata files.
#[derive(Debug)]
pub(crate) struct MetadataCache(Cache<(TenantId, FileId), Arc<Vec<Row>>>);

impl MetadataCache {
    pub(crate) fn new() -> Self {
        let bytes = |row: &Row| row.0.len() + row.2.help.len() + row.2.kind.len() + row.2.unit.len() + 120;
        let weigh = move |_: &(TenantId, FileId), rows: &Arc<Vec<Row>>| {
            u32::try_from(rows.iter().map(bytes).sum::<usize>()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().name("promql_metadata").max_capacity(CACHE_BYTES).weigher(weigh).build())
    }

    async fn rows(&self, view: &View, file: Arc<FileEntry>) -> Result<Arc<Vec<Row>>> {
        let key = (view.tenant().clone(), file.id);
        if let Some(rows) = self.0.get(&key).await {
            return Ok(rows);
        }
        let batches: Vec<RecordBatch> = view.lake().scan(file, ScanSpec::all(COLUMNS))?.try_collect().await?;
        let mut rows = Vec::new();
        for batch in &batches {
            decode(batch, &mut rows)?;
        }
        let rows = Arc::new(rows);
        self.0.insert(key, Arc::clone(&rows)).await;
        Ok(rows)
    }

    /// What is said of each metric, newest first; equal words are there once.
    pub(crate) async fn list(&self, view: &View, request: &MetadataRequest) -> Result<BTreeMap<String, Vec<Metadata>>> {
        let files = view.files(Table::Metadata, TimeRange::ALL);
        view.open(&files)?;
        let mut newest: BTreeMap<String, BTreeMap<Metadata, i64>> = BTreeMap::new();
        let mut add = |rows: &[Row]| {
            for (metric, at, said) in rows {
                if request.metric.as_ref().is_some_and(|wanted| wanted != metric) {
                    continue;
                }
                if !newest.contains_key(metric) {
                    newest.insert(metric.clone(), BTreeMap::new());
                }
                let Some(entries) = newest.get_mut(metric) else { continue };
                match entries.get_mut(said) {
                    Some(last) => *last = (*last).max(*at),
                    None => drop(entries.insert(said.clone(), *at)),
                }
            }
        };
        for file in files {
            add(&self.rows(view, file).await?);
        }
        let mut fresh = Vec::new();
        for batch in view.fresh(Table::Metadata) {
            decode(&batch, &mut fresh)?;
        }
        add(&fresh);
        let limit = |limit: usize| if limit == 0 { usize::MAX } else { limit };
        let ordered = |entries: BTreeMap<Metadata, i64>| {
            let mut entries: Vec<(Metadata, i64)> = entries.into_iter().collect();
            entries.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            entries.into_iter().map(|(said, _)| said).take(limit(request.limit_per_metric)).collect()
        };
        let metrics = newest.into_iter().take(limit(request.limit));
        Ok(metrics.map(|(metric, entries)| (metric, ordered(entries))).collect())
    }
}

fn decode(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<()> {
    let wrong = || crate::Error::Internal { message: "metadata rows have another shape".to_owned() };
    let text = |name: &str| -> Result<_> {
        let column = batch.column_by_name(name).ok_or_else(wrong)?;
        Ok(cast(column, &DataType::Utf8).map_err(|_| wrong())?.as_string::<i32>().clone())
    };
    let (metric, kind, unit, help) = (text("metric")?, text("type")?, text("unit")?, text("help")?);
    let times = batch.column_by_name("ts").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>()).ok_or_else(wrong)?;
    rows.extend((0..batch.num_rows()).map(|row| {
        let said =
            Metadata { kind: kind.value(row).to_owned(), help: help.value(row).to_owned(), unit: unit.value(row).to_owned() };
        (metric.value(row).to_owned(), times.value(row), said)
    }));
    debug_assert_eq!(times.null_count(), 0, "times are required");
    Ok(())
}
