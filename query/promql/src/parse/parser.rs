//! What every rule of the grammar stands on: the next word, what is said when it is not the right one, and the bounds of the descent.

use super::lex::Lexer;
use super::token::{Described, Kind, Token};
use super::{NESTING_MAX, ParseOptions, Result, fail};
use crate::ast::{Expr, ExprKind, Span};

/// An expression and its height: 1 for a leaf.
pub(super) struct Node {
    pub(super) expr: Box<Expr>,
    pub(super) height: usize,
}

impl Node {
    pub(super) fn leaf(kind: ExprKind, span: Span) -> Self {
        Self { expr: Box::new(Expr { kind, span }), height: 1 }
    }
}

/// What an unexpected word is said to be in, and what was expected there.
#[derive(Clone, Copy, Default)]
pub(super) struct Context {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
}

/// Reads one text.
pub(super) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    pub(super) options: ParseOptions,
    peeked: Option<Token>,
    /// End of the newest word that can end an expression, the one that was only peeked at among them.
    last_closing: usize,
    /// What surrounds the place, as far as errors speak of it.
    pub(super) context: Context,
    /// How deep the descent is.
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, options: ParseOptions) -> Self {
        let lexer = Lexer::new(text);
        Self { text, lexer, options, peeked: None, last_closing: 0, context: Context::default(), depth: 0 }
    }

    /// The whole text is one expression.
    pub(super) fn query(&mut self) -> Result<Box<Expr>> {
        if self.peek()?.kind == Kind::Eof {
            return self.fail(Span::default(), "no expression found in input");
        }
        let node = self.expr(0)?;
        self.expect_end()?;
        Ok(node.expr)
    }

    pub(super) fn expect_end(&mut self) -> Result<()> {
        if self.peek()?.kind == Kind::Eof { Ok(()) } else { self.unexpected() }
    }

    /// The next word, not taken yet.
    pub(super) fn peek(&mut self) -> Result<Token> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        let token = self.lexer.next()?;
        if matches!(token.kind, Kind::RightBrace | Kind::RightParen | Kind::RightBracket | Kind::Duration | Kind::Number) {
            self.last_closing = token.end;
        }
        self.peeked = Some(token);
        Ok(token)
    }

    pub(super) fn take(&mut self) -> Result<Token> {
        let token = self.peek()?;
        self.peeked = None;
        Ok(token)
    }

    pub(super) fn take_if(&mut self, kind: Kind) -> Result<bool> {
        let is = self.peek()?.kind == kind;
        if is {
            self.peeked = None;
        }
        Ok(is)
    }

    /// `()`; gives its end.
    pub(super) fn empty_call(&mut self) -> Result<usize> {
        self.expect(Kind::LeftParen)?;
        self.expect(Kind::RightParen)
    }

    /// Takes a word of `kind`; gives its end.
    pub(super) fn expect(&mut self, kind: Kind) -> Result<usize> {
        if self.peek()?.kind != kind {
            return self.unexpected();
        }
        Ok(self.take()?.end)
    }

    pub(super) fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    pub(super) const fn last_closing(&self) -> usize {
        self.last_closing
    }

    pub(super) fn fail<T>(&self, span: Span, message: impl Into<String>) -> Result<T> {
        fail(self.text, span, message)
    }

    /// The next word cannot stand there.
    pub(super) fn unexpected<T>(&mut self) -> Result<T> {
        let Context { name, expected } = self.context;
        self.unexpected_in(name, expected)
    }

    pub(super) fn unexpected_in<T>(&mut self, context: &str, expected: &str) -> Result<T> {
        let token = self.peek()?;
        let mut message = format!("unexpected {}", Described(token.kind, self.text_of(token)));
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        self.fail(Span { start: token.start, end: token.end }, message)
    }

    /// Runs `read` where errors speak of `context`.
    pub(super) fn within<T>(&mut self, context: Context, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.context, context);
        let done = read(self)?;
        self.context = outer;
        Ok(done)
    }

    /// Runs `read` one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == NESTING_MAX {
            let at = self.peek()?.start;
            return self.too_deep(Span { start: at, end: self.text.len() });
        }
        self.depth += 1;
        let done = read(self)?;
        self.depth -= 1;
        Ok(done)
    }

    fn too_deep<T>(&self, span: Span) -> Result<T> {
        self.fail(span, format!("expression is nested too deep, limit is {NESTING_MAX} levels"))
    }

    /// The height of a node at `span` above others, of which the highest has `below`.
    pub(super) fn height(&self, span: Span, below: usize) -> Result<usize> {
        if below >= NESTING_MAX { self.too_deep(span) } else { Ok(below + 1) }
    }

    /// A node above others, of which the highest has `below`.
    pub(super) fn node(&self, kind: ExprKind, span: Span, below: usize) -> Result<Node> {
        Ok(Node { height: self.height(span, below)?, expr: Box::new(Expr { kind, span }) })
    }
}
