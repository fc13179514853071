//! A histogram as Prometheus prints it: `{count:4, sum:5, (0.5,1]:1, (1,2]:3}`.

use std::fmt;

use super::Histogram;

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", number(self.count), number(self.sum))?;
        for bucket in self.buckets().iter().filter(|b| b.count != 0.0) {
            let (open, close) = (if bucket.lower_inclusive { '[' } else { '(' }, if bucket.upper_inclusive { ']' } else { ')' });
            write!(f, ", {open}{},{}{close}:{}", number(bucket.lower), number(bucket.upper), number(bucket.count))?;
        }
        f.write_str("}")
    }
}

/// As Go's `%g`: the shortest digits that give the number back, with an exponent below 1e-4 and from 1e21 on.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value}")
}
