//! Byte sizes: `42B`, `1.5KiB`, `1,000 kb`. Source: `github.com/dustin/go-humanize`, `bytes.go`.

use super::number::parse_float;

/// The size that `text` says, in bytes: a decimal number with any commas, spaces, and a unit in any case; `k` is 1000, `ki` is 1024, no
/// unit is bytes. Fractions of a byte are cut.
///
/// # Errors
/// A text without a number, with an unknown unit, or of 16 EiB and more, in Go's words.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_numeric() && c != '.' && c != ',').unwrap_or(text.len());
    let number = if text[..end].contains(',') { parse_float(&text[..end].replace(',', "")) } else { parse_float(&text[..end]) }?;
    let unit = text[end..].trim().to_lowercase();
    let Some(factor) = factor(&unit) else { return Err(format!("unhandled size name: {unit}")) };
    let size = number * factor;
    // the largest u64 is no f64: the next one up is 2^64
    if size >= u64::MAX as f64 {
        return Err(format!("too large: {text}"));
    }
    Ok(size as u64)
}

fn factor(unit: &str) -> Option<f64> {
    let (prefix, base) = match unit {
        "" | "b" => return Some(1.0),
        _ => match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('i')) {
            Some(prefix) => (prefix, 1024.0_f64),
            None => (unit.strip_suffix('b').unwrap_or(unit), 1000.0),
        },
    };
    let power = ["k", "m", "g", "t", "p", "e"].iter().position(|p| *p == prefix)? + 1;
    Some(base.powi(power as i32))
}

/// `size` as LogQL prints it: `42B`, `1.5kB`, `10GB`, rounded to a digit behind the point below ten of a unit; but exactly, in bytes,
/// when that says another size: what is printed is parsed again.
pub fn bytes_text(size: u64) -> String {
    let rounded = humanized(size);
    if parse_bytes(&rounded) == Ok(size) && !rounded.ends_with("EB") { rounded } else { format!("{size}B") }
}

fn humanized(size: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut power = 0;
    let mut rest = size;
    while rest >= 1000 {
        rest /= 1000;
        power += 1;
    }
    if power == 0 {
        return format!("{size}B");
    }
    let value = (size as f64 / 1000_f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let unit = UNITS[power];
    if value < 10.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        #[track_caller]
        fn check(text: &str, expected: Result<u64, &str>) {
            assert_eq!(parse_bytes(text), expected.map_err(str::to_owned), "{text}");
        }
        check("42", Ok(42));
        check("42 B", Ok(42));
        check("1,000 kb", Ok(1_000_000));
        check("13 MiB", Ok(13 << 20));
        check("1.5Ki", Ok(1536));
        check("2E", Ok(2_000_000_000_000_000_000));
        check("16EiB", Err("too large: 16EiB"));
        check("15 bananas", Err("unhandled size name: bananas"));
        check("1ib", Err("unhandled size name: ib"));
        check("", Err("strconv.ParseFloat: parsing \"\": invalid syntax"));
        check("-1B", Err("strconv.ParseFloat: parsing \"\": invalid syntax"));
        check("1.2.3B", Err("strconv.ParseFloat: parsing \"1.2.3\": invalid syntax"));
    }

    #[test]
    fn printed_sizes_are_read_again() {
        for (size, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1.0kB"),
            (1500, "1.5kB"),
            (2560, "2560B"),
            (10_000_000_000, "10GB"),
            (u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(bytes_text(size), text);
        }
    }
}
