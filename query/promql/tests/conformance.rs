//! Prometheus' own test files, run over the evaluator in memory. They are not part of this repository: where the folder beside it is
//! missing, nothing is checked, and that is said.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use promql::testlang::{InMemory, run};

fn files() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/promql");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.map(|e| e.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "test"));
    files.sort();
    Some(files)
}

/// How many evals of each file passed at least so far: `name count` on each line.
fn floor() -> BTreeMap<String, usize> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/promql.floor");
    let text = std::fs::read_to_string(path).expect("the floor");
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|l| l.split_once(' ').expect("a name and a count"))
        .map(|(n, c)| (n.to_owned(), c.parse().expect("a count")))
        .collect()
}

#[test]
fn prometheus_test_files() {
    let Some(files) = files() else {
        eprintln!("SKIPPED: ../shared/conformance/promql is not there, nothing was checked");
        return;
    };
    let floor = floor();
    let (mut passed_all, mut failed_all) = (0, 0);
    let mut below = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a file");
        let verdicts = run(&text, &mut InMemory::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        for verdict in verdicts.iter().filter(|v| v.wrong.is_some()) {
            println!("{name}.test:{} {}\n    {}", verdict.line, verdict.query, verdict.wrong.as_deref().unwrap_or_default());
        }
        let passed = verdicts.iter().filter(|v| v.wrong.is_none()).count();
        println!("{name}: {passed} of {}", verdicts.len());
        passed_all += passed;
        failed_all += verdicts.len() - passed;
        if passed < floor.get(&name).copied().unwrap_or(verdicts.len()) {
            below.push(name);
        }
    }
    println!("{passed_all} passed, {failed_all} failed");
    assert!(below.is_empty(), "fewer evals passed than before: {below:?}");
}
