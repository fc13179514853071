//! Retention: lets files die once all their rows are older than their tenant wants to keep them.
//!
//! Only whole files die, so a row lives up to a day longer than asked (files of level 2 hold a day). The objects go later, by
//! [`crate::gc`]. Dictionary tables are kept as long as the facts that point into them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::manifest::Operation;
use catalog::{Signal, Snapshot, Table, TenantId, Timestamp};

use crate::error::{Error, Result};
use crate::lake::Lake;

/// How long one tenant's rows are kept, by the time of the event. `None` is forever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Samples, histograms, exemplars and their series.
    #[serde(with = "humantime_serde")]
    pub metrics: Option<Duration>,
    /// Log records and their streams.
    #[serde(with = "humantime_serde")]
    pub logs: Option<Duration>,
    /// Spans.
    #[serde(with = "humantime_serde")]
    pub traces: Option<Duration>,
    /// The query log.
    #[serde(with = "humantime_serde")]
    pub usage: Option<Duration>,
}

/// How long rows are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// For tenants that are not named.
    pub default: Keep,
    /// For each named tenant, instead of the default.
    pub tenants: BTreeMap<TenantId, Keep>,
}

/// Shorter retention would drop what has not arrived yet.
const KEEP_MIN: Duration = Duration::from_secs(3600);

impl Default for Keep {
    /// Everything that was sent, and a month of what the node notes itself: nobody asked for that.
    fn default() -> Self {
        Self { metrics: None, logs: None, traces: None, usage: Some(Duration::from_secs(30 * 86_400)) }
    }
}

impl Keep {
    fn of(&self, table: Table) -> Option<Duration> {
        match (table, table.signal()) {
            // Logs and spans both point here. The longer one counts, and forever is longest.
            (Table::Resources, _) => Some(self.logs?.max(self.traces?)),
            (_, Some(Signal::Metrics)) => self.metrics,
            (_, Some(Signal::Logs)) => self.logs,
            (_, Some(Signal::Traces)) => self.traces,
            // What somebody put there stays until somebody drops it.
            (Table::User, _) => None,
            (_, None) => self.usage,
        }
    }
}

impl RetentionConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Config`] names key, value and bound.
    pub fn validate(&self) -> Result<()> {
        for keep in self.tenants.values().chain([&self.default]) {
            for (key, value) in [
                ("retention.metrics", keep.metrics),
                ("retention.logs", keep.logs),
                ("retention.traces", keep.traces),
                ("retention.usage", keep.usage),
            ] {
                if let Some(value) = value.filter(|value| *value < KEEP_MIN) {
                    return Err(Error::Config { key, value: format!("{value:?}"), reason: "must be at least 1h" });
                }
            }
        }
        Ok(())
    }

    /// The first instant that is kept of `table`, or `None` when everything is.
    pub fn cutoff(&self, tenant: &TenantId, table: Table, now: Timestamp) -> Option<Timestamp> {
        let keep = self.tenants.get(tenant).unwrap_or(&self.default).of(table)?;
        Some(now.saturating_sub(keep))
    }
}

/// What is to be dropped at `now`: one operation for each tenant and table that has such files. Pure.
pub fn due(snapshot: &Snapshot, now: Timestamp, config: &RetentionConfig) -> Vec<Operation> {
    let mut drops: BTreeMap<(TenantId, Table), Timestamp> = BTreeMap::new();
    for (tenant, table, _, leaf) in snapshot.leaves() {
        let Some(before) = config.cutoff(tenant, table, now) else { continue };
        // A dictionary row serves its whole day, wherever in the day it was first needed.
        let end = |file: &catalog::FileEntry| if table.is_dictionary() { file.partition.range().end } else { file.time.end };
        if leaf.time().start < before && leaf.files().any(|file| end(file) < before) {
            drops.insert((tenant.clone(), table), before);
        }
    }
    drops.into_iter().map(|((tenant, table), before)| Operation::RetentionDrop { tenant, table, before }).collect()
}

/// Drops what is due. Returns the number of tables from which files were dropped.
///
/// # Errors
/// What the manifest says; nothing was dropped then, or the commit is in doubt and the next pass finds out.
pub async fn run_once(lake: &Arc<Lake>, config: &RetentionConfig) -> Result<usize> {
    lake.catalog().refresh().await?;
    let before = lake.catalog().snapshot();
    let operations = due(&before, lake.env().now(), config);
    let tables = operations.len();
    if tables > 0 {
        lake.catalog().commit(operations).await?;
        let files = before.file_count().saturating_sub(lake.catalog().snapshot().file_count());
        tracing::info!(tables, files, "dropped files beyond retention");
        metrics::counter!("telelake_retention_drops_total").increment(tables as u64);
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_follow_their_facts() {
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        #[track_caller]
        fn check(keep: Keep, table: Table, expected: Option<Duration>) {
            let config = RetentionConfig { default: keep, tenants: BTreeMap::new() };
            let now = Timestamp::from_secs(1_000_000_000);
            let cutoff = config.cutoff(&TenantId::anonymous(), table, now);
            assert_eq!(cutoff, expected.map(|keep| now.saturating_sub(keep)), "{table}");
        }
        let keep = Keep { metrics: days(30), logs: days(7), traces: days(3), usage: days(1) };
        check(keep, Table::QueryLog, days(1));
        check(keep, Table::Series, days(30));
        check(keep, Table::Metadata, days(30));
        check(keep, Table::Streams, days(7));
        check(keep, Table::Spans, days(3));
        check(keep, Table::Resources, days(7)); // the longer of logs and traces
        check(Keep { logs: None, ..keep }, Table::Resources, None);
        check(Keep::default(), Table::Samples, None);
    }

    #[test]
    fn a_named_tenant_has_its_own() {
        let tenant = TenantId::parse("a").expect("valid");
        let short = Keep { logs: Some(Duration::from_secs(7200)), ..Keep::default() };
        let config = RetentionConfig { default: Keep::default(), tenants: BTreeMap::from([(tenant.clone(), short)]) };
        assert!(config.cutoff(&tenant, Table::Logs, Timestamp::MAX).is_some());
        assert!(config.cutoff(&TenantId::anonymous(), Table::Logs, Timestamp::MAX).is_none());
        config.validate().expect("two hours are enough");
        let none = Keep { logs: Some(Duration::ZERO), ..Keep::default() };
        RetentionConfig { default: none, tenants: BTreeMap::new() }.validate().expect_err("too short");
    }
}
