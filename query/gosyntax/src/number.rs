//! Numbers as Prometheus writes them: the rules of Go's `strconv` that its API promises by habit.
//! Source: Prometheus `util/jsonutil/marshal.go`.

use std::io::Write;

/// Appends `value`: the shortest digits that give it back, without an exponent between 1e-6 and 1e21, else as `1e-07`, `1.5e+21`.
/// `NaN`, `+Inf` and `-Inf` by these names. No quotes.
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write_exponent(out, value);
    } else {
        // Writing to memory cannot fail.
        let _ = write!(out, "{value}");
    }
}

/// Go's `e` format: at least two digits in the exponent, and always its sign.
pub fn write_exponent(out: &mut Vec<u8>, value: f64) {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// Appends milliseconds since the epoch as seconds with up to three decimals, all three when there is a fraction.
pub fn write_timestamp(out: &mut Vec<u8>, ms: i64) {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    let (seconds, fraction) = (ms / 1000, ms % 1000);
    let _ = if fraction == 0 { write!(out, "{sign}{seconds}") } else { write!(out, "{sign}{seconds}.{fraction:03}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_go_writes_them() {
        #[track_caller]
        fn check(value: f64, expected: &str) {
            let mut out = Vec::new();
            write_float(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        check(0.0, "0");
        check(-0.0, "-0");
        check(1.0, "1");
        check(-1.5, "-1.5");
        check(0.1 + 0.2, "0.30000000000000004");
        check(0.000001, "0.000001");
        check(0.0000009, "9e-07");
        check(1.5e-7, "1.5e-07");
        check(1e20, "100000000000000000000");
        check(999999999999999900000.0, "999999999999999900000");
        check(1e21, "1e+21");
        check(-1.25e300, "-1.25e+300");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::NAN, "NaN");
        check(f64::from_bits(0x7ff0_0000_0000_0002), "NaN");
        check(f64::INFINITY, "+Inf");
        check(f64::NEG_INFINITY, "-Inf");
    }

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        #[track_caller]
        fn check(ms: i64, expected: &str) {
            let mut out = Vec::new();
            write_timestamp(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        check(0, "0");
        check(1, "0.001");
        check(1_435_781_451_781, "1435781451.781");
        check(1_435_781_451_700, "1435781451.700");
        check(1_435_781_451_000, "1435781451");
        check(-1, "-0.001");
        check(-1_500, "-1.500");
        check(i64::MIN, "-9223372036854775.808");
    }
}
