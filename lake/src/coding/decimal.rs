//! Floats as exact decimals: `value = mantissa * 10^exponent` wherever that gives back the very same bits.
//!
//! Scraped values are mostly integers or decimals with few digits. Their mantissas differ by small integers from sample to sample,
//! which DELTA_BINARY_PACKED stores in a few bits; raw doubles do not. What is no such decimal (NaN with any payload, the stale
//! marker, infinities, -0.0, full-mantissa floats) keeps its 64 bits in a column of its own.

/// Most decimal places tried. Beyond, mantissas are so wide that raw bits are no worse.
const PLACES_MAX: u8 = 9;
/// Up to here every integer is a double and `m / 10^k` and `m * 10^k` round once, so that a decimal reads back exactly.
const MANTISSA_MAX: f64 = 9_007_199_254_740_992.0;
/// After that many undecodable values in a run without a success, only the current exponent is tried.
const MISSES_MAX: u32 = 16;

const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// One coded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coded {
    /// Mantissa and exponent.
    Decimal(i64, i8),
    /// Bits of the double.
    Raw(u64),
}

/// The double that mantissa and exponent stand for. Exponents that [`encode_run`] never writes give NaN.
#[inline]
pub(crate) fn decode(mantissa: i64, exponent: i8) -> f64 {
    let m = mantissa as f64;
    match exponent {
        0 => m,
        e => match POWERS.get(usize::from(e.unsigned_abs())) {
            Some(power) if e < 0 => m / power,
            Some(power) => m * power,
            None => f64::NAN,
        },
    }
}

/// Codes the values of one series, in time order, calling `out` for each.
///
/// The whole run shares the fewest decimal places that all its decimals need, so that differences stay small.
pub(crate) fn encode_run(values: &[f64], mut out: impl FnMut(Coded)) {
    let places = places_of(values);
    let zeros = if places == 0 { trailing_zeros_of(values) } else { 0 };
    for &value in values {
        out(match mantissa(value, places) {
            Some(m) if zeros > 0 => scaled_down(value, m, zeros),
            Some(m) => Coded::Decimal(m, -(places as i8)),
            None => Coded::Raw(value.to_bits()),
        });
    }
}

fn scaled_down(value: f64, mantissa: i64, zeros: u8) -> Coded {
    let short = mantissa / 10_i64.pow(u32::from(zeros));
    match decode(short, zeros as i8).to_bits() == value.to_bits() {
        true => Coded::Decimal(short, zeros as i8),
        false => Coded::Decimal(mantissa, 0),
    }
}

/// The fewest decimal places at which every decimal of the run is an integer.
fn places_of(values: &[f64]) -> u8 {
    let mut places = 0;
    let mut misses = 0;
    for &value in values {
        if mantissa(value, places).is_some() {
            continue;
        }
        // Not finite: no number of places helps.
        if misses >= MISSES_MAX || !value.is_finite() || value.to_bits() == (-0.0_f64).to_bits() {
            continue;
        }
        match (places + 1..=PLACES_MAX).find(|&p| mantissa(value, p).is_some()) {
            Some(more) => (places, misses) = (more, 0),
            None => misses += 1,
        }
    }
    places
}

/// How many decimal zeros all integers of the run end with.
fn trailing_zeros_of(values: &[f64]) -> u8 {
    let mut zeros = PLACES_MAX;
    for &value in values {
        let Some(m) = mantissa(value, 0).filter(|m| *m != 0) else { continue };
        while zeros > 0 && m % 10_i64.pow(u32::from(zeros)) != 0 {
            zeros -= 1;
        }
        if zeros == 0 {
            break;
        }
    }
    zeros
}

/// `value * 10^places` when that is an integer which gives back the same bits.
#[inline]
fn mantissa(value: f64, places: u8) -> Option<i64> {
    if places == 0 {
        let m = value as i64; // saturates; NaN gives 0
        return ((m as f64).to_bits() == value.to_bits() && m != i64::MAX && m != i64::MIN).then_some(m);
    }
    let power = POWERS[usize::from(places)];
    let scaled = (value * power).round();
    let exact = scaled.abs() <= MANTISSA_MAX && (scaled / power).to_bits() == value.to_bits();
    // -0.0 has no integer.
    (exact && (scaled != 0.0 || value.to_bits() == 0)).then_some(scaled as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coded(values: &[f64]) -> Vec<Coded> {
        let mut out = Vec::new();
        encode_run(values, |c| out.push(c));
        out
    }

    fn check_bits(values: &[f64]) {
        let back: Vec<u64> = coded(values)
            .into_iter()
            .map(|c| match c {
                Coded::Decimal(m, e) => decode(m, e).to_bits(),
                Coded::Raw(bits) => bits,
            })
            .collect();
        assert_eq!(back, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), "{values:?}");
    }

    #[test]
    fn a_run_shares_its_exponent() {
        assert_eq!(coded(&[1.0, 2.5, 3.25]), [Coded::Decimal(100, -2), Coded::Decimal(250, -2), Coded::Decimal(325, -2)]);
        assert_eq!(coded(&[3000.0, 0.0, -500.0]), [Coded::Decimal(30, 2), Coded::Decimal(0, 2), Coded::Decimal(-5, 2)]);
        assert_eq!(coded(&[7.0, f64::INFINITY]), [Coded::Decimal(7, 0), Coded::Raw(f64::INFINITY.to_bits())]);
    }

    #[test]
    fn special_bits_survive() {
        let nan = |bits: u64| f64::from_bits(bits);
        let odd = [
            nan(0x7ff0_0000_0000_0002), // Prometheus' stale marker
            nan(0x7ff8_0000_0000_0001),
            nan(0xfff8_dead_beef_0001),
            -0.0,
            0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            9_007_199_254_740_993.0,
            -9.223_372_036_854_775e18,
            9.223_372_036_854_776e18,
            1e22,
            0.1,
            0.1 + 0.2,
            1.0 / 3.0,
        ];
        check_bits(&odd);
        for value in odd {
            check_bits(&[value]);
            check_bits(&[1.5, value, 2.25]);
        }
    }

    proptest! {
        #[test]
        fn any_bits_come_back(bits in prop::collection::vec(any::<u64>(), 0..50)) {
            check_bits(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn decimals_come_back_as_decimals(run in prop::collection::vec(-1_000_000_i64..1_000_000, 1..50), places in 0_u8..7) {
            let values: Vec<f64> = run.iter().map(|m| *m as f64 / POWERS[usize::from(places)]).collect();
            check_bits(&values);
            prop_assert!(coded(&values).iter().all(|c| matches!(c, Coded::Decimal(..))));
        }

        #[test]
        fn decoding_never_panics(m in any::<i64>(), e in any::<i8>()) {
            decode(m, e);
        }
    }
}
