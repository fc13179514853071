//! Text to tokens, by the rules of Tempo's lexer, which stands on Go's `text/scanner`.
//!
//! A fault ends the tokens: what comes before it is still parsed, since a mistake of the grammar there is the one to tell.

use gosyntax::duration::parse_duration;
use gosyntax::quote;

use super::token::{Kind, Named, Position, SYMBOLS, Token, WORDS};
use crate::ast::{Field, FieldName, Scope};
use crate::words;

/// All tokens of `text`; the last one, and only that, is an end or a fault.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, column: 1 };
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
    /// Its place.
    line: usize,
    column: usize,
}

/// Characters of the longest duration that is read.
const QUANTITY_CHARS_MAX: usize = 100;

/// Whether a character ends the name of an attribute. Operators with which names are written (`-`, `/`, `*`, `+`) do not.
fn ends_name(c: char) -> bool {
    c.is_whitespace() || "{}()=~!<>&|^,".contains(c)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves over `len` bytes.
    fn take(&mut self, len: usize) -> &'a str {
        let taken = &self.rest()[..len];
        for c in taken.chars() {
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
        self.at += len;
        taken
    }

    fn position(&self) -> Position {
        if self.text.is_empty() { Position { line: 0, column: 0 } } else { Position { line: self.line, column: self.column } }
    }

    /// Moves over spaces, line ends and comments.
    fn skip(&mut self) -> Result<(), String> {
        loop {
            let rest = self.rest();
            let len = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").map(|len| len + 4).ok_or("comment not terminated")?
            } else {
                rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
            };
            if len == 0 {
                return Ok(());
            }
            self.take(len);
        }
    }

    fn next_token(&mut self) -> Token {
        if let Err(why) = self.skip() {
            return Token { kind: Kind::Fault(why), at: self.position() };
        }
        let mut at = self.position();
        let kind = self.kind(at);
        let forgotten = match &kind {
            Kind::Duration(_) => true,
            Kind::Symbol(symbol) => symbol.len() > 1,
            Kind::Field(named) => named.lead.len() > 1 && named.bare.is_none(),
            _ => false,
        };
        if forgotten {
            at.line = 0;
        }
        Token { kind, at }
    }

    fn kind(&mut self, at: Position) -> Kind {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Kind::End };
        match c {
            '"' | '`' => self.string(c),
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.take(1);
                self.attribute(".", Scope::Any, Position { line: at.line, column: at.column })
            }
            '0'..='9' | '.' => self.number(),
            _ if c.is_alphabetic() || c == '_' => self.word(at),
            _ => {
                let symbol = SYMBOLS.iter().find(|s| rest.starts_with(**s));
                self.take(symbol.map_or(c.len_utf8(), |s| s.len()));
                symbol.map_or_else(|| Kind::Identifier(c.to_string()), |s| Kind::Symbol(s))
            }
        }
    }

    /// A word, and with a point or a colon behind it a field.
    fn word(&mut self, at: Position) -> Kind {
        let rest = self.rest();
        let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(len);
        let forgotten = Position { line: 0, column: at.column };
        if behind.starts_with(':') && words::INTRINSIC_SCOPES.contains(&word) {
            return self.scoped_intrinsic(len);
        }
        if let Some(behind) = behind.strip_prefix('.') {
            const LEADS: [&str; 5] = ["span.", "resource.", "event.", "link.", "instrumentation."];
            if word == "parent" {
                self.take(len + 1);
                return self.of_parent(forgotten);
            }
            if let Some(scope) = words::named(&words::SCOPES, word) {
                self.take(len + 1);
                let lead = LEADS.iter().find(|lead| lead.starts_with(word)).map_or(".", |lead| lead);
                return self.attribute(lead, scope, forgotten);
            }
            if behind.starts_with(|c: char| !ends_name(c)) {
                return self.bare(word);
            }
        }
        self.take(len);
        WORDS.iter().find(|w| **w == word).map_or_else(|| Kind::Identifier(word.to_owned()), |w| Kind::Word(w))
    }

    /// `service.name`: as if a point stood before it.
    fn bare(&mut self, first: &str) -> Kind {
        let field = match self.name() {
            Ok((name, _)) => Ok(Field { parent: false, name: FieldName::Attribute(Scope::Any, name) }),
            Err(why) => Err((self.position(), why)),
        };
        Kind::Field(Named { lead: "IDENTIFIER", field, bare: Some(first.to_owned()) })
    }

    /// `span:name`; the word before the colon has `len` bytes.
    fn scoped_intrinsic(&mut self, len: usize) -> Kind {
        let scope = &self.rest()[..len];
        let lead = ["trace:", "span:", "event:", "link:", "instrumentation:"].into_iter().find(|lead| lead.starts_with(scope));
        self.take(len + 1);
        let at = self.position();
        let rest = self.rest();
        let name = self.take(rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()));
        let whole = &self.text[self.at - name.len() - len - 1..self.at];
        let field = match words::intrinsic(whole) {
            Some((intrinsic, spelling)) => Ok(Field { parent: false, name: FieldName::Intrinsic(intrinsic, spelling) }),
            None => {
                let found = WORDS.iter().find(|w| **w == name).map_or("IDENTIFIER", |w| w);
                let found =
                    if name.is_empty() { SYMBOLS.iter().find(|s| rest.starts_with(**s)).map_or(found, |s| s) } else { found };
                Err((at, format!("syntax error: unexpected {found}")))
            }
        };
        Kind::Field(Named { lead: lead.unwrap_or("IDENTIFIER"), field, bare: None })
    }

    /// What stands behind `parent.`: a field of the parent. An intrinsic that is not quoted is one there too.
    fn of_parent(&mut self, at: Position) -> Kind {
        let scoped =
            [("span.", Scope::Span), ("resource.", Scope::Resource)].into_iter().find(|(s, _)| self.rest().starts_with(s));
        if let Some((prefix, scope)) = scoped {
            self.take(prefix.len());
            return match self.attribute("parent.", scope, at) {
                Kind::Field(Named { lead, field: Ok(field), bare }) => {
                    Kind::Field(Named { lead, field: Ok(Field { parent: true, ..field }), bare })
                }
                refused => refused,
            };
        }
        let field = match self.name() {
            Ok((name, _)) if name.is_empty() => {
                Err((at, "syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER or resource. or span.".to_owned()))
            }
            Ok((name, quoted)) => {
                let intrinsic = if quoted { None } else { words::intrinsic(&name) };
                let name = intrinsic
                    .map_or_else(|| FieldName::Attribute(Scope::Any, name), |(i, spelling)| FieldName::Intrinsic(i, spelling));
                Ok(Field { parent: true, name })
            }
            Err(why) => Err((at, why)),
        };
        Kind::Field(Named { lead: "parent.", field, bare: None })
    }

    /// The name of an attribute, of which `at` is where it began.
    fn attribute(&mut self, lead: &'static str, scope: Scope, at: Position) -> Kind {
        let field = match self.name() {
            Ok((name, _)) if name.is_empty() => {
                Err((at, "syntax error: unexpected END_ATTRIBUTE, expecting IDENTIFIER".to_owned()))
            }
            Ok((name, _)) => Ok(Field { parent: false, name: FieldName::Attribute(scope, name) }),
            Err(why) => Err((Position { line: 0, column: at.column }, why)),
        };
        Kind::Field(Named { lead, field, bare: None })
    }

    /// Moves over a name; parts of it may be quoted. Gives it without quotes, and whether there were any.
    fn name(&mut self) -> Result<(String, bool), String> {
        let rest = self.rest();
        let (mut name, mut in_quotes, mut quoted) = (String::new(), false, false);
        let mut chars = rest.char_indices();
        let mut len = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => (in_quotes, quoted) = (!in_quotes, true),
                '\\' if in_quotes => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => name.push(c),
                    Some((_, c)) => {
                        self.take(rest.len());
                        return Err(format!("invalid escape sequence: \\{c}"));
                    }
                    None => break,
                },
                c if !in_quotes && ends_name(c) => {
                    len = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.take(len);
        if in_quotes { Err("unexpected EOF, expecting \"".to_owned()) } else { Ok((name, quoted)) }
    }

    /// A number or a duration. What only Go takes for a number (`0x10`, `1_000`) is a fault.
    fn number(&mut self) -> Kind {
        let rest = self.rest();
        // the longest duration is far shorter; without a bound, points and digits in turn would be read over and over
        let quantity =
            rest.chars().take(QUANTITY_CHARS_MAX).take_while(|c| c.is_alphanumeric() || *c == '.').map(char::len_utf8).sum();
        // `0` alone is a duration to Go; here it is a number
        if rest[..quantity].ends_with(|c: char| c.is_alphabetic())
            && let Ok(duration_ns) = parse_duration(&rest[..quantity])
        {
            self.take(quantity);
            return Kind::Duration(duration_ns);
        }
        let (len, whole) = number_len(rest);
        let text = self.take(len);
        let refused = |of: &str, why: &str| Kind::Fault(format!("strconv.{of}: parsing {}: {why}", quote::quote(text)));
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        match (whole, text.parse::<i64>(), text.parse::<f64>()) {
            (true, Ok(value), _) => Kind::Int(value),
            (true, ..) => refused("ParseInt", if plain { "value out of range" } else { "invalid syntax" }),
            (false, _, Ok(value)) if value.is_finite() => Kind::Float(value),
            (false, _, Ok(_)) => refused("ParseFloat", "value out of range"),
            (false, ..) => refused("ParseFloat", "invalid syntax"),
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
        self.take(len);
        let text = quote::unquote(literal);
        // Go drops carriage returns of raw strings
        Kind::String(if delimiter == '`' { text.replace('\r', "") } else { text })
    }
}

/// Length of the number at the start of `text`, which starts with a digit, or a point and a digit; and whether it is a whole one.
fn number_len(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    if bytes[0] == b'0' && bytes.get(1).is_some_and(|b| b"xXbBoO".contains(b)) && bytes.get(2).is_some_and(u8::is_ascii_hexdigit)
    {
        return (2 + bytes[2..].iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'_').count(), true);
    }
    let (mut len, mut whole) = (digits(0), true);
    if bytes.get(len) == Some(&b'.') {
        len += 1;
        len += digits(len);
        whole = false;
    }
    if bytes.get(len).is_some_and(|b| b"eE".contains(b)) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = bytes[(len + 1 + sign).min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count();
        if exponent > 0 {
            (len, whole) = (len + 1 + sign + exponent, false);
        }
    }
    (len, whole)
}
