//! Any bytes as a Jaeger batch in Thrift: an OTLP request that converts, or a refusal, and rows that add up.
#![no_main]

use std::sync::{Arc, LazyLock};

use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use ingest::convert::{Convert, LogRules, Resources, SpansConverter};
use ingest::receive::ReceiveConfig;
use ingest::receive::jaeger::thrift;
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);

fuzz_target!(|body: &[u8]| {
    let (env, _) = fixed::env(Timestamp::from_secs(1_760_000_000), 7);
    let config = Arc::new(ReceiveConfig::default());
    let converter = SpansConverter::new(Arc::clone(&config), env, Resources::new(&config, LogRules::default()));
    for to_otlp in [thrift::to_otlp] {
        let Ok(request) = to_otlp(body, &config) else { continue };
        let converted = converter.convert(&TENANT, &request).expect("what is written is OTLP");
        let rows: usize = converted.rows.iter().filter(|(table, _)| *table == Table::Spans).map(|(_, b)| b.num_rows()).sum();
        assert_eq!(rows as u64, converted.accepted, "what is accepted is there");
        assert!(converted.rejected == 0 || converted.reason.is_some(), "a refusal has a reason");
    }
});
