//! What a query asks of single spans, for storage to skip what cannot matter.
//!
//! ```text
//! { .a = 1 && (.b > 2 || .c =~ "x.*") } >> { kind = client }
//!   ──► [.a = 1, .b > 2]  or  [.a = 1, .c ~ x...]  or  [kind = client]
//! ```
//!
//! # Invariants
//! - Sound, never exact: a span that a filter selects satisfies all of one of its [`Conditions`]; what cannot be said is left out.
//! - Nothing is said of a span's parent.

use regex::Regex;

use super::compare::Comparison;
use super::compile::{chain, comparison};
use super::roots::{asks_for_roots, parent_id};
use crate::ast::{BinaryOp, Field, FieldExpr, FieldName, Pipeline, Spansets, Stage};
use crate::value::Value;

/// Alternatives of one filter; with more, it is said to admit any span.
const ALTERNATIVES_MAX: usize = 32;

/// Conditions of one alternative; more would not skip more.
const TOGETHER_MAX: usize = 32;

/// What a span satisfies if one filter selects it: all of these. None at all: any span may be selected.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Together.
    pub all: Vec<Condition>,
}

/// What is asked of one field. Of a list it is asked of any element, of events and links of any of them.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Which.
    pub field: FieldName,
    /// What.
    pub test: Test,
}

