//! Language vectors against a whole node: series come in through the receivers, rest in the log, in files or in compacted files, and
//! queries run through the engine that the HTTP APIs use.
//!
//! ```text
//! conformance promql DIR [--stage fresh|flushed|compacted]... [--only SUBSTRING] [-v]
//! ```
//! Prints what fails, a line per file and stage, and last `N passed, N failed`; exit status 1 when any failed. Without arguments (as
//! `cargo test` calls it) it runs what lies in `../shared/conformance`, and fails when fewer pass than `floor.txt` says.

mod node;
mod promql;
mod remote_write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use node::Stage;

/// What the command line asks for.
#[derive(Debug, Clone)]
struct Wanted {
    language: String,
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
    let by_hand = arguments.first().is_some_and(|first| first == "promql");
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
    const USAGE: &str = "usage: conformance promql DIR [--stage fresh|flushed|compacted]... [--only SUBSTRING] [-v]";
    let [language, folder, rest @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let (language, folder) = (language.clone(), PathBuf::from(folder));
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
    let files = files(&wanted.folder, "test")?;
    let mut all = Count::default();
    for stage in &wanted.stages {
        for file in files.iter().filter(|file| file.to_string_lossy().contains(&wanted.only)) {
            let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let count = promql::run_file(file, *stage, wanted.verbose)?;
            println!("{}/{name} {stage}: {} passed, {} failed", wanted.language, count.passed, count.failed);
            seen(&name, *stage, count);
            all += count;
        }
    }
    Ok(all)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == extension));
    files.sort();
    if files.is_empty() { Err(format!("{}: no *.{extension} files", folder.display())) } else { Ok(files) }
}

/// What `cargo test` runs. Its filters and flags are for the tests of other targets.
fn suite(arguments: &[String]) -> Result<bool, String> {
    if arguments.iter().any(|argument| argument == "--list") {
        println!("conformance: test");
        return Ok(true);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/promql");
    if !folder.is_dir() {
        println!("SKIPPED: {} is not there, no vector was run", folder.display());
        return Ok(true);
    }
    let floor = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/floor.txt");
    let floor = std::fs::read_to_string(&floor).map_err(|e| format!("{}: {e}", floor.display()))?;
    let least = |name: &str| {
        let line = floor.lines().find_map(|line| line.strip_prefix("promql/")?.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse::<usize>().ok())
    };
    let wanted = Wanted { language: "promql".into(), folder, stages: Stage::ALL.to_vec(), only: String::new(), verbose: false };
    let mut fell = Vec::new();
    let count = each_file(&wanted, |name, stage, count| match least(name) {
        Some(least) if count.passed >= least => {}
        Some(least) => fell.push(format!("promql/{name} {stage}: {} passed, {least} did", count.passed)),
        None => fell.push(format!("promql/{name} is not in floor.txt")),
    })?;
    println!("{} passed, {} failed", count.passed, count.failed);
    for line in &fell {
        println!("BELOW THE FLOOR: {line}");
    }
    Ok(fell.is_empty() && count.passed > 0)
}
