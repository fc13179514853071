//! One line.
//!
//! ```text
//! # TYPE name type      # HELP name text      # UNIT name unit      # EOF
//! name{label="value",...} value time # {label="value"} value time
//! {"any name",label="value","any label"="value"} value time
//! ```

use std::borrow::Cow;

/// Prometheus' NaN of a measurement, as its parsers have it; the stale marker is another one.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Names and values.
pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    Type {
        family: Cow<'a, str>,
        kind: Kind,
    },
    Help {
        family: Cow<'a, str>,
        help: Cow<'a, str>,
    },
    Unit {
        family: Cow<'a, str>,
        unit: &'a str,
    },
    Sample(SampleLine<'a>),
    /// Nothing: a comment.
    Nothing,
    End,
}

/// A sample with its labels, the name not among them.
#[derive(Debug, PartialEq)]
pub(super) struct SampleLine<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) labels: Pairs<'a>,
    pub(super) value: f64,
    /// Milliseconds since the Unix epoch.
    pub(super) ts: Option<i64>,
    pub(super) exemplar: Option<ExemplarPart<'a>>,
}

/// What follows ` # `.
#[derive(Debug, PartialEq)]
pub(super) struct ExemplarPart<'a> {
    pub(super) labels: Pairs<'a>,
    pub(super) value: f64,
    pub(super) ts: Option<i64>,
}

/// The type of a family; the numbers are those of remote write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    #[default]
    Unknown = 0,
    Counter = 1,
    Gauge = 2,
    Histogram = 3,
    GaugeHistogram = 4,
    Summary = 5,
    Info = 6,
    StateSet = 7,
}

impl Kind {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word {
            "unknown" | "untyped" => Self::Unknown,
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "gaugehistogram" => Self::GaugeHistogram,
            "summary" => Self::Summary,
            "info" => Self::Info,
            "stateset" => Self::StateSet,
            _ => return Err(format!("invalid metric type {word:?}")),
        })
    }
}

impl<'a> Line<'a> {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let text = text.strip_suffix('\r').unwrap_or(text);
        match text.strip_prefix('#') {
            Some(" EOF") => Ok(Self::End),
            Some(rest) => Self::comment(rest),
            None if text.trim().is_empty() => Ok(Self::Nothing),
            None => SampleLine::parse(text).map(Self::Sample),
        }
    }

    fn comment(rest: &'a str) -> Result<Self, String> {
        let mut cursor = Cursor { rest: rest.trim_start_matches(' ') };
        let word = cursor.word();
        if !["TYPE", "HELP", "UNIT"].contains(&word) {
            return Ok(Self::Nothing);
        }
        cursor.spaces();
        let family = cursor.name(is_metric_name)?;
        cursor.spaces();
        match word {
            "TYPE" => Ok(Self::Type { family, kind: Kind::parse(cursor.rest.trim_end())? }),
            "UNIT" => Ok(Self::Unit { family, unit: cursor.rest.trim_end() }),
            _ => Ok(Self::Help { family, help: unescape(cursor.rest) }),
        }
    }
}

impl<'a> SampleLine<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut cursor = Cursor { rest: text.trim_start_matches([' ', '\t']) };
        let mut name = None;
        if !cursor.rest.starts_with('{') {
            name = Some(cursor.name(is_metric_name)?);
        }
        let mut labels = Vec::new();
        if cursor.rest.starts_with('{') {
            labels = cursor.labels(&mut name)?;
        }
        let name = name.ok_or("the metric has no name")?;
        cursor.spaces();
        let value = cursor.number("value")?;
        cursor.spaces();
        let ts = cursor.time()?;
        let mut exemplar = None;
        if let Some(rest) = cursor.rest.strip_prefix('#') {
            cursor.rest = rest;
            cursor.spaces();
            let mut no_name = Some(Cow::Borrowed(""));
            let labels = if cursor.rest.starts_with('{') {
                cursor.labels(&mut no_name)?
            } else {
                return Err("an exemplar has no labels".to_owned());
            };
            cursor.spaces();
            let value = cursor.number("exemplar's value")?;
            cursor.spaces();
            exemplar = Some(ExemplarPart { labels, value, ts: cursor.time()? });
        }
        if !cursor.rest.is_empty() {
            return Err(format!("unexpected text {:?}", cursor.shown()));
        }
        Ok(Self { name, labels, value, ts, exemplar })
    }
}

struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn word(&mut self) -> &'a str {
        self.until(|c| c == ' ' || c == '\t')
    }

    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn shown(&self) -> String {
        self.rest.chars().take(40).collect()
    }

    /// A name, quoted or not.
    fn name(&mut self, is_name: fn(&str) -> bool) -> Result<Cow<'a, str>, String> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let word = self.until(|c| !(c == '_' || c == ':' || c.is_ascii_alphanumeric()));
        if is_name(word) {
            Ok(Cow::Borrowed(word))
        } else {
            Err(format!("expected a name at {:?}", format!("{word}{}", self.shown())))
        }
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, String> {
        let body = self.rest.strip_prefix('"').ok_or_else(|| format!("expected a quoted text at {:?}", self.shown()))?;
        let mut escaped = false;
        for (at, byte) in body.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.rest = &body[at + 1..];
                    return Ok(unescape(&body[..at]));
                }
                _ => {}
            }
        }
        Err("a quoted text has no end".to_owned())
    }

    /// What is in braces; a quoted text alone is the metric's name.
    fn labels(&mut self, name: &mut Option<Cow<'a, str>>) -> Result<Pairs<'a>, String> {
        let mut labels = Vec::new();
        self.rest = &self.rest[1..];
        loop {
            self.spaces();
            if let Some(rest) = self.rest.strip_prefix('}') {
                self.rest = rest;
                return Ok(labels);
            }
            let quoted = self.rest.starts_with('"');
            let label = self.name(is_label_name)?;
            self.spaces();
            match self.rest.strip_prefix('=') {
                Some(rest) => {
                    self.rest = rest;
                    self.spaces();
                    labels.push((label, self.quoted()?));
                }
                None if quoted && name.is_none() => *name = Some(label),
                None => return Err(format!("expected `=` at {:?}", self.shown())),
            }
            self.spaces();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with('}') => {}
                None => return Err(format!("expected `,` or `}}` at {:?}", self.shown())),
            }
        }
    }

    fn number(&mut self, what: &str) -> Result<f64, String> {
        let word = self.word();
        let number = word.parse::<f64>().map_err(|_| format!("the {what} {word:?} is no number"))?;
        Ok(if number.is_nan() { NAN } else { number })
    }

    /// Seconds as milliseconds, to the nearest one.
    fn time(&mut self) -> Result<Option<i64>, String> {
        if self.rest.is_empty() || self.rest.starts_with('#') {
            return Ok(None);
        }
        let seconds = self.number("time")?;
        self.spaces();
        let ms = (seconds * 1000.0).round();
        if !(-9.2e15..=9.2e15).contains(&ms) {
            return Err(format!("the time {seconds} is out of range"));
        }
        Ok(Some(ms as i64))
    }
}

fn is_label_name(word: &str) -> bool {
    is_metric_name(word) && !word.contains(':')
}

fn is_metric_name(word: &str) -> bool {
    !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit())
}

/// `\\`, `\"` and `\n` mean what they mean; any other backslash is one.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('\\' | '"'))) => {
                out.push(next);
                chars.next();
            }
            ('\\', Some('n')) => {
                out.push('\n');
                chars.next();
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}
