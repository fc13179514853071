//! Commands of a file: which lines belong together and what they say.

use std::fmt;

use super::lexer::{Cursor, duration_ms};
use super::nhcb;
use super::series::{Item, SeriesLine, items, labels, starts};
use crate::labels::Labels;
use crate::value::{HistogramSample, RawSeries};

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `clear`
    Clear,
    /// `load`, `load_with_nhcb`.
    Load {
        /// Its line, from 1.
        line: usize,
        /// What is loaded: one entry for each label set, samples ascending.
        series: Vec<RawSeries>,
    },
    /// `eval`
    Eval(Box<Eval>),
}

/// One query and what is expected of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Eval {
    /// Its line, from 1.
    pub line: usize,
    /// The query.
    pub query: String,
    /// When it is evaluated.
    pub when: When,
    /// What must come out.
    pub expected: Expectations,
}

/// Times of an evaluation, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// One.
    Instant(i64),
    /// From, to, step.
    Range(i64, i64, i64),
}

/// What must come out of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectations {
    /// It must fail, with such a text.
    pub fail: Option<TextMatch>,
    /// Warnings that must be there, and no others; nothing is looked at when empty.
    pub warnings: Vec<TextMatch>,
    /// Infos that must be there, and no others; nothing is looked at when empty.
    pub infos: Vec<TextMatch>,
    /// There must be no warning.
    pub no_warning: bool,
    /// There must be no info.
    pub no_info: bool,
    /// The order of an instant vector counts.
    pub ordered: bool,
    /// The result is this string.
    pub string: Option<String>,
    /// The result is a range vector with items from, to, step.
    pub range_vector: Option<(i64, i64, i64)>,
    /// The result is this number.
    pub scalar: Option<f64>,
    /// The series of the result, in the order of their lines.
    pub series: Vec<SeriesLine>,
}

/// How a text is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// Not at all.
    Any,
    /// It is this text.
    Exact(String),
    /// This pattern is found in it.
    Regex(String),
}

/// A file that is not of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ScriptError {}

/// A line that is no comment, and its number.
type Line<'a> = (usize, &'a str);

/// Reads a file.
///
/// # Errors
/// The first line that is not of the language.
pub fn parse(text: &str) -> Result<Vec<Command>, ScriptError> {
    let lines: Vec<Line<'_>> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .map(|(n, l)| (n, if l.starts_with('#') { "" } else { l }))
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (number, line) = lines[at];
        let block = lines[at + 1..].iter().take_while(|(_, l)| !l.is_empty() && !begins_command(l)).count();
        let body = &lines[at + 1..=at + block];
        if !line.is_empty() {
            commands.push(command((number, line), body)?);
        }
        at += 1 + block;
    }
    Ok(commands)
}

fn begins_command(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    matches!(
        word.as_str(),
        "load" | "load_with_nhcb" | "clear" | "eval" | "eval_fail" | "eval_warn" | "eval_info" | "eval_ordered"
    )
}

fn command((number, line): Line<'_>, body: &[Line<'_>]) -> Result<Command, ScriptError> {
    let here = |reason: String| ScriptError { line: number, reason };
    let mut cursor = Cursor::new(line);
    let word = cursor.word().to_ascii_lowercase();
    match word.as_str() {
        "clear" => match body.first() {
            None => Ok(Command::Clear),
            Some((line, _)) => Err(ScriptError { line: *line, reason: "nothing stands under clear".into() }),
        },
        "load" | "load_with_nhcb" => {
            let step_ms = duration_ms(cursor.word()).map_err(here)?;
            let series = load(step_ms, body)?;
            let series = if word == "load" { series } else { nhcb::with_nhcb(series).map_err(here)? };
            Ok(Command::Load { line: number, series })
        }
        _ if word.starts_with("eval") => {
            let mut eval = head(number, &mut cursor).map_err(here)?;
            match word.as_str() {
                "eval" => {}
                "eval_fail" => eval.expected.fail = Some(TextMatch::Any),
                "eval_warn" => eval.expected.warnings.push(TextMatch::Any),
                "eval_info" => eval.expected.infos.push(TextMatch::Any),
                "eval_ordered" => eval.expected.ordered = true,
                _ => return Err(here(format!("no such command: {word}"))),
            }
            for (line, text) in body {
                expectation(text, &mut eval.expected).map_err(|reason| ScriptError { line: *line, reason })?;
            }
            Ok(Command::Eval(Box::new(eval)))
        }
        _ => Err(here(format!("no such command: {word}"))),
    }
}

