//! Selectors and stages: `{app="a"} |= "x" | json | line_format "{{.y}}"`.

use super::filter::matcher;
use super::parser::Parser;
use super::token::Kind;
use super::{ParseError, check};
use crate::ast::{
    Extraction, LabelChoice, LabelFormat, LabelFormatValue, LineFilter, LineFilterOp, LineMatch, LogExpr, MatchOp, Matcher,
    Selector, Stage,
};

impl Parser {
    /// A selector and all stages that follow.
    pub(super) fn log_expr(&mut self) -> Result<LogExpr, ParseError> {
        let selector = self.selector()?;
        let mut stages = Vec::new();
        self.stages(&mut stages)?;
        Ok(LogExpr { selector, stages })
    }

    pub(super) fn selector(&mut self) -> Result<Selector, ParseError> {
        self.expect("{", &[])?;
        let mut matchers = Vec::new();
        if self.eat("}") {
            return Ok(Selector { matchers });
        }
        loop {
            let expected: &[&str] = if matchers.is_empty() { &["IDENTIFIER", "}"] } else { &["IDENTIFIER"] };
            let name = self.identifier(expected)?;
            let op = self.match_op(&["=", "=~", "!~", "!="])?;
            matchers.push(matcher(name, op, self.string(&["STRING"])?)?);
            if self.eat("}") {
                return Ok(Selector { matchers });
            }
            self.expect(",", &["}", ","])?;
        }
    }

    fn match_op(&mut self, expected: &[&str]) -> Result<MatchOp, ParseError> {
        let op = match self.peek() {
            Kind::Symbol("=") => MatchOp::Equal,
            Kind::Symbol("!=") => MatchOp::NotEqual,
            Kind::Symbol("=~") => MatchOp::Regex,
            Kind::Symbol("!~") => MatchOp::NotRegex,
            _ => return Err(self.unexpected(expected)),
        };
        self.advance();
        Ok(op)
    }

    /// All stages that come next, up to what is none or an `| unwrap`.
    pub(super) fn stages(&mut self, stages: &mut Vec<Stage>) -> Result<(), ParseError> {
        loop {
            if let Some(op) = self.line_filter_op() {
                self.advance();
                self.line_filter(op, stages)?;
            } else if self.is_symbol("|") && !matches!(self.peek_second(), Kind::Keyword("unwrap")) {
                self.advance();
                stages.push(self.stage()?);
            } else {
                return Ok(());
            }
        }
    }

    fn line_filter_op(&self) -> Option<LineFilterOp> {
        Some(match self.peek() {
            Kind::Symbol("|=") => LineFilterOp::Contains,
            Kind::Symbol("!=") => LineFilterOp::NotContains,
            Kind::Symbol("|~") => LineFilterOp::Matches,
            Kind::Symbol("!~") => LineFilterOp::NotMatches,
            Kind::Symbol("|>") => LineFilterOp::Pattern,
            Kind::Symbol("!>") => LineFilterOp::NotPattern,
            _ => return None,
        })
    }

    fn line_filter(&mut self, op: LineFilterOp, stages: &mut Vec<Stage>) -> Result<(), ParseError> {
        let mut alternatives = vec![self.line_match()?];
        while self.eat_keyword("or") {
            alternatives.push(self.line_match()?);
        }
        if op.is_negative() {
            let each = alternatives.into_iter().map(|one| Stage::LineFilter(LineFilter { op, alternatives: vec![one] }));
            stages.extend(each);
        } else {
            stages.push(Stage::LineFilter(LineFilter { op, alternatives }));
        }
        Ok(())
    }

    fn line_match(&mut self) -> Result<LineMatch, ParseError> {
        match self.peek() {
            Kind::Function("ip") => self.ip().map(LineMatch::Ip),
            _ => self.string(&["STRING", "ip"]).map(LineMatch::Text),
        }
    }

    /// What follows a `|`.
    fn stage(&mut self) -> Result<Stage, ParseError> {
        let Kind::Keyword(keyword) = *self.peek() else {
            return match self.peek() {
                Kind::Identifier(_) | Kind::Symbol("(") => self.label_filter().map(Stage::LabelFilter),
                _ => Err(self.unexpected(&[])),
            };
        };
        let at = self.unexpected(&[]);
        self.advance();
        Ok(match keyword {
            "json" => Stage::Json { extractions: self.extractions()? },
            "logfmt" => self.logfmt()?,
            "regexp" => {
                let pattern = self.string(&["STRING"])?;
                check::regexp_stage(&pattern)?;
                Stage::Regexp(pattern)
            }
            "pattern" => {
                let pattern = self.string(&["STRING"])?;
                check::pattern_stage(&pattern)?;
                Stage::Pattern(pattern)
            }
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.string(&["STRING"])?),
            "label_format" => Stage::LabelFormat(self.list(Self::label_format)?),
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.list(Self::label_choice)?),
            "keep" => Stage::Keep(self.list(Self::label_choice)?),
            _ => return Err(at),
        })
    }

    /// One or more, with commas between.
    fn list<T>(&mut self, rule: fn(&mut Self) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        let mut members = vec![rule(self)?];
        while self.eat(",") {
            members.push(rule(self)?);
        }
        Ok(members)
    }

    fn logfmt(&mut self) -> Result<Stage, ParseError> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Kind::Flag(flag) = *self.peek() {
            strict |= flag == "--strict";
            keep_empty |= flag == "--keep-empty";
            self.advance();
        }
        Ok(Stage::Logfmt { strict, keep_empty, extractions: self.extractions()? })
    }

    fn extractions(&mut self) -> Result<Vec<Extraction>, ParseError> {
        if matches!(self.peek(), Kind::Identifier(_)) { self.list(Self::extraction) } else { Ok(Vec::new()) }
    }

    fn extraction(&mut self) -> Result<Extraction, ParseError> {
        let label = self.identifier(&["IDENTIFIER"])?;
        let expression = if self.eat("=") { self.string(&["STRING"])? } else { label.clone() };
        Ok(Extraction { label, expression })
    }

    fn label_format(&mut self) -> Result<LabelFormat, ParseError> {
        let target = self.identifier(&["IDENTIFIER"])?;
        self.expect("=", &["="])?;
        let value = match self.peek() {
            Kind::Identifier(_) => LabelFormatValue::Rename(self.identifier(&[])?),
            _ => LabelFormatValue::Template(self.string(&["IDENTIFIER", "STRING"])?),
        };
        Ok(LabelFormat { target, value })
    }

    fn label_choice(&mut self) -> Result<LabelChoice, ParseError> {
        let name = self.identifier(&["IDENTIFIER"])?;
        if !matches!(self.peek(), Kind::Symbol("=" | "!=" | "=~" | "!~")) {
            return Ok(LabelChoice::Name(name));
        }
        // `drop a != "x"` is a matcher, not a line filter: the grammar takes what it can
        let op = self.match_op(&[])?;
        let value = self.string(&["STRING"])?;
        let matcher: Matcher = matcher(name, op, value)?;
        Ok(LabelChoice::Matcher(matcher))
    }
}
