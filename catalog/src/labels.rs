//! Label sets in canonical form and the 64-bit ids made from them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// A label set in canonical form: sorted by name, names distinct, no empty values.
///
/// Order is by the bytes of the name, as Prometheus and Loki sort. An empty value means "label absent" there, so it is dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct LabelSet(Arc<[(Arc<str>, Arc<str>)]>);

impl LabelSet {
    /// Sorts `pairs`; of equal names the last one wins, empty values are dropped.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        // Keep the last of equal names: reverse, keep the first, reverse back.
        pairs.reverse();
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs.retain(|(_, v)| !v.is_empty());
        pairs.reverse();
        Self(pairs.into())
    }
    /// The pairs, ascending by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.0.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }
    /// The value of `name`, if the label is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| n.as_ref().cmp(name)).ok().map(|at| self.0[at].1.as_ref())
    }
    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Feeds a canonical label set (with `metric` first, as if it were the label `__name__`) to a hasher without building a string.
/// Each part is followed by 0xFF, which no UTF-8 text holds, so no two different sets feed equal bytes.
fn hash_canonical<'a>(seed: u64, metric: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = Xxh3::with_seed(seed);
    hasher.update(metric.as_bytes());
    hasher.update(&[0xff]);
    for (name, value) in labels {
        hasher.update(name.as_bytes());
        hasher.update(&[0xff]);
        hasher.update(value.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

/// The id of a series: xxh3-64 of metric name and canonical labels, as a signed number because Parquet readers dislike unsigned ones.
///
/// 1e8 series collide with a chance of 3e-4. Whoever mints ids compares the label sets and, on a clash, mints
/// with the next `salt`; the `series` table is the authority.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesId(pub i64);

impl SeriesId {
    /// The id of `metric` with `labels` (ascending by name, without `__name__`). `salt` is 0 but after a collision.
    pub fn of<'a>(metric: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>, salt: u64) -> Self {
        Self(hash_canonical(salt, metric, labels) as i64)
    }
}

/// The id of a log stream: as [`SeriesId`], over the stream's labels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub i64);

impl StreamId {
    /// The id of the stream with `labels` (ascending by name).
    pub fn of<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(hash_canonical(0x5eed_106c, "", labels) as i64)
    }
}

/// The id of any canonical byte string (a resource, say), as a signed number.
pub fn content_id(bytes: &[u8]) -> i64 {
    xxh3_64_with_seed(bytes, 0x7e1e_1a4e) as i64
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

/// An attribute's name as a label: what is neither letter nor digit becomes `_`, and a digit does not come first. So receivers name what they
/// make of attributes, and queries the attributes that stayed what they are.
pub fn label_name(attribute: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let digit_first = attribute.as_bytes().first().is_some_and(u8::is_ascii_digit);
    if !digit_first && attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Cow::Borrowed(attribute);
    }
    let name = attribute.chars().map(|c| if fits(c) { c } else { '_' });
    Cow::Owned(if digit_first { "key_".chars().chain(name).collect() } else { name.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels() {
        for (attribute, label) in [("service.name", "service_name"), ("a_b", "a_b"), ("2x", "key_2x"), ("ü-b", "__b"), ("", "")]
        {
            assert_eq!(label_name(attribute), label);
        }
    }

    #[test]
    fn canonical_form() {
        let labels = LabelSet::new([("b", "1"), ("a", "x"), ("b", "2"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="x", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn ids_tell_boundaries_apart() {
        assert_ne!(SeriesId::of("m", [("a", "bc")], 0), SeriesId::of("m", [("ab", "c")], 0));
        assert_ne!(SeriesId::of("m", [("a", "b")], 0), SeriesId::of("m", [("a", "b")], 1));
    }
}