/// `instant at <time> <query>`, `range from <start> to <end> step <step> <query>`.
fn head(line: usize, cursor: &mut Cursor<'_>) -> Result<Eval, String> {
    let when = match cursor.word() {
        "instant" => When::Instant(named_time(cursor, "at")?),
        "range" => {
            let times = (named_time(cursor, "from")?, named_time(cursor, "to")?, named_time(cursor, "step")?);
            When::Range(times.0, times.1, step(times.2)?)
        }
        other => return Err(format!("expected instant or range, found {other:?}")),
    };
    if cursor.is_done() {
        return Err("no query".into());
    }
    Ok(Eval { line, query: cursor.rest().to_owned(), when, expected: Expectations::default() })
}

/// `<word> <time>`
fn named_time(cursor: &mut Cursor<'_>, word: &str) -> Result<i64, String> {
    let found = cursor.word();
    if found == word { duration_ms(cursor.word()) } else { Err(format!("expected {word:?}, found {found:?}")) }
}

fn step(ms: i64) -> Result<i64, String> {
    if ms > 0 { Ok(ms) } else { Err("a step is longer than nothing".into()) }
}

/// One line under an `eval`.
fn expectation(line: &str, expected: &mut Expectations) -> Result<(), String> {
    if expected.scalar.is_some() {
        return Err("a number ends the block".into());
    }
    let mut cursor = Cursor::new(line);
    match cursor.clone().word() {
        "expect" => {
            cursor.word();
            return directive(&mut cursor, expected);
        }
        "expected_fail_message" | "expected_fail_regexp" => {
            let exact = cursor.word() == "expected_fail_message";
            let text = cursor.rest().to_owned();
            expected.fail = Some(if exact { TextMatch::Exact(text) } else { TextMatch::Regex(text) });
            return Ok(());
        }
        _ => {}
    }
    let mut number = cursor.clone();
    if let Some(value) = number.number()
        && number.is_done()
    {
        expected.scalar = Some(value);
        return Ok(());
    }
    let labels = labels(&mut cursor)?;
    expected.series.push(SeriesLine { labels, items: items(&mut cursor)? });
    Ok(())
}

/// What stands behind `expect`.
fn directive(cursor: &mut Cursor<'_>, expected: &mut Expectations) -> Result<(), String> {
    match cursor.word() {
        "fail" => match expected.fail.replace(text_match(cursor)?) {
            None | Some(TextMatch::Any) => {}
            Some(_) => return Err("at most one fail".into()),
        },
        "warn" => expected.warnings.push(text_match(cursor)?),
        "info" => expected.infos.push(text_match(cursor)?),
        "no_warn" => expected.no_warning = true,
        "no_info" => expected.no_info = true,
        "ordered" => expected.ordered = true,
        "string" => {
            expected.string = Some(cursor.quoted()?);
        }
        "range" => {
            let kind = cursor.word();
            if kind != "vector" {
                return Err(format!("expected \"vector\", found {kind:?}"));
            }
            let times = (named_time(cursor, "from")?, named_time(cursor, "to")?, named_time(cursor, "step")?);
            expected.range_vector = Some((times.0, times.1, step(times.2)?));
        }
        other => return Err(format!("no such expectation: {other:?}")),
    }
    Ok(())
}

/// `msg:TEXT`, `regex:RE` or nothing.
fn text_match(cursor: &mut Cursor<'_>) -> Result<TextMatch, String> {
    let rest = cursor.rest().trim();
    if rest.is_empty() {
        return Ok(TextMatch::Any);
    }
    if let Some(text) = rest.strip_prefix("msg:") {
        return Ok(TextMatch::Exact(text.trim().to_owned()));
    }
    match rest.strip_prefix("regex:") {
        Some(pattern) => Ok(TextMatch::Regex(pattern.trim().to_owned())),
        None => Err(format!("expected msg: or regex:, found {rest:?}")),
    }
}

