//! Float samples by series.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, TimestampMillisecondType};

use super::{Rows, ascending};

/// Samples gathered so far.
pub(super) struct Columns {
    series: Vec<Gathered>,
    starts: bool,
}

#[derive(Default)]
struct Gathered {
    times_ms: Vec<i64>,
    floats: Vec<f64>,
    /// 0 for none.
    starts_ms: Vec<i64>,
    has_starts: bool,
}

impl Columns {
    pub(super) fn new(series: usize, starts: bool) -> Self {
        Self { series: (0..series).map(|_| Gathered::default()).collect(), starts }
    }

    /// What is read.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        if self.starts { &["sid", "ts", "value", "start_ts"] } else { &["sid", "ts", "value"] }
    }

    /// Takes rows; `None` when a column is missing.
    pub(super) fn take(&mut self, rows: &Rows<'_>) -> Option<()> {
        let Rows { batch, place, rows } = rows;
        let into = &mut self.series[*place];
        let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampMillisecondType>()?;
        let values = batch.column_by_name("value")?.as_primitive_opt::<Float64Type>()?;
        into.times_ms.extend_from_slice(&times.values()[rows.clone()]);
        into.floats.extend_from_slice(&values.values()[rows.clone()]);
        if self.starts {
            let starts = batch.column_by_name("start_ts")?.as_primitive_opt::<TimestampMillisecondType>()?;
            let start = |row: usize| if starts.is_valid(row) { starts.value(row) } else { 0 };
            into.starts_ms.extend(rows.clone().map(start));
            into.has_starts |= into.starts_ms[into.starts_ms.len() - rows.len()..].iter().any(|start| *start != 0);
        }
        Some(())
    }

    /// Times, values and start timestamps of the series at `place`, which is empty then.
    pub(super) fn series(&mut self, place: usize) -> (Vec<i64>, Vec<f64>, Vec<i64>) {
        let Gathered { times_ms, floats, starts_ms, has_starts } = std::mem::take(&mut self.series[place]);
        let starts_ms = if has_starts { starts_ms } else { Vec::new() };
        if times_ms.windows(2).all(|pair| pair[0] < pair[1]) {
            return (times_ms, floats, starts_ms);
        }
        let mut order: Vec<usize> = (0..times_ms.len()).collect();
        ascending(&mut order, |row| times_ms[*row]);
        let times = order.iter().map(|row| times_ms[*row]).collect();
        let values = order.iter().map(|row| floats[*row]).collect();
        let starts = if starts_ms.is_empty() { starts_ms } else { order.iter().map(|row| starts_ms[*row]).collect() };
        (times, values, starts)
    }
}
