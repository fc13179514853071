//! The text format.
//! Source: prometheus/common `expfmt/text_create.go`.

use std::borrow::Cow;
use std::io::Write;

use query::promql::{Element, Sample};

use super::{Names, labels_of};
use gosyntax::number::write_exponent;

/// A family: `# TYPE name untyped`, and one line for each of its samples.
pub(super) fn write(family: &[Element], names: Names) -> Vec<u8> {
    let mut out = Vec::new();
    let metric = family.first().map_or("", |e| e.labels.metric());
    let (metric, quoted) = match (is_plain(metric, true), names) {
        (true, _) => (Cow::Borrowed(metric), false),
        (false, Names::Underscores) => (underscores(metric, true), false),
        (false, Names::Quoted) => (Cow::Borrowed(metric), true),
    };
    out.extend_from_slice(b"# TYPE ");
    write_name(&mut out, &metric, quoted);
    out.extend_from_slice(b" untyped\n");
    for element in family {
        let Sample::Float(value) = element.sample else { continue };
        if !quoted {
            out.extend_from_slice(metric.as_bytes());
        }
        write_labels(&mut out, quoted.then_some(&*metric), &labels_of(element), names);
        out.push(b' ');
        write_value(&mut out, value);
        // Writing to memory cannot fail.
        let _ = writeln!(out, " {}", element.time_ms);
    }
    out
}

/// `{name,label="value",...}`
fn write_labels(out: &mut Vec<u8>, metric: Option<&str>, labels: &[(&str, &str)], names: Names) {
    out.push(b'{');
    if let Some(metric) = metric {
        write_name(out, metric, true);
    }
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 || metric.is_some() {
            out.push(b',');
        }
        match (is_plain(name, false), names) {
            (true, _) => write_name(out, name, false),
            (false, Names::Underscores) => write_name(out, &underscores(name, false), false),
            (false, Names::Quoted) => write_name(out, name, true),
        }
        out.push(b'=');
        write_name(out, value, true);
    }
    out.push(b'}');
}

/// `text`, or `"text"` with backslash, quote and newline escaped.
fn write_name(out: &mut Vec<u8>, text: &str, quoted: bool) {
    if !quoted {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
    out.push(b'"');
}

/// Whether a name needs no quotes: letters, digits, `_`, and `:` in metrics; no digit first.
fn is_plain(name: &str, of_metric: bool) -> bool {
    !name.is_empty() && name.chars().enumerate().all(|(at, c)| plain_at(at, c, of_metric))
}

fn plain_at(at: usize, c: char, of_metric: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || (of_metric && c == ':') || (at > 0 && c.is_ascii_digit())
}

fn underscores(name: &str, of_metric: bool) -> Cow<'_, str> {
    Cow::Owned(name.chars().enumerate().map(|(at, c)| if plain_at(at, c, of_metric) { c } else { '_' }).collect())
}

/// Go's `g` format with the shortest digits: an exponent below 1e-4 and from 1e6 on.
fn write_value(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    let text = format!("{value:e}");
    let exponent: i32 = text.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        let _ = write!(out, "{value}");
    } else {
        write_exponent(out, value);
    }
}

#[cfg(test)]
mod tests {
    use promql::labels::Labels;

    use super::*;

    fn element(labels: &[(&str, &str)], value: f64) -> Element {
        Element { labels: Labels::new(labels.iter().copied()), time_ms: 1_435_781_451_781, sample: Sample::Float(value) }
    }

    #[track_caller]
    fn check(family: &[Element], names: Names, expected: &str) {
        assert_eq!(String::from_utf8(write(family, names)).unwrap(), expected);
    }

    #[test]
    fn values() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (999_999.0, "999999"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::NEG_INFINITY, "-Inf"),
            (0.25, "0.25"),
        ] {
            let mut out = Vec::new();
            write_value(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn families() {
        let plain = [
            element(&[("__name__", "up"), ("instance", "a:1"), ("job", "x\"\\\n")], 1.0),
            element(&[("__name__", "up"), ("job", "y")], f64::NAN),
        ];
        check(
            &plain,
            Names::Underscores,
            "# TYPE up untyped\nup{instance=\"a:1\",job=\"x\\\"\\\\\\n\"} 1 1435781451781\nup{job=\"y\",instance=\"\"} NaN 1435781451781\n",
        );
        let utf8 = [element(&[("__name__", "http.requests"), ("instance", "a"), ("küche", "1")], 1.5e-7)];
        check(
            &utf8,
            Names::Underscores,
            "# TYPE http_requests untyped\nhttp_requests{instance=\"a\",k_che=\"1\"} 1.5e-07 1435781451781\n",
        );
        check(
            &utf8,
            Names::Quoted,
            "# TYPE \"http.requests\" untyped\n{\"http.requests\",instance=\"a\",\"küche\"=\"1\"} 1.5e-07 1435781451781\n",
        );
    }
}
