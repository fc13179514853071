//! The detected level of a log line, as Loki's distributor detects it.
//!
//! In this order: a field of the stream's labels or of the record (one of [`LEVEL_FIELDS`]; `severity_text` is one), OTLP's severity number,
//! a field of a JSON line (two levels deep) or of a logfmt line, the earliest keyword in the text that stands on its own.

/// The names of fields that hold a level, the strongest first.
pub(crate) const LEVEL_FIELDS: &[&str] = &[
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// The metadata that is OTLP's severity number, where a sender turned a record into a line.
const SEVERITY_NUMBER: &str = "severity_number";

/// The level of what cannot be told.
pub(crate) const UNKNOWN: &str = "unknown";

/// How many levels of objects are searched in a JSON line.
const JSON_DEPTH: usize = 2;

/// Words that name a level in running text. Of several at one place the boundary behind it decides.
const WORDS: [(&[u8], &str); 9] = [
    (b"trace", "trace"),
    (b"debug", "debug"),
    (b"fatal", "fatal"),
    (b"critical", "critical"),
    (b"error", "error"),
    (b"err", "error"),
    (b"warning", "warn"),
    (b"warn", "warn"),
    (b"info", "info"),
];

/// Where levels are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    /// The names of fields that hold a level, the strongest first.
    fields: Box<[Box<str>]>,
    /// The first bytes of the fields' names, and the shortest and longest: most names are neither.
    first: [bool; 256],
    lengths: (usize, usize),
    on: bool,
}

impl Levels {
    /// Looks for `fields`; not at all unless `on`.
    pub(crate) fn new<S: AsRef<str>>(fields: &[S], on: bool) -> Self {
        let fields: Box<[Box<str>]> = fields.iter().map(|f| f.as_ref()).filter(|f| !f.is_empty()).map(Box::from).collect();
        let mut first = [false; 256];
        fields.iter().for_each(|f| first[usize::from(f.as_bytes()[0])] = true);
        let lengths = (fields.iter().map(|f| f.len()).min().unwrap_or(0), fields.iter().map(|f| f.len()).max().unwrap_or(0));
        Self { fields, first, lengths, on }
    }

    /// Whether levels are looked for at all.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// The rank of a name among the fields, 0 the strongest. The name is compared as the label it becomes: what is neither letter nor
    /// digit is an underscore.
    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        let bytes = name.as_bytes();
        let (shortest, longest) = self.lengths;
        if bytes.len() < shortest.max(1) || bytes.len() > longest || !self.first[usize::from(bytes[0])] {
            return None;
        }
        let as_label = |b: u8| if b.is_ascii_alphanumeric() { b } else { b'_' };
        let same =
            |field: &[u8]| field.len() == bytes.len() && field.iter().zip(bytes).all(|(f, n)| as_label(*f) == as_label(*n));
        self.fields.iter().position(|field| same(field.as_bytes()))
    }

    /// The strongest field among `fields` with its rank.
    pub(crate) fn strongest<'v>(&self, fields: impl Iterator<Item = (&'v str, &'v str)>) -> Option<(usize, &'v str)> {
        fields.filter_map(|(name, value)| Some((self.rank(name)?, value))).min_by_key(|(rank, _)| *rank)
    }

    /// The usual name of a level; see [`normalize`].
    pub(crate) fn normalize<'v>(&self, level: &'v str) -> &'v str {
        normalize(level)
    }

    /// The level of a pushed line: that of its stream's labels, of a field of its metadata, of OTLP's severity number among that, or of
    /// the line. Empty when levels are not looked for.
    pub(crate) fn of_pushed<'v>(
        &self,
        stream: Option<&'v str>,
        metadata: impl Iterator<Item = (&'v str, &'v str)> + Clone,
        line: &str,
    ) -> &'v str {
        if !self.on {
            return "";
        }
        if let Some(level) = stream {
            return level;
        }
        let mut severity = None;
        let seen = metadata.inspect(|(name, value)| {
            if *name == SEVERITY_NUMBER {
                severity = Some(*value);
            }
        });
        match (self.strongest(seen), severity) {
            (Some((_, value)), _) => normalize(value),
            // What is no number is the level that OTLP's unset one stands for in Loki.
            (None, Some(number)) => number.parse().map_or("info", of_severity),
            (None, None) => self.of_line(line),
        }
    }

    /// The level that `line` names. One pass or two over the line, no allocation.
    pub(crate) fn of_line(&self, line: &str) -> &'static str {
        of_line_with(line, &self.fields)
    }
}

