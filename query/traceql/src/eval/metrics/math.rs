//! Arithmetic between series and numbers.
//!
//! Series meet those with the same labels. One without labels meets all of the other side; two of them make one that is named after both.
//! Where one side has no sample, or is divided by zero, there is none.

use hashbrown::HashMap;

use super::row::{NAME, Row};
use crate::ast::BinaryOp;
use crate::eval::key::Key;
use crate::value::Value;

/// What a part of a query gives.
#[derive(Debug)]
pub(super) enum Set {
    Number(f64),
    Rows(Vec<Row>),
}

/// `left op right`.
pub(super) fn apply(op: BinaryOp, left: Set, right: Set) -> Set {
    match (left, right) {
        (Set::Number(l), Set::Number(r)) => Set::Number(plain(op, l, r)),
        (Set::Rows(rows), Set::Number(number)) => Set::Rows(each(rows, |value| of_samples(op, value, number))),
        (Set::Number(number), Set::Rows(rows)) => Set::Rows(each(rows, |value| of_samples(op, number, value))),
        (Set::Rows(left), Set::Rows(right)) => Set::Rows(matched(op, &left, &right)),
    }
}

fn plain(op: BinaryOp, l: f64, r: f64) -> f64 {
    match op {
        BinaryOp::Add => l + r,
        BinaryOp::Subtract => l - r,
        BinaryOp::Multiply => l * r,
        BinaryOp::Divide => l / r,
        _ => f64::NAN,
    }
}

fn of_samples(op: BinaryOp, l: f64, r: f64) -> f64 {
    if op == BinaryOp::Divide && r == 0.0 { f64::NAN } else { plain(op, l, r) }
}

fn each(mut rows: Vec<Row>, apply: impl Fn(f64) -> f64) -> Vec<Row> {
    rows.iter_mut().flat_map(|row| &mut row.values).for_each(|value| *value = apply(*value));
    rows.retain(|row| !row.is_empty());
    rows
}

fn matched(op: BinaryOp, left: &[Row], right: &[Row]) -> Vec<Row> {
    let both = |l: &Row, r: &Row, labels: Vec<(String, Value<'static>)>| {
        let values = l.values.iter().zip(&r.values).map(|(l, r)| of_samples(op, *l, *r)).collect();
        let exemplars = if l.exemplars.is_empty() { r.exemplars.clone() } else { l.exemplars.clone() };
        Row { labels, values, exemplars }
    };
    let mut rows: Vec<Row> = match (left, right) {
        ([l], [r]) if l.name().is_some() && r.name().is_some() => {
            let name = format!("({} {} {})", l.name().unwrap_or_default(), symbol(op), r.name().unwrap_or_default());
            vec![both(l, r, vec![(NAME.to_owned(), Value::Str(name.into()))])]
        }
        (left, [r]) if r.name().is_some() => left.iter().map(|l| both(l, r, l.labels.clone())).collect(),
        ([l], right) if l.name().is_some() => right.iter().map(|r| both(l, r, r.labels.clone())).collect(),
        (left, right) => {
            let known: HashMap<_, &Row> = right.iter().map(|row| (identity(row), row)).collect();
            let pairs = left.iter().filter_map(|l| Some((l, *known.get(&identity(l))?)));
            pairs.map(|(l, r)| both(l, r, l.labels.clone())).collect()
        }
    };
    rows.retain(|row| !row.is_empty());
    rows
}

/// Labels in an order of their own: `by(a, b)` meets `by(b, a)`.
fn identity(row: &Row) -> Vec<(&str, Key)> {
    let mut labels: Vec<_> = row.labels.iter().map(|(name, value)| (name.as_str(), Key::from(value))).collect();
    labels.sort_unstable();
    labels
}

fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        _ => "/",
    }
}
