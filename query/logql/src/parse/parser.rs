//! What all rules of the grammar use: the next token, what was expected of it, how deep we are.

use super::token::{Kind, Position, Token};
use super::{NESTING_MAX, ParseError, QUERY_BYTES_MAX, lex};
use crate::ast::Expr;

pub(super) struct Parser {
    tokens: Vec<Token>,
    /// The next one; never behind the last, which is an end or a fault.
    next: usize,
    nesting: usize,
}

/// A tree and its height.
pub(super) struct Tall<T> {
    pub(super) tree: T,
    pub(super) height: usize,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, ParseError> {
        if text.len() > QUERY_BYTES_MAX {
            let reason = format!("input size too long ({} > {QUERY_BYTES_MAX})", text.len());
            return Err(ParseError::of_query(reason));
        }
        Ok(Parser { tokens: lex::tokens(text), next: 0, nesting: 0 })
    }

    /// The whole text as one expression.
    pub(super) fn query(mut self) -> Result<Expr, ParseError> {
        let expr = self.expression()?;
        match self.peek() {
            Kind::End => Ok(expr),
            _ => Err(self.unexpected(&[])),
        }
    }

    pub(super) fn peek(&self) -> &Kind {
        &self.tokens[self.next].kind
    }

    pub(super) fn peek_second(&self) -> &Kind {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].kind
    }

    pub(super) fn position(&self) -> Position {
        self.tokens[self.next].at
    }

    pub(super) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(s) if *s == symbol)
    }

    /// Moves over `symbol` if it is next.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let is_next = self.is_symbol(symbol);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Moves over the keyword if it is next.
    pub(super) fn eat_keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Kind::Keyword(k) if *k == keyword);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Moves over `symbol`, which must be next; `expected` is what a message says could have been there.
    pub(super) fn expect(&mut self, symbol: &str, expected: &[&str]) -> Result<(), ParseError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    pub(super) fn identifier(&mut self, expected: &[&str]) -> Result<String, ParseError> {
        match self.peek() {
            Kind::Identifier(name) => {
                let name = name.clone();
                self.advance();
                Ok(name)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(super) fn string(&mut self, expected: &[&str]) -> Result<String, ParseError> {
        match self.peek() {
            Kind::String(value) => {
                let value = value.clone();
                self.advance();
                Ok(value)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// A number as it was written.
    pub(super) fn number(&mut self, expected: &[&str]) -> Result<String, ParseError> {
        match self.peek() {
            Kind::Number(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// The error that the next token is. Loki names what it expected only when that is little, so `expected` may be empty.
    pub(super) fn unexpected(&self, expected: &[&str]) -> ParseError {
        if let Kind::Fault(why) = self.peek() {
            return ParseError::at(self.position(), why.clone());
        }
        let expecting = if expected.is_empty() { String::new() } else { format!(", expecting {}", expected.join(" or ")) };
        ParseError::at(self.position(), format!("syntax error: unexpected {}{expecting}", self.peek().name()))
    }

    /// Runs `rule` one level deeper.
    pub(super) fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.nesting == NESTING_MAX {
            return Err(ParseError::at(self.position(), format!("query is nested deeper than {NESTING_MAX} levels")));
        }
        self.nesting += 1;
        let result = rule(self);
        self.nesting -= 1;
        result
    }

    /// The height of a node above others, unless it is above `limit`.
    pub(super) fn above(&self, heights: &[usize], limit: usize) -> Result<usize, ParseError> {
        let height = heights.iter().max().unwrap_or(&0) + 1;
        if height > limit {
            return Err(ParseError::at(self.position(), format!("query has more than {limit} operators in a row")));
        }
        Ok(height)
    }
}
