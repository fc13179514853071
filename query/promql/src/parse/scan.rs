//! The words that are literals: strings, numbers, durations.

use super::Result;
use super::lex::{DIGITS, Lexer, is_alphanumeric};
use super::token::{Kind, Token};
use gosyntax::quote::{is_printable, quote};

impl Lexer<'_> {
    /// A string whose opening quote was read.
    pub(super) fn string(&mut self, open: char) -> Result<Token> {
        loop {
            match self.bump() {
                Some('\\') => self.escape(open)?,
                Some(char::REPLACEMENT_CHARACTER) => return self.fail("invalid UTF-8 rune"),
                None | Some('\n') => return self.fail("unterminated quoted string"),
                Some(c) if c == open => return Ok(self.emit(Kind::String)),
                Some(_) => {}
            }
        }
    }

    pub(super) fn raw_string(&mut self) -> Result<Token> {
        loop {
            match self.bump() {
                Some(char::REPLACEMENT_CHARACTER) => return self.fail("invalid UTF-8 rune"),
                None => return self.fail("unterminated raw string"),
                Some('`') => return Ok(self.emit(Kind::String)),
                Some(_) => {}
            }
        }
    }

    /// An escape whose backslash was read.
    fn escape(&mut self, open: char) -> Result<()> {
        let first = self.bump();
        let (count, radix, max, mut digit) = match first {
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == open => return Ok(()),
            Some('0'..='7') => (3, 8, 255, first),
            Some('x') => (2, 16, 255, self.bump()),
            Some('u') => (4, 16, u32::from(char::MAX), self.bump()),
            Some('U') => (8, 16, u32::from(char::MAX), self.bump()),
            None => return self.fail("escape sequence not terminated"),
            Some(c) => return self.fail(format!("unknown escape sequence {}", code_point(c))),
        };
        let mut code: u32 = 0;
        for left in (0..count).rev() {
            let Some(c) = digit else { return self.fail("escape sequence not terminated") };
            let Some(value) = c.to_digit(radix) else {
                return self.fail(format!("illegal character {} in escape sequence", code_point(c)));
            };
            code = code.wrapping_mul(radix).wrapping_add(value);
            if left > 0 {
                digit = self.bump();
            }
        }
        if code > max || (0xd800..0xe000).contains(&code) {
            return self.fail("escape sequence is an invalid Unicode code point");
        }
        Ok(())
    }

    /// A number or duration whose first character was read.
    pub(super) fn number_or_duration(&mut self) -> Result<Token> {
        self.pos = self.start;
        if self.scan_number() {
            return Ok(self.emit(Kind::Number));
        }
        if !self.scan_duration() {
            return self.fail(format!("bad number or duration syntax: {}", quote(self.word())));
        }
        Ok(self.emit(Kind::Duration))
    }

    /// The rest of a duration behind its first number. What goes wrong later is found when its value is taken.
    fn scan_duration(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        self.accept("s");
        while self.accept(DIGITS) {
            self.accept_run(DIGITS);
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump(); // the error shows it
            return false;
        }
        true
    }

    /// A number in one of its forms, not necessarily a valid one.
    fn scan_number(&mut self) -> bool {
        let mut digits = DIGITS;
        if self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = "0123456789abcdefABCDEF";
        }
        let hexadecimal = digits.len() > 10;
        self.accept(".");
        self.accept(digits);
        let (mut dot, mut exponent) = (false, false);
        while self.is(digits) || self.is("._eE") {
            if self.is(".") {
                self.bump();
                if dot || self.accept("_.") || hexadecimal {
                    return false;
                }
                dot = true;
            } else if self.is("eE") {
                self.bump();
                if exponent {
                    return false;
                }
                exponent = true;
                self.accept("+-");
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            } else if self.accept("_") {
                if self.accept("._eE") || self.peek().is_none() {
                    return false;
                }
            } else {
                self.accept_run(digits);
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }
}

/// As Go's `%#U`.
fn code_point(c: char) -> String {
    let code = u32::from(c);
    if is_printable(c) { format!("U+{code:04X} '{c}'") } else { format!("U+{code:04X}") }
}
