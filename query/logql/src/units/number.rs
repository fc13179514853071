//! Numbers, as Go's `strconv.ParseFloat` reads them.

use gosyntax::quote::quote;

/// The number that `text` is: decimal or, with a `p` exponent, hexadecimal; `inf`, `infinity` and `nan` in any case. No spaces.
///
/// # Errors
/// Any other text, and one whose number is too large for a float, in Go's words.
pub fn parse_float(text: &str) -> Result<f64, String> {
    let refused = |why: &str| format!("strconv.ParseFloat: parsing {}: {why}", quote(text));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(digits) => hexadecimal(digits).map(|v| if text.starts_with('-') { -v } else { v }),
        None => text.parse::<f64>().ok(),
    };
    match value {
        None => Err(refused("invalid syntax")),
        Some(v) if v.is_infinite() && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            Err(refused("value out of range"))
        }
        Some(v) => Ok(v),
    }
}

/// `1.8p3`: digits to the base of 16, an exponent of 2. Digits beyond a float's precision are cut, not rounded.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse::<i64>().ok()?.clamp(-5000, 5000) as i32;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut value, mut scale) = (0_u64, 0_i32);
    for (place, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(c.to_digit(16)?);
        let behind = place >= whole.len();
        if value < 1 << 59 {
            value = value << 4 | digit;
            scale -= if behind { 4 } else { 0 };
        } else if !behind {
            scale = scale.saturating_add(4);
        }
    }
    let exponent = exponent.saturating_add(scale);
    // in two steps, since 2^-1100 alone would be zero
    Some(value as f64 * 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        #[track_caller]
        fn check(text: &str, expected: Option<f64>) {
            assert_eq!(parse_float(text).ok().map(f64::to_bits), expected.map(f64::to_bits), "{text}");
        }
        check("1", Some(1.0));
        check("-.5e1", Some(-5.0));
        check("+Inf", Some(f64::INFINITY));
        check("-infinity", Some(f64::NEG_INFINITY));
        check("0x1.8p1", Some(3.0));
        check("-0X10p-4", Some(-1.0));
        check("0x10", None);
        check("1_000", None);
        check(" 1", None);
        check("", None);
        assert!(parse_float("nAn").is_ok_and(f64::is_nan));
        assert_eq!(parse_float("bob").unwrap_err(), "strconv.ParseFloat: parsing \"bob\": invalid syntax");
        assert_eq!(parse_float("1e999").unwrap_err(), "strconv.ParseFloat: parsing \"1e999\": value out of range");
    }
}
