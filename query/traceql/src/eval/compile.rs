//! From a tree to a program: fields to slots, patterns to machines, chains of `&&` and `||` to lists.
//!
//! What a conjunction says of events binds to one event: its conjuncts that name fields of events become one test per event. A negated
//! group stands for itself: no event is like that.

use std::borrow::Cow;

use super::compare::Comparison;
use super::error::{Error, Result};
use super::program::{Operand, Test};
use super::roots::{asks_for_roots, parent_id};
use crate::ast::{BinaryOp, Field, FieldExpr};
use crate::spans::{Slots, Source};
use crate::value::Value;

/// Levels of a tree that are compiled. The parser allows fewer.
const DEPTH_MAX: usize = 500;

/// Fields of a query; each is looked up among those that are known already.
const FIELDS_MAX: usize = 1_000;

/// Whether references to events and links are to one that is bound further out.
#[derive(Debug, Clone, Copy, Default)]
struct Bound {
    event: bool,
    link: bool,
}

impl Bound {
    fn of(self, source: Source) -> bool {
        match source {
            Source::Event => self.event,
            Source::Link => self.link,
            Source::Row | Source::Trace => false,
        }
    }
}

/// Compiles an expression that a span matches or does not. Its fields get slots of `slots`.
pub(super) fn test(expr: &FieldExpr, slots: &mut Slots) -> Result<Test> {
    Compiler { slots, depth: 0 }.test(expr, Bound::default())
}

/// Compiles an expression that has a value.
pub(super) fn operand(expr: &FieldExpr, slots: &mut Slots) -> Result<Operand> {
    Compiler { slots, depth: 0 }.operand(expr, Bound::default())
}

/// Whether a query names no more fields than it may.
pub(super) fn check_slots(slots: &Slots) -> Result<()> {
    if slots.fields().len() > FIELDS_MAX { Err(Error::TooManyFields { limit: FIELDS_MAX }) } else { Ok(()) }
}

/// The expressions of a chain of one operator, from left to right.
pub(super) fn chain(expr: &FieldExpr, of: BinaryOp) -> Vec<&FieldExpr> {
    let (mut flat, mut todo) = (Vec::new(), vec![expr]);
    while let Some(expr) = todo.pop() {
        match expr {
            FieldExpr::Binary { op, left, right } if *op == of => todo.extend([&**right, &**left]),
            other => flat.push(other),
        }
    }
    flat
}

/// The comparison that an operator is.
pub(crate) fn comparison(op: BinaryOp) -> Option<Comparison> {
    Some(match op {
        BinaryOp::Equal => Comparison::Equal,
        BinaryOp::NotEqual => Comparison::NotEqual,
        BinaryOp::Less => Comparison::Less,
        BinaryOp::LessEqual => Comparison::LessEqual,
        BinaryOp::Greater => Comparison::Greater,
        BinaryOp::GreaterEqual => Comparison::GreaterEqual,
        _ => return None,
    })
}

/// Whether an expression is true or false of any span, and never nothing.
fn is_test(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Binary { op, .. } => {
            matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Match | BinaryOp::NotMatch) || comparison(*op).is_some()
        }
        FieldExpr::Not(inner) => is_test(inner),
        FieldExpr::Literal(value) => matches!(value, Value::Bool(_)),
        FieldExpr::Field(_) | FieldExpr::Negate(_) => false,
    }
}

/// Whether an expression names a field of events (or links) of the span itself.
fn names_item(expr: &FieldExpr, source: Source) -> bool {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        match expr {
            FieldExpr::Field(field) if !field.parent && Source::of(&field.name) == source => return true,
            FieldExpr::Literal(_) | FieldExpr::Field(_) => {}
            FieldExpr::Negate(inner) | FieldExpr::Not(inner) => todo.push(inner),
            FieldExpr::Binary { left, right, .. } => todo.extend([&**left, &**right]),
        }
    }
    false
}

struct Compiler<'a> {
    slots: &'a mut Slots,
    depth: usize,
}

