//! Expressions: operators by precedence, what stands between them, and calls.

use super::parser::{Context, Node, Parser};
use super::token::{Kind, Token};
use super::{Result, duration, literal};
use crate::ast::{
    Aggregate, AggregateOp, Binary, BinaryOp, Call, Cardinality, ExprKind, Function, NumberLiteral, Span, Unary, VectorMatching,
};
use gosyntax::quote::{quote, unquote};

/// How tight an operator binds.
const fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Less
        | BinaryOp::LessEqual
        | BinaryOp::Greater
        | BinaryOp::GreaterEqual
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
        BinaryOp::Pow => POWER,
    }
}

/// The operand of a sign holds nothing weaker than a power.
const POWER: u8 = 6;

/// The weakest operator that the right side of `op` may hold: powers group to the right, all others to the left.
const fn right_of(op: BinaryOp) -> u8 {
    if matches!(op, BinaryOp::Pow) { POWER } else { precedence(op) + 1 }
}

impl Parser<'_> {
    /// An expression whose operators bind at least as tight as `weakest`.
    pub(super) fn expr(&mut self, weakest: u8) -> Result<Node> {
        let mut lhs = self.deeper(Self::operand)?;
        loop {
            let Kind::Op(op) = self.peek()?.kind else { return Ok(lhs) };
            if precedence(op) < weakest {
                return Ok(lhs);
            }
            self.take()?;
            let (return_bool, matching) = self.modifiers()?;
            let rhs = self.deeper(|p| p.expr(right_of(op)))?;
            lhs = self.binary(op, lhs, rhs, return_bool, *matching)?;
        }
    }

    fn binary(&self, op: BinaryOp, lhs: Node, rhs: Node, return_bool: bool, matching: VectorMatching) -> Result<Node> {
        let span = Span { start: lhs.expr.span.start, end: rhs.expr.span.end };
        if !self.options.experimental && (matching.fill_left.is_some() || matching.fill_right.is_some()) {
            return self.fail(span, "binop fill modifiers are experimental and not enabled");
        }
        let below = lhs.height.max(rhs.height);
        let binary = Binary { op, lhs: lhs.expr, rhs: rhs.expr, matching: Some(matching), return_bool };
        self.node(ExprKind::Binary(binary), span, below)
    }

    /// `bool on (...) group_left (...) fill (...)`, each of which may be missing.
    fn modifiers(&mut self) -> Result<(bool, Box<VectorMatching>)> {
        let mut matching = Box::new(VectorMatching::default());
        let return_bool = self.take_if(Kind::Bool)?;
        if matches!(self.peek()?.kind, Kind::On | Kind::Ignoring) {
            matching.on = self.take()?.kind == Kind::On;
            matching.labels = self.label_list()?;
            if matches!(self.peek()?.kind, Kind::GroupLeft | Kind::GroupRight) {
                let left = self.take()?.kind == Kind::GroupLeft;
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                let next = self.peek()?.kind;
                if next == Kind::LeftParen || !next.begins_expr() {
                    matching.include = self.label_list()?;
                }
            }
        }
        self.fills(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn fills(&mut self, matching: &mut VectorMatching) -> Result<()> {
        if self.take_if(Kind::Fill)? {
            let value = self.fill_value()?;
            (matching.fill_left, matching.fill_right) = (Some(value), Some(value));
            return Ok(());
        }
        loop {
            if matching.fill_left.is_none() && self.take_if(Kind::FillLeft)? {
                matching.fill_left = Some(self.fill_value()?);
            } else if matching.fill_right.is_none() && self.take_if(Kind::FillRight)? {
                matching.fill_right = Some(self.fill_value()?);
            } else {
                return Ok(());
            }
        }
    }

    fn fill_value(&mut self) -> Result<f64> {
        if !self.take_if(Kind::LeftParen)? {
            return self.unexpected();
        }
        let Some(value) = self.signed_number()? else { return self.unexpected() };
        if !self.take_if(Kind::RightParen)? {
            return self.unexpected();
        }
        Ok(value)
    }

    /// `1.5`, `-5m`; nothing if there is no number.
    pub(super) fn signed_number(&mut self) -> Result<Option<f64>> {
        let sign = match self.peek()?.kind {
            Kind::Op(BinaryOp::Sub) => -1.0,
            Kind::Op(BinaryOp::Add) => 1.0,
            _ => return Ok(self.number()?.map(|(n, _)| n.value)),
        };
        self.take()?;
        Ok(self.number()?.map(|(n, _)| sign * n.value))
    }

    /// A number or duration; nothing if there is none.
    pub(super) fn number(&mut self) -> Result<Option<(NumberLiteral, Span)>> {
        let token = self.peek()?;
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return Ok(None);
        }
        self.take()?;
        let span = Span { start: token.start, end: token.end };
        let text = self.text_of(token);
        let value = match token.kind {
            Kind::Number => literal::number(text),
            _ => duration::duration(text).map(|ms| (ms / 1000) as f64 + (ms % 1000) as f64 / 1e3),
        };
        match value {
            Ok(value) => Ok(Some((NumberLiteral { value, duration: token.kind == Kind::Duration }, span))),
            Err(why) => self.fail(span, why),
        }
    }

    /// What stands between operators: a sign and its operand, or a primary with what follows it.
    fn operand(&mut self) -> Result<Node> {
        let sign = self.peek()?;
        let Kind::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) = sign.kind else {
            let primary = self.primary()?;
            return self.suffixes(primary);
        };
        self.take()?;
        let operand = self.expr(POWER)?;
        self.with_sign(sign, op == BinaryOp::Sub, operand)
    }

    /// Signs of numbers are folded into them.
    fn with_sign(&self, sign: Token, negate: bool, operand: Node) -> Result<Node> {
        let span = Span { start: sign.start, end: operand.expr.span.end };
        if let ExprKind::Number(mut number) = operand.expr.kind {
            if negate {
                number.value = -number.value;
            }
            return Ok(Node::leaf(ExprKind::Number(number), span));
        }
        self.node(ExprKind::Unary(Unary { negate, expr: operand.expr }), span, operand.height)
    }

    fn primary(&mut self) -> Result<Node> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => self.number_expr(),
            Kind::String => self.string_expr(),
            Kind::LeftParen => self.paren(),
            Kind::LeftBrace => self.selector(),
            Kind::Identifier => self.call_or_selector(),
            kind if kind.is_keyword_call() => self.call_or_selector(),
            Kind::Aggregate(op) => self.aggregate_or_selector(op),
            kind if kind.is_metric_name() => self.selector(),
            _ => self.unexpected(),
        }
    }

    fn number_expr(&mut self) -> Result<Node> {
        match self.number()? {
            Some((number, span)) => Ok(Node::leaf(ExprKind::Number(number), span)),
            None => self.unexpected(),
        }
    }

    fn string_expr(&mut self) -> Result<Node> {
        let token = self.take()?;
        let span = Span { start: token.start, end: token.end };
        Ok(Node::leaf(ExprKind::String(unquote(self.text_of(token))), span))
    }

    fn paren(&mut self) -> Result<Node> {
        let open = self.take()?;
        let inner = self.expr(0)?;
        if self.peek()?.kind != Kind::RightParen {
            return self.unexpected();
        }
        let span = Span { start: open.start, end: self.take()?.end };
        self.node(ExprKind::Paren(inner.expr), span, inner.height)
    }

    /// A name: of a function if a parenthesis follows, else of a metric.
    fn call_or_selector(&mut self) -> Result<Node> {
        let name = self.take()?;
        if self.peek()?.kind != Kind::LeftParen {
            return self.selector_named(name);
        }
        let args = self.arguments()?;
        self.call(name, args)
    }

    fn call(&self, name: Token, args: Vec<Node>) -> Result<Node> {
        let span = Span { start: name.start, end: self.last_closing() };
        let text = self.text_of(name);
        let name_span = Span { start: name.start, end: name.end };
        let Some(function) = Function::named(text) else {
            return self.fail(name_span, format!("unknown function with name {}", quote(text)));
        };
        if function.signature().experimental && !self.options.experimental {
            return self.fail(name_span, format!("function {} is not enabled", quote(text)));
        }
        let below = args.iter().map(|a| a.height).max().unwrap_or(0);
        let args = args.into_iter().map(|a| *a.expr).collect();
        self.node(ExprKind::Call(Call { function, args }), span, below)
    }

    /// `(a, b)`.
    fn arguments(&mut self) -> Result<Vec<Node>> {
        self.take()?;
        let mut args = Vec::new();
        if self.take_if(Kind::RightParen)? {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            if self.take_if(Kind::RightParen)? {
                return Ok(args);
            }
            let comma = self.peek()?;
            if comma.kind != Kind::Comma {
                return self.unexpected();
            }
            self.take()?;
            if !self.peek()?.kind.begins_expr() {
                let span = Span { start: comma.start, end: comma.end };
                return self.fail(span, "trailing commas not allowed in function call args");
            }
        }
    }

    /// The name of an aggregation: one if `(`, `by` or `without` follows, else the name of a metric.
    fn aggregate_or_selector(&mut self, op: AggregateOp) -> Result<Node> {
        let name = self.take()?;
        if !matches!(self.peek()?.kind, Kind::LeftParen | Kind::By | Kind::Without) {
            return self.selector_named(name);
        }
        let body = |p: &mut Self| p.within(Context { name: "aggregation", expected: "" }, Self::aggregation_arguments);
        let (grouping, args, end);
        if self.peek()?.kind == Kind::LeftParen {
            args = body(self)?;
            let own_end = self.last_closing();
            let modified = matches!(self.peek()?.kind, Kind::By | Kind::Without);
            grouping = if modified { Some(self.grouping()?) } else { None };
            end = if modified { self.last_closing() } else { own_end };
        } else {
            grouping = Some(self.grouping()?);
            args = body(self)?;
            end = self.last_closing();
        }
        let (without, grouping) = grouping.unwrap_or_default();
        self.aggregate(Span { start: name.start, end }, op, args, without, grouping)
    }

    fn aggregation_arguments(&mut self) -> Result<Vec<Node>> {
        if self.peek()?.kind == Kind::LeftParen { self.arguments() } else { self.unexpected() }
    }

    /// `by (...)` or `without (...)`.
    fn grouping(&mut self) -> Result<(bool, Vec<String>)> {
        let without = self.take()?.kind == Kind::Without;
        Ok((without, self.label_list()?))
    }

    fn aggregate(&self, span: Span, op: AggregateOp, args: Vec<Node>, without: bool, grouping: Vec<String>) -> Result<Node> {
        if args.is_empty() {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        if op.is_experimental() && !self.options.experimental {
            let name = op.as_str();
            return self.fail(
                span,
                format!("{name}() is experimental and must be enabled with --enable-feature=promql-experimental-functions"),
            );
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let got = args.len();
            return self.fail(
                span,
                format!("wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"),
            );
        }
        let below = args.iter().map(|a| a.height).max().unwrap_or(0);
        let mut args = args.into_iter().map(|a| a.expr);
        let param = if op.has_param() { args.next() } else { None };
        let expr = args.next().expect("the arguments were counted");
        self.node(ExprKind::Aggregate(Aggregate { op, expr, param, grouping, without }), span, below)
    }
}
