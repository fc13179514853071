//! Language vectors against a whole node: series come in through the receivers, rest in the log, in files or in compacted files, and
//! queries run through the engine that the HTTP APIs use.
//!
//! ```text
//! conformance promql|logql|traceql DIR [--stage fresh|flushed|compacted]... [--only SUBSTRING] [-v]
//! ```
//! Prints what fails, a line per file and stage, and last `N passed, N failed`; exit status 1 when any failed. Without arguments (as
//! `cargo test` calls it) it runs what lies in `../shared/conformance`, and fails when fewer pass than `floor.txt` says.

mod logql;
mod node;
mod promql;
mod remote_write;
// The language of Loki's scenarios is that of the tests without storage.
#[path = "../../query/logql/tests/support/scenario.rs"]
mod scenario;
mod traceql;
// So are the vectors of TraceQL.
#[path = "../../query/traceql/tests/support/vectors.rs"]
mod vectors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use node::Stage;

/// Whose vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Promql,
    Logql,
    Traceql,
}

impl Language {
    const ALL: [Self; 3] = [Self::Promql, Self::Logql, Self::Traceql];

    fn name(self) -> &'static str {
        match self {
            Self::Promql => "promql",
            Self::Logql => "logql",
            Self::Traceql => "traceql",
        }
    }

    /// Which files of its folder hold cases for a node.
    fn is_vector(self, file: &Path) -> bool {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match self {
            Self::Promql => name.ends_with(".test"),
            Self::Logql => name.starts_with("metric_") && name.ends_with(".yaml"),
            Self::Traceql => name.ends_with(".yaml") && name != "traces.yaml",
        }
    }

    fn run_file(self, file: &Path, stage: Stage, verbose: bool) -> Result<Count, String> {
        match self {
            Self::Promql => promql::run_file(file, stage, verbose),
            Self::Logql => logql::run_file(file, stage, verbose),
            Self::Traceql => traceql::run_file(file, stage, verbose),
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone)]
struct Wanted {
    language: Language,
    folder: PathBuf,
    stages: Vec<Stage>,
    only: String,
    verbose: bool,
}

/// Cases that passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let by_hand = arguments.first().is_some_and(|first| Language::ALL.iter().any(|language| language.name() == first));
    let result = if by_hand { wanted(&arguments).and_then(|wanted| run(&wanted)) } else { suite(&arguments) };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn wanted(arguments: &[String]) -> Result<Wanted, String> {
    const USAGE: &str =
        "usage: conformance promql|logql|traceql DIR [--stage fresh|flushed|compacted]... [--only SUBSTRING] [-v]";
    let [language, folder, rest @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let language = Language::ALL.into_iter().find(|known| known.name() == language).ok_or(USAGE)?;
    let folder = PathBuf::from(folder);
    let mut wanted = Wanted { language, folder, stages: Vec::new(), only: String::new(), verbose: false };
    let mut rest = rest.iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--stage" => wanted.stages.push(rest.next().ok_or(USAGE)?.parse()?),
            "--only" => wanted.only = rest.next().ok_or(USAGE)?.clone(),
            "-v" => wanted.verbose = true,
            other => return Err(format!("unknown argument {other}\n{USAGE}")),
        }
    }
    if wanted.stages.is_empty() {
        wanted.stages = Stage::ALL.to_vec();
    }
    Ok(wanted)
}

/// Runs every file at every stage; whether all passed.
fn run(wanted: &Wanted) -> Result<bool, String> {
    let count = each_file(wanted, |_, _, _| {})?;
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(count.failed == 0 && count.passed > 0)
}

fn each_file(wanted: &Wanted, mut seen: impl FnMut(&str, Stage, Count)) -> Result<Count, String> {
    let files = files(wanted)?;
    let mut all = Count::default();
    for stage in &wanted.stages {
        for file in files.iter().filter(|file| file.to_string_lossy().contains(&wanted.only)) {
            let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let count = wanted.language.run_file(file, *stage, wanted.verbose)?;
            println!("{}/{name} {stage}: {} passed, {} failed", wanted.language.name(), count.passed, count.failed);
            seen(&name, *stage, count);
            all += count;
        }
    }
    Ok(all)
}

fn files(wanted: &Wanted) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(&wanted.folder).map_err(|e| format!("{}: {e}", wanted.folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| wanted.language.is_vector(file));
    files.sort();
    if files.is_empty() {
        Err(format!("{}: no vectors of {}", wanted.folder.display(), wanted.language.name()))
    } else {
        Ok(files)
    }
}

/// What `cargo test` runs. Its filters and flags are for the tests of other targets.
fn suite(arguments: &[String]) -> Result<bool, String> {
    if arguments.iter().any(|argument| argument == "--list") {
        println!("conformance: test");
        return Ok(true);
    }
    let floor = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/floor.txt");
    let floor = std::fs::read_to_string(&floor).map_err(|e| format!("{}: {e}", floor.display()))?;
    let mut all_hold = true;
    for language in Language::ALL {
        all_hold &= against_floor(language, &floor)?;
    }
    Ok(all_hold)
}

/// Whether as many vectors of a language pass as `floor` says.
fn against_floor(language: Language, floor: &str) -> Result<bool, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance").join(language.name());
    if !folder.is_dir() {
        println!("SKIPPED: {} is not there, no vector was run", folder.display());
        return Ok(true);
    }
    let least = |name: &str| {
        let of = |line: &'_ str| {
            line.strip_prefix(language.name())?
                .strip_prefix('/')?
                .strip_prefix(name)?
                .strip_prefix(' ')?
                .trim()
                .parse::<usize>()
                .ok()
        };
        floor.lines().find_map(of)
    };
    let wanted = Wanted { language, folder, stages: Stage::ALL.to_vec(), only: String::new(), verbose: false };
    let mut fell = Vec::new();
    let count = each_file(&wanted, |name, stage, count| match least(name) {
        Some(least) if count.passed >= least => {}
        Some(least) => fell.push(format!("{}/{name} {stage}: {} passed, {least} did", language.name(), count.passed)),
        None => fell.push(format!("{}/{name} is not in floor.txt", language.name())),
    })?;
    println!("{} passed, {} failed", count.passed, count.failed);
    for line in &fell {
        println!("BELOW THE FLOOR: {line}");
    }
    Ok(fell.is_empty() && count.passed > 0)
}
