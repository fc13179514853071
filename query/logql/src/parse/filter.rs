//! Predicates on labels: `| status >= 400 and (method = "GET" or duration > 1s)`.
//!
//! `and` binds tighter than `or`, both to the left. A comma and nothing at all also mean "and", but the grammar gives them no precedence, so
//! that its parser never stops before them: they take all that follows on their right. `a, b or c` is `a, (b or c)`, and `a and b, c` is
//! `a and (b, c)`.

use super::parser::{Parser, Tall};
use super::token::Kind;
use super::{FILTER_HEIGHT_MAX, ParseError};
use crate::ast::{CompareOp, LabelFilter, MatchOp, Matcher};
use crate::units::parse_float;

/// The operator whose right side is being read, which decides whether another one ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// None, or one without precedence.
    Open,
    Or,
    And,
}

impl Parser {
    pub(super) fn label_filter(&mut self) -> Result<LabelFilter, ParseError> {
        self.filter_after(Left::Open).map(|filter| filter.tree)
    }

    fn filter_after(&mut self, left: Left) -> Result<Tall<LabelFilter>, ParseError> {
        let mut filter = self.filter_operand()?;
        loop {
            let right = match self.peek() {
                Kind::Keyword("or") if left == Left::Open => Left::Or,
                Kind::Keyword("and") if left != Left::And => Left::And,
                Kind::Symbol("," | "(") | Kind::Identifier(_) => Left::Open,
                _ => return Ok(filter),
            };
            let join = if right == Left::Or { LabelFilter::Or } else { LabelFilter::And };
            if !self.is_symbol("(") && !matches!(self.peek(), Kind::Identifier(_)) {
                self.advance();
            }
            // an open right side takes everything: a long list recurses
            let other = if right == Left::Open { self.nested(|p| p.filter_after(right))? } else { self.filter_after(right)? };
            let height = self.above(&[filter.height, other.height], FILTER_HEIGHT_MAX)?;
            filter = Tall { tree: join(Box::new(filter.tree), Box::new(other.tree)), height };
        }
    }

    fn filter_operand(&mut self) -> Result<Tall<LabelFilter>, ParseError> {
        if self.eat("(") {
            let filter = self.nested(|p| p.filter_after(Left::Open))?;
            self.expect(")", &[])?;
            return Ok(filter);
        }
        let name = self.identifier(&[])?;
        let Kind::Symbol(symbol) = *self.peek() else { return Err(self.unexpected(&[])) };
        let tree = match symbol {
            "=~" | "!~" => {
                self.advance();
                let op = if symbol == "=~" { MatchOp::Regex } else { MatchOp::NotRegex };
                let value = self.string(&["STRING"])?;
                LabelFilter::String(matcher(name, op, value)?)
            }
            _ => {
                let Some(op) = compare_op(symbol) else { return Err(self.unexpected(&[])) };
                self.advance();
                self.comparison(name, op, matches!(symbol, "=" | "!="))?
            }
        };
        Ok(Tall { tree, height: 1 })
    }

    /// What follows `name op`; `=` and `!=` compare with texts and addresses, too.
    fn comparison(&mut self, name: String, op: CompareOp, texts: bool) -> Result<LabelFilter, ParseError> {
        match self.peek().clone() {
            Kind::Duration(value_ns) => {
                self.advance();
                Ok(LabelFilter::Duration { name, op, value_ns })
            }
            Kind::Bytes(value_bytes) => {
                self.advance();
                Ok(LabelFilter::Bytes { name, op, value_bytes })
            }
            Kind::Number(_) | Kind::Symbol("+" | "-") => Ok(LabelFilter::Number { name, op, value: self.signed_number()? }),
            Kind::String(value) if texts => {
                self.advance();
                let op = if op == CompareOp::Equal { MatchOp::Equal } else { MatchOp::NotEqual };
                Ok(LabelFilter::String(matcher(name, op, value)?))
            }
            Kind::Function("ip") if texts => {
                Ok(LabelFilter::Ip { name, negated: op == CompareOp::NotEqual, pattern: self.ip()? })
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    /// `1`, `+1`, `-1`
    pub(super) fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.is_symbol("-");
        if negative || self.is_symbol("+") {
            self.advance();
        }
        let value = float(&self.number(&["NUMBER"])?)?;
        Ok(if negative { -value } else { value })
    }

    /// `ip("..")`
    pub(super) fn ip(&mut self) -> Result<String, ParseError> {
        self.advance();
        self.expect("(", &["("])?;
        let pattern = self.string(&["STRING"])?;
        self.expect(")", &[")"])?;
        Ok(pattern)
    }
}

fn compare_op(symbol: &str) -> Option<CompareOp> {
    Some(match symbol {
        "=" | "==" => CompareOp::Equal,
        "!=" => CompareOp::NotEqual,
        ">" => CompareOp::Greater,
        ">=" => CompareOp::GreaterEqual,
        "<" => CompareOp::Less,
        "<=" => CompareOp::LessEqual,
        _ => return None,
    })
}

/// A matcher whose pattern, if it has one, compiles.
pub(super) fn matcher(name: String, op: MatchOp, value: String) -> Result<Matcher, ParseError> {
    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
        gosyntax::re2::compile_regex(&value).map_err(ParseError::of_query)?;
    }
    Ok(Matcher { name, op, value })
}

/// The value of a number as it was written.
pub(super) fn float(text: &str) -> Result<f64, ParseError> {
    parse_float(text).map_err(|why| ParseError::of_query(format!("unable to parse literal as a float: {why}")))
}
