//! Label names in paths: UTF-8 names arrive as `U__` followed by an escaped text.
//! Source: `UnescapeName` of prometheus/common `model/metric.go`.

/// The name that `escaped` stands for: itself, unless it starts with `U__`. `None` when the escapes are broken, in which case
/// Prometheus takes the text as it is.
///
/// `__` is one underscore, `_1F600_` the character with that number.
pub(super) fn unescape(escaped: &str) -> String {
    escaped.strip_prefix("U__").and_then(decode).unwrap_or_else(|| escaped.to_owned())
}

fn decode(escaped: &str) -> Option<String> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
            continue;
        }
        let end = rest.find('_')?;
        let digits = &rest[..end];
        // Six digits are the longest that a character has.
        let number = (1..=6).contains(&digits.len()).then(|| u32::from_str_radix(digits, 16).ok())??;
        name.push(char::from_u32(number)?);
        rest = &rest[end + 1..];
    }
    name.push_str(rest);
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__job", "job"),
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U__k_fc_che", "küche"),
            ("U___1F600_", "\u{1f600}"),
            ("U__", ""),
            // Broken escapes are the name.
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_2e", "U__a_2e"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_1234567_", "U__a_1234567_"),
        ] {
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
    }
}