/// A test of a value. Numbers are compared by value whatever their types, and other types never are equal or in a range.
#[derive(Debug, Clone)]
pub enum Test {
    /// One of these.
    Equal(Vec<Value<'static>>),
    /// Between the ends that there are.
    Range {
        /// The lower end, and whether it is included.
        min: Option<(Value<'static>, bool)>,
        /// The upper end, and whether it is included.
        max: Option<(Value<'static>, bool)>,
    },
    /// Text that matches.
    Regex {
        /// Anchored.
        regex: Regex,
        /// What every match begins with; may be empty.
        prefix: String,
    },
    /// There is a value.
    Exists,
}

impl Conditions {
    /// Those of a filter, one for each of its alternatives. None at all: no span matches.
    pub fn of(expr: &FieldExpr) -> Vec<Self> {
        alternatives(expr)
    }

    /// Those of all filters that `pipeline` begins with: a trace can only give a spanset when one of its spans satisfies one of these. None
    /// at all: no trace does.
    pub(super) fn of_pipeline(pipeline: &Pipeline) -> Vec<Self> {
        let mut found = Vec::new();
        // Every leaf, also of pipelines within: a stack, because chains are as deep as a query is long.
        let mut todo: Vec<&Spansets> = match pipeline.stages.first() {
            Some(Stage::Spansets(spansets)) => vec![spansets],
            _ => return vec![Self::default()],
        };
        while let Some(spansets) = todo.pop() {
            match spansets {
                Spansets::Filter(expr) => found.extend(alternatives(expr)),
                Spansets::Binary { left, right, .. } => todo.extend([&**right, &**left]),
                Spansets::Pipeline(inner) => match inner.stages.first() {
                    Some(Stage::Spansets(spansets)) => todo.push(spansets),
                    _ => return vec![Self::default()],
                },
            }
        }
        settle(&mut found);
        found
    }
}

/// Where any span may be selected, nothing else needs to be said.
pub(super) fn settle(found: &mut Vec<Conditions>) {
    if found.iter().any(|conditions| conditions.all.is_empty()) {
        *found = vec![Conditions::default()];
    }
}

fn alternatives(expr: &FieldExpr) -> Vec<Conditions> {
    match expr {
        FieldExpr::Binary { op: BinaryOp::And, .. } => {
            let mut product = vec![Conditions::default()];
            for part in chain(expr, BinaryOp::And) {
                let these = alternatives(part);
                let is_full = product.iter().any(|known| known.all.len() >= TOGETHER_MAX) && !these.is_empty();
                if is_full || product.len() * these.len() > ALTERNATIVES_MAX {
                    continue; // What is left out only admits more.
                }
                let with = |left: &Conditions| -> Vec<Conditions> {
                    these.iter().map(|right| Conditions { all: [&left.all[..], &right.all[..]].concat() }).collect()
                };
                product = product.iter().flat_map(with).collect();
            }
            product
        }
        FieldExpr::Binary { op: BinaryOp::Or, .. } => {
            let mut sum: Vec<Conditions> = Vec::new();
            for these in chain(expr, BinaryOp::Or).into_iter().flat_map(alternatives) {
                if these.all.is_empty() {
                    return vec![these];
                }
                if !merge_equal(&mut sum, &these) {
                    sum.push(these);
                }
                if sum.len() > ALTERNATIVES_MAX {
                    return vec![Conditions::default()];
                }
            }
            sum
        }
        leaf => one(leaf),
    }
}

/// `.a = 1 || .a = 2` is one alternative with two values.
fn merge_equal(sum: &mut [Conditions], these: &Conditions) -> bool {
    let [Condition { field, test: Test::Equal(values) }] = &these.all[..] else { return false };
    for known in sum {
        if let [Condition { field: known, test: Test::Equal(all) }] = &mut known.all[..]
            && known == field
        {
            all.extend(values.iter().cloned());
            return true;
        }
    }
    false
}

fn one(expr: &FieldExpr) -> Vec<Conditions> {
    let all = match expr {
        FieldExpr::Literal(Value::Bool(true)) => Vec::new(),
        FieldExpr::Literal(_) => return Vec::new(),
        FieldExpr::Field(field) => condition(field, Test::Equal(vec![Value::Bool(true)])),
        FieldExpr::Not(inner) => match &**inner {
            FieldExpr::Field(field) => condition(field, Test::Equal(vec![Value::Bool(false)])),
            _ => Vec::new(),
        },
        FieldExpr::Negate(_) => Vec::new(),
        FieldExpr::Binary { op, left, right } => compared(*op, left, right),
    };
    vec![Conditions { all }]
}

fn condition(field: &Field, test: Test) -> Vec<Condition> {
    if field.parent { Vec::new() } else { vec![Condition { field: field.name.clone(), test }] }
}

fn compared(op: BinaryOp, left: &FieldExpr, right: &FieldExpr) -> Vec<Condition> {
    let nil = |expr: &FieldExpr| *expr == FieldExpr::Literal(Value::Nil);
    if nil(left) || nil(right) {
        let of = if nil(left) { right } else { left };
        return match (op, of) {
            (BinaryOp::NotEqual, FieldExpr::Field(field)) => condition(field, Test::Exists),
            _ => Vec::new(),
        };
    }
    match (comparison(op), left, right) {
        (Some(op), FieldExpr::Field(field), FieldExpr::Literal(value)) => with_literal(field, op, value),
        (Some(op), FieldExpr::Literal(value), FieldExpr::Field(field)) => with_literal(field, op.flipped(), value),
        (None, FieldExpr::Field(field), FieldExpr::Literal(Value::Str(pattern))) if op == BinaryOp::Match => {
            let regex = gosyntax::re2::compile_regex(pattern);
            regex.map(|regex| condition(field, Test::Regex { regex, prefix: prefix(pattern) })).unwrap_or_default()
        }
        (None, FieldExpr::Field(field), _) if op == BinaryOp::NotMatch => condition(field, Test::Exists),
        (Some(_), left, right) => [left, right].into_iter().flat_map(needed).collect(),
        (None, ..) => Vec::new(),
    }
}

fn with_literal(field: &Field, op: Comparison, value: &Value<'static>) -> Vec<Condition> {
    if asks_for_roots(&field.name, op, value) == Some(true) {
        return condition(&Field { parent: field.parent, name: parent_id() }, Test::Equal(vec![Value::text("")]));
    }
    let value = value.clone();
    let test = match op {
        Comparison::Equal => Test::Equal(vec![value]),
        // Of a list without elements nothing is different, but it is there.
        Comparison::NotEqual => Test::Exists,
        Comparison::Less => Test::Range { min: None, max: Some((value, false)) },
        Comparison::LessEqual => Test::Range { min: None, max: Some((value, true)) },
        Comparison::Greater => Test::Range { min: Some((value, false)), max: None },
        Comparison::GreaterEqual => Test::Range { min: Some((value, true)), max: None },
    };
    condition(field, test)
}

/// The fields without which a number is none.
fn needed(expr: &FieldExpr) -> Vec<Condition> {
    let (mut found, mut todo) = (Vec::new(), vec![expr]);
    while let Some(expr) = todo.pop() {
        match expr {
            FieldExpr::Field(field) => found.extend(condition(field, Test::Exists)),
            FieldExpr::Negate(inner) => todo.push(inner),
            FieldExpr::Binary { op, left, right } if comparison(*op).is_none() => match op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Match | BinaryOp::NotMatch => {}
                _ => todo.extend([&**left, &**right]),
            },
            // A bool is one also when its fields have no value.
            FieldExpr::Binary { .. } | FieldExpr::Not(_) | FieldExpr::Literal(_) => {}
        }
    }
    found
}

/// What every match of an anchored pattern begins with.
fn prefix(pattern: &str) -> String {
    const META: &str = r"\.+*?()|[]{}^$";
    // An alternative may begin otherwise; flags may make letters other letters.
    if pattern.contains('|') || pattern.contains("(?") {
        return String::new();
    }
    let end = pattern.find(|c| META.contains(c)).unwrap_or(pattern.len());
    let mut prefix = pattern[..end].to_owned();
    if pattern[end..].starts_with(['*', '?', '{']) {
        prefix.pop(); // The last one may be there no time.
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn every_match_begins_with_the_prefix() {
        assert_eq!(prefix("GET /a.*"), "GET /a");
        assert_eq!(prefix("ab?c"), "a");
        assert_eq!(prefix("ab*"), "a");
        assert_eq!(prefix("ab+"), "ab");
        assert_eq!(prefix("a{0}b"), "");
        assert_eq!(prefix("a|b"), "");
        assert_eq!(prefix("(?i)ab"), "");
        assert_eq!(prefix("^ab"), "");
        assert_eq!(prefix("exact"), "exact");
    }
}
