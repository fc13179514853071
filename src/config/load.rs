//! From file, environment and `--set` to a checked [`Config`].

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Config;
use crate::failure::{Failure, chain};

/// Environment variables with this prefix are keys: `TELELAKE__NODE__DRAIN_MAX` is `node.drain_max`.
const ENV_PREFIX: &str = "TELELAKE__";

/// Where settings come from, weakest first.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The file, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// Environment variables; only those with the prefix `TELELAKE__` are looked at.
    pub(crate) environment: Vec<(String, String)>,
    /// `section.key=value` of the command line.
    pub(crate) set: Vec<String>,
}

/// Reads and merges the sources. The caller puts its flags on top and then calls [`Config::validate`].
///
/// # Errors
/// A usage failure: the file cannot be read or is no TOML, a key is unknown (with the nearest known one), a value has the wrong type.
pub(crate) fn load(sources: &Sources) -> Result<Config, Failure> {
    let mut table = match &sources.file {
        Some(path) => read(path)?,
        None => toml::Table::new(),
    };
    for (name, value) in &sources.environment {
        if let Some(rest) = name.strip_prefix(ENV_PREFIX) {
            let mut path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            if let [section, dialect] = path.as_mut_slice()
                && section == "listen"
            {
                *dialect = dialect.replace('_', "-");
            }
            insert(&mut table, &path, value).map_err(|e| Failure::usage(format!("environment variable {name}: {e}")))?;
        }
    }
    for assignment in &sources.set {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--set {assignment:?} has no `=`; write --set section.key=value")))?;
        let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        insert(&mut table, &path, value.trim()).map_err(|e| Failure::usage(format!("--set {assignment:?}: {e}")))?;
    }
    let origin = sources.file.as_ref().map_or_else(|| "configuration".to_owned(), |p| p.display().to_string());
    Config::deserialize(toml::Value::Table(table)).map_err(|e| Failure::usage(format!("{origin}: {}", explain(&e.to_string()))))
}

fn read(path: &Path) -> Result<toml::Table, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read the configuration {}: {e}", path.display())))?;
    text.parse::<toml::Table>().map_err(|e| {
        let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Failure::usage(format!("{} line {line}: {}", path.display(), chain(&e).lines().last().unwrap_or_default()))
    })
}

/// Puts `text` at `path`: as a TOML value if it is one, else as a string.
fn insert(table: &mut toml::Table, path: &[String], text: &str) -> Result<(), String> {
    let (last, sections) = path.split_last().ok_or("no key")?;
    let mut table = table;
    for section in sections {
        let entry = table.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = entry.as_table_mut().ok_or_else(|| format!("{section} is a value, not a section"))?;
    }
    let value = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    table.insert(last.clone(), value.unwrap_or_else(|| toml::Value::String(text.to_owned())));
    Ok(())
}

/// Makes one line of serde's message and adds the nearest known key to an unknown one.
fn explain(message: &str) -> String {
    let section = message.lines().find_map(|l| l.strip_prefix("in `")?.strip_suffix('`'));
    let first = message.lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let quoted: Vec<&str> = first.split('`').skip(1).step_by(2).collect();
    let at = |key: &str| match section {
        Some(section) if section == key || section.ends_with(&format!(".{key}")) => section.to_owned(),
        Some(section) => format!("{section}.{key}"),
        None => key.to_owned(),
    };
    match quoted.split_first() {
        Some((unknown, known)) if first.starts_with("unknown field") => match nearest(unknown, known) {
            Some(known) => format!("unknown key {}; did you mean {known}?", at(unknown)),
            None => format!("unknown key {}; known are {}", at(unknown), known.join(", ")),
        },
        _ => match section {
            Some(section) => format!("{section}: {first}"),
            None => first.to_owned(),
        },
    }
}

/// The known key that looks most like `unknown`, if any looks like it at all.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let score = |k: &&str| (strsim::jaro_winkler(unknown, k) * 1000.0) as u32;
    known.iter().copied().max_by_key(score).filter(|k| score(k) > 750)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(set: &[&str], expected: &str) {
        let sources = Sources { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Sources::default() };
        let message = load(&sources).and_then(|c| c.validate().map_err(Failure::usage)).expect_err("refused").to_string();
        assert_eq!(message, expected);
    }

    #[test]
    fn unknown_keys_are_named_with_a_suggestion() {
        refused(&["listen.gatway=off"], "configuration: unknown key listen.gatway; did you mean gateway?");
        refused(&["lisen.gateway=off"], "configuration: unknown key lisen; did you mean listen?");
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        refused(&["node.drain_max=\"20m\""], "node.drain_max is 1200, must lie between 0 and 600");
    }

    #[test]
    fn later_sources_win() {
        let sources = Sources {
            file: None,
            environment: vec![("TELELAKE__LISTEN__OTLP_GRPC".into(), "off".into()), ("HOME".into(), "/".into())],
            set: vec!["listen.gateway=127.0.0.1:1".into()],
        };
        let config = load(&sources).expect("valid");
        assert_eq!(config.listen.otlp_grpc, crate::dialect::ListenAddr::Off);
        assert_eq!(config.listen.gateway, crate::dialect::ListenAddr::On("127.0.0.1:1".into()));
    }

    #[test]
    fn the_commented_file_of_the_deploy_folder_is_the_default() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/config.toml");
        let config = load(&Sources { file: Some(file), ..Sources::default() }).expect("valid");
        assert_eq!(config, Config::default());
        config.validate().expect("valid");
    }
}