impl Compiler<'_> {
    fn deeper<T>(&mut self, compile: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep { limit: DEPTH_MAX });
        }
        self.depth += 1;
        let compiled = compile(self);
        self.depth -= 1;
        compiled
    }

    fn test(&mut self, expr: &FieldExpr, bound: Bound) -> Result<Test> {
        self.deeper(|this| match expr {
            FieldExpr::Binary { op: BinaryOp::And, .. } => this.all(&chain(expr, BinaryOp::And), bound),
            FieldExpr::Binary { op: BinaryOp::Or, .. } => {
                let tests: Result<Vec<_>> = chain(expr, BinaryOp::Or).into_iter().map(|e| this.part(e, bound)).collect();
                Ok(Test::Any(tests?.into()))
            }
            FieldExpr::Not(inner) if is_test(inner) => Ok(Test::Not(Box::new(this.test(inner, bound)?))),
            leaf => this.leaf(leaf, bound),
        })
    }

    /// An operand of `&&` or `||`: there a list is true by any element.
    fn part(&mut self, expr: &FieldExpr, bound: Bound) -> Result<Test> {
        match expr {
            FieldExpr::Field(_) => self.item(expr, bound, |this, bound| Ok(Test::Contains(this.operand(expr, bound)?))),
            other => self.test(other, bound),
        }
    }

    fn all(&mut self, parts: &[&FieldExpr], bound: Bound) -> Result<Test> {
        let is_of_item = |expr: &FieldExpr| {
            let unbound = |source| !bound.of(source) && names_item(expr, source);
            !matches!(expr, FieldExpr::Not(_)) && (unbound(Source::Event) || unbound(Source::Link))
        };
        let (of_items, others): (Vec<&FieldExpr>, Vec<_>) = parts.iter().partition(|expr| is_of_item(expr));
        let mut tests = Vec::with_capacity(others.len() + 1);
        for expr in others {
            tests.push(self.part(expr, bound)?);
        }
        if !of_items.is_empty() {
            let names = |source| of_items.iter().any(|expr| names_item(expr, source));
            let inner = Bound { event: bound.event || names(Source::Event), link: bound.link || names(Source::Link) };
            let grouped: Result<Vec<_>> = of_items.iter().map(|expr| self.part(expr, inner)).collect();
            tests.push(bind(Test::All(grouped?.into()), bound, inner));
        }
        Ok(Test::All(tests.into()))
    }

    /// Compiles `expr` for each of the events and links that it names, unless they are bound already.
    fn item(&mut self, expr: &FieldExpr, bound: Bound, compile: impl FnOnce(&mut Self, Bound) -> Result<Test>) -> Result<Test> {
        let event = bound.event || names_item(expr, Source::Event);
        let inner = Bound { event, link: bound.link || names_item(expr, Source::Link) };
        Ok(bind(compile(self, inner)?, bound, inner))
    }

    fn leaf(&mut self, expr: &FieldExpr, bound: Bound) -> Result<Test> {
        match expr {
            FieldExpr::Literal(value) => Ok(Test::Constant(*value == Value::Bool(true))),
            FieldExpr::Binary { op, left, right } => self.item(expr, bound, |this, bound| this.binary(*op, left, right, bound)),
            // `!.x`: of `!!.x` the bool again.
            FieldExpr::Not(inner) => {
                let (mut wanted, mut inner) = (false, inner);
                while let FieldExpr::Not(deeper) = &**inner {
                    (wanted, inner) = (!wanted, deeper);
                }
                self.item(inner, bound, |this, bound| Ok(Test::Is(this.operand(inner, bound)?, wanted)))
            }
            value => self.item(value, bound, |this, bound| Ok(Test::Is(this.operand(value, bound)?, true))),
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &FieldExpr, right: &FieldExpr, bound: Bound) -> Result<Test> {
        let nil = |expr: &FieldExpr| *expr == FieldExpr::Literal(Value::Nil);
        if nil(left) || nil(right) {
            let of = if nil(left) { right } else { left };
            return match op {
                _ if nil(of) => Ok(Test::Constant(false)),
                BinaryOp::Equal => Ok(Test::Present { of: self.operand(of, bound)?, negated: true }),
                BinaryOp::NotEqual => Ok(Test::Present { of: self.operand(of, bound)?, negated: false }),
                _ => Ok(Test::Constant(false)),
            };
        }
        if let BinaryOp::Match | BinaryOp::NotMatch = op {
            let FieldExpr::Literal(Value::Str(pattern)) = right else {
                return Err(Error::Meaningless { what: "a pattern that is no text" });
            };
            let regex = gosyntax::re2::compile_regex(pattern).map_err(|reason| Error::Regex { reason })?;
            return Ok(Test::Match { of: self.operand(left, bound)?, regex, negated: op == BinaryOp::NotMatch });
        }
        let Some(op) = comparison(op) else {
            // Arithmetic is no bool.
            return Ok(Test::Constant(false));
        };
        if let (FieldExpr::Field(field), FieldExpr::Literal(literal), op)
        | (FieldExpr::Literal(literal), FieldExpr::Field(field), op) = (left, right, op)
        {
            let op = if matches!(left, FieldExpr::Literal(_)) { op.flipped() } else { op };
            if let Some(of_roots) = asks_for_roots(&field.name, op, literal) {
                return self.root(field.parent, of_roots);
            }
        }
        let (left, right) = (self.operand(left, bound)?, self.operand(right, bound)?);
        Ok(match (left, right) {
            (left @ Operand::Literal(_), right) => Test::Compare { left: right, op: op.flipped(), right: left },
            (left, right) => Test::Compare { left, op, right },
        })
    }

    /// Spans that are roots, or all others.
    fn root(&mut self, parent: bool, of_roots: bool) -> Result<Test> {
        let of = self.slots.reference(&Field { parent, name: parent_id() });
        check_slots(self.slots)?;
        Ok(Test::Root { of, negated: !of_roots })
    }

    fn operand(&mut self, expr: &FieldExpr, bound: Bound) -> Result<Operand> {
        self.deeper(|this| match expr {
            FieldExpr::Literal(value) => Ok(Operand::Literal(owned(value))),
            FieldExpr::Field(field) => {
                let reference = this.slots.reference(field);
                check_slots(this.slots).map(|()| Operand::Field(reference))
            }
            FieldExpr::Negate(inner) => Ok(Operand::Negate(Box::new(this.operand(inner, bound)?))),
            expr if is_test(expr) => Ok(Operand::Test(Box::new(this.test(expr, bound)?))),
            FieldExpr::Not(inner) => Ok(Operand::Not(Box::new(this.operand(inner, bound)?))),
            FieldExpr::Binary { op, left, right } => {
                let (left, right) = (Box::new(this.operand(left, bound)?), Box::new(this.operand(right, bound)?));
                Ok(Operand::Arithmetic { op: *op, left, right })
            }
        })
    }
}

/// `test` for each event and link that is bound within but not without.
fn bind(test: Test, without: Bound, within: Bound) -> Test {
    let test = if within.link && !without.link { Test::Item(Source::Link, Box::new(test)) } else { test };
    if within.event && !without.event { Test::Item(Source::Event, Box::new(test)) } else { test }
}

fn owned(value: &Value<'static>) -> Value<'static> {
    match value {
        Value::Str(text) => Value::Str(Cow::Owned(text.to_string())),
        other => other.clone(),
    }
}
