//! `inspect`: what is stored, by tenant, table and level.

use std::collections::BTreeMap;

use catalog::{Level, Snapshot};
use serde::Serialize;

use crate::cli::{InspectArgs, ReportFormat};
use crate::failure::Failure;
use crate::{environment, opened};

/// Prints the tables of the newest snapshot. Reads the manifest only.
///
/// # Errors
/// The lake cannot be opened.
pub(crate) fn run(args: InspectArgs) -> Result<(), Failure> {
    let config = opened::configure(&args.config)?;
    config.validate().map_err(Failure::usage)?;
    super::block_on(async {
        opened::must_exist(&config)?;
        let opened = opened::open(&config, environment::system()).await?;
        let report = Report::of(&opened.catalog.snapshot(), &args);
        match args.format {
            ReportFormat::Json => println!("{}", serde_json::to_string(&report).map_err(Failure::failed)?),
            ReportFormat::Text => report.print(),
        }
        Ok(())
    })
}

#[derive(Debug, Serialize)]
struct Report {
    snapshot: u64,
    files: u64,
    bytes: u64,
    tables: Vec<TableRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_list: Vec<FileRow>,
}

#[derive(Debug, Serialize)]
struct TableRow {
    tenant: String,
    table: String,
    level: String,
    files: u64,
    rows: u64,
    bytes: u64,
    days: usize,
}

#[derive(Debug, Serialize)]
struct FileRow {
    path: String,
    rows: u64,
    bytes: u64,
    start_ns: i64,
    end_ns: i64,
}

impl Report {
    fn of(snapshot: &Snapshot, args: &InspectArgs) -> Self {
        let mut tables: BTreeMap<(String, String, Level), (TableRow, Vec<i32>)> = BTreeMap::new();
        let mut file_list = Vec::new();
        for (tenant, table, day, leaf) in snapshot.leaves() {
            if args.tenant.as_deref().is_some_and(|only| only != tenant.as_str()) {
                continue;
            }
            for file in leaf.files() {
                let key = (tenant.to_string(), table.to_string(), file.level);
                let (row, days) = tables.entry(key.clone()).or_insert_with(|| {
                    let (tenant, table, level) = key;
                    (TableRow { tenant, table, level: format!("{level:?}"), files: 0, rows: 0, bytes: 0, days: 0 }, Vec::new())
                });
                row.files += 1;
                row.rows += file.rows;
                row.bytes += file.bytes;
                days.push(day);
                if args.files {
                    file_list.push(FileRow {
                        path: file.path().to_string(),
                        rows: file.rows,
                        bytes: file.bytes,
                        start_ns: file.time.start.as_nanos(),
                        end_ns: file.time.end.as_nanos(),
                    });
                }
            }
        }
        let tables = tables.into_values().map(|(mut row, mut days)| {
            days.sort_unstable();
            days.dedup();
            row.days = days.len();
            row
        });
        Self {
            snapshot: snapshot.id(),
            files: snapshot.file_count(),
            bytes: snapshot.bytes(),
            tables: tables.collect(),
            file_list,
        }
    }

    fn print(&self) {
        println!("snapshot {}: {} files, {}", self.snapshot, self.files, super::human_bytes(self.bytes));
        println!(
            "{:<20} {:<12} {:<6} {:>6} {:>8} {:>14} {:>12} {:>10}",
            "tenant", "table", "level", "days", "files", "rows", "bytes", "bytes/row"
        );
        for row in &self.tables {
            println!(
                "{:<20} {:<12} {:<6} {:>6} {:>8} {:>14} {:>12} {:>10.2}",
                row.tenant,
                row.table,
                row.level,
                row.days,
                row.files,
                row.rows,
                super::human_bytes(row.bytes),
                row.bytes as f64 / row.rows.max(1) as f64
            );
        }
        for file in &self.file_list {
            println!("{} {} rows {}", file.path, file.rows, super::human_bytes(file.bytes));
        }
    }
}
