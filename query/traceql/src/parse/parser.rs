//! What all rules of the grammar use: the next token, what was expected of it, how deep we are.

use super::token::{Kind, Position, Token};
use super::{Error, HEIGHT_MAX, NESTING_MAX, PIPELINE_HEIGHT_MAX, PIPELINE_NESTING_MAX, QUERY_BYTES_MAX, lex};
use crate::ast::FieldExpr;

/// `Result` of a rule.
pub(super) type Result<T, E = Error> = std::result::Result<T, E>;

pub(super) struct Parser {
    tokens: Vec<Token>,
    /// The next one; never behind the last, which is an end or a fault.
    next: usize,
    nesting: usize,
    pipeline_nesting: usize,
    /// Groups that an aggregate of the stage being read was written with.
    pub(super) groups: Vec<FieldExpr>,
}

/// A tree and its height.
#[derive(Debug, Clone)]
pub(super) struct Tall<T> {
    pub(super) tree: T,
    pub(super) height: usize,
}

impl<T> Tall<T> {
    pub(super) fn leaf(tree: T) -> Self {
        Self { tree, height: 1 }
    }
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self> {
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("query is too long: {} bytes, limit is {QUERY_BYTES_MAX}", text.len());
            return Err(Error::at(Position { line: 0, column: 0 }, message));
        }
        Ok(Self::of(lex::tokens(text)))
    }

    /// Of tokens, of which the last is an end or a fault.
    pub(super) fn of(tokens: Vec<Token>) -> Self {
        Self { tokens, next: 0, nesting: 0, pipeline_nesting: 0, groups: Vec::new() }
    }

    pub(super) fn peek(&self) -> &Kind {
        &self.tokens[self.next].kind
    }

    pub(super) fn peek_second(&self) -> &Kind {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)].kind
    }

    /// The one before the next, if there is one.
    pub(super) fn peek_back(&self) -> Option<&Kind> {
        self.next.checked_sub(1).map(|at| &self.tokens[at].kind)
    }

    pub(super) fn position(&self) -> Position {
        self.tokens[self.next].at
    }

    pub(super) fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    /// The symbol that is next, if one is.
    pub(super) fn symbol(&self) -> Option<&'static str> {
        if let Kind::Symbol(symbol) = self.peek() { Some(symbol) } else { None }
    }

    /// The word that is next, if one is.
    pub(super) fn word(&self) -> Option<&'static str> {
        if let Kind::Word(word) = self.peek() { Some(word) } else { None }
    }

    /// Moves over `symbol` if it is next.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let is_next = self.symbol() == Some(symbol);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Moves over the word if it is next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let is_next = self.word() == Some(word);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Moves over `symbol`, which must be next; `expected` is what a message says could have been there.
    pub(super) fn expect(&mut self, symbol: &str, expected: &[&str]) -> Result<()> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// A whole number that is at least 0.
    pub(super) fn int(&mut self, expected: &[&str]) -> Result<i64> {
        match *self.peek() {
            Kind::Int(value) => {
                self.advance();
                Ok(value)
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    /// The error that the next token is. Tempo names what it expected only when that is little, so `expected` may be empty.
    pub(super) fn unexpected(&self, expected: &[&str]) -> Error {
        self.unexpected_at(self.mark(), expected)
    }

    /// The next token, to come back to with [`Parser::unexpected_at`].
    pub(super) fn mark(&self) -> usize {
        self.next
    }

    /// The error that the token at `mark` is.
    pub(super) fn unexpected_at(&self, mark: usize, expected: &[&str]) -> Error {
        let Token { kind, at } = &self.tokens[mark];
        if let Kind::Fault(why) = kind {
            return Error::at(*at, why.clone());
        }
        let expecting = if expected.is_empty() { String::new() } else { format!(", expecting {}", expected.join(" or ")) };
        Error::at(*at, format!("syntax error: unexpected {}{expecting}", kind.name()))
    }

    /// Runs `rule` one level deeper in an expression over fields.
    pub(super) fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting == NESTING_MAX {
            return Err(self.too_deep(NESTING_MAX));
        }
        self.nesting += 1;
        let result = rule(self);
        self.nesting -= 1;
        result
    }

    /// Runs `rule` one level deeper outside of such expressions.
    pub(super) fn pipeline_nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.pipeline_nesting == PIPELINE_NESTING_MAX {
            return Err(self.too_deep(PIPELINE_NESTING_MAX));
        }
        self.pipeline_nesting += 1;
        let result = rule(self);
        self.pipeline_nesting -= 1;
        result
    }

    fn too_deep(&self, limit: usize) -> Error {
        Error::at(self.position(), format!("query is nested deeper than {limit} levels"))
    }

    /// The height of an expression above others, unless that is too high.
    pub(super) fn above(&self, heights: &[usize]) -> Result<usize> {
        self.within(HEIGHT_MAX, heights)
    }

    /// The same outside of expressions over fields.
    pub(super) fn pipeline_above(&self, heights: &[usize]) -> Result<usize> {
        self.within(PIPELINE_HEIGHT_MAX, heights)
    }

    fn within(&self, limit: usize, heights: &[usize]) -> Result<usize> {
        let height = heights.iter().max().unwrap_or(&0) + 1;
        if height > limit {
            return Err(Error::at(self.position(), format!("query has more than {limit} operators in a row")));
        }
        Ok(height)
    }
}
