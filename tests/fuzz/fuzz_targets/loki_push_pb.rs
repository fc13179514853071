//! Any bytes as a push in protobuf: rows or a refusal, and rows that add up.
#![no_main]

use std::sync::LazyLock;

use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use ingest::convert::loki::{LokiConfig, PushConverter, PushFormat};
use ingest::convert::{LogRules, Resources};
use ingest::receive::ReceiveConfig;
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);

fuzz_target!(|body: &[u8]| {
    let (env, _) = fixed::env(Timestamp::from_secs(1_760_000_000), 7);
    let resources = Resources::new(&ReceiveConfig::default(), LogRules::default());
    let converter = PushConverter::new(LokiConfig::default(), env, resources);
    if let Ok(pushed) = converter.convert(&TENANT, PushFormat::Protobuf, body) {
        let rows: usize =
            pushed.converted.rows.iter().filter(|(table, _)| *table == Table::Logs).map(|(_, b)| b.num_rows()).sum();
        assert_eq!(rows as u64, pushed.converted.accepted, "what is accepted is there");
        assert_eq!(pushed.converted.rejected > 0, pushed.converted.reason.is_some(), "a refusal has a reason");
    }
});
