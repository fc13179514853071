//! For how many spans a span stands: senders that keep a share of their traces say which, and counts make up for the rest.
//!
//! ```text
//! trace state  ot=th:c000     rejected below 0xc000... of 2^56: a share of 1/4 ─► 4       (OpenTelemetry, probability sampling)
//! attribute    X-SampleRatio  0.1, a double of the span, or else of its resource ─► 10
//! neither, or nothing that makes sense ─► 1
//! ```

use super::attributes::Typed;
use super::batch::SpanBatch;
use super::resources::{Known, Wanted};

/// Thresholds are numbers of 56 bits, so no span stands for more.
const SPANS_MAX: f64 = (1_u64 << 56) as f64;
/// Digits of a threshold.
const DIGITS_MAX: usize = 14;

/// Where the share of spans is said.
#[derive(Debug, Default)]
pub(super) struct Weights {
    tracestate: bool,
    ratio: Option<Ratio>,
}

#[derive(Debug)]
struct Ratio {
    attribute: String,
    /// Its place in [`Wanted::ratios`].
    place: usize,
}

impl Weights {
    /// By settings; an empty `key` is none. Resources are told to remember the attribute.
    pub(super) fn new(key: &str, tracestate: bool, wanted: &mut Wanted) -> Self {
        let ratio = (!key.is_empty()).then(|| {
            let place = wanted.ratios.iter().position(|ratio| ratio == key).unwrap_or_else(|| {
                wanted.ratios.push(key.to_owned());
                wanted.ratios.len() - 1
            });
            Ratio { attribute: key.to_owned(), place }
        });
        Self { tracestate, ratio }
    }

    /// Whether every span stands for itself alone.
    pub(super) fn is_one(&self) -> bool {
        !self.tracestate && self.ratio.is_none()
    }

    /// Whether resources are asked.
    pub(super) fn wants_resource(&self) -> bool {
        self.ratio.is_some()
    }

    /// For how many spans the one in `row` stands: above 0, at most 2^56.
    pub(super) fn of(&self, batch: &SpanBatch<'_>, row: usize, resource: Option<&Known>) -> f64 {
        if let Some(spans) = self.tracestate.then(|| of_tracestate(batch.trace_state(row))).flatten() {
            return spans;
        }
        let of_span = |ratio: &Ratio| of_ratio(batch.attributes.typed(row, &ratio.attribute));
        let of_resource = |ratio: &Ratio| resource.and_then(|known| known.weights.get(ratio.place).copied().flatten());
        self.ratio.as_ref().and_then(|ratio| of_span(ratio).or_else(|| of_resource(ratio))).unwrap_or(1.0)
    }
}

/// The inverse of a share, which is a double above 0; of anything else there is none.
pub(super) fn of_ratio(share: Option<Typed<'_>>) -> Option<f64> {
    match share {
        Some(Typed::Double(share)) => Some(1.0 / share).filter(|spans| *spans > 0.0 && *spans <= SPANS_MAX),
        _ => None,
    }
}

/// By the `th` of the member `ot` of a trace state: its hexadecimal digits are the first of 14.
fn of_tracestate(state: &str) -> Option<f64> {
    let ours = state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = ours.split(';').find_map(|field| field.strip_prefix("th:"))?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let rejected = u64::from_str_radix(digits, 16).ok()? << (4 * (DIGITS_MAX - digits.len()));
    Some(SPANS_MAX / ((1_u64 << 56) - rejected) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_shares() {
        #[track_caller]
        fn check(state: &str, expected: Option<f64>) {
            assert_eq!(of_tracestate(state), expected, "{state:?}");
        }
        check("ot=th:8", Some(2.0));
        check("ot=th:c", Some(4.0));
        check("ot=th:C0", Some(4.0));
        check("ot=th:0", Some(1.0));
        check("ot=rv:abcdef12345678;th:e", Some(8.0));
        check("rojo=00f067aa0ba902b7, ot=th:8;p:1 ,congo=t61", Some(2.0));
        check("ot=th:ffffffffffffff", Some(SPANS_MAX));
        for none in
            ["", "ot=", "ot=th:", "ot=th:fffffffffffffff", "ot=th:-1", "ot=th:+8", "ot=p:8", "other=th:8", "ot=th:8x", "ot=th:ä"]
        {
            check(none, None);
        }
    }

    #[test]
    fn ratios_are_doubles_above_zero() {
        let of = |share| of_ratio(Some(share));
        assert_eq!(of(Typed::Double(0.1)), Some(10.0));
        assert_eq!(of(Typed::Double(2.0)), Some(0.5));
        for share in [0.0, -0.5, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e-20] {
            assert_eq!(of(Typed::Double(share)), None, "{share}");
        }
        assert_eq!((of(Typed::Int(1)), of(Typed::Text("0.5")), of_ratio(None)), (None, None, None));
    }
}
