//! Trees made by chance, to be printed and read again.

use proptest::prelude::*;

use crate::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationExprKind, DurationValue, Expr,
    ExprKind, Extension, Function, MatchOp, Matcher, MatrixSelector, NumberLiteral, Span, Subquery, Unary, ValueType,
    VectorMatching, VectorSelector,
};
use crate::labels::NAME;
use crate::parse::{ParseOptions, holds_bytes, parse};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// What is printed is read as the same tree, and so is its indented form.
    #[test]
    fn trees_are_read_again(choices in prop::collection::vec(any::<u16>(), 0..200), texts in prop::collection::vec(".{0,4}", 1..8)) {
        let tree = Chance { choices, texts, used: 0 }.expr(ValueType::Vector, 5);
        let shape = shape(&tree);
        for printed in [tree.to_string(), super::pretty(&tree)] {
            let again = parse(&printed, &ParseOptions { experimental: true });
            let again = again.map_err(|e| TestCaseError::fail(format!("{printed}: {e}")))?;
            prop_assert_eq!(self::shape(&again), &shape[..], "{}", printed);
        }
        prop_assert!(super::json(&tree).is_object());
    }
}

/// The tree as text, without spans and without the order of matchers; NaN is equal to itself.
pub(crate) fn shape(expr: &Expr) -> String {
    let mut expr = expr.clone();
    expr.visit_mut(&mut |e| {
        if let ExprKind::Vector(selector) = &mut e.kind {
            selector.matchers.sort_by_key(ToString::to_string);
        }
    });
    let text = format!("{expr:?}");
    text.split("span: Span {").map(|part| part.split_once('}').map_or(part, |(_, rest)| rest)).collect()
}

