//! Any bytes as an OTLP metrics request: rows or a refusal, and rows that add up.
#![no_main]

use std::sync::LazyLock;

use catalog::env::fixed;
use catalog::{TenantId, Timestamp};
use ingest::convert::metrics::{MetricsConverter, OtlpMetricsConfig};
use ingest::registry::{RegistryConfig, SeriesRegistry};
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);

fuzz_target!(|body: &[u8]| {
    let (env, _) = fixed::env(Timestamp::from_secs(1_760_000_000), 7);
    let converter = MetricsConverter::new(OtlpMetricsConfig::default(), SeriesRegistry::new(RegistryConfig::default()), env);
    if let Ok(mut converted) = converter.convert(&TENANT, body) {
        assert!(converted.rows.iter().all(|(_, batch)| batch.num_rows() > 0), "no batch is empty");
        assert!(converted.rejected == 0 || converted.reason.is_some(), "a refusal has a reason");
        converted.confirm();
        // The same bytes again, now that everything in them is known.
        converter.convert(&TENANT, body).expect("it converted before");
    }
});
