//! Loki's scenarios: lines to load, queries to ask, answers to expect. Who runs them brings the lines to wherever queries look for them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How far values may be apart, relatively.
const TOLERANCE: f64 = 1e-9;

#[derive(Debug, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) scenario: String,
    pub(crate) load: Vec<Load>,
    pub(crate) evals: Vec<Eval>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Load {
    pub(crate) stream: BTreeMap<String, String>,
    line: String,
    at_ns: i64,
    #[serde(default)]
    repeat_every_ns: i64,
    repeat_count: Option<i64>,
    #[serde(default)]
    pub(crate) structured_metadata: BTreeMap<String, String>,
}

impl Load {
    /// Its lines, with offsets from the scenario's begin.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (i64, String)> + '_ {
        let line = |at: i64| (self.at_ns + at * self.repeat_every_ns, self.line.replace("{{.i}}", &at.to_string()));
        (0..self.repeat_count.unwrap_or(1)).map(line)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Eval {
    pub(crate) src_line: u32,
    pub(crate) query: String,
    /// Of an instant query.
    pub(crate) at_ns: Option<i64>,
    start_ns: Option<i64>,
    end_ns: Option<i64>,
    step_ns: Option<i64>,
    pub(crate) expect: Expect,
}

impl Eval {
    /// First step, last step and the distance of steps, as offsets; those of an instant query are one.
    pub(crate) fn steps(&self) -> (i64, i64, i64) {
        match self.at_ns {
            Some(at_ns) => (at_ns, at_ns, 1),
            None => (self.start_ns.expect("a start"), self.end_ns.expect("an end"), self.step_ns.expect("a step")),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expect {
    series: Option<Vec<ExpectedSeries>>,
    scalar: Option<String>,
    #[serde(default)]
    empty: bool,
    #[serde(default)]
    fail: bool,
    fail_contains: Option<String>,
    fail_regex: Option<String>,
    #[serde(default)]
    ordered: bool,
}

#[derive(Debug, Deserialize)]
struct ExpectedSeries {
    labels: BTreeMap<String, String>,
    values: Vec<Option<String>>,
}

/// Labels with a value per step.
pub(crate) type Rows = Vec<(BTreeMap<String, String>, Vec<Option<f64>>)>;

/// What a query gave.
#[derive(Debug)]
pub(crate) enum Given {
    Scalar(f64),
    Series(Rows),
}

impl Expect {
    /// Whether a query gave what was expected, and if not, why.
    pub(crate) fn check(&self, given: Result<Given, String>) -> Result<(), String> {
        match given {
            Ok(given) if self.fail => Err(format!("does not fail, gives {given:?}")),
            Err(error) if self.fail => self.check_error(&error),
            Err(error) => Err(error),
            Ok(Given::Scalar(value)) => {
                let expected = number(self.scalar.as_deref().ok_or("is a scalar")?);
                if near(value, expected) { Ok(()) } else { Err(format!("wants {expected}, has {value}")) }
            }
            Ok(Given::Series(_)) if self.scalar.is_some() => Err("is no scalar".to_owned()),
            Ok(Given::Series(rows)) => self.check_rows(rows),
        }
    }

    fn check_error(&self, error: &str) -> Result<(), String> {
        let contained = self.fail_contains.as_ref().is_none_or(|part| error.contains(part.as_str()));
        let found = |pattern: &String| gosyntax::re2::compile_search(pattern).expect("a pattern").is_match(error.as_bytes());
        if contained && self.fail_regex.as_ref().is_none_or(found) { Ok(()) } else { Err(format!("fails with {error}")) }
    }

    fn check_rows(&self, mut rows: Rows) -> Result<(), String> {
        let series = self.series.iter().flatten();
        let mut wanted: Rows =
            series.map(|s| (s.labels.clone(), s.values.iter().map(|v| v.as_deref().map(number)).collect())).collect();
        if self.empty && !wanted.is_empty() {
            return Err("a case that contradicts itself".to_owned());
        }
        if !self.ordered {
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            wanted.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let same_value = |pair: (&Option<f64>, &Option<f64>)| match pair {
            (Some(value), Some(wanted)) => near(*value, *wanted),
            (None, None) => true,
            _ => false,
        };
        let same_row = |(row, wanted): (&(_, Vec<_>), &(_, Vec<_>))| {
            row.0 == wanted.0 && row.1.len() == wanted.1.len() && row.1.iter().zip(&wanted.1).all(same_value)
        };
        let same = rows.len() == wanted.len() && rows.iter().zip(&wanted).all(same_row);
        if same { Ok(()) } else { Err(format!("wants {wanted:?}\n    has   {rows:?}")) }
    }
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

fn near(value: f64, wanted: f64) -> bool {
    value == wanted || value.is_nan() && wanted.is_nan() || (value - wanted).abs() <= TOLERANCE * wanted.abs()
}
