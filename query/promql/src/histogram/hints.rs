//! What storage says of counter resets when a series is read back.
//!
//! A sender's hint speaks of the histogram that it sent before, which may not be the one that is stored before. So it is told again from
//! what is stored: a counter that goes on was not reset; of others nothing is known, though something may have fallen: another sample may
//! have come in between later. Source: Prometheus `tsdb/chunkenc/float_histogram.go`.

use std::sync::Arc;

use super::{Histogram, ResetHint, Side};
use crate::value::{HistogramSample, is_stale};

/// Tells the hints of one series' `samples`, ascending by time. `floats_ms` are the times of its floats, ascending: a float between two
/// histograms ends what is known.
pub fn tell_resets(floats_ms: &[i64], samples: &mut [HistogramSample]) {
    let mut before: Option<(i64, Arc<Histogram>)> = None;
    for sample in samples {
        let now = Arc::clone(&sample.histogram);
        let floats_until = |time: i64| floats_ms.partition_point(|float| *float < time);
        let neighbour = before.filter(|(time, _)| floats_until(*time) == floats_until(sample.time_ms));
        let hint = match now.reset_hint {
            ResetHint::Gauge => ResetHint::Gauge,
            _ if neighbour.is_some_and(|(_, before)| goes_on(&before, &now)) => ResetHint::NotReset,
            _ => ResetHint::Unknown,
        };
        if hint != now.reset_hint {
            sample.histogram = Arc::new(Histogram { reset_hint: hint, ..(*now).clone() });
        }
        before = Some((sample.time_ms, now));
    }
}

/// Whether a counter at `before` can have become `new`: the same layout, and nothing fell.
fn goes_on(before: &Histogram, new: &Histogram) -> bool {
    let counters = [before, new].iter().all(|h| h.reset_hint != ResetHint::Gauge && !is_stale(h.sum));
    let layout = |h: &Histogram| (h.schema, h.zero_threshold.to_bits());
    counters
        && new.reset_hint != ResetHint::Reset
        && layout(before) == layout(new)
        && before.custom_bounds == new.custom_bounds
        && new.count >= before.count
        && new.zero_count >= before.zero_count
        && !fell(&before.positive(), &new.positive())
        && !fell(&before.negative(), &new.negative())
}

/// Whether a bucket counts less, or one that counted something is gone.
fn fell(old: &Side, new: &Side) -> bool {
    old.0.iter().any(|(index, count)| *count != 0.0 && new.count(*index) < *count)
}
