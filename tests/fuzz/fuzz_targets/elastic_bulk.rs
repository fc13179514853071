//! Any bytes as a bulk request: a result per document, and a row for each that was created.
#![no_main]

use std::sync::LazyLock;

use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use ingest::convert::elastic::Outcome;
use ingest::convert::loki::{LokiConfig, PushConverter};
use ingest::convert::{LogRules, Resources};
use ingest::receive::ReceiveConfig;
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);

fuzz_target!(|body: &[u8]| {
    let (env, _) = fixed::env(Timestamp::from_secs(1_760_000_000), 7);
    let resources = Resources::new(&ReceiveConfig::default(), LogRules::default());
    let converter = PushConverter::new(LokiConfig::default(), env, resources);
    if let Ok(bulk) = converter.convert_bulk(&TENANT, Some("index"), body) {
        let rows: usize =
            bulk.pushed.converted.rows.iter().filter(|(table, _)| *table == Table::Logs).map(|(_, b)| b.num_rows()).sum();
        assert_eq!(rows as u64, bulk.pushed.converted.accepted, "what is accepted is there");
        let created = bulk.items.iter().filter(|item| item.outcome == Outcome::Created).count();
        assert_eq!(created, rows, "what is said to be created is there");
    }
});
