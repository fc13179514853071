//! Expressions: operators, aggregations, and the log ranges below them.

use super::filter::float;
use super::parser::{Parser, Tall};
use super::token::Kind;
use super::{HEIGHT_MAX, ParseError, check};
use crate::ast::{
    Binary, BinaryOp, Cardinality, Conversion, Expr, Grouping, HistogramQuantile, LabelReplace, LogRange, Matching, MetricExpr,
    RangeAggregation, Unwrap, VectorAggregation,
};
use crate::metric::arithmetic;
use crate::print::words;

/// A log range while it is read: what of it has been seen.
struct Ranged {
    range: LogRange,
    /// Whether `[5m]` was there. Without, it must follow the parenthesis that encloses this.
    complete: bool,
}

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expr, ParseError> {
        self.operators(0).map(|expr| expr.tree)
    }

    /// Operands and the operators between them that bind at least as tight as `tightness`.
    fn operators(&mut self, tightness: u8) -> Result<Tall<Expr>, ParseError> {
        let mut lhs = self.operand()?;
        while let Some((op, binds)) = self.binary_op().filter(|(_, binds)| *binds >= tightness) {
            self.advance();
            let returns_bool = self.eat_keyword("bool");
            let matching = self.matching()?;
            // all but `^` associate to the left
            let rhs = if op == BinaryOp::Pow { self.nested(|p| p.operators(binds))? } else { self.operators(binds + 1)? };
            let height = self.above(&[lhs.height, rhs.height], HEIGHT_MAX)?;
            let tree = Expr::Metric(binary(op, returns_bool, matching, lhs.tree, rhs.tree)?);
            lhs = Tall { tree, height };
        }
        Ok(lhs)
    }

    fn binary_op(&self) -> Option<(BinaryOp, u8)> {
        let (Kind::Symbol(word) | Kind::Keyword(word)) = self.peek() else { return None };
        let op = words::BINARY_OPS.iter().find(|(_, w)| w == word)?.0;
        Some((op, op.tightness()))
    }

    fn matching(&mut self) -> Result<Option<Matching>, ParseError> {
        let on = self.eat_keyword("on");
        if !on && !self.eat_keyword("ignoring") {
            return Ok(None);
        }
        let labels = self.label_names()?;
        let (mut cardinality, mut include) = (Cardinality::OneToOne, Vec::new());
        for (keyword, side) in [("group_left", Cardinality::ManyToOne), ("group_right", Cardinality::OneToMany)] {
            if cardinality == Cardinality::OneToOne && self.eat_keyword(keyword) {
                cardinality = side;
                // a parenthesis here is the list, never the operand
                if self.is_symbol("(") {
                    include = self.label_names()?;
                }
            }
        }
        Ok(Some(Matching { on, labels, cardinality, include }))
    }

    /// `(a, b)`, `()`
    fn label_names(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect("(", &["("])?;
        let mut labels = Vec::new();
        if self.eat(")") {
            return Ok(labels);
        }
        loop {
            labels.push(self.identifier(if labels.is_empty() { &["IDENTIFIER", ")"] } else { &["IDENTIFIER"] })?);
            if self.eat(")") {
                return Ok(labels);
            }
            self.expect(",", &[",", ")"])?;
        }
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let without = self.eat_keyword("without");
        if !without && !self.eat_keyword("by") {
            return Ok(None);
        }
        Ok(Some(Grouping { without, labels: self.label_names()? }))
    }

    fn operand(&mut self) -> Result<Tall<Expr>, ParseError> {
        let tree = match *self.peek() {
            Kind::Symbol("(") => return self.nested(Self::parenthesised),
            Kind::Symbol("{") => Expr::Log(self.log_expr_alone()?),
            Kind::Number(_) | Kind::Symbol("+" | "-") => Expr::Metric(MetricExpr::Literal(self.signed_number()?)),
            Kind::Function(word) => {
                let function = self.nested(|p| p.function(word))?;
                return Ok(Tall { tree: Expr::Metric(function.tree), height: function.height });
            }
            _ => return Err(self.unexpected(&[])),
        };
        Ok(Tall { tree, height: 1 })
    }

    fn parenthesised(&mut self) -> Result<Tall<Expr>, ParseError> {
        self.advance();
        let expr = self.operators(0)?;
        self.expect(")", &[])?;
        Ok(expr)
    }

    /// A log expression that is no range: an `unwrap` has no place there.
    fn log_expr_alone(&mut self) -> Result<crate::ast::LogExpr, ParseError> {
        let log = self.log_expr()?;
        if self.is_symbol("|") {
            self.advance();
            return Err(self.unexpected(&[]));
        }
        Ok(log)
    }

    fn function(&mut self, word: &'static str) -> Result<Tall<MetricExpr>, ParseError> {
        if let Some((op, _)) = words::RANGE_OPS.iter().find(|(_, w)| *w == word) {
            self.advance();
            let tree = self.range_aggregation(*op)?;
            return Ok(Tall { tree, height: 1 });
        }
        if let Some((op, _)) = words::VECTOR_OPS.iter().find(|(_, w)| *w == word) {
            self.advance();
            return self.vector_aggregation(*op);
        }
        match word {
            "label_replace" => self.label_replace(),
            "histogram_quantile" => self.histogram_quantile(),
            "vector" => {
                self.advance();
                self.expect("(", &["("])?;
                let value = float(&self.number(&["NUMBER"])?)?;
                self.expect(")", &[")"])?;
                Ok(Tall { tree: MetricExpr::Vector(value), height: 1 })
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    /// An expression that must be numbers. Where it is lines, what follows them is what was not expected.
    fn metric(&mut self) -> Result<Tall<MetricExpr>, ParseError> {
        let expr = self.operators(0)?;
        match expr.tree {
            Expr::Metric(tree) => Ok(Tall { tree, height: expr.height }),
            Expr::Log(_) => Err(self.unexpected(&[])),
        }
    }

    fn vector_aggregation(&mut self, op: crate::ast::VectorOp) -> Result<Tall<MetricExpr>, ParseError> {
        let before = self.grouping()?;
        self.expect("(", &["("])?;
        let mut parameter = None;
        if let (Kind::Number(text), Kind::Symbol(",")) = (self.peek().clone(), self.peek_second()) {
            self.advance();
            self.advance();
            parameter = Some(text);
        }
        let of = self.metric()?;
        self.expect(")", &[])?;
        let grouping = if before.is_none() { self.grouping()? } else { before };
        let k = check::vector_parameter(op, parameter.as_deref())?;
        check::vector_grouping(op, grouping.as_ref())?;
        let height = self.above(&[of.height], HEIGHT_MAX)?;
        let tree = MetricExpr::VectorAggregation(Box::new(VectorAggregation { op, k, grouping, of: of.tree }));
        Ok(Tall { tree, height })
    }

    fn label_replace(&mut self) -> Result<Tall<MetricExpr>, ParseError> {
        self.advance();
        self.expect("(", &["("])?;
        let of = self.metric()?;
        let mut texts = [const { String::new() }; 4];
        for text in &mut texts {
            self.expect(",", &[","])?;
            *text = self.string(&["STRING"])?;
        }
        self.expect(")", &[")"])?;
        let [destination, replacement, source, pattern] = texts;
        check::label_replace_pattern(&pattern)?;
        let height = self.above(&[of.height], HEIGHT_MAX)?;
        let replace = LabelReplace { of: of.tree, destination, replacement, source, pattern };
        Ok(Tall { tree: MetricExpr::LabelReplace(Box::new(replace)), height })
    }

    fn histogram_quantile(&mut self) -> Result<Tall<MetricExpr>, ParseError> {
        self.advance();
        self.expect("(", &["("])?;
        let quantile = self.signed_number()?;
        self.expect(",", &[","])?;
        let of = self.metric()?;
        self.expect(")", &[")"])?;
        let height = self.above(&[of.height], HEIGHT_MAX)?;
        let tree = MetricExpr::HistogramQuantile(Box::new(HistogramQuantile { quantile, of: of.tree }));
        Ok(Tall { tree, height })
    }

    fn range_aggregation(&mut self, op: crate::ast::RangeOp) -> Result<MetricExpr, ParseError> {
        self.expect("(", &["("])?;
        let mut parameter = None;
        if matches!(self.peek(), Kind::Number(_)) {
            parameter = Some(self.number(&[])?);
            self.expect(",", &[","])?;
        }
        let ranged = self.log_range()?;
        if !ranged.complete {
            return Err(self.unexpected(&[]));
        }
        self.expect(")", &[])?;
        let grouping = self.grouping()?;
        let param = check::range_parameter(op, parameter.as_deref())?;
        let aggregation = RangeAggregation { op, param, range: ranged.range, grouping };
        check::range_aggregation(&aggregation)?;
        Ok(MetricExpr::RangeAggregation(Box::new(aggregation)))
    }

    /// ```text
    /// {..} stages [unwrap] [5m] [offset]      {..} [5m] [offset] stages [unwrap]
    /// ( {..} stages [unwrap] ) [5m] [offset]  ( {..} ) [5m] [offset] [unwrap]      ( any of these )
    /// ```
    fn log_range(&mut self) -> Result<Ranged, ParseError> {
        if self.is_symbol("(") {
            return self.nested(Self::log_range_in_parentheses);
        }
        if !self.is_symbol("{") {
            return Err(self.unexpected(&["NUMBER", "{", "("]));
        }
        let log = self.log_expr()?;
        let mut range = LogRange { log, unwrap: self.unwrap()?, range_ns: 0, offset_ns: 0 };
        let bare = range.log.stages.is_empty() && range.unwrap.is_none();
        let complete = self.window(&mut range)?;
        if complete && bare {
            self.stages(&mut range.log.stages)?;
            range.unwrap = self.unwrap()?;
        }
        Ok(Ranged { range, complete })
    }

    fn log_range_in_parentheses(&mut self) -> Result<Ranged, ParseError> {
        self.advance();
        let mut ranged = self.log_range()?;
        self.expect(")", &[])?;
        if !ranged.complete {
            let bare = ranged.range.log.stages.is_empty() && ranged.range.unwrap.is_none();
            if !self.window(&mut ranged.range)? {
                return Err(self.unexpected(&["RANGE"]));
            }
            if bare {
                ranged.range.unwrap = self.unwrap()?;
            }
            ranged.complete = true;
        }
        Ok(ranged)
    }

    /// `[5m] offset 1m`; whether it is there.
    fn window(&mut self, range: &mut LogRange) -> Result<bool, ParseError> {
        let Kind::Range(range_ns) = *self.peek() else { return Ok(false) };
        range.range_ns = range_ns;
        self.advance();
        if self.eat_keyword("offset") {
            let Kind::Duration(offset_ns) = *self.peek() else { return Err(self.unexpected(&["DURATION"])) };
            range.offset_ns = offset_ns;
            self.advance();
        }
        Ok(true)
    }

    fn unwrap(&mut self) -> Result<Option<Unwrap>, ParseError> {
        if !self.is_symbol("|") || !matches!(self.peek_second(), Kind::Keyword("unwrap")) {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let conversion = match *self.peek() {
            Kind::Function(word) => words::CONVERSIONS.iter().find(|(_, w)| *w == word).map(|(conversion, _)| *conversion),
            _ => Some(Conversion::Float),
        };
        let Some(conversion) = conversion else { return Err(self.unexpected(&[])) };
        let label = if conversion == Conversion::Float {
            self.identifier(&[])?
        } else {
            self.advance();
            self.expect("(", &["("])?;
            let label = self.identifier(&["IDENTIFIER"])?;
            self.expect(")", &[")"])?;
            label
        };
        let mut post_filters = Vec::new();
        while self.eat("|") {
            post_filters.push(self.label_filter()?);
        }
        Ok(Some(Unwrap { conversion, label, post_filters }))
    }
}

/// An operation of two sides, folded when both are literals.
fn binary(op: BinaryOp, returns_bool: bool, matching: Option<Matching>, lhs: Expr, rhs: Expr) -> Result<MetricExpr, ParseError> {
    let lhs = leg(lhs, op, "left")?;
    let rhs = leg(rhs, op, "right")?;
    if op.is_set() {
        for (side, expr) in [("left", &lhs), ("right", &rhs)] {
            if let MetricExpr::Literal(value) = expr {
                let reason = "unexpected literal for";
                let word = words::binary_op(op);
                return Err(ParseError::of_query(format!(
                    "{reason} {side} leg of logical/set binary operation ({word}): {value:.6}"
                )));
            }
        }
    }
    if let (MetricExpr::Literal(l), MetricExpr::Literal(r)) = (&lhs, &rhs) {
        return Ok(MetricExpr::Literal(arithmetic::of_literals(op, *l, *r)));
    }
    Ok(MetricExpr::Binary(Box::new(Binary { op, returns_bool, matching, lhs, rhs })))
}

fn leg(expr: Expr, op: BinaryOp, side: &str) -> Result<MetricExpr, ParseError> {
    match expr {
        Expr::Metric(expr) => Ok(expr),
        Expr::Log(log) => {
            let kind = if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
            let word = words::binary_op(op);
            Err(ParseError::of_query(format!("unexpected type for {side} leg of binary operation ({word}): *syntax.{kind}")))
        }
    }
}
