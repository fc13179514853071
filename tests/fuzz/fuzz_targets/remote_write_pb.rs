//! Any bytes as a remote write request of either version: rows or a refusal, and counts that add up.
#![no_main]

use std::sync::LazyLock;

use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use ingest::convert::prometheus::{HaConfig, Message, RemoteWriteConfig, RemoteWriteConverter};
use ingest::registry::{RegistryConfig, SeriesRegistry};
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);

fuzz_target!(|body: &[u8]| {
    for message in [Message::V1, Message::V2] {
        for enabled in [false, true] {
            let (env, _) = fixed::env(Timestamp::from_secs(1_760_000_000), 7);
            let config = RemoteWriteConfig { ha: HaConfig { enabled, ..HaConfig::default() }, ..RemoteWriteConfig::default() };
            let converter = RemoteWriteConverter::new(config, SeriesRegistry::new(RegistryConfig::default()), env);
            let Ok(mut taken) = converter.convert(&TENANT, message, body) else { continue };
            let rows = |table| taken.converted.rows.iter().filter(|(of, _)| *of == table).map(|(_, b)| b.num_rows() as u64).sum();
            let stored: [u64; 3] = [Table::Samples, Table::Histograms, Table::Exemplars].map(rows);
            assert_eq!(stored, [taken.written.samples, taken.written.histograms, taken.written.exemplars]);
            taken.converted.confirm();
            // The same bytes again, now that everything in them is known.
            converter.convert(&TENANT, message, body).expect("it converted before");
        }
    }
});
