//! The language against the vectors and the recorded answers of Tempo ad33aa8: what parses, at which stage it is refused and with which
//! text, and which queries are the same tree.

use std::path::PathBuf;

use serde_json::Value as Json;
use traceql::parse::{ErrorKind, lenient, parse};

/// The lines of a file of the shared data, as JSON; says so and gives none when it is not there.
fn lines(file: &str) -> Vec<Json> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return Vec::new();
    };
    let rows = text.lines().map(|line| line.strip_prefix("- ").unwrap_or(line)).filter(|line| line.starts_with('{'));
    rows.map(|row| serde_json::from_str(row).unwrap_or_else(|e| panic!("{file}: {e}: {row}"))).collect()
}

fn text<'a>(row: &'a Json, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

#[track_caller]
fn finish(file: &str, seen: usize, failures: &[String]) {
    println!("{file}: {} passed, {} failed", seen - failures.len(), failures.len());
    assert!(failures.is_empty(), "{file}\n{}", failures.join("\n"));
}

#[test]
fn queries_are_accepted_and_refused() {
    let rows = lines("conformance/traceql/parse.yaml");
    let mut failures = Vec::new();
    let mut unsupported = 0;
    for row in &rows {
        let (query, class) = (text(row, "query"), text(row, "class"));
        let stage = match parse(query).map_err(|e| e.kind) {
            Ok(_) => "valid",
            Err(ErrorKind::Parse) => "parse_error",
            Err(ErrorKind::Validate) => "validate_error",
            Err(ErrorKind::Unsupported) => "unsupported",
        };
        unsupported += usize::from(class == "unsupported" && stage == "valid");
        // what Tempo has no support for may be accepted, or make no sense here
        if stage != class && !(class == "unsupported" && stage != "parse_error") {
            failures.push(format!(
                "{} {query:?}: wants {class}, is {stage}: {:?}",
                text(row, "id"),
                parse(query).map(|q| q.to_string())
            ));
        }
    }
    println!("{unsupported} queries that Tempo has no support for are accepted");
    finish("parse.yaml", rows.len(), &failures);
}

#[test]
fn operators_bind_as_in_the_vectors() {
    let rows = lines("conformance/traceql/precedence.yaml");
    let mut failures = Vec::new();
    for row in &rows {
        // trees that differ in the spelling of an intrinsic only are the same
        let tree = |query: &str| parse(query).map(|q| q.to_string().replace("span:duration", "duration"));
        let (query, same) = (tree(text(row, "query")), tree(text(row, "same_as")));
        if query != same || query.is_err() {
            failures.push(format!("{}: {query:?} is not {same:?}", text(row, "id")));
        }
    }
    finish("precedence.yaml", rows.len(), &failures);
}

/// Every query of every file is printed as a text that gives the same tree and is printed the same.
#[test]
fn what_is_printed_parses_to_the_same() {
    let (mut seen, mut failures) = (0, Vec::new());
    for file in ["parse", "precedence", "filter", "structural", "pipeline", "metrics", "quirks"] {
        for row in lines(&format!("conformance/traceql/{file}.yaml")) {
            let id = text(&row, "id");
            let tree = match parse(text(&row, "query")) {
                Ok(tree) => tree,
                Err(why) if file == "filter" || file == "pipeline" || file == "metrics" || file == "structural" => {
                    failures.push(format!("{id}: {why}"));
                    continue;
                }
                Err(_) => continue,
            };
            seen += 1;
            let printed = tree.to_string();
            match parse(&printed) {
                Ok(again) if again == tree && again.to_string() == printed => {}
                other => failures.push(format!("{id}: {printed}\n    is read as {:?}", other.map(|q| q.to_string()))),
            }
        }
    }
    finish("printing", seen, &failures);
}

#[test]
fn recorded_answers_agree() {
    let (mut seen, mut failures) = (0, Vec::new());
    for row in lines("golden/tempo/cases.jsonl") {
        let query = text(&row["params"], if row["params"].get("query").is_some() { "query" } else { "q" });
        let path = text(&row, "path");
        if !(path == "/api/search" || path.starts_with("/api/metrics")) || query.is_empty() && path == "/api/search" {
            // without a query a search is for everything
            continue;
        }
        let parsed = parse(query).map_err(|e| e.to_string());
        let body = text(&row, "body");
        match (row["status"].as_u64(), &parsed) {
            (Some(200), Ok(_)) => seen += 1,
            (Some(200), Err(why)) => failures.push(format!("{query}: {why}")),
            (Some(400), Err(why)) => {
                seen += 1;
                let refusal = body.trim_start_matches("invalid TraceQL query: ").trim_start_matches("compiling query: ");
                if refusal != why {
                    failures.push(format!("{query}\n    wants {refusal}\n    has   {why}"));
                }
            }
            (Some(400), Ok(_)) if body.contains("parse error") || body.contains("must") && body.contains("expressions") => {
                failures.push(format!("{query}: is not refused: {body}"));
            }
            _ => {}
        }
    }
    finish("recorded answers", seen, &failures);
}

/// A filter of tags is never refused, and what is complete and has scopes is understood.
#[test]
fn filters_of_tags_are_understood() {
    let rows = lines("conformance/traceql/tags.yaml");
    let mut failures = Vec::new();
    for row in &rows {
        let filter = text(row, "q");
        match parse(filter) {
            Ok(_) if filter != "{}" && !filter.starts_with("{ .") && lenient(filter).is_none() => {
                failures.push(filter.to_owned())
            }
            _ => _ = lenient(filter),
        }
    }
    finish("tags.yaml", rows.len(), &failures);
}
