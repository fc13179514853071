//! Label sets in the making: names that Prometheus takes, values of bounded size, one canonical form to find them by.

/// Labels that metrics of spans have of their own.
pub(super) const SPAN_INTRINSICS: [&str; 7] =
    ["service", "span_name", "span_kind", "status_code", "status_message", "job", "instance"];
/// Labels of `traces_target_info` that are no attributes.
pub(super) const TARGET_INTRINSICS: [&str; 2] = ["job", "instance"];
/// Bytes of a label value; longer ones are cut. Span names come from everywhere, and a label is no place for a statement.
const VALUE_BYTES_MAX: usize = 1_024;

/// The label of the attribute `name`: what is no letter, digit or `_` becomes `_`, and a name that is `taken` gets the prefix `__`.
pub(super) fn sanitized(name: &str, taken: &[&str]) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if taken.contains(&plain.as_str()) {
        format!("__{plain}")
    } else if plain.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{plain}")
    } else {
        plain
    }
}

/// Whether `name` can be the name of a label.
pub(super) fn is_label(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Labels in the order in which they were pushed: `name 0xff value 0xff ...`. No text holds 0xff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSet {
    bytes: Vec<u8>,
}

impl LabelSet {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Adds a label; an empty value is none.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let value = bounded(value);
        if !value.is_empty() {
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.push(0xff);
            self.bytes.extend_from_slice(value.as_bytes());
            self.bytes.push(0xff);
        }
    }

    /// Equal for equal labels in equal order.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// `value`, cut at a character when it is too long.
pub(super) fn bounded(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// The labels in [`LabelSet::as_bytes`]. Of equal names the first counts.
pub(super) fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    let mut parts = bytes.split(|b| *b == 0xff).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut labels = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        labels.push((name, value));
    }
    labels.sort_by(|a: &(String, String), b| a.0.cmp(&b.0));
    labels.dedup_by(|a, b| a.0 == b.0);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit() {
        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(sanitized(name, &SPAN_INTRINSICS), expected);
        }
        check("http.method", "http_method");
        check("service.name", "service_name");
        check("span.name", "__span_name");
        check("status-code", "__status_code");
        check("2xx", "_2xx");
        check("größe", "gr__e");
    }

    #[test]
    fn labels_come_back_sorted_without_empty_ones() {
        let mut set = LabelSet::default();
        set.push("b", "2");
        set.push("empty", "");
        set.push("a", "1");
        set.push("b", "again");
        let expected = [("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs(set.as_bytes()), expected);
        assert_eq!(pairs(b""), []);
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let long = "ä".repeat(2_000);
        assert_eq!(bounded(&long).len(), 1_024);
        assert_eq!(bounded(&format!("x{long}")).len(), 1_023);
    }
}
