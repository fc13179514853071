//! The rules of the house that a compiler does not check: who may use whom, what may be named where, how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CRATES: [&str; 12] = [
    ".",
    "catalog",
    "lake",
    "ingest",
    "query",
    "query/gosyntax",
    "query/promql",
    "query/logql",
    "query/traceql",
    "sql",
    "compat",
    "benches",
];

/// Which crates of the house a crate may depend on. A new edge is a design change: it comes with a change of DESIGN.md.
const EDGES: [(&str, &[&str]); 12] = [
    (".", &["catalog", "lake", "ingest", "query", "sql", "compat"]),
    ("catalog", &[]),
    ("lake", &["catalog"]),
    ("ingest", &["catalog", "lake"]),
    ("query", &["catalog", "lake", "gosyntax", "promql", "logql", "traceql"]),
    ("query/gosyntax", &[]),
    ("query/promql", &["gosyntax"]),
    ("query/logql", &["gosyntax"]),
    ("query/traceql", &["gosyntax"]),
    ("sql", &["catalog", "lake", "query"]),
    ("compat", &["catalog", "query", "gosyntax", "promql", "logql", "traceql"]),
    ("benches", &["catalog", "lake", "ingest"]),
];

/// SPDX expressions of dependencies that we may ship. Every `OR` needs one of these, every `AND` all.
const LICENCES: [&str; 17] = [
    "MIT",
    "MIT-0",
    // Of files that nobody here changed.
    "MPL-2.0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "CC0-1.0",
    "Unicode-3.0",
    "Unlicense",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "OpenSSL",
    "bzip2-1.0.6",
];

const LINES_MAX: usize = 1000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn manifest(folder: &str) -> toml::Table {
    read(&root().join(folder).join("Cargo.toml")).parse().expect("a manifest")
}

fn dependencies(folder: &str, sections: &[&str]) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let names = sections.iter().filter_map(|s| manifest.get(*s)?.as_table()).flat_map(|t| t.keys().cloned());
    names.collect()
}

