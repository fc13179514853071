//! Any bytes as an OTLP traces request: rows or a refusal, rows that add up, and rows that can be counted.
#![no_main]

use std::sync::{Arc, LazyLock};

use catalog::env::fixed;
use catalog::{Table, TenantId, Timestamp};
use ingest::convert::{Convert, LogRules, Resources, SpansConverter};
use ingest::Generator;
use ingest::generator::GeneratorConfig;
use ingest::generator::config::{AttributeMatch, FilterPolicy, MatchType, MatchValue, PolicyMatch};
use ingest::receive::ReceiveConfig;
use ingest::registry::{RegistryConfig, SeriesRegistry};
use libfuzzer_sys::fuzz_target;

static TENANT: LazyLock<TenantId> = LazyLock::new(TenantId::anonymous);
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);
/// One for all inputs: spans of earlier ones wait for those of later ones.
static GENERATOR: LazyLock<Arc<Generator>> = LazyLock::new(|| {
    let mut config = GeneratorConfig { series_max: 10_000, ..GeneratorConfig::default() };
    config.span_metrics.dimensions = vec!["a".to_owned()];
    config.span_metrics.target_info = true;
    config.service_graph.dimensions = vec!["a".to_owned()];
    config.host_info.enabled = true;
    config.service_graph.connection_info = true;
    let key = "X-SampleRatio".to_owned();
    (config.span_metrics.span_multiplier_key, config.span_metrics.tracestate_span_multiplier) = (key.clone(), true);
    (config.service_graph.span_multiplier_key, config.service_graph.tracestate_span_multiplier) = (key, true);
    let exclude = |match_type, key: &str, value: MatchValue| {
        let attributes = vec![AttributeMatch { key: key.to_owned(), value }];
        FilterPolicy { exclude: Some(PolicyMatch { match_type, attributes }), ..FilterPolicy::default() }
    };
    config.span_metrics.filter_policies = vec![exclude(MatchType::Regex, "name", MatchValue::Text("^x+$".to_owned()))];
    config.service_graph.filter_policies = vec![exclude(MatchType::Strict, "span.n", MatchValue::Int(-5))];
    Generator::new(config, SeriesRegistry::new(RegistryConfig::default()), "fuzz", 7, NOW)
});

fuzz_target!(|body: &[u8]| {
    let (env, _) = fixed::env(NOW, 7);
    let config = Arc::new(ReceiveConfig::default());
    let converter = SpansConverter::new(Arc::clone(&config), env, Resources::new(&config, LogRules::default()));
    if let Ok(converted) = converter.convert(&TENANT, body) {
        let rows: usize = converted.rows.iter().filter(|(table, _)| *table == Table::Spans).map(|(_, b)| b.num_rows()).sum();
        assert_eq!(rows as u64, converted.accepted, "what is accepted is there");
        assert!(converted.rejected == 0 || converted.reason.is_some(), "a refusal has a reason");
        GENERATOR.take(&TENANT, &converted.rows, true, NOW);
    }
});
