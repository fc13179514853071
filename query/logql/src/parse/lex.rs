//! Text to tokens, by the rules of Loki's lexer (`pkg/logql/syntax/lex.go`), which stands on Go's `text/scanner`.
//!
//! A fault ends the tokens: what comes before it is still parsed, since a mistake of the grammar there is the one to tell.

use gosyntax::quote;

use super::token::{FLAGS, FUNCTIONS, KEYWORDS, Kind, Position, SYMBOLS, Token};
use crate::units::{parse_bytes, parse_duration, parse_prometheus_duration};

/// All tokens of `text`; the last one, and only that, is an end or a fault.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, line_start: 0, columns: 0, columns_to: 0 };
    let mut out = Vec::new();
    loop {
        let token = lexer.next_token();
        let last = matches!(token.kind, Kind::End | Kind::Fault(_));
        out.push(token);
        if last {
            return out;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// Byte of the next character.
    at: usize,
    line: usize,
    /// Byte at which the line starts.
    line_start: usize,
    /// Characters of the line before the byte `columns_to`: columns are counted once, not from the start for each token.
    columns: usize,
    columns_to: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Moves over spaces, line ends and comments.
    fn skip(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                '\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                    (self.columns, self.columns_to) = (0, self.at);
                }
                ' ' | '\t' | '\r' => self.at += 1,
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => break,
            }
        }
    }

    fn position(&mut self) -> Position {
        if self.text.is_empty() {
            return Position { line: 0, column: 0 };
        }
        self.columns += self.text[self.columns_to..self.at].chars().count();
        self.columns_to = self.at;
        Position { line: self.line, column: self.columns + 1 }
    }

    fn next_token(&mut self) -> Token {
        self.skip();
        let mut at = self.position();
        let kind = self.kind();
        if matches!(kind, Kind::Range(_) | Kind::Duration(_) | Kind::Bytes(_) | Kind::Flag(_)) {
            at.line = 0;
        }
        let kind = match kind {
            Kind::Fault(why) if self.text[..self.at].ends_with('[') => {
                at.line = 0;
                Kind::Fault(why)
            }
            kind => kind,
        };
        Token { kind, at }
    }

    fn kind(&mut self) -> Kind {
        let Some(c) = self.peek() else { return Kind::End };
        match c {
            '"' | '`' => self.string(c),
            '[' => self.range(),
            '-' => self.minus(),
            _ if c.is_ascii_digit() => self.number(),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            _ if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.symbol(c),
        }
    }

    fn symbol(&mut self, c: char) -> Kind {
        let symbol = SYMBOLS.iter().find(|s| self.rest().starts_with(**s));
        self.at += symbol.map_or(c.len_utf8(), |s| s.len());
        symbol.map_or(Kind::Stray(c), |s| Kind::Symbol(s))
    }

    fn word(&mut self) -> Kind {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        let same = |known: &&&str| known.eq_ignore_ascii_case(word);
        if let Some(keyword) = KEYWORDS.iter().find(same) {
            return Kind::Keyword(keyword);
        }
        match FUNCTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
            Some((function, _)) if self.function_follows() => Kind::Function(function),
            _ => Kind::Identifier(word.to_owned()),
        }
    }

    /// Whether what stands next makes a function of the word before it: `(`, `by (`, `without (`.
    fn function_follows(&self) -> bool {
        let rest = self.rest().trim_start();
        let grouped = |word: &str| {
            let (start, behind) = rest.split_at_checked(word.len())?;
            start.eq_ignore_ascii_case(word).then(|| behind.trim_start().starts_with('('))
        };
        rest.starts_with('(') || grouped("by") == Some(true) || grouped("without") == Some(true)
    }

    fn number(&mut self) -> Kind {
        let number = number_len(self.rest());
        let text = &self.rest()[..number];
        if let Some((duration_ns, len)) = self.quantity(number, |c| "nuµmshdwy".contains(c), |t| parse_duration(t).ok()) {
            self.at += len;
            return Kind::Duration(duration_ns);
        }
        if let Some((size, len)) = self.quantity(number, |c| "BbikKMGTP".contains(c), |t| parse_bytes(t).ok()) {
            self.at += len;
            return Kind::Bytes(size);
        }
        self.at += number;
        Kind::Number(text.to_owned())
    }

    /// A number with units, and its length: what follows the first `number` bytes for as long as it is a digit, a point or part of a unit.
    fn quantity<T>(&self, number: usize, unit: fn(char) -> bool, read: fn(&str) -> Option<T>) -> Option<(T, usize)> {
        let rest = &self.rest()[number..];
        let len = rest.find(|c: char| !c.is_numeric() && c != '.' && !unit(c)).unwrap_or(rest.len());
        let text = &self.rest()[..number + len];
        // `-0` alone is a duration to Go; here it is a number, as `0` is
        let unitless = text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
        if len == 0 || unitless { None } else { read(text).map(|value| (value, text.len())) }
    }

    /// `-`, the start of a flag or of a negative duration.
    fn minus(&mut self) -> Kind {
        let ends = |flag: &str| !self.rest()[flag.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        if let Some(flag) = FLAGS.iter().find(|f| self.rest().starts_with(**f) && ends(f)) {
            self.at += flag.len();
            return Kind::Flag(flag);
        }
        if let Some((duration_ns, len)) = self.quantity(1, |c| "nuµmshdwy".contains(c), |t| parse_duration(t).ok()) {
            self.at += len;
            return Kind::Duration(duration_ns);
        }
        self.at += 1;
        Kind::Symbol("-")
    }

    /// `[5m]`. A fault stands at the bracket.
    fn range(&mut self) -> Kind {
        self.at += 1;
        let Some(end) = self.rest().find(']') else {
            return Kind::Fault("missing closing ']' in duration".to_owned());
        };
        match parse_prometheus_duration(&self.rest()[..end]) {
            Ok(range_ns) => {
                self.at += end + 1;
                Kind::Range(range_ns)
            }
            Err(why) => Kind::Fault(why),
        }
    }

    fn string(&mut self, delimiter: char) -> Kind {
        let rest = self.rest();
        let len = if delimiter == '`' { rest[1..].find('`').map(|at| at + 2) } else { quote::quoted_len(rest) };
        let Some(len) = len else { return Kind::Fault("literal not terminated".to_owned()) };
        let literal = &rest[..len];
        if delimiter == '"' && !quote::escapes_are_known(&literal[1..len - 1]) {
            return Kind::Fault("invalid syntax".to_owned());
        }
        // a raw string goes over lines: keep count of them
        if let Some(newline) = literal.rfind('\n') {
            self.line += literal.matches('\n').count();
            self.line_start = self.at + newline + 1;
            (self.columns, self.columns_to) = (0, self.line_start);
        }
        self.at += len;
        Kind::String(quote::unquote(literal))
    }
}

/// Length of the number at the start of `text`, which starts with a digit, or a point and a digit.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    if bytes[0] == b'0' && bytes.get(1).is_some_and(|b| b"xXbBoO".contains(b)) && bytes.get(2).is_some_and(u8::is_ascii_hexdigit)
    {
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_hexdigit() || b"_.".contains(b)).count();
        return with_exponent(bytes, 2 + digits(2), b"pP");
    }
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') {
        len += 1;
        len += digits(len);
    }
    with_exponent(bytes, len, b"eE")
}

/// Length with the exponent behind the first `len` bytes, if one of `marks` and digits stand there.
fn with_exponent(bytes: &[u8], len: usize, marks: &[u8]) -> usize {
    if !bytes.get(len).is_some_and(|b| marks.contains(b)) {
        return len;
    }
    let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
    let digits = bytes[(len + 1 + sign).min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
    if digits > 0 { len + 1 + sign + digits } else { len }
}
