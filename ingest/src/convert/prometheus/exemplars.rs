//! Exemplars of remote write.

use super::labels::text;
use super::refused::Refusal;

/// Characters of names and values together, up to which an exemplar is taken (OpenMetrics 1.0, Prometheus' `ExemplarMaxLabelSetLength`).
const RUNES_MAX: usize = 128;

/// An exemplar's labels, and the ids among them that have columns of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExemplarLabels {
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    /// Ascending by name.
    pub(crate) labels: Vec<(String, String)>,
}

/// Sorts an exemplar's `pairs` out. An id that is not exactly what its column gives back stays a label.
///
/// # Errors
/// Text that is not UTF-8; `None` when there are too many characters.
pub(crate) fn exemplar_labels(pairs: &[(&[u8], &[u8])]) -> Result<Option<ExemplarLabels>, Refusal> {
    let mut out = ExemplarLabels::default();
    let mut runes = 0;
    for (name, value) in pairs {
        let (name, value) = (text(name)?, text(value)?);
        runes += name.chars().count() + value.chars().count();
        if runes > RUNES_MAX {
            return Ok(None);
        }
        match name {
            "trace_id" if out.trace_id.is_none() && id::<16>(value).is_some() => out.trace_id = id(value),
            "span_id" if out.span_id.is_none() && id::<8>(value).is_some() => out.span_id = id(value),
            _ => out.labels.push((name.to_owned(), value.to_owned())),
        }
    }
    out.labels.sort_by(|a, b| a.0.cmp(&b.0));
    out.labels.dedup_by(|a, b| a.0 == b.0);
    Ok(Some(out))
}

/// An id of `N` bytes in lower-case hexadecimal digits, not all zero.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    hex::decode_to_slice(text, &mut id).ok().filter(|()| lower && id.iter().any(|b| *b != 0))?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_columns_when_they_come_back_as_they_were() {
        #[track_caller]
        fn check(pairs: &[(&str, &str)], expected: Option<(bool, bool, &[&str])>) {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            let labels = exemplar_labels(&pairs).unwrap();
            let found = labels.as_ref().map(|l| {
                (l.trace_id.is_some(), l.span_id.is_some(), l.labels.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>())
            });
            assert_eq!(found, expected.map(|(trace, span, names)| (trace, span, names.to_vec())));
        }
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        check(&[], Some((false, false, &[])));
        check(&[("trace_id", trace), ("span_id", span)], Some((true, true, &[])));
        check(&[("user", "x"), ("trace_id", trace), ("a", "y")], Some((true, false, &["a", "user"])));
        check(&[("trace_id", "abc123"), ("span_id", "span789")], Some((false, false, &["span_id", "trace_id"])));
        check(&[("trace_id", &trace.to_uppercase())], Some((false, false, &["trace_id"])));
        check(&[("trace_id", &"0".repeat(32))], Some((false, false, &["trace_id"])));
        check(&[("a", &"ü".repeat(127))], Some((false, false, &["a"])));
        check(&[("a", &"ü".repeat(128))], None);
        assert_eq!(exemplar_labels(&[(b"a", b"\xff")]), Err(Refusal::Utf8));
    }
}
