//! Second stages: `topk`, `bottomk`, comparisons with a number.

use std::cmp::Ordering;

use super::row::Row;
use crate::ast::{BinaryOp, SecondStage};

/// What is left of the series.
pub(super) fn apply(stage: &SecondStage, mut rows: Vec<Row>) -> Vec<Row> {
    match stage {
        SecondStage::TopK(most) => keep_first(&mut rows, *most, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))),
        SecondStage::BottomK(most) => keep_first(&mut rows, *most, |a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))),
        SecondStage::Compare(op, number) => {
            rows.iter_mut().flat_map(|row| &mut row.values).filter(|v| !holds(*op, **v, *number)).for_each(|v| *v = f64::NAN);
        }
    }
    rows.retain(|row| !row.is_empty());
    rows
}

/// Keeps of each bucket the `most` first places and values; the order settles ties too, as Tempo does: the first labels of the highest
/// values, the last ones of the lowest.
fn keep_first(rows: &mut [Row], most: usize, order: impl Fn(&(usize, f64), &(usize, f64)) -> Ordering) {
    let buckets = rows.first().map_or(0, |row| row.values.len());
    let mut there: Vec<(usize, f64)> = Vec::with_capacity(rows.len());
    for bucket in 0..buckets {
        there.clear();
        there.extend(rows.iter().enumerate().map(|(at, row)| (at, row.values[bucket])).filter(|(_, value)| !value.is_nan()));
        if there.len() <= most {
            continue;
        }
        there.select_nth_unstable_by(most, &order);
        for (row, _) in &there[most..] {
            rows[*row].values[bucket] = f64::NAN;
        }
    }
}

fn holds(op: BinaryOp, value: f64, number: f64) -> bool {
    match op {
        BinaryOp::Equal => value == number,
        BinaryOp::NotEqual => value != number,
        BinaryOp::Less => value < number,
        BinaryOp::LessEqual => value <= number,
        BinaryOp::Greater => value > number,
        BinaryOp::GreaterEqual => value >= number,
        _ => false,
    }
}