/// The series under a `load`. Of lines with the same labels the last one counts.
fn load(step_ms: i64, body: &[Line<'_>]) -> Result<Vec<RawSeries>, ScriptError> {
    let mut loaded: Vec<RawSeries> = Vec::new();
    let mut pending: Option<(Labels, Vec<Option<i64>>)> = None;
    for (number, text) in body {
        let here = |reason: String| ScriptError { line: *number, reason };
        let mut cursor = Cursor::new(text);
        let labels = labels(&mut cursor).map_err(here)?;
        if cursor.eat("@st") {
            let starts = starts(&mut cursor).map_err(here)?;
            if pending.replace((labels, starts)).is_some() {
                return Err(here("start timestamps without their series".into()));
            }
            continue;
        }
        let items = items(&mut cursor).map_err(here)?;
        let starts = match pending.take() {
            None => Vec::new(),
            Some((of, starts)) if of == labels && starts.len() == items.len() => starts,
            Some(_) => return Err(here("start timestamps are of another series or of another length".into())),
        };
        let series = raw(labels, &items, &starts, 0, step_ms);
        loaded.retain(|s| s.labels != series.labels);
        loaded.push(series);
    }
    match (pending, body.last()) {
        (Some(_), Some((line, _))) => Err(ScriptError { line: *line, reason: "start timestamps without their series".into() }),
        _ => Ok(loaded),
    }
}

/// Items as samples: number `k` is at `from_ms + k * step_ms`. `starts` is empty or as long as `items`.
pub(super) fn raw(labels: Labels, items: &[Item], starts: &[Option<i64>], from_ms: i64, step_ms: i64) -> RawSeries {
    let mut series = RawSeries { labels, ..RawSeries::default() };
    for (at, item) in items.iter().enumerate() {
        let time_ms = from_ms + at as i64 * step_ms;
        let start_ms = starts.get(at).copied().flatten().map_or(0, |offset| time_ms + offset);
        match item {
            Item::Missing => {}
            Item::Float(value) => {
                series.times_ms.push(time_ms);
                series.floats.push(*value);
                series.starts_ms.push(start_ms);
            }
            Item::Histogram { histogram, .. } => {
                series.histograms.push(HistogramSample { time_ms, start_ms, histogram: histogram.clone() });
            }
        }
    }
    if series.starts_ms.iter().all(|s| *s == 0) {
        series.starts_ms.clear();
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
# comment
load 1m
    a{x="1"} 1 2
    a{x="1"} 3 4
    b@st     -30s _
    b        5    6

clear
 eval instant at 1m30s sum(a) # no comment
    expect warn msg: PromQL warning: x (1:1)
    expect warn regex: x.*
    expect no_info
    {} 7

eval range from 0 to 2m step 30s b
    expect ordered
    b 5 _ 6
eval_fail instant at 0 b
    expected_fail_message no such thing
eval instant at 0 1
    -1.5
"#;

    #[test]
    fn a_file() {
        let commands = parse(FILE).unwrap();
        assert_eq!(commands.len(), 6);
        let Command::Load { line: 3, series } = &commands[0] else { panic!("{:?}", commands[0]) };
        assert_eq!(series.len(), 2);
        assert_eq!(
            (&series[0].times_ms[..], &series[0].floats[..], &series[0].starts_ms[..]),
            (&[0, 60_000][..], &[3.0, 4.0][..], &[][..])
        );
        assert_eq!(series[1].starts_ms, [-30_000, 0]);
        assert_eq!(commands[1], Command::Clear);
        let Command::Eval(eval) = &commands[2] else { panic!("{:?}", commands[2]) };
        assert_eq!((eval.line, eval.query.as_str(), eval.when), (10, "sum(a) # no comment", When::Instant(90_000)));
        assert_eq!(eval.expected.warnings, [TextMatch::Exact("PromQL warning: x (1:1)".into()), TextMatch::Regex("x.*".into())]);
        assert!(eval.expected.no_info && !eval.expected.no_warning);
        assert_eq!(eval.expected.series.len(), 1);
        let Command::Eval(eval) = &commands[3] else { panic!("{:?}", commands[3]) };
        assert_eq!(eval.when, When::Range(0, 120_000, 30_000));
        assert!(eval.expected.ordered);
        let Command::Eval(eval) = &commands[4] else { panic!("{:?}", commands[4]) };
        assert_eq!(eval.expected.fail, Some(TextMatch::Exact("no such thing".into())));
        let Command::Eval(eval) = &commands[5] else { panic!("{:?}", commands[5]) };
        assert_eq!(eval.expected.scalar, Some(-1.5));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        #[track_caller]
        fn check(text: &str, line: usize) {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
        check("nonsense", 1);
        check("load 5", 1);
        check("load 5m\n a 1 $", 2);
        check("load 5m\n a@st 0\n b 1", 3);
        check("load 5m\n a@st 0", 2);
        check("eval instant on 5m a", 1);
        check("eval range from 0 to 1m step 0 a", 1);
        check("eval instant at 5m", 1);
        check("eval instant at 5m a\n expect nothing", 2);
        check("eval instant at 5m a\n expect fail msg:a\n expect fail msg:b", 3);
        check("eval instant at 5m a\n expect warn text", 2);
        check("eval instant at 5m a\n 5\n 6", 3);
        check("clear\n a 1", 2);
    }
}
