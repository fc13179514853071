//! One language read, the other written. Mirrors `parse` of Go's `regexp/syntax`: what is a mistake there is one here, at its place.

use regex::Regex;

use super::mistake;

/// Most times that something is repeated by number.
const REPEAT_MAX: u32 = 1000;

/// The pattern of the crate that means what `pattern` means in RE2, and the names of its groups in order, those again that are there again.
pub(super) fn translate(pattern: &str) -> Result<(String, Vec<&str>), String> {
    let mut re2 = Re2 { text: pattern, pos: 0, out: String::with_capacity(pattern.len()), open: 0, names: Vec::new() };
    re2.translate()?;
    Ok((re2.out, re2.names))
}

/// Reads a pattern of RE2 and writes one of the crate.
struct Re2<'a> {
    text: &'a str,
    pos: usize,
    out: String,
    /// Parentheses that are open.
    open: usize,
    /// Of groups.
    names: Vec<&'a str>,
}

/// What stands before the place, for a repetition.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Nothing that could be repeated.
    Nothing,
    Something,
    /// A repetition that begins at this byte.
    Repetition(usize),
}

impl<'a> Re2<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        let starts = self.rest().starts_with(prefix);
        if starts {
            self.pos += prefix.len();
        }
        starts
    }

    fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.pos]
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn translate(&mut self) -> Result<(), String> {
        let mut before = Before::Nothing;
        while let Some(c) = self.peek() {
            let start = self.pos;
            before = match c {
                '(' => {
                    if self.group()? {
                        Before::Nothing
                    } else {
                        before
                    }
                }
                '|' => {
                    self.copy();
                    Before::Nothing
                }
                ')' => {
                    if self.open == 0 {
                        return Err(mistake("unexpected )", self.text));
                    }
                    self.open -= 1;
                    self.copy();
                    Before::Something
                }
                '^' | '$' | '.' => {
                    self.copy();
                    Before::Something
                }
                '[' => {
                    self.class()?;
                    Before::Something
                }
                '*' | '+' | '?' => {
                    self.pos += 1;
                    self.repetition(start, before)?
                }
                '{' => match self.counts() {
                    Some((min, max)) => {
                        let fits = min.is_some_and(|n| n <= REPEAT_MAX) && max.is_none_or(|n| n <= REPEAT_MAX && min <= Some(n));
                        if !fits {
                            return Err(mistake("invalid repeat count", self.since(start)));
                        }
                        self.repetition(start, before)?
                    }
                    None => {
                        self.pos += 1;
                        self.literal('{');
                        Before::Something
                    }
                },
                '\\' => {
                    self.escape()?;
                    Before::Something
                }
                c => {
                    self.pos += c.len_utf8();
                    self.literal(c);
                    Before::Something
                }
            };
        }
        if self.open > 0 { Err(mistake("missing closing )", self.text)) } else { Ok(()) }
    }

    /// Copies one ASCII character.
    fn copy(&mut self) {
        self.out.push_str(&self.rest()[..1]);
        self.pos += 1;
    }

    /// `(`, `(?:`, `(?i)`, `(?P<name>`: whether a group was opened.
    fn group(&mut self) -> Result<bool, String> {
        let start = self.pos;
        self.pos += 1;
        if !self.take("?") {
            self.open += 1;
            self.out.push('(');
            return Ok(true);
        }
        if self.take("P<") || self.take("<") {
            let Some(end) = self.rest().find('>') else { return Err(mistake("invalid named capture", &self.text[start..])) };
            let name = &self.rest()[..end];
            self.pos += end + 1;
            if name.is_empty() || !name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
                return Err(mistake("invalid named capture", self.since(start)));
            }
            // the crate knows no name that begins with a digit, and none twice: then the first has it
            let unnamed = name.starts_with(|c: char| c.is_ascii_digit()) || self.names.contains(&name);
            let named = if unnamed { "(".to_owned() } else { format!("(?P<{name}>") };
            self.names.push(name);
            self.open += 1;
            self.out.push_str(&named);
            return Ok(true);
        }
        let (mut flags, mut negated) = (0, false);
        while let Some(c) = self.bump() {
            match c {
                'i' | 'm' | 's' | 'U' => flags += 1,
                '-' if !negated => (flags, negated) = (0, true),
                ':' | ')' if flags > 0 || !negated => {
                    // the crate knows no group of no flags
                    self.out.push_str(if self.since(start) == "(?)" { "" } else { self.since(start) });
                    self.open += usize::from(c == ':');
                    return Ok(c == ':');
                }
                _ => break,
            }
        }
        Err(mistake("invalid or unsupported Perl syntax", self.since(start)))
    }

    /// A repetition that begins at `start` and whose operator was read; a `?` behind it makes it lazy.
    fn repetition(&mut self, start: usize, before: Before) -> Result<Before, String> {
        self.take("?");
        match before {
            Before::Something => {
                self.out.push_str(self.since(start));
                Ok(Before::Repetition(start))
            }
            Before::Nothing => Err(mistake("missing argument to repetition operator", self.since(start))),
            Before::Repetition(first) => Err(mistake("invalid nested repetition operator", self.since(first))),
        }
    }

    /// `{2}`, `{2,}`, `{2,5}`: least and most. Nothing is read when it is something else. A least of `None` is too large.
    fn counts(&mut self) -> Option<(Option<u32>, Option<u32>)> {
        let body = &self.rest()[1..self.rest().find('}')?];
        let number = |digits: &str| {
            let plain =
                !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            plain.then(|| digits.parse().unwrap_or(u32::MAX))
        };
        let counts = match body.split_once(',') {
            None => (Some(number(body)?), None),
            Some((min, "")) => (Some(number(min)?), None),
            Some((min, max)) => (Some(number(min)?), Some(number(max)?)),
        };
        self.pos += body.len() + 2;
        Some(counts)
    }

    /// A backslash outside of classes.
    fn escape(&mut self) -> Result<(), String> {
        let start = self.pos;
        if self.take("\\Q") {
            let quoted = self.rest().split("\\E").next().unwrap_or_default();
            self.out.push_str(&regex::escape(quoted));
            self.pos += quoted.len();
            self.take("\\E");
            return Ok(());
        }
        for (written, means) in [("\\A", "\\A"), ("\\z", "\\z"), ("\\b", "(?-u:\\b)"), ("\\B", "(?-u:\\B)")] {
            if self.take(written) {
                self.out.push_str(means);
                return Ok(());
            }
        }
        if let Some(class) = self.escaped_class(start)? {
            self.out.push('[');
            self.out.push_str(&class);
            self.out.push(']');
            return Ok(());
        }
        let c = self.escaped_char(start)?;
        self.literal(c);
        Ok(())
    }

    /// `\d`, `\W`, `\pL`, `\P{Greek}` as the inside of a class.
    fn escaped_class(&mut self, start: usize) -> Result<Option<String>, String> {
        if !self.rest().starts_with('\\') {
            return Ok(None);
        }
        let class = match self.rest().as_bytes().get(1) {
            Some(b'd') => "0-9",
            Some(b'D') => "[^0-9]",
            Some(b's') => "\\t\\n\\f\\r ",
            Some(b'S') => "[^\\t\\n\\f\\r ]",
            Some(b'w') => "0-9A-Za-z_",
            Some(b'W') => "[^0-9A-Za-z_]",
            Some(b'p' | b'P') => return self.unicode_class(start).map(Some),
            _ => return Ok(None),
        };
        self.pos += 2;
        Ok(Some(class.to_owned()))
    }

    fn unicode_class(&mut self, start: usize) -> Result<String, String> {
        let mut negated = self.rest().starts_with("\\P");
        self.pos += 2;
        let name = if self.take("{") {
            let Some(end) = self.rest().find('}') else {
                return Err(mistake("invalid character class range", &self.text[start..]));
            };
            let name = &self.rest()[..end];
            self.pos += end + 1;
            name
        } else {
            let from = self.pos;
            self.bump();
            self.since(from)
        };
        let plain = name.strip_prefix('^').inspect(|_| negated = !negated).unwrap_or(name);
        let class = format!("\\{}{{{plain}}}", if negated { 'P' } else { 'p' });
        let known = plain.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) && Regex::new(&class).is_ok();
        if known { Ok(class) } else { Err(mistake("invalid character class range", self.since(start))) }
    }

    /// An escape that means one character, its backslash being next.
    fn escaped_char(&mut self, start: usize) -> Result<char, String> {
        self.pos += 1;
        let Some(c) = self.bump() else { return Err(mistake("trailing backslash at end of expression", "")) };
        let is_octal = |c: &char| ('0'..='7').contains(c);
        let meant = match c {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            'x' => self.hexadecimal(),
            // one digit that is not zero would be a reference to a group
            '0'..='7' if c == '0' || self.peek().is_some_and(|c| is_octal(&c)) => {
                let digits = self.rest().chars().take(2).take_while(is_octal).count();
                self.pos += digits;
                u32::from_str_radix(&self.since(start)[1..], 8).ok().and_then(char::from_u32)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        };
        meant.ok_or_else(|| mistake("invalid escape sequence", self.since(start)))
    }

    /// `7f` or `{1F600}`.
    fn hexadecimal(&mut self) -> Option<char> {
        let digits = if self.take("{") {
            let digits = self.rest().chars().take_while(char::is_ascii_hexdigit).count();
            let digits = &self.rest()[..digits];
            self.pos += digits.len();
            if !self.take("}") {
                self.bump();
                return None;
            }
            digits
        } else {
            let from = self.pos;
            for _ in 0..2 {
                self.bump().filter(char::is_ascii_hexdigit)?;
            }
            self.since(from)
        };
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)
    }

    /// `[a-z]`, whose `[` is next.
    fn class(&mut self) -> Result<(), String> {
        let whole = self.rest();
        self.pos += 1;
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.rest().starts_with(']') {
            first = false;
            let start = self.pos;
            if self.rest().starts_with("[:") && self.rest()[2..].contains(":]") {
                self.posix_class()?;
                continue;
            }
            if let Some(class) = self.escaped_class(start)? {
                self.out.push_str(&class);
                continue;
            }
            let low = self.class_char(whole)?;
            let mut high = low;
            if self.rest().starts_with('-') && self.rest().len() > 1 && !self.rest().starts_with("-]") {
                self.pos += 1;
                high = self.class_char(whole)?;
                if high < low {
                    return Err(mistake("invalid character class range", self.since(start)));
                }
            }
            self.class_literal(low);
            if high != low {
                self.out.push('-');
                self.class_literal(high);
            }
        }
        self.copy();
        Ok(())
    }

    /// `[:alpha:]`, `[:^digit:]`.
    fn posix_class(&mut self) -> Result<(), String> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
            "xdigit",
        ];
        let end = self.rest()[2..].find(":]").map_or(self.rest().len(), |at| at + 4);
        let class = &self.rest()[..end];
        let name = class[2..end - 2].trim_start_matches('^');
        if !NAMES.contains(&name) || class.contains("^^") {
            return Err(mistake("invalid character class range", class));
        }
        self.out.push_str(class);
        self.pos += end;
        Ok(())
    }

    fn class_char(&mut self, whole: &str) -> Result<char, String> {
        if self.rest().starts_with('\\') {
            return self.escaped_char(self.pos);
        }
        self.bump().ok_or_else(|| mistake("missing closing ]", whole))
    }

    /// A character in a class: by number unless it is a letter or a digit, so that none means anything else.
    fn class_literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() {
            self.out.push(c);
        } else {
            self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
        }
    }
}
