//! The conformance vectors of Loki: found beside the checkout, read as YAML, counted per file.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/conformance/logql"))
}

/// The cases of a file; says so and gives none when the vectors are not there.
pub(crate) fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = folder().join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: {} is not there", path.display());
        return Vec::new();
    };
    serde_yaml_ng::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Cases of one file: how many held, and what was wrong with the others.
pub(crate) struct Score {
    file: String,
    passed: usize,
    failures: Vec<(String, String)>,
}

impl Score {
    pub(crate) fn new(file: &str) -> Self {
        Score { file: file.to_owned(), passed: 0, failures: Vec::new() }
    }

    /// Counts a case: `Err` says what is wrong.
    pub(crate) fn count(&mut self, id: impl Into<String>, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(why) => self.failures.push((id.into(), why)),
        }
    }

    /// Prints the score; fails unless exactly the cases of `known` failed. Each of those stands with its reason where it is listed.
    #[track_caller]
    pub(crate) fn finish(self, known: &[&str]) {
        println!("{}: {} passed, {} failed", self.file, self.passed, self.failures.len());
        for (id, why) in &self.failures {
            println!("  {}{id}: {why}", if known.contains(&id.as_str()) { "(known) " } else { "" });
        }
        let new: Vec<_> = self.failures.iter().map(|(id, _)| id.as_str()).filter(|id| !known.contains(id)).collect();
        assert!(new.is_empty(), "{}: {new:?}", self.file);
        if self.passed > 0 {
            for id in known {
                assert!(self.failures.iter().any(|(failed, _)| failed == id), "{}: {id} holds now", self.file);
            }
        }
    }
}