/// Chance; when it has run out it gives zeros, which make leaves.
struct Chance {
    choices: Vec<u16>,
    texts: Vec<String>,
    used: usize,
}

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.used += 1;
        self.choices.get(self.used - 1).map_or(0, |c| usize::from(*c) % n)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn maybe(&mut self) -> bool {
        self.below(2) == 1
    }

    fn text(&mut self) -> String {
        let at = self.below(self.texts.len());
        self.texts[at].clone()
    }

    fn label(&mut self) -> String {
        let text = self.text();
        // Characters that stand for bytes are no part of a name.
        if text.is_empty() || holds_bytes(&text) || self.maybe() {
            self.one_of(&["job", "on", "without", "a.b", "x:y"]).to_owned()
        } else {
            text
        }
    }

    fn labels(&mut self) -> Vec<String> {
        (0..self.below(3)).map(|_| self.label()).collect()
    }

    fn expr(&mut self, of: ValueType, depth: usize) -> Expr {
        let deeper = depth.saturating_sub(1);
        let kind = match of {
            ValueType::Scalar => match self.below(if depth == 0 { 1 } else { 5 }) {
                0 => ExprKind::Number(self.number()),
                1 => ExprKind::Paren(Box::new(self.expr(of, deeper))),
                2 => self.unary(of, deeper),
                3 => self.binary(of, deeper),
                _ => self.call(of, deeper),
            },
            ValueType::String => ExprKind::String(self.text()),
            ValueType::Vector => match self.below(if depth == 0 { 1 } else { 6 }) {
                0 => ExprKind::Vector(self.selector()),
                1 => ExprKind::Paren(Box::new(self.expr(of, deeper))),
                2 => self.unary(of, deeper),
                3 => self.binary(of, deeper),
                4 => self.aggregate(deeper),
                _ => self.call(of, deeper),
            },
            ValueType::Matrix => match self.below(if depth == 0 { 1 } else { 2 }) {
                0 => {
                    let selector = Box::new(bare(ExprKind::Vector(self.selector())));
                    ExprKind::Matrix(MatrixSelector { selector, range: self.length() })
                }
                _ => self.subquery(deeper),
            },
        };
        bare(kind)
    }

    fn number(&mut self) -> NumberLiteral {
        if self.maybe() {
            let ms = self.below(10_000_000);
            return NumberLiteral { value: (ms / 1000) as f64 + (ms % 1000) as f64 / 1e3, duration: true };
        }
        let value = self.one_of(&[1.0, 0.0, -0.0, 0.1, -2.5e-8, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 9.3e18]);
        NumberLiteral { value, duration: false }
    }

    /// An operand: in parentheses when what is around it could take it apart.
    fn operand(&mut self, of: ValueType, depth: usize) -> Box<Expr> {
        let expr = self.expr(of, depth);
        let open_end = |offset: &DurationValue| matches!(offset, DurationValue::Computed(_));
        let loose = match &expr.kind {
            ExprKind::Binary(_) | ExprKind::Unary(_) => true,
            ExprKind::Number(number) => number.value.is_sign_negative() || !number.value.is_finite(),
            ExprKind::Vector(selector) => open_end(&selector.offset),
            _ => false,
        };
        Box::new(if loose { bare(ExprKind::Paren(Box::new(expr))) } else { expr })
    }

    fn unary(&mut self, of: ValueType, depth: usize) -> ExprKind {
        let operand = self.operand(of, depth);
        let is_number = matches!(operand.kind, ExprKind::Number(_));
        let expr = if is_number { Box::new(bare(ExprKind::Paren(operand))) } else { operand };
        ExprKind::Unary(Unary { negate: self.maybe(), expr })
    }

    fn binary(&mut self, of: ValueType, depth: usize) -> ExprKind {
        use BinaryOp::{Add, And, Atan2, Div, GreaterEqual, Less, NotEqual, Or, Pow, TrimLower, TrimUpper, Unless};
        let (left, right) = match (of, self.below(3)) {
            (ValueType::Scalar, _) => (of, of),
            (_, 0) => (ValueType::Vector, ValueType::Vector),
            (_, 1) => (ValueType::Vector, ValueType::Scalar),
            _ => (ValueType::Scalar, ValueType::Vector),
        };
        let vectors = left == ValueType::Vector && right == ValueType::Vector;
        let all = [Add, Div, Pow, Atan2, TrimUpper, TrimLower, NotEqual, Less, GreaterEqual, And, Or, Unless];
        let op = self.one_of(if vectors { &all } else { &all[..9] });
        let matching = vectors.then(|| self.matching(op));
        let return_bool = op.is_comparison() && (of == ValueType::Scalar || self.maybe());
        ExprKind::Binary(Binary { op, lhs: self.operand(left, depth), rhs: self.operand(right, depth), matching, return_bool })
    }

    fn matching(&mut self, op: BinaryOp) -> VectorMatching {
        let mut matching = VectorMatching { on: self.maybe(), labels: self.labels(), ..VectorMatching::default() };
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
            return matching;
        }
        matching.cardinality = self.one_of(&[Cardinality::OneToOne, Cardinality::ManyToOne, Cardinality::OneToMany]);
        if matching.cardinality != Cardinality::OneToOne {
            let include = self.labels();
            matching.include = include.into_iter().filter(|l| !matching.labels.contains(l)).collect();
        }
        let fills = [None, Some(0.0), Some(-1.5), Some(1e30), Some(f64::INFINITY), Some(f64::NAN)];
        (matching.fill_left, matching.fill_right) = (self.one_of(&fills), self.one_of(&fills));
        matching
    }

    fn aggregate(&mut self, depth: usize) -> ExprKind {
        let op = self.one_of(&AggregateOp::ALL);
        let of = if op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
        let param = op.has_param().then(|| Box::new(self.expr(of, depth)));
        let (without, grouping) = (self.maybe(), self.labels());
        ExprKind::Aggregate(Aggregate { op, expr: Box::new(self.expr(ValueType::Vector, depth)), param, grouping, without })
    }

    fn call(&mut self, of: ValueType, depth: usize) -> ExprKind {
        let fitting: Vec<Function> = Function::ALL.iter().copied().filter(|f| f.signature().returns == of).collect();
        let function = self.one_of(&fitting);
        let signature = function.signature();
        // the second argument of `info` is only matchers
        let missing = if function == Function::Info { 1 } else { self.below(signature.variadic.unsigned_abs() as usize + 1) };
        let args = &signature.args[..signature.args.len() - missing];
        ExprKind::Call(Call { function, args: args.iter().map(|of| self.expr(*of, depth)).collect() })
    }

    fn subquery(&mut self, depth: usize) -> ExprKind {
        ExprKind::Subquery(Subquery {
            expr: self.operand(ValueType::Vector, depth),
            range: self.length(),
            step: self.maybe().then(|| self.length()),
            offset: self.offset(),
            at: self.at(),
        })
    }

    fn selector(&mut self) -> VectorSelector {
        let name = (!self.maybe()).then(|| self.one_of(&["up", "a:b", "sum", "offset", "fill", "start", "by"]).to_owned());
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let mut matchers: Vec<Matcher> = (0..self.below(4))
            .map(|_| {
                let op = self.one_of(&ops);
                let regex = matches!(op, MatchOp::Regex | MatchOp::NotRegex);
                let value = if regex { self.one_of(&["", "a|b", "\\d+`", "(?i)[^\"]"]).to_owned() } else { self.text() };
                Matcher { name: self.label(), op, value }
            })
            .filter(|m| m.name != NAME)
            .collect();
        let value = name.clone().unwrap_or_else(|| "any name".to_owned());
        matchers.push(Matcher { name: NAME.to_owned(), op: MatchOp::Equal, value });
        let extension = self.one_of(&[Extension::None, Extension::Anchored, Extension::Smoothed]);
        VectorSelector { name, matchers, offset: self.offset(), at: self.at(), extension }
    }

    fn at(&mut self) -> Option<At> {
        let ms = self.below(60_000) as i64 - 30_000;
        self.one_of(&[None, Some(At::Start), Some(At::End), Some(At::Time(ms * 1001))])
    }

    fn length(&mut self) -> DurationValue {
        if self.maybe() {
            return DurationValue::Fixed(1 + self.below(60_000) as i64 * 997);
        }
        let mut expr = self.duration(3);
        // a number alone would be a fixed one
        expr.wrapped |= matches!(expr.kind, DurationExprKind::Number(_));
        DurationValue::Computed(Box::new(expr))
    }

    fn offset(&mut self) -> DurationValue {
        if !self.maybe() {
            let ms = self.below(60_000) as i64 - 30_000;
            return DurationValue::Fixed(self.one_of(&[0, ms * 997]));
        }
        let expr = self.duration_operand(3);
        let expr = if self.maybe() { duration(DurationExprKind::Sign(true, expr)) } else { *expr };
        DurationValue::Computed(Box::new(expr))
    }

    fn duration(&mut self, depth: usize) -> DurationExpr {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        let deeper = depth.saturating_sub(1);
        let kind = match self.below(if depth == 0 { 3 } else { 6 }) {
            0 => DurationExprKind::Step,
            1 => DurationExprKind::Range,
            2 => DurationExprKind::Number(NumberLiteral { value: 1.5 + self.below(9) as f64, duration: self.maybe() }),
            3 => DurationExprKind::Sign(true, self.duration_operand(deeper)),
            4 => {
                let (a, b) = (Box::new(self.duration(deeper)), Box::new(self.duration(deeper)));
                if self.maybe() { DurationExprKind::Min(a, b) } else { DurationExprKind::Max(a, b) }
            }
            _ => {
                let op = self.one_of(&[Add, Sub, Mul, Div, Mod, Pow]);
                DurationExprKind::Binary(op, self.duration_operand(deeper), self.duration_operand(deeper))
            }
        };
        duration(kind)
    }

    fn duration_operand(&mut self, depth: usize) -> Box<DurationExpr> {
        let mut expr = self.duration(depth);
        use DurationExprKind::{Binary, Number, Sign};
        expr.wrapped = matches!(expr.kind, Binary(..) | Sign(..) | Number(_)) || self.maybe();
        Box::new(expr)
    }
}

fn bare(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

const fn duration(kind: DurationExprKind) -> DurationExpr {
    DurationExpr { kind, span: Span { start: 0, end: 0 }, wrapped: false }
}