/// Rust files of a crate: `src/` alone, or with tests, benches and examples.
fn sources(folder: &str, below: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = below.iter().map(|b| root().join(folder).join(b)).filter(|p| p.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// The code before a file's test module: what ships. `mod tests;` alone, at the top of a file, ends nothing.
fn shipped(text: &str) -> &str {
    const MODULE: &str = "#[cfg(test)]\nmod ";
    let inline = |at: &usize| text[at + MODULE.len()..].lines().next().is_some_and(|name| name.ends_with('{'));
    let end = text.match_indices(MODULE).map(|(at, _)| at).find(inline);
    &text[..end.unwrap_or(text.len())]
}

/// Fails with every line of shipped code below `folder`'s `src/` that holds one of `words`, comments aside, unless the file is excused.
#[track_caller]
fn nowhere(folder: &str, words: &[&str], excused: &[&str], why: &str) {
    let mut found = Vec::new();
    for file in sources(folder, &["src"]) {
        let relative = file.strip_prefix(root()).expect("below the root").display().to_string();
        if excused.contains(&relative.as_str()) || relative.ends_with("tests.rs") || relative.contains("/tests/") {
            continue;
        }
        for (number, line) in shipped(&read(&file)).lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            if words.iter().any(|w| code.contains(w)) {
                found.push(format!("{relative}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{why}\n{}", found.join("\n"));
}

#[test]
fn crates_use_only_whom_they_may() {
    let house: BTreeSet<&str> = CRATES.into_iter().collect();
    for (folder, allowed) in EDGES {
        for dependency in dependencies(folder, &["dependencies", "build-dependencies"]) {
            if house.contains(dependency.as_str()) {
                assert!(allowed.contains(&dependency.as_str()), "{folder} must not depend on {dependency}");
            }
        }
    }
}

#[test]
fn datafusion_is_named_in_query_and_sql_only() {
    for folder in [".", "catalog", "lake", "ingest", "query/gosyntax", "query/promql", "query/logql", "query/traceql", "compat"] {
        assert!(
            !dependencies(folder, &["dependencies"]).iter().any(|d| d.starts_with("datafusion")),
            "{folder} names DataFusion"
        );
        nowhere(folder, &["datafusion"], &[], "DataFusion is named in query and sql only");
    }
}

#[test]
fn the_environment_enters_through_the_root() {
    for folder in
        ["catalog", "lake", "ingest", "query", "query/gosyntax", "query/promql", "query/logql", "query/traceql", "sql", "compat"]
    {
        let why =
            "time, randomness and the environment enter through src/ (catalog::Env), so that a node runs under a fake clock";
        nowhere(folder, &["env::var", "SystemTime::now", "std::time::Instant", "thread_rng", "OsRng", "rand::rng()"], &[], why);
    }
}

#[test]
fn nothing_is_left_to_do() {
    for folder in CRATES {
        nowhere(folder, &["todo!(", "unimplemented!(", "dbg!("], &[], "unfinished code");
        for file in sources(folder, &["src", "tests", "benches", "examples"]) {
            let ignored = read(&file).lines().any(|line| line.trim_start().starts_with("#[ignore"));
            assert!(!ignored, "{}: no test is ignored", file.display());
        }
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for folder in CRATES {
        for file in sources(folder, &["src", "tests", "benches", "examples"]) {
            let lines = read(&file).lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines, limit is {LINES_MAX}", file.display());
        }
    }
}

#[test]
fn no_data_of_others_is_kept() {
    let output = std::process::Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Ok(output) = output.as_ref().map(|o| String::from_utf8_lossy(&o.stdout)) else { return };
    for file in output.split('\0').filter(|f| !f.is_empty()) {
        let bytes = std::fs::metadata(root().join(file)).map_or(0, |m| m.len());
        let name = file.rsplit('/').next().unwrap_or(file);
        assert!(bytes <= 256 << 10 || name == "Cargo.lock", "{file} has {bytes} bytes; recorded data stays outside the checkout");
    }
}

#[test]
fn every_crash_point_is_listed() {
    let list = read(&root().join("src/crash.rs"));
    let listed: BTreeSet<&str> = list.split('"').filter(|w| w.contains("::") && !w.contains(' ')).collect();
    let mut used = BTreeSet::new();
    let mut texts = Vec::new();
    for folder in CRATES {
        texts.extend(sources(folder, &["src"]).iter().map(|f| read(f)));
    }
    for text in &texts {
        used.extend(text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next()));
    }
    assert_eq!(used, listed, "crash points in the code, and in src/crash.rs");
}

#[test]
fn every_metric_is_in_the_readme() {
    let readme = read(&root().join("README.md"));
    let listed: BTreeSet<&str> =
        readme.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).filter(|w| w.starts_with("telelake_")).collect();
    let mut counted = BTreeSet::new();
    let texts: Vec<String> = CRATES.iter().flat_map(|folder| sources(folder, &["src"])).map(|f| read(&f)).collect();
    for text in &texts {
        counted.extend(
            shipped(text)
                .split('"')
                .filter(|w| w.starts_with("telelake_") && w.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())),
        );
    }
    assert_eq!(counted, listed, "metrics in the code, and in README.md");
}

/// The text of modules that `file` takes from elsewhere with `#[path = "..."]`.
fn borrowed(file: &Path) -> String {
    let text = read(file);
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"));
    paths.map(|path| read(&file.parent().expect("a file has a folder").join(path))).collect()
}

#[test]
fn dependencies_are_used() {
    let mut unused = Vec::new();
    for folder in CRATES {
        let files = sources(folder, &["src", "tests", "benches", "examples"]);
        let text: String = files.iter().flat_map(|file| [read(file), borrowed(file)]).collect();
        for dependency in dependencies(folder, &["dependencies", "dev-dependencies"]) {
            if !text.contains(&dependency.replace('-', "_")) {
                unused.push(format!("{folder}: {dependency}"));
            }
        }
    }
    assert!(unused.is_empty(), "dependencies that no line names:\n{}", unused.join("\n"));
}

#[test]
fn licences_are_ones_we_may_ship() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut refused = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let licence = package["license"].as_str().unwrap_or("(none)");
        if !allowed(licence) {
            refused.insert(package["name"].to_string(), licence.to_owned());
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Whether an SPDX expression (or the older `A/B`) leaves us a licence of the list.
fn allowed(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], "");
    flat.split(" AND ").all(|all| all.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}