/// The usual name of a level; one that is not known stays as it is.
pub(crate) fn normalize(level: &str) -> &str {
    known(level.as_bytes()).unwrap_or(if level.is_empty() { UNKNOWN } else { level })
}

fn known(level: &[u8]) -> Option<&'static str> {
    let names: [(&str, &[&str]); 7] = [
        ("trace", &["trace", "trc"]),
        ("debug", &["debug", "dbg"]),
        ("info", &["info", "inf", "information"]),
        ("warn", &["warn", "wrn", "warning"]),
        ("error", &["error", "err"]),
        ("critical", &["critical"]),
        ("fatal", &["fatal"]),
    ];
    if level.len() < 3 || level.len() > 11 {
        return None;
    }
    names.into_iter().find(|(_, all)| all.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(level))).map(|(name, _)| name)
}

/// The level of an OTLP severity number that is set.
pub(crate) fn of_severity(number: i32) -> &'static str {
    match number {
        0 => UNKNOWN,
        ..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => UNKNOWN,
    }
}

fn of_line_with(line: &str, fields: &[Box<str>]) -> &'static str {
    let trimmed = line.trim();
    let field = if trimmed.starts_with('{') && trimmed.ends_with('}') {
        let mut scan = JsonScan { bytes: trimmed.as_bytes(), at: 0, fields };
        scan.object(0).unwrap_or(None)
    } else if line.contains('=') {
        logfmt_field(line.as_bytes(), fields)
    } else {
        None
    };
    field.and_then(known).unwrap_or_else(|| of_text(line.as_bytes()))
}

/// The earliest keyword with a boundary on both sides, whatever its case. A colon before the word is no boundary (`misc:error` names
/// a component's setting), one behind it is.
fn of_text(line: &[u8]) -> &'static str {
    let in_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut before = b' ';
    for (at, &byte) in line.iter().enumerate() {
        let bounded = !in_word(before) && before != b':';
        before = byte;
        if bounded && matches!(byte | 0x20, b't' | b'd' | b'f' | b'c' | b'e' | b'w' | b'i') {
            let rest = &line[at..];
            let stands_alone = |word: &[u8]| {
                rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
                    && rest.get(word.len()).is_none_or(|next| !in_word(*next))
            };
            if let Some((_, level)) = WORDS.iter().find(|(word, _)| stands_alone(word)) {
                return level;
            }
        }
    }
    UNKNOWN
}

/// The value of the strongest of `fields` in a logfmt line, names compared without case. Stops at what is not logfmt.
fn logfmt_field<'a>(line: &'a [u8], fields: &[Box<str>]) -> Option<&'a [u8]> {
    let (mut found, mut rank) = (None, fields.len());
    let mut at = 0;
    while at < line.len() {
        let key_start = at;
        while at < line.len() && line[at] > b' ' && line[at] != b'=' && line[at] != b'"' {
            at += 1;
        }
        let key = &line[key_start..at];
        if line.get(at) != Some(&b'=') {
            // A bare key, a space, or a stray quote.
            at += 1;
            continue;
        }
        at += 1;
        let value = logfmt_value(line, &mut at)?;
        if let Some(stronger) = fields[..rank].iter().position(|f| f.as_bytes().eq_ignore_ascii_case(key)) {
            (found, rank) = (Some(value), stronger);
            if rank == 0 {
                break;
            }
        }
    }
    found
}

fn logfmt_value<'a>(line: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let quoted = line.get(*at) == Some(&b'"');
    if quoted {
        *at += 1;
    }
    let start = *at;
    loop {
        match line.get(*at) {
            Some(b'"') if quoted => break,
            Some(b'\\') if quoted => *at += 2,
            Some(byte) if quoted || *byte > b' ' => *at += 1,
            None if quoted => return None,
            _ => break,
        }
    }
    let value = line.get(start..*at)?;
    *at += usize::from(quoted);
    Some(value)
}

/// Looks for a level field in a JSON object, its children included, in the order in which they stand there.
struct JsonScan<'a, 'f> {
    bytes: &'a [u8],
    at: usize,
    fields: &'f [Box<str>],
}

