//! Functions of ranges over one series: a day of samples 15 s apart, a step a minute (1,441 steps).
//!
//! `fast` does all steps in one pass, `window` each window by itself. Throughput counts the samples of the series once, in however many
//! windows they lie.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use promql::annotation::Annotations;
use promql::ast::{Extension, Function};
use promql::functions::fast::{Floats, Steps, Sweep, Windows};
use promql::functions::range::{self, Frame, Place};
use promql::value::Grid;

const MINUTE_MS: i64 = 60_000;
const SAMPLES: usize = 5_760;

/// A counter that is reset every two hours, at times that are regular or up to half a second off.
fn counter(jitter_ms: i64) -> (Vec<i64>, Vec<f64>) {
    let time_ms = |at: usize| 15_000 * at as i64 + if jitter_ms > 0 { (at as i64 * 7_919) % jitter_ms } else { 0 };
    let value = |at: usize| (at % 480) as f64 * 3.25;
    ((0..SAMPLES).map(time_ms).collect(), (0..SAMPLES).map(value).collect())
}

fn fast(c: &mut Criterion) {
    let grid = Grid { start_ms: 0, end_ms: 15_000 * SAMPLES as i64, step_ms: MINUTE_MS };
    let (mut values, mut present) = (vec![0.0; grid.len()], vec![false; grid.len()]);
    let mut sweep = Sweep::default();
    let mut group = c.benchmark_group("fast");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (kind, jitter_ms) in [("regular", 0), ("jittered", 500)] {
        let (times_ms, floats) = counter(jitter_ms);
        for (function, range_min) in [
            (Function::Rate, 5),
            (Function::Rate, 60),
            (Function::Delta, 5),
            (Function::Changes, 5),
            (Function::CountOverTime, 5),
            (Function::LastOverTime, 5),
            (Function::SumOverTime, 1),
            (Function::SumOverTime, 5),
            (Function::SumOverTime, 60),
            (Function::AvgOverTime, 60),
            (Function::MaxOverTime, 5),
            (Function::MaxOverTime, 60),
        ] {
            let windows = Windows { grid, range_ms: range_min * MINUTE_MS, offset_ms: 0 };
            group.bench_function(format!("{} {range_min}m {kind}", function.signature().name), |b| {
                b.iter(|| {
                    let mut out = Steps { values: &mut values, present: &mut present };
                    let floats = Floats { times_ms: black_box(&times_ms), values: &floats };
                    sweep.evaluate(function, floats, windows, &mut out)
                });
            });
        }
    }
    group.finish();
}

fn window(c: &mut Criterion) {
    let grid = Grid { start_ms: 0, end_ms: 15_000 * SAMPLES as i64, step_ms: MINUTE_MS };
    let mut group = c.benchmark_group("window");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let (times_ms, floats) = counter(0);
    for (function, range_min) in [(Function::Rate, 5), (Function::SumOverTime, 5), (Function::SumOverTime, 60)] {
        group.bench_function(format!("{} {range_min}m", function.signature().name), |b| {
            b.iter(|| {
                let mut annotations = Annotations::default();
                let mut sum = 0.0;
                for time_ms in grid.iter() {
                    let left_ms = time_ms - range_min * MINUTE_MS;
                    let behind = |edge_ms: i64| times_ms.partition_point(|time| *time <= edge_ms);
                    let window = behind(left_ms)..behind(time_ms);
                    if window.is_empty() {
                        continue;
                    }
                    let frame = Frame {
                        times_ms: &times_ms[window.clone()],
                        floats: &floats[window],
                        starts_ms: &[],
                        histograms: &[],
                        starts: false,
                        time_ms,
                        left_ms,
                        right_ms: time_ms,
                        extension: Extension::None,
                        metric: "m",
                    };
                    if let Ok(Some(range::Output::Float(value))) =
                        range::evaluate(function, &frame, &[], Place::default(), &mut annotations)
                    {
                        sum += value;
                    }
                }
                sum
            });
        });
    }
    group.finish();
}

fn main() {
    let mut c = Criterion::default().configure_from_args();
    fast(&mut c);
    window(&mut c);
    c.final_summary();
}
