//! Selectors and lists of labels.

use super::Result;
use super::parser::{Node, Parser};
use super::token::{Kind, Token};
use crate::ast::{BinaryOp, DurationValue, ExprKind, Extension, MatchOp, Matcher, Span, VectorSelector};
use crate::labels;
use gosyntax::quote::{holds_bytes, quote, unquote};
use gosyntax::re2::compile_regex;

const IN_MATCHING: &str = "label matching";
const IN_GROUPING: &str = "grouping opts";

impl Parser<'_> {
    /// The whole text is one selector.
    pub(super) fn lone_selector(&mut self) -> Result<Vec<Matcher>> {
        let node = self.selector()?;
        self.expect_end()?;
        match node.expr.kind {
            ExprKind::Vector(selector) => Ok(selector.matchers),
            _ => unreachable!("a selector is what was read"),
        }
    }

    /// `name`, `name{...}` or `{...}`.
    pub(super) fn selector(&mut self) -> Result<Node> {
        let first = self.peek()?;
        if first.kind.is_metric_name() {
            self.take()?;
            return self.selector_named(first);
        }
        if first.kind != Kind::LeftBrace {
            return self.unexpected();
        }
        let matchers = self.matchers()?;
        Ok(selector(None, matchers, Span { start: first.start, end: self.last_closing() }))
    }

    /// The rest of a selector whose name was taken.
    pub(super) fn selector_named(&mut self, name: Token) -> Result<Node> {
        let mut span = Span { start: name.start, end: name.end };
        let mut matchers = Vec::new();
        if self.peek()?.kind == Kind::LeftBrace {
            matchers = self.matchers()?;
            span.end = self.last_closing();
        }
        let name = self.text_of(name).to_owned();
        matchers.push(Matcher { name: labels::NAME.to_owned(), op: MatchOp::Equal, value: name.clone() });
        Ok(selector(Some(name), matchers, span))
    }

    /// `{...}`; a comma may follow the last matcher.
    fn matchers(&mut self) -> Result<Vec<Matcher>> {
        self.take()?;
        let mut matchers = Vec::new();
        if self.take_if(Kind::RightBrace)? {
            return Ok(matchers);
        }
        loop {
            matchers.push(self.matcher()?);
            if self.take_if(Kind::RightBrace)? {
                return Ok(matchers);
            }
            if !self.take_if(Kind::Comma)? {
                return self.unexpected_in(IN_MATCHING, "\",\" or \"}\"");
            }
            if self.take_if(Kind::RightBrace)? {
                return Ok(matchers);
            }
        }
    }

    /// `name="value"`, `"name"="value"`, or `"metric name"`.
    fn matcher(&mut self) -> Result<Matcher> {
        let label = self.peek()?;
        let quoted = match label.kind {
            Kind::Identifier => false,
            Kind::String => true,
            _ => return self.unexpected_in(IN_MATCHING, "identifier or \"}\""),
        };
        self.take()?;
        let name = if quoted { unquote(self.text_of(label)) } else { self.text_of(label).to_owned() };
        let op = match self.peek()?.kind {
            Kind::Assign => MatchOp::Equal,
            Kind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            Kind::RegexMatch => MatchOp::Regex,
            Kind::RegexNotMatch => MatchOp::NotRegex,
            _ if quoted => {
                return Ok(Matcher { name: labels::NAME.to_owned(), op: MatchOp::Equal, value: name });
            }
            _ => return self.unexpected_in(IN_MATCHING, "label matching operator"),
        };
        self.take()?;
        let literal = self.peek()?;
        if literal.kind != Kind::String {
            return self.unexpected_in(IN_MATCHING, "string");
        }
        self.take()?;
        let value = unquote(self.text_of(literal));
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex)
            && let Err(why) = compile_regex(&value)
        {
            return self.fail(Span { start: label.start, end: literal.end }, why);
        }
        Ok(Matcher { name, op, value })
    }

    /// `(a, "b.c")`; a comma may follow the last label.
    pub(super) fn label_list(&mut self) -> Result<Vec<String>> {
        if !self.take_if(Kind::LeftParen)? {
            return self.unexpected_in(IN_GROUPING, "\"(\"");
        }
        let mut names = Vec::new();
        if self.take_if(Kind::RightParen)? {
            return Ok(names);
        }
        loop {
            names.push(self.label_in_list()?);
            if self.take_if(Kind::RightParen)? {
                return Ok(names);
            }
            if !self.take_if(Kind::Comma)? {
                return self.unexpected_in(IN_GROUPING, "\",\" or \")\"");
            }
            if self.take_if(Kind::RightParen)? {
                return Ok(names);
            }
        }
    }

    fn label_in_list(&mut self) -> Result<String> {
        let label = self.peek()?;
        if !label.kind.is_label_name() && label.kind != Kind::String {
            return self.unexpected_in(IN_GROUPING, "label");
        }
        self.take()?;
        let text = self.text_of(label);
        let name = if label.kind == Kind::String { unquote(text) } else { text.to_owned() };
        if name.is_empty() || holds_bytes(&name) {
            let span = Span { start: label.start, end: label.end };
            return self.fail(span, format!("invalid label name for grouping: {}", quote(&name)));
        }
        Ok(name)
    }
}

fn selector(name: Option<String>, matchers: Vec<Matcher>, span: Span) -> Node {
    let selector = VectorSelector { name, matchers, offset: DurationValue::Fixed(0), at: None, extension: Extension::None };
    Node::leaf(ExprKind::Vector(selector), span)
}
