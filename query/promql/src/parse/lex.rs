//! Text to words, one at a time, as the grammar asks for them.
//!
//! What a character means depends on where it stands: inside braces there are no keywords and no operators, inside brackets only
//! numbers, durations, arithmetic and the words of duration expressions. The states and the texts of the errors are those of
//! Prometheus' `promql/parser/lex.go`, down to what an error points at: the start of the word that went wrong.

use super::token::{Kind, Token};
use super::{Result, fail};
use crate::ast::{BinaryOp, Span};
use gosyntax::quote::quote_char;

pub(super) const DIGITS: &str = "0123456789";
const SPACES: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads the words of one text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Behind the last character that was read.
    pub(super) pos: usize,
    /// Where the word began that is being read.
    pub(super) start: usize,
    open_parens: usize,
    in_braces: bool,
    in_brackets: bool,
    /// Inside brackets, no number was met yet: another set of errors.
    in_duration: bool,
    /// Whether these brackets had their colon.
    got_colon: bool,
    /// Whether brackets had a duration, so that a colon may follow.
    got_duration: bool,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            pos: 0,
            start: 0,
            open_parens: 0,
            in_braces: false,
            in_brackets: false,
            in_duration: false,
            got_colon: false,
            got_duration: false,
        }
    }

    /// The next word; [`Kind::Eof`] at the end, again and again.
    pub(super) fn next(&mut self) -> Result<Token> {
        loop {
            self.skip_spaces();
            if self.in_duration {
                return self.in_duration();
            }
            if !self.rest().starts_with('#') {
                break;
            }
            self.skip_comment();
        }
        if self.in_braces { self.in_braces() } else { self.statement() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Whether the next character is one of `set`.
    pub(super) fn is(&self, set: &str) -> bool {
        self.peek().is_some_and(|c| set.contains(c))
    }

    /// Takes the next character if it is one of `set`.
    pub(super) fn accept(&mut self, set: &str) -> bool {
        let is = self.is(set);
        if is {
            self.bump();
        }
        is
    }

    pub(super) fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn skip_spaces(&mut self) {
        self.pos = self.text.len() - self.rest().trim_start_matches(SPACES).len();
        self.start = self.pos;
    }

    fn skip_comment(&mut self) {
        self.pos += self.rest().find(['\r', '\n']).unwrap_or(self.rest().len());
        self.start = self.pos;
    }

    pub(super) fn word(&self) -> &'a str {
        &self.text[self.start..self.pos]
    }

    pub(super) fn emit(&mut self, kind: Kind) -> Token {
        let token = Token { kind, start: self.start, end: self.pos };
        self.start = self.pos;
        token
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        fail(self.text, Span { start: self.start, end: self.text.len() }, message)
    }

    /// Outside braces.
    fn statement(&mut self) -> Result<Token> {
        let Some(c) = self.bump() else { return self.end() };
        let kind = match c {
            ',' => Kind::Comma,
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '^' => Kind::Op(BinaryOp::Pow),
            '@' => Kind::At,
            '=' | '!' | '<' | '>' => return self.comparison(c),
            '0'..='9' => return self.number_or_duration(),
            '.' if self.is(DIGITS) => return self.number_or_duration(),
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '(' | ')' => return self.paren(c),
            '{' => {
                self.in_braces = true;
                Kind::LeftBrace
            }
            '[' | ']' => return self.bracket(c),
            ':' if self.in_brackets => return self.colon_in_brackets(),
            _ if is_alpha(c) || c == ':' => return self.name(c),
            _ => return self.fail(format!("unexpected character: {}", quote_char(Some(c)))),
        };
        Ok(self.emit(kind))
    }

    fn end(&mut self) -> Result<Token> {
        if self.open_parens != 0 {
            return self.fail("unclosed left parenthesis");
        }
        if self.in_brackets {
            return self.fail("unclosed left bracket");
        }
        Ok(self.emit(Kind::Eof))
    }

    /// `c` was read, one of `= ! < >`.
    fn comparison(&mut self, c: char) -> Result<Token> {
        let next = self.peek();
        let (kind, two) = match (c, next) {
            ('=', Some('=')) => (Kind::Op(BinaryOp::Equal), true),
            ('=', Some('~')) => {
                return self.fail(format!("unexpected character after '=': {}", quote_char(next)));
            }
            ('=', _) => (Kind::Assign, false),
            ('!', Some('=')) => (Kind::Op(BinaryOp::NotEqual), true),
            ('!', _) => return self.fail(format!("unexpected character after '!': {}", quote_char(next))),
            ('<', Some('=')) => (Kind::Op(BinaryOp::LessEqual), true),
            ('<', Some('/')) => (Kind::Op(BinaryOp::TrimUpper), true),
            ('<', _) => (Kind::Op(BinaryOp::Less), false),
            (_, Some('=')) => (Kind::Op(BinaryOp::GreaterEqual), true),
            (_, Some('/')) => (Kind::Op(BinaryOp::TrimLower), true),
            _ => (Kind::Op(BinaryOp::Greater), false),
        };
        if two {
            self.bump();
        }
        Ok(self.emit(kind))
    }

    fn paren(&mut self, c: char) -> Result<Token> {
        if c == '(' {
            self.open_parens += 1;
            return Ok(self.emit(Kind::LeftParen));
        }
        let token = self.emit(Kind::RightParen);
        if self.open_parens == 0 {
            return self.fail("unexpected right parenthesis ')'");
        }
        self.open_parens -= 1;
        Ok(token)
    }

    fn bracket(&mut self, c: char) -> Result<Token> {
        if c == ']' {
            if !self.in_brackets {
                return self.fail("unexpected right bracket ']'");
            }
            self.in_brackets = false;
            return Ok(self.emit(Kind::RightBracket));
        }
        if self.in_brackets {
            return self.fail("unexpected left bracket '['");
        }
        self.got_colon = false;
        self.in_brackets = true;
        self.in_duration = true;
        Ok(self.emit(Kind::LeftBracket))
    }

    fn colon_in_brackets(&mut self) -> Result<Token> {
        if self.got_colon {
            return self.fail("unexpected colon ':'");
        }
        self.got_colon = true;
        Ok(self.emit(Kind::Colon))
    }

    /// A name whose first character `c` was read.
    fn name(&mut self, c: char) -> Result<Token> {
        if self.in_brackets {
            return match self.duration_keyword() {
                Some(token) => Ok(token),
                None => self.fail(format!("unexpected character: {}, expected ':'", quote_char(Some(c)))),
            };
        }
        while self.peek().is_some_and(|c| is_alphanumeric(c) || c == ':') {
            self.bump();
        }
        let word = self.word();
        let is_call = self.rest().trim_start_matches(SPACES).starts_with('(');
        let kind = Kind::keyword(word).filter(|kind| is_call || !kind.is_fill());
        Ok(self.emit(kind.unwrap_or(if word.contains(':') { Kind::MetricIdentifier } else { Kind::Identifier })))
    }

    /// The rest of a word inside brackets, if it is one that may stand there.
    fn duration_keyword(&mut self) -> Option<Token> {
        while self.peek().is_some_and(is_alpha) {
            self.bump();
        }
        let kind = Kind::keyword(self.word()).filter(|k| matches!(k, Kind::Step | Kind::Range | Kind::MinOf | Kind::MaxOf))?;
        self.got_duration = true;
        Some(self.emit(kind))
    }

    /// Inside brackets, before the first number.
    fn in_duration(&mut self) -> Result<Token> {
        let Some(c) = self.bump() else { return self.fail("unexpected end of input in duration expression") };
        let kind = match c {
            ']' => {
                self.in_duration = false;
                return self.bracket(c);
            }
            ':' => {
                let token = self.emit(Kind::Colon);
                if !self.got_duration {
                    return self.fail("unexpected colon before duration in duration expression");
                }
                if self.got_colon {
                    return self.fail("unexpected repeated colon in duration expression");
                }
                self.got_colon = true;
                return Ok(token);
            }
            '(' | ')' => return self.paren(c),
            '+' => Kind::Op(BinaryOp::Add),
            '-' => Kind::Op(BinaryOp::Sub),
            '*' => Kind::Op(BinaryOp::Mul),
            '/' => Kind::Op(BinaryOp::Div),
            '%' => Kind::Op(BinaryOp::Mod),
            '^' => Kind::Op(BinaryOp::Pow),
            ',' => Kind::Comma,
            '0'..='9' | '.' if c != '.' || self.is(DIGITS) => {
                self.got_duration = true;
                self.in_duration = false;
                return self.number_or_duration();
            }
            _ => {
                let keyword = if is_alpha(c) { self.duration_keyword() } else { None };
                return match keyword {
                    Some(token) => Ok(token),
                    None => self.fail(format!("unexpected character in duration expression: {}", quote_char(Some(c)))),
                };
            }
        };
        Ok(self.emit(kind))
    }

    /// Inside braces.
    fn in_braces(&mut self) -> Result<Token> {
        let Some(c) = self.bump() else { return self.fail("unexpected end of input inside braces") };
        let kind = match c {
            ',' => Kind::Comma,
            '"' | '\'' => return self.string(c),
            '`' => return self.raw_string(),
            '=' if self.accept("~") => Kind::RegexMatch,
            '=' => Kind::Assign,
            '!' => match self.bump() {
                Some('~') => Kind::RegexNotMatch,
                Some('=') => Kind::Op(BinaryOp::NotEqual),
                other => {
                    return self.fail(format!("unexpected character after '!' inside braces: {}", quote_char(other)));
                }
            },
            '{' => return self.fail("unexpected left brace '{'"),
            '}' => {
                self.in_braces = false;
                Kind::RightBrace
            }
            _ if is_alpha(c) => {
                while self.peek().is_some_and(is_alphanumeric) {
                    self.bump();
                }
                Kind::Identifier
            }
            _ => return self.fail(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        };
        Ok(self.emit(kind))
    }
}

const fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) const fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
