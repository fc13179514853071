//! Questions as JSON, in a descriptor or in a ticket: Flight for who has no Flight SQL.
//!
//! ```text
//! {"language": "sql",    "query": "SELECT ...",      "params": [...]}
//! {"language": "promql", "query": "rate(up[5m])",    "start": T, "end": T, "step": S}     without step and start: at `end`
//! {"language": "logql",  "query": "{app=\"shop\"}",  "start": T, "end": T, "step": S}     step for metric queries
//! {"language": "traceql", "query": "{ duration > 1s }", "start": T, "end": T, "step": S}  step for metric queries
//! ```
//! T is RFC 3339 text or seconds since 1970, S seconds or a duration such as `"30s"`. `max_rows` cuts the answer. Every language is a table
//! function of SQL, so its limits and columns are those of `SELECT * FROM promql(...)`.

use serde::Deserialize;
use serde_json::Value;

use super::bound;
use super::caller::Caller;
use super::handle::Statement;
use crate::error::{Error, Result};

/// Longest question: the statement and its escapes.
const BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    language: Language,
    query: String,
    start: Option<Value>,
    end: Option<Value>,
    step: Option<Value>,
    params: Option<Value>,
    max_rows: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    #[default]
    Sql,
    Promql,
    Logql,
    Traceql,
}

/// Whether bytes are meant as JSON; no protobuf message of Flight SQL begins like that.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// The SQL that answers a question.
///
/// # Errors
/// `Parameter`: it is no such JSON, or a member is missing or too much.
pub fn sql_of(json: &[u8]) -> Result<String> {
    Asked::parse(json)?.sql()
}

/// The statement that answers a question of `caller`.
///
/// # Errors
/// As [`sql_of`]; a value of `params` is none.
pub(super) fn read(json: &[u8], caller: &Caller) -> Result<Statement> {
    let asked = Asked::parse(json)?;
    let text = asked.sql()?;
    let mut statement = Statement::new(text, &caller.tenant, caller.schema.as_deref());
    if let Some(params) = &asked.params {
        (statement.values, statement.named) = bound::from_json(params)?;
    }
    statement.max_rows = asked.max_rows;
    Ok(statement)
}

impl Asked {
    fn parse(json: &[u8]) -> Result<Self> {
        if json.len() > BYTES_MAX {
            return Err(wrong(format!("has {} bytes, limit is {BYTES_MAX}", json.len())));
        }
        serde_json::from_slice(json).map_err(|e| wrong(format!("is not understood: {e}")))
    }

    fn sql(&self) -> Result<String> {
        let times = [("start", &self.start), ("end", &self.end), ("step", &self.step)];
        if self.language == Language::Sql {
            return match times.iter().find(|(_, value)| value.is_some()) {
                Some((name, _)) => Err(wrong(format!("has {name}, which SQL says itself: WHERE ts >= ..."))),
                None => Ok(self.query.clone()),
            };
        }
        if self.params.is_some() {
            return Err(wrong("has params, which are for SQL".to_owned()));
        }
        let (start, end, step) = (constant("start", &self.start)?, constant("end", &self.end)?, constant("step", &self.step)?);
        let query = quoted(&self.query);
        let missing = |names| Err(wrong(format!("lacks {names}")));
        match (self.language, start, end, step) {
            (Language::Promql, None, Some(at), None) => Ok(format!("SELECT * FROM promql({query}, {at})")),
            (Language::Promql, Some(start), Some(end), Some(step)) => {
                Ok(format!("SELECT * FROM promql({query}, {start}, {end}, {step})"))
            }
            (Language::Promql, ..) => missing("either all but end, or some of start, end and step"),
            (language, Some(start), Some(end), step) => {
                let function = if language == Language::Traceql { "traceql" } else { "logql" };
                let step = step.map(|step| format!(", {step}")).unwrap_or_default();
                Ok(format!("SELECT * FROM {function}({query}, {start}, {end}{step})"))
            }
            _ => missing("start or end"),
        }
    }
}

/// A time or step as a constant of SQL.
fn constant(name: &str, value: &Option<Value>) -> Result<Option<String>> {
    Ok(match value {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::String(text)) => Some(quoted(text)),
        Some(_) => return Err(wrong(format!("has {name} that is neither a text nor a number"))),
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn wrong(reason: String) -> Error {
    Error::Parameter { name: "JSON question", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_become_table_functions() {
        #[track_caller]
        fn check(json: &str, expected: Result<&str, &str>) {
            let sql = sql_of(json.as_bytes()).map_err(|e| e.to_string());
            match (&sql, expected) {
                (Ok(sql), Ok(expected)) => assert_eq!(sql, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                _ => panic!("{json}: {sql:?}"),
            }
        }
        check(r#"{"query": "SELECT 1"}"#, Ok("SELECT 1"));
        check(r#"{"language": "promql", "query": "up", "end": 12.5}"#, Ok("SELECT * FROM promql('up', 12.5)"));
        check(
            r#"{"language": "promql", "query": "up{a='b'}", "start": "2026-01-01T00:00:00Z", "end": 9, "step": "30s"}"#,
            Ok("SELECT * FROM promql('up{a=''b''}', '2026-01-01T00:00:00Z', 9, '30s')"),
        );
        check(r#"{"language": "logql", "query": "{}", "start": 1, "end": 2}"#, Ok("SELECT * FROM logql('{}', 1, 2)"));
        let sql = "SELECT * FROM traceql('{}', 1, 2, '5s')";
        check(r#"{"language": "traceql", "query": "{}", "start": 1, "end": 2, "step": "5s"}"#, Ok(sql));
        check(r#"{"language": "logql", "query": "{}", "end": 2}"#, Err("lacks start or end"));
        check(r#"{"language": "promql", "query": "up", "start": 1, "end": 2}"#, Err("some of start, end and step"));
        check(r#"{"language": "sql", "query": "SELECT 1", "end": 2}"#, Err("has end"));
        check(r#"{"language": "promql", "query": "up", "end": [1]}"#, Err("neither a text nor a number"));
        check(r#"{"language": "promql", "query": "up", "end": "0'); DROP"}"#, Ok("SELECT * FROM promql('up', '0''); DROP')"));
        check(r#"{"language": "cobol", "query": "up"}"#, Err("unknown variant"));
        check(r#"{"language": "sql", "query": "SELECT 1", "colour": 1}"#, Err("unknown field"));
    }
}