impl<'a> JsonScan<'a, '_> {
    /// The field's value, `Ok(None)` when the object has none, `Err` when this is no JSON (what was read so far counts for nothing).
    fn object(&mut self, depth: usize) -> Result<Option<&'a [u8]>, NotJson> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(None);
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            match self.peek()? {
                b'"' => {
                    let value = self.string()?;
                    if self.fields.iter().any(|f| f.as_bytes() == key) {
                        return Ok(Some(value));
                    }
                }
                b'{' if depth + 1 < JSON_DEPTH => {
                    if let Some(value) = self.object(depth + 1)? {
                        return Ok(Some(value));
                    }
                }
                _ => self.skip()?,
            }
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(None);
                }
                _ => return Err(NotJson),
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Result<u8, NotJson> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().ok_or(NotJson)
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek()? != byte {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// A string's raw content, escapes untouched.
    fn string(&mut self) -> Result<&'a [u8], NotJson> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.bytes.get(self.at).ok_or(NotJson)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(&self.bytes[start..self.at - 1])
    }

    /// Past a number, a word, a list or an object; nesting is counted, not followed.
    fn skip(&mut self) -> Result<(), NotJson> {
        let mut open = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if open == 0 => return Ok(()),
                b'}' | b']' => {
                    open -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Bytes that are no JSON object.
struct NotJson;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            assert_eq!(Levels::new(LEVEL_FIELDS, true).of_line(line), expected, "{line}");
        }
        check("", "unknown");
        check("nothing to see", "unknown");
        check("WARN: low", "warn");
        check("warning: degraded, info follows", "warn");
        check("component=misc:error [info] processed", "info");
        check("fooerror errorbar misc:error error_code", "unknown");
        check(r#"{"a":{"b":{"level":"error"}},"c":[{"level":"debug"}]}"#, "error"); // too deep for a field, then a word in quotes
        check(r#"{"a":{"level":"warn"},"msg":"error"}"#, "warn");
        check(r#"{"msg":"error","level":3}"#, "error"); // not a string: the text decides
        check(r#"{"level":"info""#, "info"); // no JSON: the text decides
        check(r#"a=b severity=error level="warn" x"#, "warn"); // the strongest field, not the first
        check("a=\"open level=warn", "warn");
        check("k=v level='info'", "info");
        check(r#"a="x\"level=error" level=debug"#, "debug");
    }

    #[test]
    fn fields_and_numbers() {
        let levels = Levels::new(LEVEL_FIELDS, true);
        assert_eq!(levels.rank("level"), Some(0));
        assert_eq!(levels.rank("severity.text"), levels.rank("severity_text"));
        assert_eq!(levels.rank("levels"), None);
        assert_eq!(levels.rank(""), None);
        assert_eq!(Levels::new::<&str>(&[], true).rank("level"), None);
        assert_eq!(normalize("Information"), "info");
        assert_eq!(normalize("Notice"), "Notice");
        assert_eq!(normalize(""), "unknown");
        for (number, level) in
            [(0, "unknown"), (1, "trace"), (8, "debug"), (9, "info"), (16, "warn"), (17, "error"), (24, "fatal"), (25, "unknown")]
        {
            assert_eq!(of_severity(number), level, "{number}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Case {
        id: String,
        level_fields: Vec<String>,
        #[serde(default)]
        text_only: bool,
        line: String,
        #[serde(default)]
        structured_metadata: std::collections::BTreeMap<String, String>,
        expect: String,
    }

    /// Cases taken from Loki's own tests, kept outside of the repository.
    #[test]
    fn as_loki_detects() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/logql/level_detection.yaml");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("SKIPPED: {path} is not there");
            return;
        };
        let cases: Vec<Case> = serde_yaml_ng::from_str(&text).expect("a list of cases");
        for case in &cases {
            let levels = Levels::new(&case.level_fields, true);
            let metadata = || case.structured_metadata.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let level = match case.text_only {
                true => of_text(case.line.as_bytes()),
                false => levels.of_pushed(None, metadata(), &case.line),
            };
            assert_eq!(level, case.expect, "{}: {}", case.id, case.line);
        }
        assert!(cases.len() > 40, "{}", cases.len());
    }

    proptest! {
        #[test]
        fn never_panics(line in r#"[ {}\[\]"\\:=,a-f]{0,40}(level|error)?[ {}\[\]"\\:=,]{0,10}"#, any in ".{0,40}") {
            let levels = Levels::new(LEVEL_FIELDS, true);
            levels.of_line(&line);
            levels.of_line(&any);
        }
    }
}
