//! The conformance vectors of Loki's HTTP API, for tests: found beside the checkout, read as YAML.

use std::path::PathBuf;

/// The cases of a file; says so and gives none when the vectors are not there.
pub(super) fn cases(file: &str) -> Vec<serde_json::Value> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/logql")).join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_yaml_ng::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}")),
        Err(_) => {
            println!("SKIPPED: {} is not there", path.display());
            Vec::new()
        }
    }
}
